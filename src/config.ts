// Environment → one frozen Config. Every option, its default and its reason stand here; nothing else reads the environment.

import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { assertAllowedIps } from './control/address-rules.ts'
import { parseFailpoints } from './lib/failpoint.ts'
import { settleSeconds } from './model/autoscaling.ts'
import { pgMajors, type PgMajor } from './model/compute.ts'
import { AppError } from './model/errors.ts'
import { defaultRateLimits, parseRateLimits, rateLimitForm, type RateLimits } from './model/rate-limit.ts'
import type { PoolLimits } from './control/warm-pool.ts'

export const storageChoices = ['auto', 'btrfs', 'zfs', 'reflink', 'pool', 'copy'] as const
export type StorageChoice = (typeof storageChoices)[number]

export const cgroupChoices = ['auto', 'off'] as const
const devIdpChoices = ['auto', 'off'] as const

export type Listen = { host: string; port: number; asked: boolean }

export type Config = {
  /** Everything pgrove writes. */
  home: string
  http: Listen
  /** Undefined: off. Neon's serverless driver assumes 443. */
  https: Listen | undefined
  pg: Listen
  apiKey: string | undefined
  domain: string | undefined
  controlDatabaseUrl: string | undefined
  storage: StorageChoice
  /** Whether sizes of computes are enforced where the machine can. */
  cgroups: (typeof cgroupChoices)[number]
  /** How long a smaller size has to have been enough before a compute gets it. */
  scaleDownSeconds: number
  /** Undefined: a key file in the home folder. */
  masterKey: string | undefined
  logLevel: string
  /** Sizes of the warm pool; 0,0 switches it off. */
  pool: PoolLimits
  /** Free bytes below which nothing new is created. */
  diskFloorBytes: number
  /** How long deleted projects and branches can be recovered. */
  recoveryWindowSeconds: number
  /** How long sessions at rest with state of their own (temporary tables, `LISTEN`, `SET` …) keep a compute awake; 0: not at all. */
  heldSessionSeconds: number
  /** Personal keys have to name the organization that they create projects in and list projects of, as at Neon. */
  requiresOrgId: boolean
  /** A JSON file; undefined: Neon's prices. */
  pricesFile: string | undefined
  /** How often an account may call the API, where an operator has set nothing else for it. */
  rateLimits: RateLimits | 'off'
  /** Addresses and networks whose word on who the client is counts: of proxies in front of the HTTP ports. */
  trustedProxies: readonly string[]
  /** A JSON file with what sign-in shares: credentials at OAuth providers, a mail server. Undefined: nothing. */
  authConfigFile: string | undefined
  /** Whether a stand-in answers for OAuth providers that there are no credentials for: where HTTP is for this machine alone. */
  hasDevelopmentProvider: boolean
  failpoints: string
  /** Every response is checked against the contract: for tests. */
  checkResponses: boolean
  /** `bin` folders of Postgres installations that the operator named. */
  postgresOverrides: Partial<Record<PgMajor, string>>
  isRoot: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

const bad = (name: string, value: string, wanted: string): AppError =>
  new AppError('config_invalid', `${name}=${JSON.stringify(value)} cannot be used: ${wanted}`)

function readPort(env: Environment, name: string, fallback: number): { port: number; asked: boolean } {
  const text = env[name]
  if (text === undefined || text === '') return { port: fallback, asked: false }
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw bad(name, text, 'write a port between 0 (any free one) and 65535')
  return { port, asked: true }
}

function readHttps(env: Environment, host: string): Listen | undefined {
  const text = env['PGROVE_HTTPS_PORT']
  if (text === undefined || text === '' || text === 'off') return undefined
  return { host, ...readPort(env, 'PGROVE_HTTPS_PORT', 443), asked: true }
}

function readWhole(env: Environment, name: string, fallback: number): number {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) throw bad(name, text, 'write a whole number')
  return Number(text)
}

function readChoice<T extends string>(env: Environment, name: string, choices: readonly T[], fallback: T): T {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  const found = choices.find((choice) => choice === text)
  if (found === undefined) throw bad(name, text, `write one of ${choices.join(', ')}`)
  return found
}

/** `started,unstarted`: the least that waits. A burst may widen it eightfold. */
function readPool(env: Environment): PoolLimits {
  const text = env['PGROVE_WARM_POOL'] ?? ''
  const match = text === '' ? ['', '3', '8'] : /^(\d{1,3}),(\d{1,3})$/.exec(text)
  if (!match)
    throw bad('PGROVE_WARM_POOL', text, 'write two numbers, started and unstarted slots, such as 3,8 (0,0: no pool)')
  const [started, unstarted] = [Number(match[1]), Number(match[2])]
  return { started, unstarted, startedAtMost: started * 8, unstartedAtMost: unstarted * 8 }
}

function readOverrides(env: Environment): Partial<Record<PgMajor, string>> {
  const overrides: Partial<Record<PgMajor, string>> = {}
  for (const major of pgMajors) {
    const value = env[`PGROVE_PG_${major}`]
    if (value) overrides[major] = value
  }
  return overrides
}

function readHome(env: Environment, isRoot: boolean): string {
  const text = env['PGROVE_HOME']
  if (text) return isAbsolute(text) ? text : resolve(text)
  return isRoot ? '/var/lib/pgrove' : join(homedir(), '.pgrove')
}

function readUrl(env: Environment): string | undefined {
  const text = env['PGROVE_CONTROL_DATABASE_URL']
  if (!text) return undefined
  // The value may hold a password: never part of a message.
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(text)) {
    throw new AppError(
      'config_invalid',
      'PGROVE_CONTROL_DATABASE_URL cannot be used: write a URL such as postgresql://user:password@host:5432/database',
    )
  }
  return text
}

function readMasterKey(env: Environment): string | undefined {
  const text = env['PGROVE_MASTER_KEY']
  if (!text) return undefined
  if (Buffer.byteLength(text) < 32)
    throw new AppError('config_invalid', 'PGROVE_MASTER_KEY is too short: use at least 32 random characters')
  return text
}

function readRateLimits(env: Environment): RateLimits | 'off' {
  const text = env['PGROVE_RATE_LIMIT']
  if (!text) return defaultRateLimits
  const limits = parseRateLimits(text, defaultRateLimits)
  if (!limits) throw bad('PGROVE_RATE_LIMIT', text, rateLimitForm)
  return limits
}

function readTrustedProxies(env: Environment): string[] {
  const text = env['PGROVE_TRUSTED_PROXIES'] ?? ''
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  try {
    assertAllowedIps(entries)
  } catch {
    throw bad('PGROVE_TRUSTED_PROXIES', text, 'write addresses and networks such as 10.0.0.7,10.1.0.0/16')
  }
  return entries
}

const isLoopbackHost = (host: string): boolean => /^(127(\.\d+){3}|::1|localhost)$/i.test(host)

function readFailpoints(env: Environment): string {
  const text = env['PGROVE_FAILPOINTS'] ?? ''
  parseFailpoints(text)
  return text
}

/** Throws `config_invalid` with the variable's name and what to write instead. */
export function readConfig(env: Environment): Config {
  const isRoot = process.getuid?.() === 0
  const httpHost = env['PGROVE_HTTP_HOST'] || '127.0.0.1'
  const domain = env['PGROVE_DOMAIN']?.toLowerCase()
  if (domain && !/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(domain))
    throw bad('PGROVE_DOMAIN', domain, 'write a domain name such as db.example.com')
  return Object.freeze({
    home: readHome(env, isRoot),
    http: { host: httpHost, ...readPort(env, 'PGROVE_HTTP_PORT', 4400) },
    https: readHttps(env, httpHost),
    pg: { host: env['PGROVE_PG_HOST'] || '127.0.0.1', ...readPort(env, 'PGROVE_PG_PORT', 5432) },
    apiKey: env['PGROVE_API_KEY'] || undefined,
    domain: domain || undefined,
    controlDatabaseUrl: readUrl(env),
    storage: readChoice(env, 'PGROVE_STORAGE', storageChoices, 'auto'),
    masterKey: readMasterKey(env),
    logLevel: readChoice(env, 'PGROVE_LOG_LEVEL', ['debug', 'info', 'warn', 'error', 'silent'], 'info'),
    pool: readPool(env),
    diskFloorBytes: readWhole(env, 'PGROVE_DISK_FLOOR_MB', 1024) * 1024 * 1024,
    recoveryWindowSeconds: readWhole(env, 'PGROVE_RECOVERY_WINDOW_SECONDS', 7 * 86_400),
    cgroups: readChoice(env, 'PGROVE_CGROUPS', cgroupChoices, 'auto'),
    scaleDownSeconds: readWhole(env, 'PGROVE_SCALE_DOWN_SECONDS', settleSeconds),
    heldSessionSeconds: readWhole(env, 'PGROVE_HELD_SESSION_SECONDS', 3600),
    requiresOrgId: env['PGROVE_REQUIRE_ORG_ID'] === '1',
    pricesFile: env['PGROVE_PRICES'] || undefined,
    rateLimits: readRateLimits(env),
    trustedProxies: readTrustedProxies(env),
    authConfigFile: env['PGROVE_AUTH_CONFIG'] || undefined,
    hasDevelopmentProvider:
      readChoice(env, 'PGROVE_DEV_IDP', devIdpChoices, 'auto') === 'auto' && isLoopbackHost(httpHost),
    failpoints: readFailpoints(env),
    checkResponses: env['PGROVE_CHECK_RESPONSES'] === '1',
    postgresOverrides: readOverrides(env),
    isRoot,
  })
}
