// Cancel requests. Each session gets a key of our own, since the backend's says nothing about which of many Postgres it belongs to,
// and a session may change its backend: when it was parked, and with each transaction in the pooler.
//
// A request comes on a connection of its own, with no name and no login but the key: 31 random bits to find a session, and a
// secret as long as a backend's. It gets no answer; the client waits for our close, which comes once Postgres has dealt with
// the request, so that the query after the cancelled one is not hit instead.

import { connect } from 'node:net'
import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import type { BackendKey } from '../pgwire/backend-greeting.ts'
import { writeCancelRequest } from '../pgwire/startup-packet.ts'

export type CancelTarget = { socketPath: string; backend: BackendKey }

type Entry = {
  secret: Buffer
  /** May the one who asks do so from there? */
  isAllowed: (address: string | undefined) => boolean
  /** Does it now; returns when Postgres has seen it. */
  cancel: () => Promise<void>
}

const secretLength = 4
const forwardTimeoutMs = 2_000

export class CancelKeys {
  readonly #entries = new Map<number, Entry>()
  /** One at a time for a session: more would only queue up behind the same signal. */
  readonly #flying = new Map<number, Promise<void>>()

  get size(): number {
    return this.#entries.size
  }

  mint(entry: Omit<Entry, 'secret'>): BackendKey {
    let pid = randomInt(1, 2 ** 31 - 1)
    while (this.#entries.has(pid)) pid = randomInt(1, 2 ** 31 - 1)
    const secret = randomBytes(secretLength)
    this.#entries.set(pid, { ...entry, secret })
    return { pid, secret }
  }

  forget(key: BackendKey): void {
    this.#entries.delete(key.pid)
  }

  /** Returns when Postgres has seen the request, or at once where the key is not one of ours. Never throws. */
  async cancel(pid: number, secret: Buffer, address: string | undefined): Promise<void> {
    const entry = this.#entries.get(pid)
    if (!entry || secret.length !== entry.secret.length || !timingSafeEqual(secret, entry.secret)) return
    if (!entry.isAllowed(address)) return
    const flying = this.#flying.get(pid)
    if (flying) return flying
    const flight = entry.cancel().finally(() => this.#flying.delete(pid))
    this.#flying.set(pid, flight)
    await flight
  }
}

/** Never rejects. */
export function forwardCancel({ socketPath, backend }: CancelTarget): Promise<void> {
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
