// How often somebody may be wrong about one account. From one place: five times, then each further attempt waits, and twice as long
// as the one before. From everywhere together: more often, and then seldom, but never not at all; and whoever has come in from a place
// before is asked about that place only, so that nobody can keep an owner out by guessing.

import { AppError } from '../model/errors.ts'

export type Outcome = 'right' | 'wrong' | 'neither'

const freeFailures = 5
const firstDelayMs = 1_000
const longestDelayMs = 5 * 60_000
/** From everywhere together. */
const freeFailuresOfAll = 20
const longestDelayOfAllMs = 60_000
/** A count is forgotten that long after the last failure. */
const rememberedMs = 60 * 60_000
const mostRemembered = 50_000

type Count = {
  failures: number
  /** Attempts whose outcome is not known yet: they may all fail. */
  pending: number
  lastFailureAt: number
  /** Somebody came in with the right password from there. */
  isKnown: boolean
}

export class AccountAttempts {
  /** The one used longest ago first. */
  readonly #counts = new Map<string, Count>()
  readonly #now: () => number

  constructor({ now = () => performance.now() }: { now?: () => number } = {}) {
    this.#now = now
  }

  get size(): number {
    return this.#counts.size
  }

  /** Throws `rate_limited`. What is returned has to be called once, with what became of it. */
  begin(account: string, place: string): (outcome: Outcome) => void {
    const here = this.#count(`${account} ${place}`)
    const everywhere = this.#count(account)
    this.#assertMay(here, freeFailures, longestDelayMs)
    if (!here.isKnown) this.#assertMay(everywhere, freeFailuresOfAll, longestDelayOfAllMs)
    const counts = [here, everywhere]
    for (const count of counts) count.pending += 1
    let isOver = false
    return (outcome) => {
      if (isOver) return
      isOver = true
      for (const count of counts) count.pending -= 1
      if (outcome === 'wrong') this.#failed(counts)
      if (outcome === 'right') {
        for (const count of counts) count.failures = 0
        here.isKnown = true
      }
    }
  }

  #failed(counts: readonly Count[]): void {
    for (const count of counts) {
      count.failures += 1
      count.lastFailureAt = this.#now()
    }
  }

  #assertMay({ failures, pending, lastFailureAt }: Count, free: number, longestMs: number): void {
    // As many at once as may be wrong without a wait, and one at a time from then on.
    if (pending >= Math.max(1, free - failures)) throw refusal(firstDelayMs)
    if (failures < free) return
    const delayMs = Math.min(longestMs, firstDelayMs * 2 ** Math.min(failures - free, 30))
    const waitMs = lastFailureAt + delayMs - this.#now()
    if (waitMs > 0) throw refusal(waitMs)
  }

  #count(key: string): Count {
    const found = this.#counts.get(key) ?? { failures: 0, pending: 0, lastFailureAt: 0, isKnown: false }
    if (found.failures > 0 && this.#now() - found.lastFailureAt > rememberedMs) found.failures = 0
    this.#counts.delete(key)
    this.#counts.set(key, found)
    this.#forget()
    return found
  }

  /** Whoever would have a count forgotten has to try as many others meanwhile, from as many addresses as that takes. */
  #forget(): void {
    for (const [key, { pending }] of this.#counts) {
      if (this.#counts.size <= mostRemembered) return
      // One that waits for its outcome is held by whoever waits, anyway.
      if (pending === 0) this.#counts.delete(key)
    }
  }
}

const refusal = (waitMs: number): AppError =>
  new AppError('rate_limited', 'too many failed attempts for this account; try again later', {
    retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
  })
