// Which endpoint a connection is for. The only place that decides.
//
// In this order: the name in the TLS handshake, if it lies below one of our domains; `endpoint=` (or `project=`, its old name)
// in the `options` startup parameter; a prefix of the password. Where the first two are both given they have to agree.

import { parameterValue, type StartupParameter } from '../pgwire/startup-packet.ts'
import { joinOptions, splitOptions, type OptionWord } from '../pgwire/startup-options.ts'
import { refusals } from './errors.ts'

export type Route = {
  endpointId: string
  /** Asked for by `<endpoint>-pooler`. */
  pooled: boolean
  /** Asked for by `neon_lsn:` or `neon_timestamp:`: the branch as it was then, as `lsn:…` or `timestamp:…`. */
  point?: string
}

/** What control is asked to wake: the endpoint, or it at a point of its past. */
export function computeNameOf({ endpointId, point }: Route): string {
  return point === undefined ? endpointId : `${endpointId}@${point}`
}

/** As `computeNameOf` makes them. */
export function isComputeName(text: string): boolean {
  const [endpointId = '', ...point] = text.split('@')
  return isEndpointId(endpointId) && (point.length === 0 || pointPattern.test(point.join('@')))
}

const pointPattern = /^(lsn:[0-9a-f]{1,8}\/[0-9a-f]{1,8}|timestamp:[0-9a-z:.+-]{10,40})$/i

/** Undefined where only the password can still tell. Throws Refusal. */
export function routeByStartup(
  serverName: string | undefined,
  parameters: readonly StartupParameter[],
  domains: readonly string[],
): Route | undefined {
  const fromName = endpointInServerName(serverName, domains)
  const fromOptions = endpointInOptions(parameterValue(parameters, 'options'))
  if (fromName === undefined && fromOptions === undefined) return undefined
  const named = fromName === undefined ? undefined : parseEndpoint(fromName)
  const opted = fromOptions === undefined ? undefined : parseEndpoint(fromOptions)
  if (named && opted && named.endpointId !== opted.endpointId) {
    throw refusals.inconsistentEndpoints(fromName ?? '', fromOptions ?? '')
  }
  // Whoever says `-pooler` in either place wants the pooler.
  const endpointId = (named ?? opted)?.endpointId ?? ''
  const pooled = Boolean(named?.pooled || opted?.pooled)
  const point = pointInOptions(parameterValue(parameters, 'options'))
  return point === undefined ? { endpointId, pooled } : { endpointId, pooled, point }
}

/** Throws Refusal where there are two, or one that is none. */
function pointInOptions(options: string | undefined): string | undefined {
  const found = splitOptions(options ?? '').flatMap(({ text }) => {
    const [, kind, value] = /^neon_(lsn|timestamp):(.*)$/.exec(text) ?? []
    return kind === undefined || value === undefined ? [] : [`${kind}:${value}`]
  })
  const [point] = found
  if (point === undefined) return undefined
  if (found.length > 1 || !pointPattern.test(point)) throw refusals.malformedPoint(point)
  return point
}

/** `endpoint=<id>;<password>` or `endpoint=<id>$<password>`. Throws Refusal. */
export function routeByPassword(text: string): { route: Route; password: string } {
  const prefix = endpointPrefixes.find((candidate) => text.startsWith(candidate))
  if (prefix === undefined) throw refusals.endpointNotSpecified()
  const rest = text.slice(prefix.length)
  // Whichever comes first: an id holds neither, a password may hold both.
  const at = rest.search(/[;$]/)
  if (at < 0) throw refusals.endpointNotSpecified()
  return { route: parseEndpoint(rest.slice(0, at)), password: rest.slice(at + 1) }
}

/** The startup parameters as Postgres is to see them: without what was meant for us. */
export function withoutRouting(parameters: readonly StartupParameter[]): StartupParameter[] {
  return parameters.flatMap(([name, value]): StartupParameter[] => {
    if (name !== 'options') return [[name, value]]
    const words = splitOptions(value)
    const kept = words.filter((word) => !isEndpointWord(word) && !/^neon_\w+:/.test(word.text))
    if (kept.length === words.length) return [[name, value]]
    return kept.length === 0 ? [] : [[name, joinOptions(kept)]]
  })
}

/** A DNS label: what else is asked for exists nowhere and is not worth a question to control. */
export function isEndpointId(text: string): boolean {
  return /^[a-zA-Z0-9-]{1,63}$/.test(text)
}

const endpointPrefixes = ['endpoint=', 'project=']
const poolerSuffix = '-pooler'
/** First labels that serve SQL over HTTP. */
const reservedLabels = ['api', 'apiauth']

function endpointInServerName(serverName: string | undefined, domains: readonly string[]): string | undefined {
  const name = serverName?.toLowerCase().replace(/\.$/, '') ?? ''
  const dot = name.indexOf('.')
  if (dot < 1 || !domains.includes(name.slice(dot + 1))) return undefined
  const label = name.slice(0, dot)
  return reservedLabels.includes(label) ? undefined : label
}

/** Undefined where there is none, and, as in Neon, where there are several. */
function endpointInOptions(options: string | undefined): string | undefined {
  if (options === undefined) return undefined
  const words = splitOptions(options).filter(isEndpointWord)
  const [word] = words
  return word && words.length === 1 ? word.text.slice(word.text.indexOf('=') + 1) : undefined
}

function isEndpointWord(word: OptionWord): boolean {
  return endpointPrefixes.some((prefix) => word.text.startsWith(prefix))
}

function parseEndpoint(name: string): Route {
  if (!isEndpointId(name)) throw refusals.malformedEndpoint(name)
  const pooled = name.endsWith(poolerSuffix) && name.length > poolerSuffix.length
  return { endpointId: pooled ? name.slice(0, -poolerSuffix.length) : name, pooled }
}
