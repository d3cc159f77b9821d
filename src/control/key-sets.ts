// Public keys as their publishers hand them out, fetched when a token needs them and kept for a while.
//
// The address is a tenant's to choose (`outbound-urls.ts`), and what comes back is shown to nobody.

import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { SingleFlight } from '../lib/single-flight.ts'
import { AppError } from '../model/errors.ts'
import type { Jwks } from '../model/jwks.ts'
import { requestOutbound } from './outbound-urls.ts'

export type KeySet = ReturnType<typeof createLocalJWKSet>

const freshMs = 10 * 60_000
/** While the publisher is away, keys are good for so long. */
const usableMs = 60 * 60_000
/** Between two fetches of one set, whoever asks: tokens with made-up key ids, and a publisher that is away. */
const pauseMs = 30_000
const fetchTimeoutMs = 5_000
const mostBytes = 64 * 1024
const mostSets = 1_000

/** Keys from inside are for those who may reach inside. */
type Place = Pick<Jwks, 'url' | 'privateAllowed'>

type Known = { keys: KeySet | undefined; fetchedAt: number; triedAt: number }

export class KeySets {
  readonly #known = new Map<string, Known>()
  readonly #flights = new SingleFlight<Known>()

  /** `renewed`: the token's key is not among those that were had. Throws `unauthorized` where there are none. */
  async get(place: Place, { renewed = false } = {}): Promise<KeySet> {
    const known = this.#known.get(nameOf(place))
    const now = Date.now()
    const due = !known?.keys || renewed || now - known.fetchedAt > freshMs
    const current = due && (!known || now - known.triedAt > pauseMs) ? await this.#renew(place) : known
    if (current?.keys && now - current.fetchedAt < usableMs) return current.keys
    // Not which address: whoever shows a token is nobody yet, and it may be one of an inner network.
    throw new AppError('unauthorized', 'a key set of this project cannot be read; the token cannot be checked')
  }

  #renew(place: Place): Promise<Known> {
    const name = nameOf(place)
    return this.#flights.run(name, async () => {
      const before = this.#known.get(name)
      const triedAt = Date.now()
      const keys = await fetchKeys(place).catch(() => undefined)
      const known = keys
        ? { keys, fetchedAt: triedAt, triedAt }
        : { keys: before?.keys, fetchedAt: before?.fetchedAt ?? 0, triedAt }
      this.#known.delete(name)
      this.#known.set(name, known)
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= mostSets) break
        this.#known.delete(oldest)
      }
      return known
    })
  }
}

const nameOf = ({ url, privateAllowed }: Place): string => `${privateAllowed ? 'anywhere' : 'public'} ${url}`

async function fetchKeys({ url, privateAllowed }: Place): Promise<KeySet> {
  const { status, body } = await requestOutbound(url, {
    privateAllowed,
    headers: { accept: 'application/json, application/jwk-set+json' },
    timeoutMs: fetchTimeoutMs,
    mostBytes,
  })
  if (status !== 200) throw new Error(`answered ${status}`)
  return createLocalJWKSet(JSON.parse(body) as JSONWebKeySet)
}
