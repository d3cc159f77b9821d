// Answers that cost something, kept for a while in proportion: whoever asks again and again makes us work a tenth of the time at most.

import { SingleFlight } from './single-flight.ts'

const share = 10
const mostKept = 1_000

type Kept<T> = { value: T; until: number }

export class BriefMemory<T> {
  readonly #flights = new SingleFlight<T>()
  readonly #kept = new Map<string, Kept<T>>()

  /** The work is done once for all who ask meanwhile; a failure is not kept. */
  run(key: string, work: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(key)
    if (kept && kept.until > performance.now()) return Promise.resolve(kept.value)
    return this.#flights.run(key, async () => {
      const began = performance.now()
      const value = await work()
      const now = performance.now()
      this.#kept.delete(key)
      this.#kept.set(key, { value, until: now + (now - began) * share })
      for (const oldest of this.#kept.keys()) {
        if (this.#kept.size <= mostKept) break
        this.#kept.delete(oldest)
      }
      return value
    })
  }
}
