// Buckets that fill up evenly, one a key, in bounded memory. A full bucket is not kept; where there are too many, one goes that was not
// asked of for long and has most left: who wants his forgotten does not get that by filling others a little.

export type BucketSize = {
  /** What a full one holds. */
  burst: number
  /** Until one that was taken is there again. */
  refillMs: number
}

const mostLooked = 8
/** Sums of fractions do not come out even. */
const nothingMs = 0.5

export class Buckets {
  /** When each would be full again, the one asked of longest ago first. */
  readonly #fullAt = new Map<string, number>()
  readonly #most: number
  readonly #now: () => number

  constructor({ most, now = () => performance.now() }: { most: number; now?: () => number }) {
    this.#most = most
    this.#now = now
  }

  get size(): number {
    return this.#fullAt.size
  }

  /** How long until there is one to take; 0 where there is. Takes nothing. */
  waitMs(key: string, { burst, refillMs }: BucketSize): number {
    const now = this.#now()
    const fullAt = this.#fullAt.get(key) ?? now
    const waitMs = fullAt - now - (burst - 1) * refillMs
    return waitMs > nothingMs ? waitMs : 0
  }

  /** Also where none is left: whoever asks has to look before. */
  take(key: string, { refillMs }: BucketSize): void {
    const now = this.#now()
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now) + refillMs
    this.#touch(key, fullAt)
    this.#drop(now)
  }

  /** One that was refused counts as asked of: it is not what is forgotten first. */
  refused(key: string): void {
    const fullAt = this.#fullAt.get(key)
    if (fullAt !== undefined) this.#touch(key, fullAt)
  }

  #touch(key: string, fullAt: number): void {
    this.#fullAt.delete(key)
    this.#fullAt.set(key, fullAt)
  }

  /** Those at the front that are full again go. Is that not enough, of the first few the one goes that is missed least. */
  #drop(now: number): void {
    let looked = 0
    let least: string | undefined
    let leastAt = Infinity
    for (const [key, fullAt] of this.#fullAt) {
      if (++looked > mostLooked) break
      if (fullAt <= now) this.#fullAt.delete(key)
      else if (fullAt < leastAt) [least, leastAt] = [key, fullAt]
    }
    if (this.#fullAt.size > this.#most && least !== undefined) this.#fullAt.delete(least)
  }
}
