// A WebSocket as a stream of bytes: what Postgres' protocol is carried in where there is no TCP.
//
// Frames are chunks and mean nothing. Neither way is more held than a frame and a stream's buffer: a reader that stops stops the
// socket, and a write is done when the socket has taken it.

import { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'

/** As in Neon's proxy. A driver may put a whole message in one frame. */
export const longestFrame = 64 * 1024 * 1024

const closeTimeoutMs = 5_000
const normalClosure = 1000
const unsupportedData = 1003

export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    socket.binaryType = 'nodebuffer'
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => {
      this.push(null)
      // What is still to be read is read; there is nobody to write to.
      if (this.readableEnded || this.readableLength === 0) this.destroy()
      else this.once('end', () => this.destroy())
    })
    // Those who have ended their side are not told of errors any more.
    this.on('error', () => {})
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return done(new Error('the WebSocket is closed'))
    this.#socket.send(chunk, { binary: true }, (error) => done(error))
  }

  override _final(done: (error?: Error | null) => void): void {
    done()
    if (this.#socket.readyState !== this.#socket.OPEN) return
    this.#socket.close(normalClosure)
    const timer = setTimeout(() => this.#socket.terminate(), closeTimeoutMs)
    this.#socket.once('close', () => clearTimeout(timer))
    // A paused socket would never see the other side's close.
    this.#socket.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A closing handshake that has begun may end by itself.
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.terminate()
    done(error)
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (!isBinary) {
      this.#socket.close(unsupportedData)
      this.destroy()
      return
    }
    if (this.destroyed || this.readableEnded || this.writableEnded) return
    if (!this.push(data)) this.#socket.pause()
  }
}
