// A socket to a database that may answer with anything: more than so much between two of our messages, and it is closed.

import { Socket } from 'node:net'

/** A page of users with all that they may carry is a tenth of it. */
const mostAnswerBytes = 16 * 1024 * 1024
/** Code of the error that whoever asked gets. */
export const tooMuch = 'PGROVE_TOO_MUCH'

export class BoundedSocket extends Socket {
  #received = 0

  constructor() {
    super()
    this.on('data', (chunk: Buffer) => {
      this.#received += chunk.length
      if (this.#received > mostAnswerBytes)
        this.destroy(Object.assign(new Error('the database answered more than anybody asked for'), { code: tooMuch }))
    })
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#received = 0
    super._write(chunk, encoding, callback)
  }

  override _writev(
    chunks: { chunk: unknown; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    this.#received = 0
    super._writev?.(chunks, callback)
  }
}
