// PostgREST's options as texts, read into a configuration. What is not known is said.
//
// https://docs.postgrest.org/en/v14/references/configuration.html

import { assertSecret } from '../authentication/secret.ts'
import { defaultConfig, type DataApiConfig, type OpenapiMode, type TransactionEnd } from '../config.ts'
import { parseJsPath } from '../../lib/js-path.ts'
import { serverOfUri } from '../openapi/server.ts'

export type ServerOptions = {
  dbUri: string | undefined
  host: string
  port: number
  /** `db-pool` */
  pool: number
  /** `db-pool-acquisition-timeout`, in milliseconds. */
  poolWaitMs: number
  /** `db-channel`; undefined where `db-channel-enabled` is false. */
  channel: string | undefined
  jwtSecret: string | undefined
  jwtSecretIsBase64: boolean
  /** `db-config`: whether the database may say options too. */
  asksDatabase: boolean
  /** `db-pre-config`: a function that sets them, as `schema.name` or `name`. */
  preConfig: string | undefined
  /** `db-pool-max-lifetime`, `db-pool-max-idletime`, in seconds. */
  poolLifetimeSeconds: number
  poolIdleSeconds: number
  /** `server-unix-socket`: takes the place of host and port. */
  unixSocket: string | undefined
  /** As files have it. */
  unixSocketMode: number
  /** `admin-server-port`; undefined: none. */
  adminPort: number | undefined
  adminHost: string
  logLevel: LogLevel
}

export const logLevels = { crit: 'fatal', error: 'error', warn: 'warn', info: 'info', debug: 'debug' } as const
export type LogLevel = (typeof logLevels)[keyof typeof logLevels]

export type Options = { config: DataApiConfig; server: ServerOptions; warnings: string[] }

const ends: readonly TransactionEnd[] = ['commit', 'commit-allow-override', 'rollback', 'rollback-allow-override']
const openapiModes: readonly OpenapiMode[] = ['follow-privileges', 'ignore-privileges', 'disabled']

/** Throws a text that names the option. */
export function readOptions(given: ReadonlyMap<string, string>): Options {
  const rest = new Map(given)
  const warnings: string[] = []
  const take = (...names: string[]): string | undefined => {
    const values = names.map((name) => {
      const value = rest.get(name)
      rest.delete(name)
      return value
    })
    return values.find((value) => value !== undefined && value !== '')
  }
  const list = (name: string, ...others: string[]): string[] | undefined =>
    take(name, ...others)
      ?.split(',')
      .map((each) => each.trim())
      .filter((each) => each !== '')
  const flag = (name: string, otherwise: boolean, ...others: string[]): boolean => {
    const value = take(name, ...others)?.toLowerCase()
    if (value === undefined) return otherwise
    if (value === 'true' || value === 'on' || value === '1') return true
    if (value === 'false' || value === 'off' || value === '0') return false
    throw new Error(`${name} is true or false, not ${JSON.stringify(value)}`)
  }
  const number = (name: string, ...others: string[]): number | undefined => {
    const value = take(name, ...others)
    if (value === undefined) return undefined
    if (/^\d{1,9}$/.test(value)) return Number(value)
    throw new Error(`${name} is a number, not ${JSON.stringify(value)}`)
  }
  const schemas = list('db-schemas', 'db-schema')
  const end = take('db-tx-end') ?? defaultConfig.dbTxEnd
  const txEnd = ends.find((each) => each === end)
  if (!txEnd) throw new Error(`db-tx-end is one of ${ends.join(', ')}, not ${JSON.stringify(end)}`)
  const path = take('jwt-role-claim-key', 'role-claim-key')
  const jsPath = path === undefined ? defaultConfig.jwtRoleClaimKey : parseJsPath(path)
  if (!jsPath)
    throw new Error(`jwt-role-claim-key ${JSON.stringify(path)} is no path such as .role or .app."x-role"[0]`)
  const mode = take('openapi-mode') ?? 'follow-privileges'
  const openapiMode = openapiModes.find((each) => each === mode)
  if (!openapiMode) throw new Error(`openapi-mode is one of ${openapiModes.join(', ')}, not ${JSON.stringify(mode)}`)
  const proxyUri = take('openapi-server-proxy-uri', 'server-proxy-uri')
  if (proxyUri !== undefined && !serverOfUri(proxyUri))
    throw new Error(
      `openapi-server-proxy-uri is a URI such as https://example.com/api, not ${JSON.stringify(proxyUri)}`,
    )
  const [first = 'public', ...others] = schemas ?? []
  const config: DataApiConfig = {
    ...defaultConfig,
    dbSchemas: [first, ...others],
    dbAnonRole: take('db-anon-role'),
    // The one list that may be said to be empty.
    dbExtraSearchPath:
      list('db-extra-search-path') ?? (given.get('db-extra-search-path') === '' ? [] : defaultConfig.dbExtraSearchPath),
    dbMaxRows: number('db-max-rows', 'max-rows'),
    dbAggregatesEnabled: flag('db-aggregates-enabled', false),
    dbPlanEnabled: flag('db-plan-enabled', false),
    dbPreRequest: take('db-pre-request', 'pre-request'),
    dbRootSpec: take('db-root-spec', 'root-spec'),
    dbTxEnd: txEnd,
    dbHoistedTxSettings: list('db-hoisted-tx-settings') ?? defaultConfig.dbHoistedTxSettings,
    dbPreparedStatements: flag('db-prepared-statements', true),
    jwtRoleClaimKey: jsPath,
    jwtAud: take('jwt-aud'),
    jwtCacheMaxEntries: number('jwt-cache-max-entries') ?? defaultConfig.jwtCacheMaxEntries,
    openapiMode,
    openapiServerProxyUri: proxyUri,
    openapiSecurityActive: flag('openapi-security-active', false),
    serverCorsAllowedOrigins: list('server-cors-allowed-origins'),
    serverTimingEnabled: flag('server-timing-enabled', false),
    serverTraceHeader: take('server-trace-header'),
    appSettings: Object.fromEntries([...rest].filter(([name]) => name.startsWith('app.settings.'))),
  }
  const jwtSecret = take('jwt-secret')
  const jwtSecretIsBase64 = flag('jwt-secret-is-base64', false, 'secret-is-base64')
  assertSecret(jwtSecret, jwtSecretIsBase64)
  const host = hostOf(take('server-host'))
  const port = number('server-port') ?? 3000
  const adminPort = number('admin-server-port')
  if (adminPort === port && port !== 0) throw new Error('admin-server-port cannot be that of server-port')
  const level = take('log-level') ?? 'warn'
  if (!isLogLevel(level))
    throw new Error(`log-level is one of ${Object.keys(logLevels).join(', ')}, not ${JSON.stringify(level)}`)
  const mode_ = take('server-unix-socket-mode') ?? '660'
  if (!/^[0-7]{3}$/.test(mode_) || Number.parseInt(mode_, 8) < 0o600)
    throw new Error(`server-unix-socket-mode is between 600 and 777, not ${JSON.stringify(mode_)}`)
  const isListening = flag('db-channel-enabled', true)
  const channel = take('db-channel') ?? 'pgrst'
  const server: ServerOptions = {
    dbUri: take('db-uri'),
    host,
    port,
    pool: number('db-pool') ?? 10,
    poolWaitMs: (number('db-pool-acquisition-timeout') ?? 10) * 1000,
    channel: isListening ? channel : undefined,
    jwtSecret,
    jwtSecretIsBase64,
    asksDatabase: flag('db-config', true),
    preConfig: take('db-pre-config'),
    poolLifetimeSeconds: number('db-pool-max-lifetime') ?? 1800,
    poolIdleSeconds: number('db-pool-max-idletime', 'db-pool-timeout') ?? 30,
    unixSocket: take('server-unix-socket'),
    unixSocketMode: Number.parseInt(mode_, 8),
    adminPort,
    adminHost: hostOf(take('admin-server-host') ?? host),
    logLevel: logLevels[level],
  }
  for (const name of rest.keys())
    if (!name.startsWith('app.settings.')) warnings.push(`${name} is not known here, and does nothing`)
  return { config, server, warnings }
}

const isLogLevel = (text: string): text is keyof typeof logLevels => Object.hasOwn(logLevels, text)

/** PostgREST's words for all addresses. */
const hostOf = (host: string | undefined): string =>
  host === undefined || host === '!4' || host === '*4' || host === '*'
    ? '0.0.0.0'
    : host === '!6' || host === '*6'
      ? '::'
      : host
