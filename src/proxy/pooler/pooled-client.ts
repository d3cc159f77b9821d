// A client of the pooler: has a server for as long as a transaction or a request lasts, and none in between.
//
// What it sends goes on as it came, but for the names of prepared statements, which are the server's own (see `prepared-statements.ts`).
// It gets a server when there is something whole to send, so that half a message keeps none busy.

import type { Duplex } from 'node:stream'
import type { BackendKey } from '../../pgwire/backend-greeting.ts'
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
} from '../../pgwire/frontend-types.ts'
import { cString, writeMessage } from '../../pgwire/message.ts'
import { readStatementReference } from '../../pgwire/statement-reference.ts'
import type { EndpointMeter } from '../activity.ts'
import { errorResponseFor, refusals } from '../errors.ts'
import { destroySoon } from '../socket-reader.ts'
import { RefusedRequests } from '../refused-requests.ts'
import { expected } from './expectations.ts'
import type { Pool } from './pool.ts'
import type { PoolServer } from './pool-server.ts'
import { ClientStatements, closeComplete, parseComplete } from './prepared-statements.ts'
import type { TrackedParameters } from './tracked-parameters.ts'

const headerLength = 5
/** Names are read out of these, so they have to be whole, or at least their beginning has. */
const naming: ReadonlySet<number> = new Set([parse, bind, describe, close])
const copying: ReadonlySet<number> = new Set([copyData, copyDone, copyFail])
const known: ReadonlySet<number> = new Set([
  ...naming,
  query,
  execute,
  sync,
  flush,
  functionCall,
  terminate,
  ...copying,
])
const longestNames = 4_096
const longestStatement = 4 * 1024 * 1024
const lingerMs = 60_000

export class PooledClient {
  parameters: TrackedParameters
  readonly key: BackendKey
  readonly ended: Promise<void>
  readonly #client: Duplex
  readonly #pool: Pool
  readonly #meter: EndpointMeter
  readonly #end = Promise.withResolvers<void>()
  #server: PoolServer | undefined
  readonly #statements = new ClientStatements()
  /** Came in and is not sent on: half a message, or all that came while there is no server. */
  #held: Buffer | undefined
  #heldBytes = 0
  #isWaiting = false
  /** What it asked is answered with an error up to its end. */
  #refused: RefusedRequests | undefined
  /** Bytes of a message that still just go by. */
  #bodyLeft = 0
  #isEnding = false
  #isOver = false

  constructor(client: Duplex, pool: Pool, parameters: TrackedParameters, meter: EndpointMeter, key: BackendKey) {
    this.#client = client
    this.#pool = pool
    this.#meter = meter
    this.parameters = parameters
    this.key = key
    this.ended = this.#end.promise
    client.on('data', (chunk: Buffer) => this.#said(chunk))
    client.on('drain', () => {
      this.#server?.resume()
      if (this.#refused) this.#client.resume()
    })
    client.on('end', () => this.#saidGoodbye())
    client.on('error', () => {})
    client.on('close', () => this.#over())
    if (client.destroyed) this.#over()
    else client.resume()
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Only a part of what it sent last has gone on. */
  get isWithinMessage(): boolean {
    return this.#bodyLeft > 0
  }

  /** Its turn has come. */
  serve(server: PoolServer): void {
    this.#isWaiting = false
    this.#server = server
    this.#meter.serverTaken()
    server.take(this)
    const held = this.#held
    this.#hold(undefined)
    this.#client.resume()
    if (held) this.#forward(server, held)
  }

  async cancel(): Promise<void> {
    await this.#server?.cancel()
  }

  /** False where it takes no more for now. */
  tell(bytes: Buffer): boolean {
    this.#meter.bytesToClient += bytes.length
    this.#meter.touch()
    return this.#client.write(bytes)
  }

  resume(): void {
    this.#client.resume()
  }

  released(): void {
    this.#server = undefined
    this.#meter.serverLeft()
    // What did not fit into the server's buffer goes on to another one.
    this.#client.resume()
    if (this.#isEnding) this.#finish()
  }

  /** It keeps the server, for more of the same transaction. */
  answeredInTransaction(): void {
    if (this.#isEnding) this.#saidGoodbye()
  }

  /** `atRest`: it was owed nothing. */
  lostServer(atRest: boolean): void {
    if (!this.#server) return
    this.#server = undefined
    this.#meter.serverLeft()
    this.refuse(errorResponseFor(atRest ? refusals.lostWhileIdle() : refusals.lostServer()))
  }

  settingsRefused(message: string): void {
    this.#server?.abandon()
    this.lostServerSilently()
    this.refuse(errorResponseFor(refusals.settingsRefused(message)))
  }

  lostServerSilently(): void {
    if (!this.#server) return
    this.#server = undefined
    this.#meter.serverLeft()
  }

  /** Its compute may not be had for now. It stays, and asks anew with its next request. */
  refuseRequest(error: Buffer): void {
    if (this.#isOver) return
    this.#isWaiting = false
    const held = this.#held
    this.#hold(undefined)
    this.#refused = new RefusedRequests(error)
    this.#client.resume()
    if (held) this.#refuse(this.#refused, held)
    if (this.#isEnding) this.#finish()
  }

  #refuse(requests: RefusedRequests, bytes: Buffer): void {
    const { answer, isOver } = requests.push(bytes)
    const isTaken = this.#client.write(answer)
    if (isOver) return this.#finish()
    if (!isTaken) this.#client.pause()
    else if (requests.atRest) this.#refused = undefined
  }

  /** Last words. */
  refuse(response: Buffer | undefined): void {
    if (this.#isOver) return
    if (response && this.#client.writable) this.#client.write(response)
    this.#finish()
  }

  forgetStatements(): void {
    this.#statements.clear()
  }

  #said(chunk: Buffer): void {
    this.#meter.bytesFromClient += chunk.length
    if (this.#refused && !this.#refused.atRest) return this.#refuse(this.#refused, chunk)
    this.#refused = undefined
    let bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk
    this.#hold(undefined)
    if (this.#server) return this.#forward(this.#server, bytes)
    if (this.#bodyLeft > 0 || copying.has(bytes[0] ?? 0)) {
      const rest = this.#withoutStaleCopy(bytes)
      if (rest.length === 0) return
      bytes = rest
    }
    if (this.#isWaiting || !isWorthAServer(bytes)) return this.#hold(bytes)
    if (bytes[0] === terminate) return this.#finish()
    this.#meter.touch()
    const server = this.#pool.acquire(this)
    if (!server) {
      this.#isWaiting = true
      this.#hold(bytes)
      this.#client.pause()
      return
    }
    this.#server = server
    this.#meter.serverTaken()
    server.take(this)
    this.#forward(server, bytes)
  }

  /** A COPY that has failed gave the server back while the client went on sending: Postgres ignores that as well. */
  #withoutStaleCopy(bytes: Buffer): Buffer {
    let at = Math.min(this.#bodyLeft, bytes.length)
    this.#bodyLeft -= at
    while (bytes.length - at >= headerLength && copying.has(bytes[at] ?? 0)) {
      const length = bytes.readUInt32BE(at + 1) + 1
      const taken = Math.min(length, bytes.length - at)
      this.#bodyLeft = length - taken
      at += taken
    }
    return bytes.subarray(at)
  }

  /** Copied: what comes from a socket may be a small part of a large buffer. */
  #hold(bytes: Buffer | undefined): void {
    const length = bytes?.length ?? 0
    if (length === 0 && this.#heldBytes === 0) return
    if (!this.#pool.mayKeep(length - this.#heldBytes)) {
      this.#pool.mayKeep(-this.#heldBytes)
      this.#heldBytes = 0
      this.#held = undefined
      return this.#fail(refusals.tooMuchKept())
    }
    this.#heldBytes = length
    this.#held = bytes && Buffer.from(bytes)
  }

  #forward(server: PoolServer, bytes: Buffer): void {
    this.#meter.touch()
    const end = bytes.length
    let parts: Buffer[] | undefined
    /** Where that begins which goes on as it is. */
    let start = 0
    let at = Math.min(this.#bodyLeft, end)
    this.#bodyLeft -= at
    while (at < end) {
      const type = bytes[at] ?? 0
      if (!known.has(type)) return this.#violated()
      if (end - at < headerLength) break
      const length = bytes.readUInt32BE(at + 1) + 1
      if (length < headerLength) return this.#violated()
      if (type === terminate) {
        this.#isEnding = true
        break
      }
      if (naming.has(type) && !server.expectations.isSkipping) {
        const named = this.#named(server, type, bytes, at, length)
        if (named === 'incomplete') break
        if (named === 'violated') return
        if (named) {
          parts ??= []
          if (at > start) parts.push(bytes.subarray(start, at))
          for (const part of named.parts) parts.push(part)
          at = start = at + named.taken
          this.#bodyLeft = Math.max(0, length - named.taken)
          const more = Math.min(this.#bodyLeft, end - at)
          at += more
          this.#bodyLeft -= more
          continue
        }
      } else {
        this.#expect(server, type)
      }
      at += length
      if (at > end) {
        this.#bodyLeft = at - end
        at = end
      }
    }
    if (at < end && !this.#isEnding) this.#hold(bytes.subarray(at))
    if (at > start) {
      const rest = start === 0 && at === end ? bytes : bytes.subarray(start, at)
      if (parts) parts.push(rest)
      else if (!server.write(rest)) this.#client.pause()
    }
    if (parts && parts.length > 0 && !server.write(Buffer.concat(parts))) this.#client.pause()
    // Everything may have been answered without the server: then it says nothing that would free it.
    if (this.#isEnding) this.#saidGoodbye()
  }

  #expect(server: PoolServer, type: number): void {
    const { expectations } = server
    switch (type) {
      case query:
        return expectations.push(expected.query)
      case sync:
        return expectations.push(expected.sync)
      case execute:
        return expectations.push(expected.execute)
      case functionCall:
        return expectations.push(expected.function_call)
      case parse:
        return expectations.push(expected.parse)
      case bind:
        return expectations.push(expected.bind)
      case describe:
        return expectations.push(expected.describe)
      case close:
        return expectations.push(expected.close)
      case copyDone:
      case copyFail:
        return expectations.copyInEnds()
    }
  }

  /**
   * A message that may name a prepared statement: what goes to the server in place of its first bytes; undefined where it goes on as it is.
   */
  #named(
    server: PoolServer,
    type: number,
    bytes: Buffer,
    at: number,
    length: number,
  ): { parts: Buffer[]; taken: number } | 'incomplete' | 'violated' | undefined {
    const messageEnd = at + length
    const there = Math.min(bytes.length, messageEnd)
    const reference = readStatementReference(bytes, at, there)
    if (reference === 'incomplete') return this.#unfinished(length, there - at)
    if (reference === 'none') {
      this.#expect(server, type)
      return undefined
    }
    const { name, start, end } = reference
    if (type === parse) {
      if (length > longestStatement) {
        this.#fail(refusals.statementTooLong(longestStatement))
        return 'violated'
      }
      if (messageEnd > bytes.length) return 'incomplete'
      if (!this.#statements.hasRoomFor(length)) {
        this.#fail(refusals.tooMuchKept())
        return 'violated'
      }
      return { parts: this.#parse(server, name, bytes.subarray(end + 1, messageEnd)), taken: length }
    }
    const prepared = this.#statements.get(name)
    if (type === close) {
      if (!prepared) {
        this.#expect(server, type)
        return undefined
      }
      if (messageEnd > bytes.length) return 'incomplete'
      this.#statements.delete(name)
      server.answerItself({ asked: 'close', answer: closeComplete, undo: () => this.#statements.set(name, prepared) })
      return { parts: [], taken: length }
    }
    // Perhaps made by SQL in this transaction; if not, Postgres says so.
    if (!prepared) {
      this.#expect(server, type)
      return undefined
    }
    const first = server.prepare(prepared)
    this.#expect(server, type)
    const newName = cString(prepared.serverName)
    const head = Buffer.alloc(headerLength)
    head[0] = type
    head.writeUInt32BE(length - 1 + newName.length - (end + 1 - start), 1)
    const parts = [head, bytes.subarray(at + headerLength, start), newName]
    return { parts: first ? [first, ...parts] : parts, taken: end + 1 - at }
  }

  #parse(server: PoolServer, name: string, body: Buffer): Buffer[] {
    const prepared = this.#pool.prepared.of(body)
    if (this.#statements.has(name)) {
      // Taken already. Postgres says it best: by being asked for the same name twice. Nobody else is to find that name there.
      server.retireLater()
      server.expectations.push({ asked: 'parse', isOwn: true })
      server.expectations.push(expected.parse)
      const first = writeMessage('P', Buffer.from(`${name}\0`, 'latin1'), body)
      return [first, first]
    }
    this.#statements.set(name, prepared)
    const undo = (): void => this.#statements.delete(name)
    if (!server.statements.has(prepared)) return [server.parse(prepared, undo)]
    server.answerItself({ asked: 'parse', answer: parseComplete, undo })
    return []
  }

  #unfinished(length: number, there: number): 'incomplete' | 'violated' {
    if (there < Math.min(length, longestNames)) return 'incomplete'
    this.#violated()
    return 'violated'
  }

  #violated(): void {
    this.#fail(refusals.protocolViolation())
  }

  #fail(refusal: Parameters<typeof errorResponseFor>[0]): void {
    this.#server?.abandon()
    this.lostServerSilently()
    this.refuse(errorResponseFor(refusal))
  }

  #saidGoodbye(): void {
    this.#isEnding = true
    // What it asked for is done, as Postgres would, and answered to whoever still reads.
    if (this.#isWaiting) return
    const server = this.#server
    if (!server) return this.#finish()
    // Inside a transaction that nobody will end.
    if (server.expectations.isEmpty) {
      server.abandon()
      this.lostServerSilently()
      this.#finish()
    }
  }

  /** The client hears what was written to it, and the session is over. */
  #finish(): void {
    if (this.#isOver) return
    const client = this.#client
    if (!client.destroyed) {
      const timer = setTimeout(() => client.destroy(), lingerMs)
      client.once('close', () => clearTimeout(timer))
      client.resume()
      destroySoon(client)
    }
    this.#over()
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#hold(undefined)
    this.#statements.clear()
    this.#server?.abandon()
    this.lostServerSilently()
    this.#pool.left(this)
    this.#end.resolve()
  }
}

/** A whole message, or the beginning of one that can be sent on in pieces. */
function isWorthAServer(bytes: Buffer): boolean {
  if (bytes.length < headerLength) return false
  const length = bytes.readUInt32BE(1) + 1
  return bytes.length >= length || !naming.has(bytes[0] ?? 0) || bytes.length > longestNames
}
