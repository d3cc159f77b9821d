// The connection string that a request of Neon's driver carries in a header: who wants to go where.
//
// Which endpoint it names, `route.ts` decides as it does for a Postgres connection: its host counts as the name in a TLS handshake would.
// Beyond that, any host may name an endpoint by its first label, since the host need not lead to us for its request to come here.

import { isIP } from 'node:net'
import { parameterValue, type StartupParameter } from '../../pgwire/startup-packet.ts'
import { isEndpointId, routeByPassword, routeByStartup, withoutRouting, type Route } from '../route.ts'
import { badRequest } from './sql-answer.ts'

export type ConnectionString = {
  route: Route
  user: string
  password: string | undefined
  /** As Postgres is to see them. */
  parameters: StartupParameter[]
}

/** Throws SqlHttpError, Refusal. */
export function parseConnectionString(
  text: string,
  httpHost: string | undefined,
  domains: readonly string[],
): ConnectionString {
  const url = parseUrl(text)
  const user = decodeText(url.username, 'username')
  if (user === '') throw badRequest('missing username')
  const database = decodeText(url.pathname.slice(1).split('/')[0] ?? '', 'database name')
  if (database === '') throw badRequest('missing database name')
  const asked = [...url.searchParams].filter(([, value]) => !value.includes('\0'))
  const given = url.password === '' ? undefined : decodeText(url.password, 'password')
  return {
    ...routeOf({ host: url.hostname, asked, password: given }, httpHost, domains),
    user,
    parameters: [
      ['user', user],
      ['database', database],
      ...applicationName(asked),
      ...withoutRouting(asked.filter(([name]) => name === 'options')),
      // Everything goes out as JSON, and that is UTF-8.
      ['client_encoding', 'UTF8'],
    ],
  }
}

function parseUrl(text: string): URL {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):(.*)$/i.exec(text) ?? []
  if (scheme === undefined || rest === undefined) {
    throw badRequest('invalid connection string: relative URL without a base')
  }
  if (!/^postgres(ql)?$/i.test(scheme)) throw badRequest('incorrect scheme')
  try {
    // The rules for hosts that are names apply only to schemes that a URL parser knows.
    return new URL(`http:${rest}`)
  } catch {
    throw badRequest('invalid connection string')
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** A per cent sign that encodes nothing stands for itself: passwords are often pasted as they are. */
function decodeText(text: string, what: string): string {
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  // The URL parser has encoded all that is not ASCII.
  const decoded = decodeUtf8(Buffer.from(bytes, 'latin1'))
  if (decoded === undefined || decoded.includes('\0')) throw badRequest(`invalid ${what}`)
  return decoded
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

function applicationName(asked: readonly StartupParameter[]): StartupParameter[] {
  const name = parameterValue(asked, 'application_name') ?? parameterValue(asked, 'fallback_application_name')
  return name === undefined ? [] : [['application_name', name]]
}

type Named = { host: string; asked: readonly StartupParameter[]; password: string | undefined }

function routeOf(
  { host, asked, password }: Named,
  httpHost: string | undefined,
  domains: readonly string[],
): Pick<ConnectionString, 'route' | 'password'> {
  const options = asked.filter(([name]) => name === 'options')
  for (const name of [host, httpHost && hostName(httpHost), endpointHost(host, domains)]) {
    const route = routeByStartup(name, options, domains)
    if (route) return { route, password }
  }
  return routeByPassword(password ?? '')
}

/** A host under a domain that is not ours, as the one of ours that it stands for. */
export function endpointHost(host: string, domains: readonly string[]): string | undefined {
  const [label = '', ...rest] = host.toLowerCase().split('.')
  const [domain] = domains
  if (domain === undefined || isIP(host.replace(/^\[|\]$/g, '')) !== 0 || !isEndpointId(label)) return undefined
  // A name without a domain is some machine's, unless it looks like an endpoint's.
  return rest.length > 0 || label.startsWith('ep-') ? `${label}.${domain}` : undefined
}

/** Of a `Host` header, without the port. */
export function hostName(header: string): string {
  return header.toLowerCase().replace(/:\d*$/, '')
}
