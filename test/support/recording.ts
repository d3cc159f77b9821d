// A session that is played and written down: what was sent is somebody else's, what came back is here, message by message.

import { once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { writeTerminate } from '../../src/pgwire/frontend-messages.ts'
import { readMessage, type Message } from '../../src/pgwire/message.ts'
import { writeCancelRequest } from '../../src/pgwire/startup-packet.ts'
import { eventually } from './eventually.ts'
import { askOnce, dial, openSession, type Address, type WireSession } from './wire-session.ts'

const timeoutMs = 30_000
const longestMessage = 1 << 30
const longestCut = 200

export class Recording {
  readonly messages: Message[] = []
  readonly #address: Address
  readonly #session: WireSession
  /** In how many bytes at a time the beginning of what is sent goes out; 0: all at once. */
  readonly #pieceBytes: number
  #held: Buffer[] = []
  #heldBytes = 0
  #seen = 0
  #arrived = Promise.withResolvers<void>()
  #closed = false

  private constructor(address: Address, session: WireSession, pieceBytes: number) {
    this.#address = address
    this.#session = session
    this.#pieceBytes = pieceBytes
    session.socket.on('data', (chunk: Buffer) => this.#take(chunk))
    session.socket.on('close', () => {
      this.#closed = true
      this.#arrived.resolve()
    })
    session.socket.resume()
  }

  static async open(address: Address, pieceBytes = 0): Promise<Recording> {
    return new Recording(address, await openSession(address), pieceBytes)
  }

  async send(...messages: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat(messages)
    const { socket } = this.#session
    // A long message in small pieces would take all day.
    const cutBytes = this.#pieceBytes === 0 ? 0 : Math.min(bytes.length, longestCut)
    for (let at = 0; at < cutBytes; at += this.#pieceBytes) {
      socket.write(bytes.subarray(at, Math.min(at + this.#pieceBytes, cutBytes)))
      await nextTurn()
    }
    if (!socket.write(bytes.subarray(cutBytes)) && !socket.destroyed)
      await Promise.race([once(socket, 'drain'), once(socket, 'close')])
  }

  /** Sends, and waits for as many ReadyForQuery as there are expected. */
  async ask(messages: Buffer | readonly Buffer[], ready = 1): Promise<void> {
    await this.send(...(Array.isArray(messages) ? (messages as Buffer[]) : [messages as Buffer]))
    await this.until('Z', ready)
  }

  /** Until so many messages of the type have come since what was last waited for; false where the session has ended before. */
  async until(type: string, count = 1): Promise<boolean> {
    const deadline = Date.now() + timeoutMs
    for (let found = 0; ;) {
      while (this.#seen < this.messages.length)
        if (this.messages[this.#seen++]?.type === type && ++found === count) return true
      if (this.#closed) return false
      if (Date.now() > deadline) throw new Error(`no ${type} came; ${this.messages.map((each) => each.type).join('')}`)
      this.#arrived = Promise.withResolvers()
      await Promise.race([this.#arrived.promise, delay(1000, undefined, { ref: false })])
    }
  }

  /** Waits until the session sleeps in `pg_sleep`, and has it cancelled. */
  async cancelSleep(): Promise<void> {
    const observer = await openSession(this.#address)
    const sleeping = `select count(*) from pg_stat_activity where wait_event = 'PgSleep' and usename = current_user`
    await eventually('it sleeps', async () => (await askOnce(observer, sleeping)) === '1')
    observer.socket.destroy()
    const { pid, secret } = this.#session.key
    const socket = await dial(this.#address)
    socket.end(writeCancelRequest(pid, secret))
    socket.resume()
    await once(socket, 'close')
    await this.until('Z')
  }

  /** The client has said its last and still reads. */
  halfClose(): void {
    this.#session.socket.end()
  }

  async closed(): Promise<void> {
    const { socket } = this.#session
    const timer = setTimeout(() => socket.destroy(new Error('nobody closed it')), timeoutMs)
    if (!this.#closed) await once(socket, 'close')
    clearTimeout(timer)
  }

  /** Says goodbye, and takes what is still said. Gives bytes that are no message. */
  async end(): Promise<Buffer> {
    if (!this.#closed && this.#session.socket.writable) this.#session.socket.end(writeTerminate())
    await this.closed()
    return Buffer.concat(this.#held)
  }

  destroy(): void {
    this.#session.socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    // A big message is put together once, and not with each of its pieces.
    if (this.#heldBytes < this.#wanted()) return
    let rest = Buffer.concat(this.#held)
    for (;;) {
      const parsed = readMessage(rest, longestMessage)
      if (!parsed) break
      this.messages.push({ type: parsed.value.type, body: Buffer.from(parsed.value.body) })
      rest = rest.subarray(parsed.length)
    }
    this.#held = rest.length === 0 ? [] : [Buffer.from(rest)]
    this.#heldBytes = rest.length
    this.#arrived.resolve()
  }

  #wanted(): number {
    const first = this.#held[0]
    return first && first.length >= 5 ? first.readUInt32BE(1) + 1 : 0
  }
}
