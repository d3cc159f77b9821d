// How often a network may show up without a good key. In memory: a restart forgives, and each process counts for itself.

import { isIPv4, isIPv6 } from 'node:net'
import { AppError } from '../model/errors.ts'

/** Somebody's wrong key in a loop of retries is no attack. */
const burst = 120
const perSecond = 2
const mostNetworks = 10_000

type Record = { left: number; at: number }

export class Strangers {
  readonly #records = new Map<string, Record>()

  /** Throws `rate_limited`. */
  assertMayTry(address: string): void {
    const left = this.#left(networkOf(address))
    if (left >= 1) return
    const seconds = Math.ceil((1 - left) / perSecond)
    throw new AppError('rate_limited', 'too many requests without a valid API key; try again later', {
      retryAfterSeconds: seconds,
    })
  }

  failed(address: string): void {
    const network = networkOf(address)
    const record = { left: this.#left(network) - 1, at: performance.now() }
    this.#records.delete(network)
    this.#records.set(network, record)
    for (const oldest of this.#records.keys()) {
      if (this.#records.size <= mostNetworks) break
      this.#records.delete(oldest)
    }
  }

  #left(network: string): number {
    const record = this.#records.get(network)
    if (!record) return burst
    return Math.min(burst, record.left + ((performance.now() - record.at) / 1000) * perSecond)
  }
}

/** What one stranger can have addresses in: one of v4, a /64 of v6. */
export function networkOf(address: string): string {
  const plain = /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address
  if (isIPv4(plain)) return plain
  if (!isIPv6(plain)) return 'unknown'
  const [head = '', tail] = plain.toLowerCase().split('%', 1).join('').split('::')
  const groups = head.split(':').filter(Boolean)
  const rest = tail === undefined ? [] : tail.split(':').filter(Boolean)
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.length
  const all = [...groups, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...rest]
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
