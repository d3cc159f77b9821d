// How often somebody may ask: by address, by account, by recipient. For both surfaces, in memory: a restart forgives.

import { createHash } from 'node:crypto'
import { Buckets, type BucketSize } from '../lib/buckets.ts'
import { AppError } from '../model/errors.ts'
import { AccountAttempts, type Outcome } from './account-attempts.ts'
import { networksOf } from './networks.ts'

/**
 * What a request is. `read`: sessions and tokens are looked at. `sign_in`: whatever may be guessed (sign-in, sign-up, codes, changes of
 * passwords), or is as dear. `send`: a mail or a code goes out. `write`: all others.
 */
export type RequestKind = 'read' | 'write' | 'sign_in' | 'send'

/**
 * Of one address at one integration. An office has one address and comes to work at the same time: a burst is allowed, the pace is not
 * higher for it. Pages that are rendered on a server look at sessions from that server's address.
 */
const ofAddress: Readonly<Record<RequestKind, BucketSize>> = {
  read: { burst: 600, refillMs: 1000 / 60 },
  write: { burst: 100, refillMs: 100 },
  sign_in: { burst: 15, refillMs: 10_000 / 3 },
  send: { burst: 5, refillMs: 20_000 },
}
/** A whole /48 of v6 is that many addresses. */
const addressesOfWideNetwork = 16

const ofRecipient: BucketSize = { burst: 5, refillMs: 120_000 }

const mostBuckets = 100_000

export type AuthLimitsOptions = {
  /** False: addresses are not counted, accounts and recipients are. */
  countsAddresses: boolean
  now?: () => number
}

export class AuthLimits {
  readonly #countsAddresses: boolean
  readonly #buckets: Buckets
  readonly #attempts: AccountAttempts

  constructor({ countsAddresses, now }: AuthLimitsOptions) {
    this.#countsAddresses = countsAddresses
    this.#buckets = new Buckets({ most: mostBuckets, ...(now && { now }) })
    this.#attempts = new AccountAttempts(now && { now })
  }

  /** Throws `rate_limited`. Not for requests that come with a secret server key: those are an app's own. */
  take(integrationId: string, kind: RequestKind, clientAddress: string): void {
    if (!this.#countsAddresses) return
    const [network, wide] = networksOf(clientAddress)
    const size = ofAddress[kind]
    const buckets: [string, BucketSize][] = [[`${integrationId} ${kind} ${network}`, size]]
    if (wide !== undefined) {
      const wideSize = {
        burst: size.burst * addressesOfWideNetwork,
        refillMs: size.refillMs / addressesOfWideNetwork,
      }
      buckets.push([`${integrationId} ${kind} ${wide}`, wideSize])
    }
    this.#takeAll(buckets, 'too many requests; try again later')
  }

  /** Before something is sent to an address or a number, whether or not anybody has it. Throws `rate_limited`. */
  takeRecipient(integrationId: string, recipient: string): void {
    this.#takeAll(
      [[`to ${accountKey(integrationId, recipient)}`, ofRecipient]],
      'too much has been sent to this recipient; try again later',
    )
  }

  /**
   * Around whatever finds out whether somebody is who he says. `account`: his e-mail address, whether or not anybody has it. Throws
   * `rate_limited` without asking; work that throws has found out nothing.
   */
  async attempt(
    integrationId: string,
    account: string,
    clientAddress: string,
    work: () => Promise<boolean>,
  ): Promise<boolean> {
    return await this.attemptTo(integrationId, account, clientAddress, work, (isRight) => (isRight ? 'right' : 'wrong'))
  }

  /** As `attempt`, where the outcome has to be read from what comes back. */
  async attemptTo<T>(
    integrationId: string,
    account: string,
    clientAddress: string,
    work: () => Promise<T>,
    outcomeOf: (result: T) => Outcome,
  ): Promise<T> {
    const end = this.#attempts.begin(accountKey(integrationId, account), networksOf(clientAddress)[0])
    try {
      const result = await work()
      end(outcomeOf(result))
      return result
    } finally {
      end('neither')
    }
  }

  #takeAll(buckets: readonly [string, BucketSize][], message: string): void {
    for (const [key, size] of buckets) {
      const waitMs = this.#buckets.waitMs(key, size)
      if (waitMs === 0) continue
      this.#buckets.refused(key)
      throw new AppError('rate_limited', message, { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) })
    }
    for (const [key, size] of buckets) this.#buckets.take(key, size)
  }
}

/** Of a fixed length, whatever was sent. */
function accountKey(integrationId: string, account: string): string {
  const normal = account.normalize('NFKC').trim().toLowerCase()
  return createHash('sha256').update(`${integrationId} ${normal}`).digest('base64url')
}
