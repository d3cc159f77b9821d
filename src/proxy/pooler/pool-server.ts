// A server connection of the pool, and what it says to whichever client has it.
//
// In the common case a chunk goes on as it came. Its frames are followed to know when the client is done with the server: everything it asked
// is answered, and no transaction is open.

import type { OpenServer } from '../open-server.ts'
import { readErrorFields, sqlStateOf } from '../../pgwire/error-fields.ts'
import { cString, writeMessage } from '../../pgwire/message.ts'
import { mayChangeRoles } from '../../pgwire/command-tag.ts'
import { forwardCancel } from '../cancel.ts'
import { Expectations, expected, type Expectation } from './expectations.ts'
import type { PooledClient } from './pooled-client.ts'
import { ServerStatements, writeCloseStatement, writeParse, type Prepared } from './prepared-statements.ts'
import {
  settingsBetween,
  trackedName,
  type TrackedParameters,
  type TrackedParameterSets,
} from './tracked-parameters.ts'

export type PoolServerEvents = {
  rolesMayHaveChanged(): void
  /** The client is done with it; it may be given to the next one. */
  free(server: PoolServer): void
  closed(server: PoolServer): void
}

const headerLength = 5
const type = (letter: string): number => letter.charCodeAt(0)
const parameterStatus = type('S')
const readyForQuery = type('Z')
const errorResponse = type('E')
const commandComplete = type('C')
const parseComplete = type('1')
const bindComplete = type('2')
const closeComplete = type('3')
const noData = type('n')
const rowDescription = type('T')
const emptyQuery = type('I')
const portalSuspended = type('s')
const copyInResponse = type('G')
const idle = type('I')
const firstOfDiscard = type('D')
/** Of these the whole message has to be seen; a longer one goes by unread. */
const longestRead = 64 * 1024

/** A plan that no longer fits its tables stays in the connection: whoever prepares the statement again would get it again. */
const staleStates = new Set(['0A000', '26000'])

export class PoolServer {
  readonly statements = new ServerStatements()
  readonly expectations = new Expectations()
  readonly openedAt = Date.now()
  idleSince = Date.now()
  client: PooledClient | undefined
  parameters: TrackedParameters
  readonly #open: OpenServer
  readonly #sets: TrackedParameterSets
  readonly #events: PoolServerEvents
  /** An unfinished header, or an unfinished message that is to be read. */
  #held: Buffer | undefined
  #bodyLeft = 0
  #bodyIsOurs = false
  #retired = false
  #closed = false
  #cancelling = 0
  #freeWhenCancelled = false
  /** To be said to its client at the next place between two messages, as the last thing. */
  #farewell: Buffer | undefined

  constructor(open: OpenServer, sets: TrackedParameterSets, events: PoolServerEvents) {
    this.#open = open
    this.#sets = sets
    this.#events = events
    this.parameters = sets.of(open.parameters)
    const { socket } = open
    socket.on('data', (chunk: Buffer) => this.#said(chunk))
    socket.on('drain', () => this.client?.resume())
    socket.on('end', () => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => this.#ended())
    socket.resume()
    if (socket.destroyed) this.#ended()
  }

  get isUsable(): boolean {
    return !this.#closed && !this.#retired && !this.#open.socket.destroyed
  }

  /** From here on it is this client's. */
  take(client: PooledClient): void {
    this.client = client
    const settings = settingsBetween(this.parameters, client.parameters)
    if (settings === undefined) return
    this.expectations.push(expected.own_query)
    this.#open.socket.write(writeMessage('Q', cString(settings)))
  }

  /** False where the client should send no more for now. */
  write(bytes: Buffer): boolean {
    return this.#open.socket.write(bytes)
  }

  resume(): void {
    this.#open.socket.resume()
  }

  /** Requests that make it know a statement, before one that uses it; undefined where it does. */
  prepare(prepared: Prepared): Buffer | undefined {
    if (this.statements.has(prepared)) return undefined
    const close = this.#makeRoomFor(prepared)
    this.expectations.push({ asked: 'parse', isOwn: true, undo: () => this.statements.delete(prepared) })
    const parse = writeParse(prepared)
    return close ? Buffer.concat([close, parse]) : parse
  }

  /** As `prepare`, where it is the client that asked for it. */
  parse(prepared: Prepared, undo: () => void): Buffer {
    const close = this.#makeRoomFor(prepared)
    this.expectations.push({
      asked: 'parse',
      undo: () => {
        this.statements.delete(prepared)
        undo()
      },
    })
    const parse = writeParse(prepared)
    return close ? Buffer.concat([close, parse]) : parse
  }

  /** What the client is owed without the server being asked, when it is its turn. */
  answerItself(expectation: Expectation & { answer: Buffer }): void {
    const isFirst = this.expectations.isEmpty && this.#bodyLeft === 0 && !this.#held
    this.expectations.push(expectation)
    if (isFirst) this.#giveOwnAnswers()
  }

  /** The session is over while it is at work: nobody else can use it. */
  abandon(): void {
    const { socketPath, key } = this.#open
    const isAtWork = !this.expectations.isEmpty
    this.client = undefined
    this.close()
    // Postgres notices a client that is gone only when it has something to say.
    if (isAtWork) void forwardCancel({ socketPath, backend: key })
  }

  /** Its compute is about to be stopped: its client hears this, and nothing more. In the middle of a message, at its end. */
  leave(farewell: Buffer): void {
    if (!this.client) return this.close()
    this.#farewell = farewell
    if (this.#bodyLeft === 0 && !this.#held) this.#sayFarewell(farewell)
  }

  #sayFarewell(farewell: Buffer): void {
    const { client } = this
    this.abandon()
    client?.lostServerSilently()
    client?.refuse(farewell)
  }

  /** Closes once its client is done with it. */
  retire(): void {
    this.retireLater()
    if (!this.client) this.close()
  }

  /** As `retire`, for a client that has it. */
  retireLater(): void {
    this.#retired = true
  }

  close(): void {
    const { socket } = this.#open
    if (socket.destroyed) return
    this.#retired = true
    socket.end(writeMessage('X'))
    socket.resume()
  }

  /** Cancels what its client has asked for; it goes to no other client before Postgres has seen that. */
  async cancel(): Promise<void> {
    const { socketPath, key } = this.#open
    this.#cancelling++
    await forwardCancel({ socketPath, backend: key })
    this.#cancelling--
    if (this.#cancelling > 0 || !this.#freeWhenCancelled) return
    this.#freeWhenCancelled = false
    this.#free()
  }

  #makeRoomFor(prepared: Prepared): Buffer | undefined {
    const oldest = this.statements.add(prepared)
    if (oldest === undefined) return undefined
    this.expectations.push({ asked: 'close', isOwn: true })
    return writeCloseStatement(oldest)
  }

  #said(chunk: Buffer): void {
    const bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk
    this.#held = undefined
    const end = bytes.length
    let at = 0
    /** Where that which is to go to the client begins. */
    let start = 0
    while (at < end) {
      if (this.#bodyLeft > 0) {
        const passed = Math.min(this.#bodyLeft, end - at)
        this.#bodyLeft -= passed
        at += passed
        if (this.#bodyIsOurs) start = at
        start = this.#between(bytes, start, at)
        continue
      }
      if (this.#farewell) {
        if (at > start) this.#tell(bytes.subarray(start, at))
        return this.#sayFarewell(this.#farewell)
      }
      if (end - at < headerLength) break
      const letter = bytes[at] ?? 0
      const length = bytes.readUInt32BE(at + 1) + 1
      if (length < headerLength) return void this.#open.socket.destroy()
      const isRead =
        letter === parameterStatus || letter === readyForQuery || letter === errorResponse || letter === commandComplete
      if (isRead && length <= longestRead && at + length > end) break
      const isOurs = this.#take(letter, bytes, at, length)
      if (isOurs) {
        if (at > start) this.#tell(bytes.subarray(start, at))
        start = Math.min(end, at + length)
      }
      if (at + length > end) {
        this.#bodyLeft = at + length - end
        this.#bodyIsOurs = isOurs
        at = end
      } else {
        at += length
      }
      start = this.#between(bytes, start, at)
      if (letter === readyForQuery && this.expectations.isEmpty) {
        if (at > start) this.#tell(bytes.subarray(start, at))
        start = at
        if (bytes[at - 1] === idle) this.#free()
        else this.client?.answeredInTransaction()
      }
    }
    if (at > start) this.#tell(start === 0 && at === end ? bytes : bytes.subarray(start, at))
    if (at < end) this.#held = Buffer.from(bytes.subarray(at))
  }

  /** Where it is our turn to answer, between two messages. Returns from where on nothing has been told yet. */
  #between(bytes: Buffer, start: number, at: number): number {
    if (this.#bodyLeft > 0 || !this.expectations.first?.answer) return start
    if (at > start) this.#tell(bytes.subarray(start, at))
    this.#giveOwnAnswers()
    return at
  }

  /** Whether a message is the answer to something of ours. */
  #take(letter: number, bytes: Buffer, at: number, length: number): boolean {
    const { first } = this.expectations
    const isOwn = first?.isOwn === true
    switch (letter) {
      case readyForQuery:
        this.expectations.ready()
        return isOwn
      case parameterStatus: {
        const [name = '', value = ''] = bytes.toString('utf8', at + headerLength, at + length - 1).split('\0')
        if (trackedName(name) === undefined) return isOwn
        this.parameters = this.#sets.with(this.parameters, name, value)
        if (this.client && !isOwn) this.client.parameters = this.#sets.with(this.client.parameters, name, value)
        return isOwn
      }
      case errorResponse:
        if (staleStates.has(sqlStateIn(bytes, at, length))) this.#retired = true
        this.expectations.failed()
        if (first?.asked === 'own_query')
          this.client?.settingsRefused(readErrorFields(bytes.subarray(at + headerLength, at + length)).get('M') ?? '')
        // Of a statement of the client's that was good once, and is prepared again in its place, it has to hear.
        return first?.asked === 'own_query'
      case commandComplete:
        if (first?.asked === 'execute') this.expectations.shift()
        if (mayChangeRoles(bytes[at + headerLength], bytes[at + headerLength + 1])) this.#events.rolesMayHaveChanged()
        if (bytes[at + headerLength] === firstOfDiscard)
          this.#noteDiscard(bytes.toString('latin1', at + headerLength, at + length - 1))
        return isOwn
      case parseComplete:
        return this.#answered('parse', isOwn)
      case bindComplete:
        return this.#answered('bind', isOwn)
      case closeComplete:
        return this.#answered('close', isOwn)
      case noData:
      case rowDescription:
        return this.#answered('describe', isOwn)
      case emptyQuery:
      case portalSuspended:
        return this.#answered('execute', isOwn)
      case copyInResponse:
        this.expectations.copyInBegan()
        return isOwn
      default:
        return isOwn && first?.asked === 'own_query'
    }
  }

  #answered(asked: 'parse' | 'bind' | 'close' | 'describe' | 'execute', isOwn: boolean): boolean {
    if (this.expectations.first?.asked === asked) this.expectations.shift()
    return isOwn
  }

  #noteDiscard(tag: string): void {
    if (tag !== 'DISCARD ALL' && tag !== 'DEALLOCATE ALL') return
    this.statements.clear()
    this.client?.forgetStatements()
  }

  #giveOwnAnswers(): void {
    for (let { first } = this.expectations; first?.answer; { first } = this.expectations) {
      this.expectations.shift()
      this.#tell(first.answer)
    }
  }

  #tell(bytes: Buffer): void {
    if (this.client?.tell(bytes) === false) this.#open.socket.pause()
  }

  #free(): void {
    if (this.#cancelling > 0) {
      this.#freeWhenCancelled = true
      return
    }
    this.idleSince = Date.now()
    const { client } = this
    if (!client) return
    this.client = undefined
    // It waits for the rest of a message, which is of no use any more: of a COPY that has failed.
    if (client.isWithinMessage) this.#retired = true
    client.released()
    if (this.#retired) this.close()
    // A client that takes its answer slowly has paused us; the next one does not.
    else this.#open.socket.resume()
    this.#events.free(this)
  }

  #ended(): void {
    if (this.#closed) return
    this.#closed = true
    const { client } = this
    this.client = undefined
    client?.lostServer(this.expectations.isEmpty)
    this.#events.closed(this)
  }
}

function sqlStateIn(bytes: Buffer, at: number, length: number): string {
  try {
    return sqlStateOf(bytes.subarray(at + headerLength, at + length))
  } catch {
    return ''
  }
}
