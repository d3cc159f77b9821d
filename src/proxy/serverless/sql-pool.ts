// Server connections of `/sql`, kept from one request to the next: a login costs ten times a query.
//
// Kept apart by lane: compute, database, role with its keys, parameters. So nobody gets a session that others logged in for, and
// after a change of password nobody gets an old one. A lane has as many at work as the pooler would have; who comes then waits its
// turn. A connection comes back at once and is cleaned while it waits for the next request; one on which anything went wrong does
// not come back.

import { AppError } from '../../model/errors.ts'
import { Refusal } from '../refusal.ts'

/** What the pool needs of a connection. */
export type Poolable = {
  readonly isDead: boolean
  onDead: () => void
  reset(): Promise<void>
  end(): void
  destroy(): void
}

export type LaneTarget = {
  computeName: string
  /** What else sessions are kept apart by. */
  name: string
  /** Connections at work at the same time. */
  mostTaken: number
}

export type Lease<C> = {
  connection: C
  /** It was there before. */
  reused: boolean
  /** For the next request. */
  release(): void
  /** It failed, or was left in the middle of something. */
  discard(): void
}

export type PoolLimits = {
  mostIdlePerCompute: number
  /** How long there may be more than that: between two requests of a crowd, many are idle for a moment. */
  longestSpareMs: number
  mostIdle: number
  longestIdleMs: number
  longestWaitMs: number
}

const defaultLimits: PoolLimits = {
  mostIdlePerCompute: 20,
  longestSpareMs: 1_000,
  mostIdle: 20_000,
  longestIdleMs: 300_000,
  // PgBouncer's query_wait_timeout.
  longestWaitMs: 120_000,
}

type Idle<C> = { connection: C; lane: Lane<C>; since: number; clean: Promise<boolean> }
type Lane<C> = { key: string; compute: Compute<C>; taken: number; idle: Idle<C>[]; waiting: Set<() => void> }
type Compute<C> = {
  name: string
  lanes: number
  taken: number
  /** In the order in which they came back. */
  idle: Set<Idle<C>>
  /** Raised when what is open is not to be used again. */
  epoch: number
}

export class SqlPool<C extends Poolable> {
  readonly #limits: PoolLimits
  readonly #lanes = new Map<string, Lane<C>>()
  readonly #computes = new Map<string, Compute<C>>()
  #idle = 0
  #isClosed = false
  #allReturned: () => void = () => {}
  #timer: NodeJS.Timeout | undefined

  constructor(limits: Partial<PoolLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits }
  }

  get idle(): number {
    return this.#idle
  }

  /** `fresh`: those that are idle are not to be trusted. Throws Refusal where it takes too long, what `open` throws, and the signal's reason. */
  async lease(
    target: LaneTarget,
    open: () => Promise<C>,
    signal: AbortSignal,
    { fresh = false } = {},
  ): Promise<Lease<C>> {
    if (this.#isClosed) throw new AppError('unavailable', 'the proxy is stopping')
    const lane = this.#lane(target)
    await this.#enter(lane, target.mostTaken, signal)
    try {
      const { epoch } = lane.compute
      if (fresh) for (const idle of lane.idle.slice()) this.#remove(idle)?.end()
      const reused = await this.#takeIdle(lane)
      const connection = reused ?? (await open())
      return this.#leaseOf(lane, connection, reused !== undefined, epoch)
    } catch (error) {
      this.#giveBack(lane)
      throw error
    }
  }

  /** Closes what is idle at a compute, and says how many requests are at work there. */
  park(computeName: string): number {
    const compute = this.#computes.get(computeName)
    if (!compute) return 0
    for (const idle of compute.idle) this.#remove(idle)?.end()
    return compute.taken
  }

  /** Nothing that is open now is used again after the request that has it. */
  forget(isForgotten: (computeName: string) => boolean): void {
    for (const compute of this.#computes.values()) {
      if (!isForgotten(compute.name)) continue
      compute.epoch++
      this.park(compute.name)
    }
  }

  /** Returns when no request has a connection any more, or after a bounded time. */
  async close(patienceMs: number): Promise<void> {
    this.#isClosed = true
    this.forget(() => true)
    const returned = Promise.withResolvers<void>()
    this.#allReturned = () => {
      if (this.#computes.size === 0) returned.resolve()
    }
    this.#allReturned()
    const timer = setTimeout(returned.resolve, patienceMs)
    await returned.promise
    clearTimeout(timer)
    clearInterval(this.#timer)
  }

  #leaseOf(lane: Lane<C>, connection: C, reused: boolean, epoch: number): Lease<C> {
    let isOut = true
    const once = (give: () => void): void => {
      if (!isOut) return
      isOut = false
      give()
      this.#giveBack(lane)
    }
    return {
      connection,
      reused,
      release: () =>
        once(() => {
          if (this.#isClosed || connection.isDead || lane.compute.epoch !== epoch) connection.end()
          else this.#keep(lane, connection)
        }),
      discard: () => once(() => connection.destroy()),
    }
  }

  #keep(lane: Lane<C>, connection: C): void {
    if (this.#idle >= this.#limits.mostIdle) return connection.end()
    const clean = connection.reset().then(
      () => true,
      () => false,
    )
    const idle: Idle<C> = { connection, lane, since: performance.now(), clean }
    this.#idle++
    lane.idle.push(idle)
    lane.compute.idle.add(idle)
    connection.onDead = () => this.#remove(idle)
    void clean.then((isClean) => {
      if (!isClean) this.#remove(idle)?.destroy()
    })
    this.#timer ??= setInterval(() => this.#expire(), this.#limits.longestSpareMs).unref()
  }

  /** The one that came back last: those that are not needed grow old and go. */
  async #takeIdle(lane: Lane<C>): Promise<C | undefined> {
    for (;;) {
      const idle = lane.idle.at(-1)
      if (!idle) return undefined
      this.#remove(idle)
      if ((await idle.clean) && !idle.connection.isDead) return idle.connection
      idle.connection.destroy()
    }
  }

  #remove(idle: Idle<C>): C | undefined {
    const { lane, connection } = idle
    if (!lane.compute.idle.delete(idle)) return undefined
    lane.idle.splice(lane.idle.indexOf(idle), 1)
    this.#idle--
    connection.onDead = () => {}
    this.#drop(lane)
    return connection
  }

  #expire(): void {
    const { mostIdlePerCompute, longestSpareMs, longestIdleMs } = this.#limits
    const now = performance.now()
    for (const { idle } of this.#computes.values()) {
      for (const oldest of idle) {
        const longest = idle.size > mostIdlePerCompute ? longestSpareMs : longestIdleMs
        if (now - oldest.since < longest) break
        this.#remove(oldest)?.end()
      }
    }
    if (this.#idle > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Returns with a place in the lane; first come, first served. */
  async #enter(lane: Lane<C>, mostTaken: number, signal: AbortSignal): Promise<void> {
    if (lane.taken < mostTaken && lane.waiting.size === 0) {
      lane.taken++
      lane.compute.taken++
      return
    }
    const turn = Promise.withResolvers<void>()
    const leave = (): void => turn.reject(signal.reason)
    const giveUp = (): void => turn.reject(new Refusal('08P01', 'query_wait_timeout'))
    const timer = setTimeout(giveUp, this.#limits.longestWaitMs)
    signal.addEventListener('abort', leave)
    lane.waiting.add(turn.resolve)
    try {
      signal.throwIfAborted()
      await turn.promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
      lane.waiting.delete(turn.resolve)
      this.#drop(lane)
    }
  }

  /** The place goes to who waits for it, so that nobody who comes now is before them. */
  #giveBack(lane: Lane<C>): void {
    const [next] = lane.waiting
    if (next) {
      lane.waiting.delete(next)
      next()
      return
    }
    lane.taken--
    lane.compute.taken--
    this.#drop(lane)
  }

  #lane({ computeName, name }: LaneTarget): Lane<C> {
    const key = `${computeName}\0${name}`
    const known = this.#lanes.get(key)
    if (known) return known
    let compute = this.#computes.get(computeName)
    if (!compute) {
      compute = { name: computeName, lanes: 0, taken: 0, idle: new Set(), epoch: 0 }
      this.#computes.set(computeName, compute)
    }
    compute.lanes++
    const lane: Lane<C> = { key, compute, taken: 0, idle: [], waiting: new Set() }
    this.#lanes.set(key, lane)
    return lane
  }

  #drop(lane: Lane<C>): void {
    if (lane.taken > 0 || lane.idle.length > 0 || lane.waiting.size > 0) return
    if (!this.#lanes.delete(lane.key)) return
    if (--lane.compute.lanes === 0) this.#computes.delete(lane.compute.name)
    this.#allReturned()
  }
}
