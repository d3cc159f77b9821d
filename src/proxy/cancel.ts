// Cancel requests. Each session gets a key of our own, since the backend's says nothing about which of many Postgres it belongs to.
//
// A request comes on a connection of its own, with no name and no login but the key: 31 random bits to find a session, and a
// secret as long as the backend's. It gets no answer; the client waits for our close, which comes once Postgres has dealt with
// the request, so that the query after the cancelled one is not hit instead.

import { connect } from 'node:net'
import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import { writeCancelRequest } from '../pgwire/startup-packet.ts'
import type { BackendKey } from '../pgwire/backend-greeting.ts'

type CancelTarget = { socketPath: string; backend: BackendKey; secret: Buffer }

const forwardTimeoutMs = 2_000

export class CancelKeys {
  readonly #targets = new Map<number, CancelTarget>()
  /** One forward at a time for a session: more would only queue up behind the same signal. */
  readonly #forwarding = new Map<number, Promise<void>>()

  get size(): number {
    return this.#targets.size
  }

  mint(socketPath: string, backend: BackendKey): BackendKey {
    let pid = randomInt(1, 2 ** 31 - 1)
    while (this.#targets.has(pid)) pid = randomInt(1, 2 ** 31 - 1)
    const secret = randomBytes(backend.secret.length)
    this.#targets.set(pid, { socketPath, backend, secret })
    return { pid, secret }
  }

  forget(key: BackendKey): void {
    this.#targets.delete(key.pid)
  }

  /** Returns when Postgres has seen the request, or at once where the key is not one of ours. Never throws. */
  async cancel(pid: number, secret: Buffer): Promise<void> {
    const target = this.#targets.get(pid)
    if (!target || secret.length !== target.secret.length || !timingSafeEqual(secret, target.secret)) return
    const flying = this.#forwarding.get(pid)
    if (flying) return flying
    const flight = forward(target).finally(() => this.#forwarding.delete(pid))
    this.#forwarding.set(pid, flight)
    await flight
  }
}

function forward({ socketPath, backend }: CancelTarget): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path: socketPath })
    const timer = setTimeout(() => socket.destroy(), forwardTimeoutMs)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.resume()
    socket.write(writeCancelRequest(backend.pid, backend.secret))
  })
}
