// Prepared statements of the extended protocol, which live in a server connection, for clients that change theirs with every transaction.
//
// A client's name stands for a text and parameter types. Equal ones of all clients of a pool share a name of ours, under which each server prepares
// them when it first has to. Servers keep a bounded number.

import { createHash } from 'node:crypto'
import { cString, writeMessage } from '../../pgwire/message.ts'

export type Prepared = {
  serverName: string
  /** Of a Parse message, behind the name. */
  body: Buffer
}

/** What Neon's poolers keep for each server connection. */
const mostOnServer = 1_000
const mostKnown = 5_000
const mostBytesOfClient = 16 * 1024 * 1024
/** An entry in a map, and what it holds. */
const costOf = (name: string, { body }: Prepared): number => 200 + name.length + body.length

export class PreparedStatements {
  readonly #known = new Map<string, Prepared>()
  #next = 1

  /** `body`: text and types, as a Parse message has them behind the name. */
  of(body: Buffer): Prepared {
    const digest = createHash('sha256').update(body).digest('base64')
    let prepared = this.#known.get(digest)
    if (prepared) this.#known.delete(digest)
    // Copied: what comes from a socket is a part of a larger buffer.
    else prepared = { serverName: `pgrove_${this.#next++}`, body: Buffer.from(body) }
    this.#known.set(digest, prepared)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostKnown) break
      this.#known.delete(oldest)
    }
    return prepared
  }
}

/** What a client's names stand for. */
export class ClientStatements {
  /** Most clients prepare nothing. */
  #byName: Map<string, Prepared> | undefined
  #bytes = 0

  /** For one more of so many bytes. */
  hasRoomFor(bytes: number): boolean {
    return this.#bytes + bytes <= mostBytesOfClient
  }

  has(name: string): boolean {
    return this.#byName?.has(name) ?? false
  }

  get(name: string): Prepared | undefined {
    return this.#byName?.get(name)
  }

  set(name: string, prepared: Prepared): void {
    this.delete(name)
    this.#byName ??= new Map()
    this.#byName.set(name, prepared)
    this.#bytes += costOf(name, prepared)
  }

  delete(name: string): void {
    const prepared = this.#byName?.get(name)
    if (!prepared) return
    this.#byName?.delete(name)
    this.#bytes -= costOf(name, prepared)
  }

  clear(): void {
    this.#byName = undefined
    this.#bytes = 0
  }
}

/** What one server connection has prepared. */
export class ServerStatements {
  readonly #names = new Set<string>()

  has(prepared: Prepared): boolean {
    if (!this.#names.delete(prepared.serverName)) return false
    this.#names.add(prepared.serverName)
    return true
  }

  /** Returns the name that has to be closed to make room. */
  add(prepared: Prepared): string | undefined {
    this.#names.add(prepared.serverName)
    if (this.#names.size <= mostOnServer) return undefined
    const [oldest] = this.#names
    if (oldest !== undefined) this.#names.delete(oldest)
    return oldest
  }

  delete(prepared: Prepared): void {
    this.#names.delete(prepared.serverName)
  }

  clear(): void {
    this.#names.clear()
  }
}

export function writeParse({ serverName, body }: Prepared): Buffer {
  return writeMessage('P', cString(serverName), body)
}

export function writeCloseStatement(serverName: string): Buffer {
  return writeMessage('C', Buffer.from('S'), cString(serverName))
}

export const parseComplete = writeMessage('1')
export const closeComplete = writeMessage('3')
