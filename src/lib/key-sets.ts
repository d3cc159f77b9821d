// Public keys as their publishers hand them out, fetched when a token needs them and kept for a while.
//
// The address is a tenant's to choose (`outbound-urls.ts`), and what comes back is shown to nobody.

import { setTimeout as delay } from 'node:timers/promises'
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { AppError } from '../model/errors.ts'
import { requestOutbound } from './outbound-requests.ts'
import { SingleFlight } from './single-flight.ts'

export type KeySet = ReturnType<typeof createLocalJWKSet>

/** Older ones are fetched anew while they go on being used: nobody waits for a publisher whose keys are known. */
const freshMs = 5 * 60_000
/** While the publisher is away, keys are good for so long. */
const usableMs = 60 * 60_000
/** Between two fetches of one set, whoever asks: tokens with made-up key ids, and a publisher that is away. */
const pauseMs = 30_000
const fetchTimeoutMs = 5_000
const mostTries = 3
const retryPauseMs = 200
const mostBytes = 64 * 1024
const mostSets = 1_000

/** `privateAllowed`: whether the URL may lead into a private network. Keys from inside are for those who may reach inside. */
type Place = { url: string; privateAllowed: boolean }

type Known = { keys: KeySet | undefined; fetchedAt: number; triedAt: number }

export class KeySets {
  readonly #known = new Map<string, Known>()
  readonly #flights = new SingleFlight<Known>()

  /** `renewed`: the token's key is not among those that were had. Throws `unauthorized` where there are none. */
  async get(place: Place, { renewed = false } = {}): Promise<KeySet> {
    const known = this.#known.get(nameOf(place))
    const isUsable = isUsableAt(known, Date.now())
    const isDue = !isUsable || renewed || Date.now() - known.fetchedAt > freshMs
    const isPaused = known !== undefined && Date.now() - known.triedAt <= pauseMs
    const renewal = isDue && !isPaused ? this.#renew(place) : undefined
    const current = isUsable && !renewed ? known : ((await renewal) ?? known)
    if (isUsableAt(current, Date.now())) return current.keys
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

function isUsableAt(known: Known | undefined, now: number): known is Known & { keys: KeySet } {
  return known?.keys !== undefined && now - known.fetchedAt < usableMs
}

const nameOf = ({ url, privateAllowed }: Place): string => `${privateAllowed ? 'anywhere' : 'public'} ${url}`

async function fetchKeys(place: Place): Promise<KeySet> {
  for (let tries = 1; ; tries++) {
    try {
      return await fetchOnce(place)
    } catch (error) {
      if (tries === mostTries) throw error
      await delay(retryPauseMs)
    }
  }
}

async function fetchOnce({ url, privateAllowed }: Place): Promise<KeySet> {
  const { status, body } = await requestOutbound(url, {
    privateAllowed,
    headers: { accept: 'application/json, application/jwk-set+json' },
    timeoutMs: fetchTimeoutMs,
    mostBytes,
  })
  if (status !== 200) throw new Error(`answered ${status}`)
  return createLocalJWKSet(JSON.parse(body) as JSONWebKeySet)
}
