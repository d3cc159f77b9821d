// Slows whoever guesses passwords, per endpoint and network: each wrong one makes the next answer from there later, and few may wait.
//
// Nobody else's attempts count, and right passwords do not either; those who share a network with a guesser are slowed, not shut out.

import { plainAddress } from '../lib/allow-list.ts'
import { refusals } from './errors.ts'

type Record = { failures: number; lastFailureAt: number; waiting: number }

/** A person mistypes a few times. */
const freeFailures = 5
const stepMs = 100
const longestPauseMs = 5_000
/** One failure is forgotten after each of these. */
const forgetEveryMs = 10_000
const mostFailures = 200
const mostWaiting = 100
const mostRecords = 20_000
/** Every wrong answer takes at least this long, whatever it was that was wrong. */
const leastFailureMs = 20

export class Throttle {
  readonly #records = new Map<string, Record>()

  /** Waits for its turn. Throws Refusal where too many wait already. */
  async turn(endpointId: string, address: string | undefined): Promise<Disposable> {
    const name = nameOf(endpointId, address)
    const record = this.#records.get(name)
    const pauseMs = record ? this.#pauseMs(record) : 0
    if (!record || pauseMs === 0) return { [Symbol.dispose]: () => {} }
    if (record.waiting >= mostWaiting) throw refusals.tooManyAttempts()
    record.waiting++
    await delay(pauseMs)
    return { [Symbol.dispose]: () => void record.waiting-- }
  }

  /** Returns when the answer may go out. */
  async failed(endpointId: string, address: string | undefined): Promise<void> {
    const name = nameOf(endpointId, address)
    const record = this.#records.get(name) ?? { failures: 0, lastFailureAt: Date.now(), waiting: 0 }
    record.failures = Math.min(mostFailures, this.#failuresNow(record) + 1)
    record.lastFailureAt = Date.now()
    this.#records.delete(name)
    this.#records.set(name, record)
    for (const [oldest, { waiting }] of this.#records) {
      if (this.#records.size <= mostRecords) break
      if (waiting === 0) this.#records.delete(oldest)
    }
    await delay(leastFailureMs)
  }

  succeeded(endpointId: string, address: string | undefined): void {
    const record = this.#records.get(nameOf(endpointId, address))
    if (record) record.failures = Math.max(0, this.#failuresNow(record) - 1)
  }

  #failuresNow(record: Record): number {
    return Math.max(0, record.failures - Math.floor((Date.now() - record.lastFailureAt) / forgetEveryMs))
  }

  #pauseMs(record: Record): number {
    const over = this.#failuresNow(record) - freeFailures
    return over <= 0 ? 0 : Math.min(longestPauseMs, stepMs * 2 ** Math.min(over - 1, 10))
  }
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

/** A /24 of v4, a /64 of v6: what one stranger can have addresses in. */
function nameOf(endpointId: string, address: string | undefined): string {
  const plain = plainAddress(address ?? '')
  const network = plain.includes(':') ? plain.split(':').slice(0, 4).join(':') : plain.split('.').slice(0, 3).join('.')
  return `${endpointId} ${network}`
}
