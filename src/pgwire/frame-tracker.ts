// Follows one direction of a session by its frames alone: which messages went by, and whether the last one is complete.
//
// It runs on every chunk of every session, so it allocates nothing and looks at five bytes a message: it counts those that ask for an
// answer, or end one. Of ReadyForQuery it also keeps the transaction status, and of CommandComplete whether it may have been about roles.

import { mayChangeRoles } from './command-tag.ts'

const headerLength = 5
const readyForQuery = 'Z'.charCodeAt(0)
const commandComplete = 'C'.charCodeAt(0)

const tableOf = (letters: string): Uint8Array => {
  const table = new Uint8Array(256)
  for (const byte of Buffer.from(letters)) table[byte] = 1
  return table
}
/** Query, Sync and FunctionCall: each is answered by one ReadyForQuery. */
const asking = tableOf('QSF')
const answering = tableOf('Z')

export class FrameTracker {
  /** From a client: what asks for a ReadyForQuery. From a server: those. */
  count = 0
  /** From a server: commands that may have changed roles. */
  roleChanges = 0
  /** Byte of the last message that began; 0 before the first. */
  lastType = 0
  /** Of the last ReadyForQuery: `I`, `T` or `E` as a byte. */
  status = 0
  readonly #head = Buffer.alloc(headerLength)
  #headFilled = 0
  #bodyLeft = 0
  #wantsStatus = false
  #malformed = false
  readonly #counted: Uint8Array

  constructor(from: 'client' | 'server') {
    this.#counted = from === 'client' ? asking : answering
  }

  /** All that began is complete. */
  get atBoundary(): boolean {
    return this.#bodyLeft === 0 && this.#headFilled === 0 && !this.#malformed
  }

  /** Where in the bytes to come the message ends that has begun; undefined where they do not tell. */
  boundaryIn(chunk: Buffer): number | undefined {
    if (this.#headFilled > 0 || this.#malformed || this.#bodyLeft > chunk.length) return undefined
    return this.#bodyLeft
  }

  push(chunk: Buffer): void {
    const end = chunk.length
    let at = 0
    while (at < end && !this.#malformed) {
      if (this.#bodyLeft > 0) {
        if (this.#wantsStatus) {
          this.status = chunk[at] ?? 0
          this.#wantsStatus = false
        }
        const passed = Math.min(this.#bodyLeft, end - at)
        this.#bodyLeft -= passed
        at += passed
      } else if (this.#headFilled === 0 && end - at >= headerLength) {
        const type = chunk[at] ?? 0
        this.#begin(type, chunk.readUInt32BE(at + 1))
        at += headerLength
        if (type === commandComplete && mayChangeRoles(chunk[at], chunk[at + 1])) this.roleChanges++
      } else {
        const copied = chunk.copy(this.#head, this.#headFilled, at, Math.min(end, at + headerLength - this.#headFilled))
        this.#headFilled += copied
        at += copied
        if (this.#headFilled === headerLength) {
          this.#headFilled = 0
          this.#begin(this.#head[0] ?? 0, this.#head.readUInt32BE(1))
          if (this.lastType === commandComplete) this.roleChanges++
        }
      }
    }
  }

  #begin(type: number, length: number): void {
    // What follows is no protocol that we know: from here on nothing is certain.
    if (length < 4) this.#malformed = true
    this.count += this.#counted[type] ?? 0
    this.lastType = type
    this.#bodyLeft = length - 4
    this.#wantsStatus = type === readyForQuery
  }
}
