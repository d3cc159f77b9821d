// Who may ask at all, decided before anything is read or looked up for a request.
//
// A valid key's requests count against its account. While an account's budget is empty, requests with a key that was good a moment ago are
// refused without asking the database. Whoever shows no good key counts against the network he comes from, so that guessing keys is slow
// and costs the database nothing; a key that was good lately gets through from there all the same, since many may share an address.

import { createHash } from 'node:crypto'
import type { Control } from '../control/control.ts'
import type { Caller } from '../model/caller.ts'
import { AppError, isAppError } from '../model/errors.ts'
import { bearerKey } from './authn.ts'
import { Strangers } from './strangers.ts'

/** As long as a key is taken for good without being looked up, which is for refusals only. */
const rememberedMs = 60_000
const mostRemembered = 10_000

type Remembered = { caller: Caller; until: number }

export class Callers {
  readonly #control: Control
  readonly #strangers = new Strangers()
  readonly #limitsStrangers: boolean
  /** By the key's hash, like the rows. */
  readonly #remembered = new Map<string, Remembered>()

  constructor(control: Control, { limitsStrangers }: { limitsStrangers: boolean }) {
    this.#control = control
    this.#limitsStrangers = limitsStrangers
  }

  /** `operationId`: what the path seems to ask for. Throws `unauthorized`, `rate_limited`. */
  async identify(authorization: string | undefined, from: string, operationId: string): Promise<Caller> {
    const key = bearerKey(authorization)
    const hash = createHash('sha256')
      .update(key ?? '')
      .digest('base64')
    const known = this.#known(hash)
    if (known) {
      const refusal = this.#control.rateLimits.refusal(known, operationId)
      if (refusal) throw refusal
    } else if (this.#limitsStrangers) this.#strangers.assertMayTry(from)
    try {
      if (key === undefined) throw noKey()
      const caller = await this.#control.authenticate(key, from)
      this.#remember(hash, caller)
      return caller
    } catch (error) {
      if (isAppError(error, 'unauthorized')) {
        this.#remembered.delete(hash)
        this.#strangers.failed(from)
      }
      throw error
    }
  }

  #known(hash: string): Caller | undefined {
    const found = this.#remembered.get(hash)
    return found && found.until > Date.now() ? found.caller : undefined
  }

  #remember(hash: string, caller: Caller): void {
    this.#remembered.delete(hash)
    this.#remembered.set(hash, { caller, until: Date.now() + rememberedMs })
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= mostRemembered) break
      this.#remembered.delete(oldest)
    }
  }
}

const noKey = (): AppError =>
  new AppError('unauthorized', "authentication required: send the header 'Authorization: Bearer <API key>'")
