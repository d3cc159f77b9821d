// What a server sends between the startup packet and its first ReadyForQuery, passed on as it comes, with BackendKeyData exchanged.
//
// Nothing but BackendKeyData is ever held back: a notice from a login trigger may be as long as a tenant likes, so other
// messages are only counted through. After ReadyForQuery there is nothing left to look for and the caller goes on without us.

import { writeBackendKeyData } from './backend-messages.ts'
import { ProtocolError } from './protocol-error.ts'

export type BackendKey = { pid: number; secret: Buffer }

const headerLength = 5
const longestKeyData = 4 + 256
const typeKeyData = 'K'.charCodeAt(0)
const typeReadyForQuery = 'Z'.charCodeAt(0)
const typeErrorResponse = 'E'.charCodeAt(0)

export class BackendGreeting {
  readonly #exchangeKey: (key: BackendKey) => BackendKey
  readonly #addition: Buffer | undefined
  /** An unfinished header, or an unfinished BackendKeyData. */
  #held: Buffer = Buffer.alloc(0)
  /** Bytes of the current message that are still to come and just pass. */
  #passing = 0
  #readyAfterPassing = false
  #refused = false
  #done = false

  /** `addition`: messages that the client gets as well, once it is in. */
  constructor(exchangeKey: (key: BackendKey) => BackendKey, addition?: Buffer) {
    this.#exchangeKey = exchangeKey
    this.#addition = addition
  }

  /** ReadyForQuery has passed: from here on bytes need no reading. */
  get done(): boolean {
    return this.#done
  }

  /** Were it to end here, the client would not know why: neither a session nor an error, and nothing half said. */
  get unanswered(): boolean {
    return !this.#done && !this.#refused && this.#passing === 0 && this.#held.length === 0
  }

  /** Takes what came from the server and returns what goes to the client, in order. */
  push(chunk: Buffer): Buffer[] {
    const out: Buffer[] = []
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = Buffer.alloc(0)
    while (rest.length > 0) {
      if (this.#done) {
        out.push(rest)
        break
      }
      if (this.#passing > 0) {
        const passed = rest.subarray(0, this.#passing)
        out.push(passed)
        rest = rest.subarray(passed.length)
        this.#passing -= passed.length
        if (this.#passing === 0 && this.#readyAfterPassing) this.#done = true
        continue
      }
      if (rest.length < headerLength) {
        this.#held = Buffer.from(rest)
        break
      }
      const length = rest.readUInt32BE(1) + 1
      if (length < headerLength) throw new ProtocolError('message is too short')
      if (rest[0] === typeKeyData) {
        if (length < headerLength + 8 || length > headerLength + longestKeyData) {
          throw new ProtocolError('BackendKeyData has a wrong length')
        }
        if (rest.length < length) {
          this.#held = Buffer.from(rest)
          break
        }
        const given = { pid: rest.readInt32BE(5), secret: Buffer.from(rest.subarray(9, length)) }
        const { pid, secret } = this.#exchangeKey(given)
        out.push(writeBackendKeyData(pid, secret))
        if (this.#addition) out.push(this.#addition)
        rest = rest.subarray(length)
        continue
      }
      this.#readyAfterPassing = rest[0] === typeReadyForQuery
      this.#refused ||= rest[0] === typeErrorResponse
      this.#passing = length
    }
    return out
  }
}
