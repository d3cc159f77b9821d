// What all WebSockets together may hold in frames that are not complete yet.
//
// One frame may be long, since a driver puts a whole message in one, and anybody may begin one before he has said who he is. Where
// there is too much, the frame goes that was begun first: it has had the longest time to become complete.

import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

const defaultMostHeld = 256 * 1024 * 1024

export class FrameBudget {
  readonly #mostHeld: number
  /** In the order in which their frames were begun. */
  readonly #held = new Map<WebSocket, number>()
  #total = 0

  constructor(mostHeld = defaultMostHeld) {
    this.#mostHeld = mostHeld
  }

  get total(): number {
    return this.#total
  }

  watch(webSocket: WebSocket, socket: Duplex): void {
    // Before the WebSocket reads it: what that completes is held no longer.
    socket.prependListener('data', (chunk: Buffer) => this.#hold(webSocket, chunk.length))
    webSocket.on('message', () => this.#release(webSocket))
    webSocket.on('close', () => this.#release(webSocket))
  }

  #hold(webSocket: WebSocket, length: number): void {
    this.#held.set(webSocket, (this.#held.get(webSocket) ?? 0) + length)
    this.#total += length
    if (this.#total <= this.#mostHeld) return
    const [first] = this.#held.keys()
    if (!first) return
    this.#release(first)
    first.terminate()
  }

  #release(webSocket: WebSocket): void {
    this.#total -= this.#held.get(webSocket) ?? 0
    this.#held.delete(webSocket)
  }
}
