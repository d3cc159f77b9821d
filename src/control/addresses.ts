// Which names and strings lead a client to an endpoint.

import { servicePlaceOf, type ServiceName } from '../model/service-routes.ts'
import type { ConnectionDetails } from './params.ts'

export type AddressOptions = {
  /** Base domain of endpoint hosts. */
  domain: string
  /** True where `*.<domain>` resolves to this machine, so that printed strings may use endpoint hosts. */
  domainResolves: boolean
  /** Where the proxy listens, as far as a client on this machine is concerned. */
  pgHost: string
  pgPort: () => number
  /** The same of HTTP. */
  httpHost: string
  httpPort: () => number
  /** Undefined where there is no TLS. */
  httpsPort: () => number | undefined
  /** The certificate is one that clients trust: only then may a string ask for verification. */
  trustedCertificate: boolean
}

export class Addresses {
  readonly #options: AddressOptions

  constructor(options: AddressOptions) {
    this.#options = options
  }

  get proxyHost(): string {
    return this.#options.domain
  }

  endpointHost(endpointId: string): string {
    return `${endpointId}.${this.#options.domain}`
  }

  poolerHost(endpointId: string): string {
    return `${endpointId}-pooler.${this.#options.domain}`
  }

  /** Where a service answers for a database, without a slash at its end. */
  serviceUrl(service: ServiceName, endpointId: string, database: string): string {
    const { label, root } = servicePlaceOf(service)
    const path = `/${encodeURIComponent(database)}${root}`
    if (!this.#options.domainResolves) return `${this.#plainOrigin()}/${endpointId}${path}`
    return `${this.#namedOrigin(`${endpointId}.${label}.${this.#options.domain}`)}${path}`
  }

  /** Root of the Stack surface, which all integrations share. */
  stackUrl(): string {
    const { domainResolves, domain, httpsPort } = this.#options
    const origin = domainResolves && httpsPort() !== undefined ? this.#namedOrigin(domain) : this.#plainOrigin()
    return `${origin}/api/v1`
  }

  /** By a name that our certificate is for. */
  #namedOrigin(host: string): string {
    const https = this.#options.httpsPort()
    return https === undefined ? originOf('http', host, this.#options.httpPort()) : originOf('https', host, https)
  }

  #plainOrigin(): string {
    return originOf('http', inUrl(this.#options.httpHost), this.#options.httpPort())
  }

  /**
   * A string that works when pasted into `psql`. Where the domain does not resolve, the endpoint travels in `options`, which every
   * libpq-like client passes on. node-postgres reads `sslmode=require` as "verify", so TLS is asked for only with a trusted certificate.
   */
  connectionUri(target: {
    endpointId: string
    database: string
    role: string
    password: string | undefined
    pooled: boolean
  }): string {
    const { domainResolves, pgHost, trustedCertificate } = this.#options
    const label = target.pooled ? `${target.endpointId}-pooler` : target.endpointId
    const user = encodeURIComponent(target.role) + (target.password ? `:${encodeURIComponent(target.password)}` : '')
    const host = domainResolves ? `${label}.${this.#options.domain}` : inUrl(pgHost)
    const port = this.#options.pgPort() === 5432 ? '' : `:${this.#options.pgPort()}`
    const parameters: string[] = []
    if (!domainResolves) parameters.push(`options=endpoint%3D${label}`)
    if (trustedCertificate) parameters.push('sslmode=require', 'channel_binding=require')
    // Without TLS a host name does not reach the proxy (there is no SNI), so the endpoint has to be named in `options` there too.
    else if (domainResolves) parameters.push(`options=endpoint%3D${label}`)
    const query = parameters.length > 0 ? `?${parameters.join('&')}` : ''
    return `postgresql://${user}@${host}${port}/${inPath(target.database)}${query}`
  }

  connection(target: {
    endpointId: string
    database: string
    role: string
    password: string | undefined
  }): ConnectionDetails {
    return {
      uri: this.connectionUri({ ...target, pooled: false }),
      database: target.database,
      role: target.role,
      password: target.password ?? '',
      host: this.endpointHost(target.endpointId),
      poolerHost: this.poolerHost(target.endpointId),
    }
  }
}

/** node-postgres decodes a path with `decodeURI`, which leaves what may stand in a path as it is, so that is not encoded. libpq reads both. */
function inPath(database: string): string {
  return encodeURI(database).replaceAll('?', '%3F').replaceAll('#', '%23')
}

const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host)

const originOf = (scheme: 'http' | 'https', host: string, port: number): string =>
  new URL(`${scheme}://${host}:${port}`).origin
