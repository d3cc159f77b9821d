// Cuts what a server sends into messages. A message that nobody reads is counted through, however long it is; one that is read must
// not be longer than its reader has room for, and that is known from its head, before it is waited for.

import type { Message } from '../../pgwire/message.ts'
import { ProtocolError } from '../../pgwire/protocol-error.ts'

const headLength = 5

export class MessageTooLong extends Error {}

export class MessageSplitter {
  readonly #isRead: (type: string) => boolean
  #head = Buffer.alloc(0)
  #type = ''
  /** Of the current body, still to come; undefined between messages. */
  #missing: number | undefined
  #parts: Buffer[] = []

  /** `isRead`: whether messages of a type are wanted. */
  constructor(isRead: (type: string) => boolean) {
    this.#isRead = isRead
  }

  /** Calls with each message that is complete now. Throws MessageTooLong, ProtocolError, and what the callback throws. */
  push(chunk: Buffer, longest: () => number, each: (message: Message) => void): void {
    let rest = chunk
    for (;;) {
      if (this.#missing === undefined) {
        const needed = headLength - this.#head.length
        this.#head = Buffer.concat([this.#head, rest.subarray(0, needed)])
        rest = rest.subarray(needed)
        if (this.#head.length < headLength) return
        this.#begin(longest)
      }
      const part = rest.subarray(0, this.#missing)
      if (this.#isRead(this.#type)) this.#parts.push(part)
      rest = rest.subarray(part.length)
      this.#missing = (this.#missing ?? 0) - part.length
      if (this.#missing > 0) return
      this.#missing = undefined
      const parts = this.#parts
      this.#parts = []
      if (!this.#isRead(this.#type)) continue
      each({ type: this.#type, body: parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts) })
    }
  }

  #begin(longest: () => number): void {
    this.#type = String.fromCharCode(this.#head[0] ?? 0)
    const length = this.#head.readUInt32BE(1) - 4
    if (length < 0) throw new ProtocolError('message is too short')
    if (this.#isRead(this.#type) && length > longest()) throw new MessageTooLong('message is too long')
    this.#missing = length
    this.#head = Buffer.alloc(0)
  }
}
