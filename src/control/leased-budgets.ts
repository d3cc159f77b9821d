// Buckets that several control planes draw on together. Each leases a few requests' worth at a time from the rows they share and
// spends them by itself, so that a request hardly ever waits for the database.
//
// One that comes after a pause is let in on credit while the lease is fetched, and is charged with it. What was leased and not used
// goes back with the next lease; what a process takes along when it dies, the bucket refills. An empty bucket is asked again after a
// while only: whoever comes meanwhile is refused from here. While the rows cannot be had, each process goes on at the full pace by
// itself: nobody is refused for want of a count.

import type { Pace } from '../model/rate-limit.ts'
import type { Lease, LeaseAsk } from '../store/rate-limits.ts'

type Bucket = {
  readonly name: string
  pace: Pace
  /** Below zero: spent on credit. */
  tokens: number
  /** Of an earlier lease, on its way back. */
  returned: number
  /** These two by the monotonic clock. */
  leasedAt: number
  blockedUntil: number
  /** Since the last lease, one was let in on credit. */
  credited: boolean
  waiting: number
  asking: Promise<void> | undefined
}

/** So many processes can hold a lease at once before the last of them is left without. */
const shares = 8
/** Older leases go back: the bucket has other takers, and its limit may be another by now. */
const longestHoldMs = 2_000
/** Between two looks at an empty bucket. What it gets meanwhile it keeps. */
const leastBlockMs = 250
const mostBuckets = 20_000
const mostAtOnce = 500

type LeaseAll = (asks: readonly LeaseAsk[]) => Promise<ReadonlyMap<string, Lease>>

export class LeasedBudgets {
  readonly #buckets = new Map<string, Bucket>()
  readonly #lease: LeaseAll
  readonly #due: { bucket: Bucket; done: () => void }[] = []
  #isLeasing = false

  constructor(lease: LeaseAll) {
    this.#lease = lease
  }

  /** 0: one was taken. Else: milliseconds until there is room. */
  async take(name: string, pace: Pace): Promise<number> {
    const bucket = this.#bucket(name, pace)
    for (;;) {
      const now = performance.now()
      if (bucket.tokens < 1 && bucket.blockedUntil > now) return bucket.blockedUntil - now
      const isOld = now - bucket.leasedAt > holdMs(pace) && !bucket.asking
      if (isOld) retire(bucket, now)
      if (bucket.tokens >= 1 || (isOld && !bucket.credited)) {
        if (bucket.tokens < 1) bucket.credited = true
        bucket.tokens--
        if (bucket.tokens < batchOf(pace) / 2) void this.#ask(bucket)
        return 0
      }
      bucket.waiting++
      await this.#ask(bucket)
      bucket.waiting--
    }
  }

  /** Milliseconds until there is room, where that is known without asking; 0: it is not, or there is. */
  blockedFor(name: string): number {
    const bucket = this.#buckets.get(name)
    return !bucket || bucket.tokens >= 1 ? 0 : Math.max(0, bucket.blockedUntil - performance.now())
  }

  /** For a request that another bucket refused. */
  giveBack(name: string): void {
    const bucket = this.#buckets.get(name)
    if (bucket) bucket.tokens++
  }

  /** What is known of buckets with this prefix is out of date. */
  forget(prefix: string): void {
    for (const [name, bucket] of this.#buckets) {
      if (!name.startsWith(prefix)) continue
      Object.assign(bucket, { tokens: Math.min(0, bucket.tokens), blockedUntil: 0, leasedAt: -Infinity })
    }
  }

  /** Those used last stay. */
  #bucket(name: string, pace: Pace): Bucket {
    const bucket = this.#buckets.get(name) ?? {
      name,
      pace,
      tokens: 0,
      returned: 0,
      leasedAt: -Infinity,
      credited: false,
      blockedUntil: 0,
      waiting: 0,
      asking: undefined,
    }
    bucket.pace = pace
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    for (const [oldest, { asking }] of this.#buckets) {
      if (this.#buckets.size <= mostBuckets) break
      if (!asking) this.#buckets.delete(oldest)
    }
    return bucket
  }

  #ask(bucket: Bucket): Promise<void> {
    if (bucket.asking) return bucket.asking
    const { promise, resolve } = Promise.withResolvers<void>()
    bucket.asking = promise
    this.#due.push({ bucket, done: resolve })
    if (!this.#isLeasing) void this.#leaseAll()
    return promise
  }

  /** One statement at a time, for all who asked since the last. */
  async #leaseAll(): Promise<void> {
    this.#isLeasing = true
    // Whoever asks in the same moment goes along.
    await Promise.resolve()
    while (this.#due.length > 0) {
      const due = this.#due.splice(0, mostAtOnce)
      const asks = due.map(({ bucket }) => askOf(bucket))
      const leases = await this.#lease(asks).catch(() => undefined)
      for (const [i, { bucket, done }] of due.entries()) {
        settle(bucket, leases ? leases.get(bucket.name) : leaseOfOneself(bucket, asks[i]), performance.now())
        bucket.asking = undefined
        done()
      }
    }
    this.#isLeasing = false
  }
}

const perSecond = ({ count, seconds }: Pace): number => count / seconds
const batchOf = ({ count }: Pace): number => Math.max(1, Math.floor(count / shares))
/** Of a small bucket, no longer than it takes to fill. */
const holdMs = ({ seconds }: Pace): number => Math.min(longestHoldMs, seconds * 1000)

/** What is left of an old lease is no longer spent. The bucket has been filling meanwhile: as much of it is in there already. */
function retire(bucket: Bucket, now: number): void {
  if (bucket.tokens <= 0) return
  const refilled = ((now - bucket.leasedAt) / 1000) * perSecond(bucket.pace)
  bucket.returned = Math.max(0, bucket.tokens - refilled)
  bucket.tokens = 0
}

function askOf(bucket: Bucket): LeaseAsk {
  const { name, pace, waiting } = bucket
  const spent = Math.max(0, -bucket.tokens)
  const owed = spent - bucket.returned
  bucket.tokens += spent
  bucket.returned = 0
  const wanted = Math.min(pace.count, Math.max(batchOf(pace), waiting))
  return { name, capacity: pace.count, perSecond: perSecond(pace), owed, wanted }
}

function settle(bucket: Bucket, lease: Lease | undefined, now: number): void {
  const { granted, level } = lease ?? { granted: 0, level: 0 }
  bucket.tokens += granted
  bucket.leasedAt = now
  bucket.credited = false
  if (bucket.tokens < 1) {
    const untilOneMs = ((1 - level) / perSecond(bucket.pace)) * 1000
    bucket.blockedUntil = now + Math.max(leastBlockMs, Math.ceil(untilOneMs))
  }
}

/** What this process would have got as the only one, at an even pace from its last lease on. */
function leaseOfOneself(bucket: Bucket, ask: LeaseAsk | undefined): Lease {
  const room = ((performance.now() - bucket.leasedAt) / 1000) * perSecond(bucket.pace) - (ask?.owed ?? 0)
  return { granted: Math.max(0, Math.min(ask?.wanted ?? 0, Math.floor(room))), level: 0 }
}
