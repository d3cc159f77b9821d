// What a client asks while its compute may not be had: every request is answered with an error, and the session goes on, so that it is of
// use again as soon as the compute is.
//
// As Postgres does it: after an error in the extended protocol everything up to the Sync is passed over. Nothing that comes in is kept.

import {
  bind,
  close,
  copyData,
  copyDone,
  copyFail,
  describe,
  execute,
  flush,
  functionCall,
  parse,
  query,
  sync,
  terminate,
} from '../pgwire/frontend-types.ts'
import { writeReadyForQuery } from '../pgwire/backend-messages.ts'

const headerLength = 5
const ready = writeReadyForQuery('I')
const nothing = Buffer.alloc(0)
const whole: ReadonlySet<number> = new Set([query, functionCall])
const untilSync: ReadonlySet<number> = new Set([parse, bind, describe, execute, close])
const unanswered: ReadonlySet<number> = new Set([flush, copyData, copyDone, copyFail])

export class RefusedRequests {
  readonly #error: Buffer
  #head = nothing
  #type = 0
  #bodyLeft = 0
  #skipping = false

  /** `error`: an ErrorResponse that does not end the session. */
  constructor(error: Buffer) {
    this.#error = error
  }

  /** Nothing is unfinished: the next byte begins a new request. */
  get atRest(): boolean {
    return !this.#skipping && this.#bodyLeft === 0 && this.#head.length === 0
  }

  /** `isOver`: the client said goodbye, or something that is no request; there is nothing to go on with. */
  push(chunk: Buffer): { answer: Buffer; isOver: boolean } {
    const answers: Buffer[] = []
    let rest = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk])
    this.#head = nothing
    let isOver = false
    while (rest.length > 0 && !isOver) {
      if (this.#bodyLeft > 0) {
        const passed = Math.min(this.#bodyLeft, rest.length)
        this.#bodyLeft -= passed
        rest = rest.subarray(passed)
      } else if (rest.length < headerLength) {
        this.#head = Buffer.from(rest)
        break
      } else {
        this.#type = rest[0] ?? 0
        const length = rest.readUInt32BE(1)
        isOver = length < 4
        this.#bodyLeft = Math.max(0, length - 4)
        rest = rest.subarray(headerLength)
      }
      if (this.#bodyLeft === 0 && !isOver) isOver = !this.#refuse(answers)
    }
    return { answer: Buffer.concat(answers), isOver }
  }

  /** False where there is no session to go on with. */
  #refuse(answers: Buffer[]): boolean {
    if (whole.has(this.#type)) {
      answers.push(this.#error, ready)
    } else if (this.#type === sync) {
      this.#skipping = false
      answers.push(ready)
    } else if (untilSync.has(this.#type)) {
      if (!this.#skipping) answers.push(this.#error)
      this.#skipping = true
    } else if (this.#type === terminate || !unanswered.has(this.#type)) {
      return false
    }
    return true
  }
}
