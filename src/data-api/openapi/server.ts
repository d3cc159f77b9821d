// Where the API is said to be reached: host, base path and scheme, as Swagger has them.

export type DescribedServer = { host?: string; basePath: string; schemes: ['http' | 'https'] }

const ports = { http: '80', https: '443' } as const

/** Of a URI of HTTP's; the port is always said. Undefined: it is none. */
export function serverOfUri(uri: string): DescribedServer | undefined {
  if (!/^https?:\/\//i.test(uri) || !URL.canParse(uri)) return undefined
  const { protocol, hostname, port, pathname } = new URL(uri)
  const scheme = protocol === 'https:' ? 'https' : 'http'
  return { host: `${hostname}:${port === '' ? ports[scheme] : port}`, basePath: pathname, schemes: [scheme] }
}

/** Of a request's `Host`, which may be anything that somebody writes there: what is no host is not told on. */
export function serverOfHost(host: string | undefined): DescribedServer {
  const isHost = host !== undefined && /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host)
  return { ...(isHost ? { host } : {}), basePath: '/', schemes: ['http'] }
}
