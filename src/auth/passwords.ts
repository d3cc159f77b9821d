// Passwords of tenants' users: as Better Auth stores them, and as they were stored where users came from (bcrypt).
//
// Hashing one takes a processor a tenth of a second and longer, and anybody may ask for it. It is done in threads that step back for all
// others, fewer than there are processors, and no more wait for it than a second's worth: all others hear at once when to come again.

import { availableParallelism } from 'node:os'
import { FairQueue } from '../lib/fair-queue.ts'
import { AppError } from '../model/errors.ts'
import type { HashWork } from './hashing/hash-work.ts'
import { HashingThreads } from './hashing/threads.ts'

const longestWaitMs = 1000
const expectedMs = 150
/** Far more than any form takes; what is longer is refused before it is worked on. */
const longestPassword = 1024

const ownForm = /^[0-9a-f]{32}:[0-9a-f]{128}$/
const bcryptForm = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
/** 2^12 rounds are as dear as ours, and each one more doubles it: who brings his own hashes must not have all processors for it. */
const highestBcryptCost = 12
const lowestBcryptCost = 4

/** What nobody's password fits: the key is no key of the salt. Compared for whom we do not know. */
const nobodys = `${'0'.repeat(32)}:${'0'.repeat(128)}`

/** Whether a hash from elsewhere can be taken over. */
export function isImportableHash(text: string): boolean {
  const cost = Number(bcryptForm.exec(text)?.[1])
  return cost >= lowestBcryptCost && cost <= highestBcryptCost
}

export class Passwords {
  readonly #threads = new HashingThreads()
  readonly #queue: FairQueue

  constructor({ atOnce = Math.max(1, availableParallelism() - 1) }: { atOnce?: number } = {}) {
    this.#queue = new FairQueue({
      atOnce,
      longestWaitMs,
      expectedMs,
      overflow: (retryAfterSeconds) =>
        new AppError('rate_limited', 'too many people are signing in right now; try again in a moment', {
          retryAfterSeconds,
        }),
    })
  }

  /** What is to be stored. Throws `rate_limited` where too many wait already. */
  async hash(integrationId: string, password: string): Promise<string> {
    if (password.length > longestPassword) throw new AppError('bad_request', 'the password is too long')
    return String(await this.#do(integrationId, { kind: 'hash', password }))
  }

  /** `stored` is the tenant's own: whatever stands there costs no more than what we would have written. Throws `rate_limited`. */
  async verify(integrationId: string, stored: string, password: string): Promise<boolean> {
    if (password.length > longestPassword) return false
    if (!ownForm.test(stored) && !isImportableHash(stored)) return await this.verifyNothing(integrationId, password)
    return (await this.#do(integrationId, { kind: 'verify', stored, password })) === true
  }

  /** For whom we do not know, or who has no password: takes as long as `verify`, so that nobody learns who is known. */
  async verifyNothing(integrationId: string, password: string): Promise<false> {
    if (password.length > longestPassword) return false
    await this.#do(integrationId, { kind: 'verify', stored: nobodys, password })
    return false
  }

  /** Taken over from elsewhere: to be replaced by a hash of ours once it has been verified. */
  isImported(stored: string): boolean {
    return stored.startsWith('$2')
  }

  async close(): Promise<void> {
    await this.#threads.close()
  }

  async #do(integrationId: string, work: HashWork): Promise<string | boolean> {
    return await this.#queue.run(integrationId, () => this.#threads.do(work))
  }
}
