// Passwords in clear text that were found right a moment ago, so that a client that sends its password with every request does not cost
// 4096 rounds of hashing each time. Kept is not the password but a keyed hash of it, together with the verifier that it opened:
// a changed password misses.

import { createHmac, randomBytes } from 'node:crypto'
import type { ScramKeys } from '../pgwire/scram-keys.ts'

const keepMs = 60_000
const most = 5_000

export class PasswordMemory {
  readonly #secret = randomBytes(32)
  readonly #known = new Map<string, { keys: ScramKeys; until: number }>()

  recall(verifier: string, password: string): ScramKeys | undefined {
    const name = this.#name(verifier, password)
    const found = this.#known.get(name)
    if (!found) return undefined
    if (found.until > Date.now()) return found.keys
    this.#known.delete(name)
    return undefined
  }

  keep(verifier: string, password: string, keys: ScramKeys): void {
    this.#known.set(this.#name(verifier, password), { keys, until: Date.now() + keepMs })
    // In the order of insertion: the oldest goes.
    for (const name of this.#known.keys()) {
      if (this.#known.size <= most) break
      this.#known.delete(name)
    }
  }

  #name(verifier: string, password: string): string {
    return createHmac('sha256', this.#secret).update(`${verifier}\0${password}`).digest('base64')
  }
}
