// The pooler: `-pooler` addresses. Transaction mode, as PgBouncer has it: a client has a server for a transaction, and what it does to
// the server besides (SET, LISTEN, temporary tables, session locks) stays with the server.

import type { Duplex } from 'node:stream'
import type { Logger } from '../../lib/logger.ts'
import {
  writeAuthenticationOk,
  writeBackendKeyData,
  writeParameterStatus,
  writeReadyForQuery,
} from '../../pgwire/backend-messages.ts'
import type { BackendKey } from '../../pgwire/backend-greeting.ts'
import { splitOptions } from '../../pgwire/startup-options.ts'
import { parameterValue, type StartupParameter } from '../../pgwire/startup-packet.ts'
import type { ActivityLedger } from '../activity.ts'
import type { Credentials } from '../authenticate.ts'
import type { CancelKeys } from '../cancel.ts'
import { errorResponseFor, refusals } from '../errors.ts'
import type { ServerTarget } from '../open-server.ts'
import type { OtherUser } from '../parking.ts'
import type { Refusal } from '../refusal.ts'
import type { Waker } from '../wake.ts'
import { Pool } from './pool.ts'
import { PooledClient } from './pooled-client.ts'
import { trackedName } from './tracked-parameters.ts'

export type PoolersOptions = {
  waker: Waker
  ledger: ActivityLedger
  cancelKeys: CancelKeys
  logger: Logger
}

export type PooledStart = {
  client: Duplex
  target: ServerTarget
  credentials: Credentials
  isCancelAllowed: (address: string | undefined) => boolean
  onReady: () => void
}

/** PgBouncer's `max_client_conn`, as Neon sets it. */
const mostClients = 10_000
const sweepEveryMs = 1_000
/** A pool that nobody uses any more still knows how its servers greet. */
const forgetPoolAfterMs = 600_000
/** As PgBouncer has it in `ignore_startup_parameters`. */
const ignoredParameters = new Set(['extra_float_digits'])

export class Poolers implements OtherUser {
  readonly #options: PoolersOptions
  /** By compute, then by role and database. */
  readonly #computes = new Map<string, Map<string, Pool>>()
  readonly #sweep: NodeJS.Timeout

  constructor(options: PoolersOptions) {
    this.#options = options
    this.#sweep = setInterval(() => this.#sweepAll(), sweepEveryMs).unref()
  }

  /** Throws AppError, Refusal, ServerRefused. */
  async serve(start: PooledStart): Promise<{ ended: Promise<void> }> {
    const { client, target, credentials, isCancelAllowed, onReady } = start
    const { ledger, cancelKeys, waker } = this.#options
    const wished = readParameters(target.parameters)
    if (this.#clientsOf(target.computeName) >= mostClients) throw refusals.tooManyClients()
    const { user } = credentials
    const database = parameterValue(target.parameters, 'database') ?? user
    const pool = this.#pool(target.computeName, user, database, credentials)
    const greeting = await pool.greet().catch((error: unknown) => {
      // Of a database that anybody invents nothing is kept.
      this.#forgetUnused(target.computeName, user, database, pool)
      throw error
    })
    let pooled: PooledClient | undefined
    const key = cancelKeys.mint({ isAllowed: isCancelAllowed, cancel: async () => await pooled?.cancel() })
    const meter = ledger.meter(target.computeName)
    pooled = new PooledClient(client, pool, pool.sets.of([...greeting, ...wished]), meter, key)
    meter.sessionOpened()
    pool.join(pooled)
    void pooled.ended.then(() => {
      cancelKeys.forget(key)
      meter.sessionClosed()
    })
    client.write(writeWelcome(new Map([...greeting, ...wished]), key, waker.noticeOf(target.computeName)))
    onReady()
    return pooled
  }

  /** Somebody else needs the connections. Returns how many there were. */
  giveUpIdle(computeName: string): number {
    let given = 0
    for (const pool of this.#computes.get(computeName)?.values() ?? []) given += pool.giveUpIdle()
    return given
  }

  park(computeName: string, isLeaving: boolean): { busy: number; clients: number } {
    let busy = 0
    let clients = 0
    for (const pool of this.#computes.get(computeName)?.values() ?? []) {
      pool.park(isLeaving)
      // Whoever still waits for a server then has to wait for the next compute.
      busy += isLeaving ? pool.atWork : pool.busy
      clients += pool.clients
    }
    return { busy, clients }
  }

  end(computeName: string, farewell: Refusal): void {
    const response = errorResponseFor(farewell)
    if (!response) return
    for (const pool of this.#computes.get(computeName)?.values() ?? []) pool.leave(response)
  }

  refuse(computeName: string): void {
    this.forgetGreetings(computeName)
  }

  /** What servers report at their start is no longer what it was. */
  forgetGreetings(computeName: string): void {
    for (const pool of this.#computes.get(computeName)?.values() ?? []) pool.forgetGreeting()
  }

  close(): void {
    clearInterval(this.#sweep)
    for (const pools of this.#computes.values()) for (const pool of pools.values()) pool.close()
  }

  #clientsOf(computeName: string): number {
    let clients = 0
    for (const pool of this.#computes.get(computeName)?.values() ?? []) clients += pool.clients
    return clients
  }

  #pool(computeName: string, user: string, database: string, { keys, access }: Credentials): Pool {
    const pools = this.#computes.get(computeName) ?? new Map<string, Pool>()
    this.#computes.set(computeName, pools)
    const name = poolName(user, database)
    const parameters: StartupParameter[] = [
      ['user', user],
      ['database', database],
    ]
    const target: ServerTarget = { computeName, parameters, keys }
    const known = pools.get(name)
    if (known) {
      known.renew(target, access.poolSize)
      return known
    }
    const { waker, ledger, logger } = this.#options
    const pool = new Pool({
      target,
      size: access.poolSize,
      waker,
      meter: ledger.meter(computeName),
      makeRoom: () => this.giveUpIdle(computeName) > 0,
      logger,
    })
    pools.set(name, pool)
    return pool
  }

  #forgetUnused(computeName: string, user: string, database: string, pool: Pool): void {
    const pools = this.#computes.get(computeName)
    const name = poolName(user, database)
    if (pool.isUnused && pools?.get(name) === pool) pools.delete(name)
    if (pools?.size === 0) this.#computes.delete(computeName)
  }

  #sweepAll(): void {
    const now = Date.now()
    for (const [computeName, pools] of this.#computes) {
      for (const [name, pool] of pools) {
        pool.sweep(now)
        if (pool.isUnused && now - pool.lastUsedAt > forgetPoolAfterMs) pools.delete(name)
      }
      if (pools.size === 0) this.#computes.delete(computeName)
    }
  }
}

const poolName = (user: string, database: string): string => JSON.stringify([user, database])

/** Settings that the client asked for. Throws Refusal for those that cannot follow it from server to server. */
function readParameters(parameters: readonly StartupParameter[]): StartupParameter[] {
  return parameters.flatMap(([name, value]): StartupParameter[] => {
    if (name === 'user' || name === 'database') return []
    if (name === 'options') return readOptions(value)
    return tracked(name, value, (unsupported) => unsupported)
  })
}

function readOptions(options: string): StartupParameter[] {
  const words = splitOptions(options).map(({ text }) => text)
  const settings: StartupParameter[] = []
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const setting = word === '-c' ? words.shift() : word.replace(/^(-c|--)/, '')
    const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(setting ?? '') ?? []
    if (name === '') throw refusals.unsupportedParameter('options')
    settings.push(...tracked(name.replaceAll('-', '_'), value, (unsupported) => `in options: ${unsupported}`))
  }
  return settings
}

function tracked(name: string, value: string, say: (name: string) => string): StartupParameter[] {
  if (ignoredParameters.has(name.toLowerCase())) return []
  const known = trackedName(name)
  if (known === undefined) throw refusals.unsupportedParameter(say(name))
  return [[known, value]]
}

function writeWelcome(
  parameters: ReadonlyMap<string, string>,
  { pid, secret }: BackendKey,
  notice: Buffer | undefined,
): Buffer {
  return Buffer.concat([
    writeAuthenticationOk(),
    ...[...parameters].map(([name, value]) => writeParameterStatus(name, value)),
    writeBackendKeyData(pid, secret),
    ...(notice ? [notice] : []),
    writeReadyForQuery('I'),
  ])
}
