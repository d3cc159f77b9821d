// Server connections of one role to one database, lent to clients for a transaction each: first come, first served.

import type { Logger } from '../../lib/logger.ts'
import { errorChain, isAppError } from '../../model/errors.ts'
import { errorResponseFor, refusals, requestErrorFor } from '../errors.ts'
import { openServer, openServerPatiently, type OpenServer, type ServerTarget } from '../open-server.ts'
import { ServerRefused } from '../server-refused.ts'
import type { Waker } from '../wake.ts'
import type { EndpointMeter } from '../activity.ts'
import type { PooledClient } from './pooled-client.ts'
import { PoolServer } from './pool-server.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { TrackedParameterSets } from './tracked-parameters.ts'

export type PoolOptions = {
  target: ServerTarget
  /** Server connections at most. */
  size: number
  waker: Waker
  meter: EndpointMeter
  /** Others of the same compute give up what they do not use; false where that is nothing. */
  makeRoom: () => boolean
  logger: Logger
}

/** PgBouncer's `query_wait_timeout`, as Neon sets it. */
const waitLimitMs = 120_000
/** More at once would only make Postgres fork while it has queries to run. */
const mostOpening = 4
/** They are connections that others could have. */
const idleLimitMs = 10_000
const ageLimitMs = 3_600_000
const fullPauseMs = 500
/** Of all clients of a pool together. */
const mostKeptBytes = 64 * 1024 * 1024
const tooManyConnections = '53300'

export class Pool {
  readonly prepared = new PreparedStatements()
  readonly sets = new TrackedParameterSets()
  /** What servers report at their start; known once there was one. */
  greeting: ReadonlyMap<string, string> | undefined
  lastUsedAt = Date.now()
  readonly #options: PoolOptions
  readonly #clients = new Set<PooledClient>()
  readonly #servers = new Set<PoolServer>()
  /** The one used last comes first: it has its caches warm, and those behind it can go. */
  readonly #idle: PoolServer[] = []
  readonly #waiting = new Map<PooledClient, number>()
  #target: ServerTarget
  #size: number
  #opening = 0
  #keptBytes = 0
  /** How often the compute was said to leave: what was being opened then may be one of its last. */
  #leavings = 0
  #greeting: Promise<ReadonlyMap<string, string>> | undefined
  #pausedUntil = 0
  #pause: NodeJS.Timeout | undefined

  constructor(options: PoolOptions) {
    this.#options = options
    this.#target = options.target
    this.#size = options.size
  }

  get clients(): number {
    return this.#clients.size
  }

  get isUnused(): boolean {
    return this.#clients.size === 0 && this.#servers.size === 0 && this.busy === 0
  }

  /** At work, or about to be. */
  get busy(): number {
    return this.atWork + this.#opening + this.#waiting.size
  }

  /** Servers that a client has. */
  get atWork(): number {
    let taken = 0
    for (const server of this.#servers) if (server.client) taken++
    return taken
  }

  /** Keys and size are those of whoever came last. */
  renew(target: ServerTarget, size: number): void {
    this.#target = target
    this.#size = size
  }

  /** What servers report at their start; opens one where there was none yet. Throws AppError, ServerRefused. */
  async greet(): Promise<ReadonlyMap<string, string>> {
    if (this.greeting) return this.greeting
    this.#greeting ??= this.#connect()
      .then(({ parameters }) => parameters)
      .finally(() => (this.#greeting = undefined))
    return await this.#greeting
  }

  /** Unfinished messages have to be kept; false where too much of that is kept already. */
  mayKeep(bytes: number): boolean {
    if (bytes > 0 && this.#keptBytes + bytes > mostKeptBytes) return false
    this.#keptBytes += bytes
    return true
  }

  join(client: PooledClient): void {
    this.#clients.add(client)
  }

  left(client: PooledClient): void {
    this.#clients.delete(client)
    this.#waiting.delete(client)
    this.lastUsedAt = Date.now()
  }

  /** Undefined where the client has to wait for `serve`. */
  acquire(client: PooledClient): PoolServer | undefined {
    if (this.#waiting.size === 0) {
      const server = this.#nextIdle()
      if (server) return server
    }
    this.#waiting.set(client, Date.now())
    this.#openMore()
    return undefined
  }

  /** Returns how many there were. */
  giveUpIdle(): number {
    const idle = this.#idle.splice(0)
    for (const server of idle) server.close()
    return idle.length
  }

  /** Ends idle servers, so that the compute can stop. `isLeaving`: the others too, once their clients are done with them. */
  park(isLeaving: boolean): void {
    this.giveUpIdle()
    if (!isLeaving) return
    this.#leavings++
    for (const server of this.#servers) server.retire()
  }

  /** What is still at work is about to lose its compute. */
  leave(farewell: Buffer): void {
    for (const server of this.#servers) server.leave(farewell)
  }

  /** The next one who comes asks anew how servers greet, and whether there are any to be had. */
  forgetGreeting(): void {
    this.greeting = undefined
  }

  /** To be called now and then. */
  sweep(now: number): void {
    for (const server of this.#idle.filter(
      ({ idleSince, openedAt }) => now - idleSince > idleLimitMs || now - openedAt > ageLimitMs,
    )) {
      this.#idle.splice(this.#idle.indexOf(server), 1)
      server.close()
    }
    for (const [client, since] of this.#waiting) {
      if (now - since < waitLimitMs) break
      this.#waiting.delete(client)
      client.refuse(errorResponseFor(refusals.queryWaitTimeout()))
    }
  }

  close(): void {
    clearTimeout(this.#pause)
    for (const client of this.#clients) client.refuse(errorResponseFor(refusals.lostWhileIdle()))
    for (const server of this.#servers) server.close()
  }

  #nextIdle(): PoolServer | undefined {
    for (let server = this.#idle.pop(); server; server = this.#idle.pop()) if (server.isUsable) return server
    return undefined
  }

  #free(server: PoolServer): void {
    if (!server.isUsable) return this.#openMore()
    for (const [client] of this.#waiting) {
      this.#waiting.delete(client)
      if (client.isOver) continue
      client.serve(server)
      return
    }
    this.#idle.push(server)
  }

  #gone(server: PoolServer): void {
    this.#servers.delete(server)
    const at = this.#idle.indexOf(server)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#openMore()
  }

  #add(open: OpenServer): void {
    const server = new PoolServer(open, this.sets, {
      rolesMayHaveChanged: () => this.#options.meter.rolesMayHaveChanged(),
      free: (freed) => this.#free(freed),
      closed: (closed) => this.#gone(closed),
    })
    // Its compute may have gone between the greeting and now: then it has said so already.
    if (server.isUsable) this.#servers.add(server)
    this.#free(server)
  }

  /** One server more, unless its compute has been said to leave meanwhile. */
  async #connect(): Promise<OpenServer> {
    const leavings = this.#leavings
    const { waker, meter, makeRoom } = this.#options
    const open = this.greeting ? openServerPatiently : openServer
    const opened = await open(
      waker,
      this.#target,
      () => true,
      () => meter.touch(),
      makeRoom,
    )
    this.greeting ??= opened.parameters
    if (leavings === this.#leavings) this.#add(opened)
    else opened.socket.destroy()
    return opened
  }

  #openMore(): void {
    const wanted = Math.min(this.#waiting.size, mostOpening, this.#size - this.#servers.size)
    if (this.#opening >= wanted) return
    const pauseMs = this.#pausedUntil - Date.now()
    if (pauseMs > 0) {
      this.#pause ??= setTimeout(() => {
        this.#pause = undefined
        this.#openMore()
      }, pauseMs)
      return
    }
    while (this.#opening < wanted) void this.#openOne()
  }

  async #openOne(): Promise<void> {
    this.#opening++
    const refused = await this.#connect().then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    this.#opening--
    if (refused) this.#refused(refused.error)
    else this.#openMore()
  }

  #refused(error: unknown): void {
    this.#options.logger.debug(
      { endpoint: this.#target.computeName, error: errorChain(error) },
      'the pooler got no server',
    )
    // Others have them all for now: whoever waits goes on waiting, for one of ours or for room.
    if (error instanceof ServerRefused && error.sqlState === tooManyConnections) {
      this.#pausedUntil = Date.now() + fullPauseMs
      return this.#openMore()
    }
    // Those that there are will come free.
    if (this.#servers.size > 0) return
    const waiting = [...this.#waiting.keys()]
    this.#waiting.clear()
    // It may be had again later: they are told so each time they ask.
    if (isAppError(error, 'quota_exceeded')) {
      for (const client of waiting) client.refuseRequest(requestErrorFor(error))
    } else {
      for (const client of waiting) client.refuse(errorResponseFor(error))
    }
  }
}
