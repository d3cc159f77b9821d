// Public keys as their publishers hand them out, fetched when a token needs them and kept for a while.
//
// The address is a tenant's to choose: no redirect is followed, little is read and not for long, and what comes back is shown to nobody.

import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { SingleFlight } from '../lib/single-flight.ts'
import { AppError } from '../model/errors.ts'

export type KeySet = ReturnType<typeof createLocalJWKSet>

const freshMs = 10 * 60_000
/** While the publisher is away, keys are good for so long. */
const usableMs = 60 * 60_000
/** Between two fetches of one set, whoever asks: tokens with made-up key ids, and a publisher that is away. */
const pauseMs = 30_000
const fetchTimeoutMs = 5_000
const mostBytes = 64 * 1024
const mostSets = 1_000

type Known = { keys: KeySet | undefined; fetchedAt: number; triedAt: number }

export class KeySets {
  readonly #known = new Map<string, Known>()
  readonly #flights = new SingleFlight<Known>()

  /** `renewed`: the token's key is not among those that were had. Throws `unauthorized` where there are none. */
  async get(url: string, { renewed = false } = {}): Promise<KeySet> {
    const known = this.#known.get(url)
    const now = Date.now()
    const due = !known?.keys || renewed || now - known.fetchedAt > freshMs
    const current = due && (!known || now - known.triedAt > pauseMs) ? await this.#renew(url) : known
    if (current?.keys && now - current.fetchedAt < usableMs) return current.keys
    throw new AppError('unauthorized', `the keys at ${url} cannot be read; the token cannot be checked`)
  }

  #renew(url: string): Promise<Known> {
    return this.#flights.run(url, async () => {
      const before = this.#known.get(url)
      const triedAt = Date.now()
      const keys = await fetchKeys(url).catch(() => undefined)
      const known = keys
        ? { keys, fetchedAt: triedAt, triedAt }
        : { keys: before?.keys, fetchedAt: before?.fetchedAt ?? 0, triedAt }
      this.#known.delete(url)
      this.#known.set(url, known)
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= mostSets) break
        this.#known.delete(oldest)
      }
      return known
    })
  }
}

async function fetchKeys(url: string): Promise<KeySet> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/json, application/jwk-set+json' },
    signal: AbortSignal.timeout(fetchTimeoutMs),
  })
  if (!response.ok) throw new Error(`answered ${response.status}`)
  return createLocalJWKSet(JSON.parse(await boundedText(response)) as JSONWebKeySet)
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > mostBytes) throw new Error('too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
