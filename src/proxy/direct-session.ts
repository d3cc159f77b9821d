// A client with a server connection of its own: bytes go both ways as they come, and only as fast as the other side takes them.
//
//   relaying ──park──► checking ──clean──► parked ──next message──► waking ──► relaying
//                         └──state that would be lost──► relaying, held      waking ──compute refused──► refusing ──► parked
//
// Frames are followed, to know when the session is at rest; what is in them is not read. Whatever the client sends while there is no
// server is kept, and the client is not read any further. An end on one side becomes an end on the other: a client that has said its
// last may still be read to (`shutdown`), a server that ended has nothing more to hear.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { isAppError } from '../model/errors.ts'
import { BackendGreeting, type BackendKey } from '../pgwire/backend-greeting.ts'
import { writeParameterStatus } from '../pgwire/backend-messages.ts'
import { FrameTracker } from '../pgwire/frame-tracker.ts'
import { functionCall, query, sync, terminate } from '../pgwire/frontend-types.ts'
import type { EndpointMeter } from './activity.ts'
import { forwardCancel } from './cancel.ts'
import type { ConnectedCompute } from './connect-compute.ts'
import { errorResponseFor, refusals, requestErrorFor } from './errors.ts'
import { openServerPatiently, type ServerTarget } from './open-server.ts'
import type { Refusal } from './refusal.ts'
import { RefusedRequests } from './refused-requests.ts'
import {
  bringsCustomSetting,
  readsHarmless,
  readCheckAnswer,
  whatWouldBeLost,
  writeCheck,
  writeStatements,
  type FreshState,
  type PreparedStatement,
} from './session-check.ts'
import type { SessionContext } from './session.ts'
import { answersTo } from './server-answers.ts'
import { destroySoon } from './socket-reader.ts'

export type DirectSessionOptions = {
  client: Duplex
  server: ConnectedCompute
  target: ServerTarget
  pgMajor: number
  meter: EndpointMeter
  context: Pick<SessionContext, 'waker' | 'cancelKeys' | 'ledger'>
  isCancelAllowed: (address: string | undefined) => boolean
  /** The first ReadyForQuery has gone to the client. */
  onReady: () => void
}

export type ParkOutcome = 'parked' | 'busy' | 'held'

type State =
  | { kind: 'relaying'; server: ConnectedCompute }
  | { kind: 'checking'; server: ConnectedCompute }
  | { kind: 'parked'; statements: readonly PreparedStatement[] }
  | { kind: 'waking' }
  /** What was asked is answered with an error up to its end. */
  | { kind: 'refusing'; requests: RefusedRequests; statements: readonly PreparedStatement[] }
  | { kind: 'ended' }

/** How long a client that takes nothing may keep the last bytes of a server that ended. */
const lingerMs = 60_000

const readyForQuery = 'Z'.charCodeAt(0)
const idle = 'I'.charCodeAt(0)
/** With these as its last one, everything that a client asked for is on its way to an answer. COPY data belongs to what was asked before. */
const settledTypes = new Set([0, query, sync, functionCall, ...Buffer.from('cfd')])
/** What may come behind the end of an answer: a setting that was reloaded, a notice, a notification. */
const asideTypes = new Set(Buffer.from('ZSNA'))

export class DirectSession {
  readonly target: ServerTarget
  readonly pgMajor: number
  readonly ended: Promise<void>
  readonly #client: Duplex
  readonly #options: DirectSessionOptions
  readonly #meter: EndpointMeter
  readonly #key: BackendKey
  readonly #greeting: BackendGreeting
  readonly #end = Promise.withResolvers<void>()
  readonly #fromClient = new FrameTracker('client')
  readonly #fromServer = new FrameTracker('server')
  #state: State
  #backend: BackendKey | undefined
  #kept: Buffer[] = []
  #clientHasEnded = false
  #onRest: (() => void) | undefined
  /** What Postgres reported of its settings to a session like this one; unknown before it was parked once. */
  #reported: ReadonlyMap<string, string> | undefined
  /** Before Postgres 16: it ran nothing yet that could have made a custom setting. */
  #harmless: boolean
  #held: { reasons: readonly string[]; asked: number } | undefined
  /** To be said at the next place between two messages, as the last thing. */
  #farewell: Refusal | undefined
  #noticed: boolean

  constructor(options: DirectSessionOptions) {
    const { client, server, context } = options
    this.#options = options
    this.#client = client
    this.#meter = options.meter
    this.target = options.target
    this.pgMajor = options.pgMajor
    this.#harmless = options.pgMajor < 16
    this.#state = { kind: 'relaying', server }
    this.ended = this.#end.promise
    this.#key = context.cancelKeys.mint({ isAllowed: options.isCancelAllowed, cancel: () => this.#cancel() })
    const notice = context.waker.noticeOf(options.target.computeName)
    this.#noticed = notice !== undefined
    this.#greeting = new BackendGreeting((backend) => {
      this.#backend = backend
      return this.#key
    }, notice)
    this.#meter.sessionOpened()
    this.#meter.serverTaken()

    client.on('data', (chunk: Buffer) => this.#clientSaid(chunk))
    client.on('drain', () => (this.#isWithoutServer ? this.#client : this.#server)?.resume())
    client.on('end', () => this.#clientEnded())
    client.on('error', () => {})
    client.on('close', () => this.#clientClosed())
    this.#attach(server.socket, (chunk) => this.#greet(chunk))
    if (client.destroyed) this.#clientClosed()
    else client.resume()
  }

  /** Nothing is under way in either direction, and no transaction is open. */
  get isAtRest(): boolean {
    if (this.#state.kind !== 'relaying' || !this.#greeting.done) return false
    if (!this.#fromClient.atBoundary || !this.#fromServer.atBoundary || this.#fromServer.status !== idle) return false
    if (!settledTypes.has(this.#fromClient.lastType) || !asideTypes.has(this.#fromServer.lastType)) return false
    return this.#asked === this.#answered
  }

  /** What it would lose; empty unless it was found held. */
  get heldBy(): readonly string[] {
    return this.#held?.asked === this.#asked ? this.#held.reasons : []
  }

  get socketPath(): string | undefined {
    return 'server' in this.#state ? this.#state.server.socketPath : undefined
  }

  /**
   * Gives its server connection up, if nothing is lost by that. `fresh`: what a new session of the same client is like. `deadline`: how long it may
   * take to come to rest, as `performance.now()` has it.
   */
  async park(fresh: () => Promise<FreshState | undefined>, deadline: number): Promise<ParkOutcome> {
    if (this.#isWithoutServer || this.#state.kind === 'ended') return 'parked'
    if (!this.isAtRest && !(await this.#rest(deadline))) return 'busy'
    // Nothing happened since it was found held: it is held still.
    if (this.#held?.asked === this.#asked) return this.#goOn('held')
    if (this.pgMajor < 16 && !this.#harmless) {
      return this.#hold(['custom settings, which cannot be ruled out before Postgres 16'])
    }
    if (bringsCustomSetting(this.target.parameters)) return this.#hold(['a custom setting of the connection string'])
    // From here on what it says waits, so that it stays at rest.
    this.#client.pause()
    const like = await fresh()
    if (this.#state.kind !== 'relaying') return 'parked'
    if (!this.isAtRest) return this.#goOn('busy')
    if (!like) return this.#hold(['a check that could not be made'])
    return await this.#check(this.#state.server, like)
  }

  /** Ends it in place of its compute, which would lose what it holds. */
  endHeld(): void {
    if (this.#state.kind === 'relaying') this.#endWith(refusals.heldTooLong(this.heldBy))
  }

  /** Ends it in place of its compute, which is about to be stopped: at once, or at the end of the message that is on its way. */
  leave(farewell: Refusal): void {
    if (this.#state.kind !== 'relaying' || !this.#greeting.done) return
    if (this.#fromServer.atBoundary) this.#endWith(farewell)
    else this.#farewell = farewell
  }

  /** Its next message, or the next byte of it, asks for a compute. */
  get #isWithoutServer(): boolean {
    return this.#state.kind === 'parked' || this.#state.kind === 'refusing'
  }

  #hold(reasons: readonly string[]): ParkOutcome {
    this.#held = { reasons, asked: this.#asked }
    return this.#goOn('held')
  }

  #goOn(outcome: ParkOutcome): ParkOutcome {
    if (this.#state.kind === 'relaying') this.#client.resume()
    return outcome
  }

  /** Whether it came to rest in time. Its client is not read any further then. */
  #rest(deadline: number): Promise<boolean> {
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) return Promise.resolve(false)
    return new Promise((resolve) => {
      const finish = (rests: boolean): void => {
        clearTimeout(timer)
        this.#onRest = undefined
        if (rests) this.#client.pause()
        resolve(rests)
      }
      const timer = setTimeout(() => finish(false), leftMs)
      this.#onRest = () => finish(true)
      void this.ended.then(() => finish(false))
    })
  }

  get #server(): Socket | undefined {
    return 'server' in this.#state ? this.#state.server.socket : undefined
  }

  get #asked(): number {
    // The login is answered by a ReadyForQuery as well.
    return 1 + this.#fromClient.count
  }

  get #answered(): number {
    return this.#fromServer.count
  }

  #clientSaid(chunk: Buffer): void {
    this.#meter.bytesFromClient += chunk.length
    this.#fromClient.push(chunk)
    if (this.#harmless && !readsHarmless(chunk)) this.#harmless = false
    if (this.#state.kind === 'relaying') {
      this.#meter.touch()
      if (!this.#state.server.socket.write(chunk)) this.#client.pause()
      return
    }
    if (this.#state.kind === 'ended') return
    if (this.#state.kind === 'refusing') return this.#refuse(this.#state, chunk)
    if (this.#state.kind === 'parked' && this.#fromClient.lastType === terminate) return this.#finish()
    this.#meter.touch()
    this.#kept.push(chunk)
    this.#client.pause()
    if (this.#state.kind === 'parked') void this.#wake(this.#state.statements)
  }

  #serverSaid(chunk: Buffer): void {
    const boundary = this.#farewell && this.#fromServer.boundaryIn(chunk)
    if (boundary !== undefined) {
      this.#client.write(chunk.subarray(0, boundary))
      return this.#endWith(this.#farewell)
    }
    this.#meter.bytesToClient += chunk.length
    this.#meter.touch()
    const { roleChanges } = this.#fromServer
    this.#fromServer.push(chunk)
    if (this.#fromServer.roleChanges !== roleChanges) this.#meter.rolesMayHaveChanged()
    if (!this.#client.write(chunk)) this.#server?.pause()
    if (this.#onRest && this.isAtRest) this.#onRest()
  }

  #greet(chunk: Buffer): void {
    try {
      for (const part of this.#greeting.push(chunk)) this.#serverSaid(part)
    } catch {
      this.#server?.destroy()
      return
    }
    if (!this.#greeting.done) return
    this.#options.onReady()
    const server = this.#server
    if (!server) return
    server.removeAllListeners('data')
    server.on('data', (more: Buffer) => this.#serverSaid(more))
  }

  #attach(server: Socket, onData: (chunk: Buffer) => void): void {
    server.on('data', onData)
    server.on('drain', () => this.#client.resume())
    server.on('end', () => server.destroy())
    server.on('error', () => {})
    server.on('close', () => this.#serverClosed(server))
    if (server.destroyed) this.#serverClosed(server)
    else server.resume()
  }

  #clientEnded(): void {
    this.#clientHasEnded = true
    if (this.#state.kind === 'relaying') this.#state.server.socket.end()
    else if (this.#isWithoutServer) this.#finish()
  }

  #clientClosed(): void {
    const server = this.#server
    server?.destroy()
    this.#finish()
  }

  #serverClosed(server: Socket): void {
    if (this.#server !== server || this.#state.kind === 'ended') return
    const hasSaidGoodbye = this.#clientHasEnded || this.#fromClient.lastType === terminate
    this.#endWith(hasSaidGoodbye ? undefined : this.#lastWord())
  }

  /**
   * What a client is told in place of a server that ended without a word. Postgres drops whoever is still logging in when it stops; and what
   * it says to an idle session is lost where the client's next message was on its way, since writing to a closed socket discards what
   * was still to be read from it. Between two messages of an answer's end and the next answer is the one place where one may be put in.
   */
  #lastWord(): Refusal | undefined {
    if (this.#greeting.unanswered) return refusals.lostDuringLogin()
    if (this.#greeting.done && this.#fromServer.atBoundary && this.#fromServer.lastType === readyForQuery) {
      return refusals.lostWhileIdle()
    }
    return undefined
  }

  #endWith(last: Refusal | undefined): void {
    const server = this.#server
    const answer = last && errorResponseFor(last)
    if (answer && this.#client.writable) this.#client.write(answer)
    this.#finish()
    server?.destroy()
  }

  /** The client hears what was written to it, and the session is over. */
  #finish(): void {
    if (this.#state.kind === 'ended') return
    if ('server' in this.#state) this.#meter.serverLeft()
    this.#state = { kind: 'ended' }
    this.#kept = []
    this.#options.context.cancelKeys.forget(this.#key)
    this.#meter.sessionClosed()
    const client = this.#client
    if (client.destroyed) return this.#end.resolve()
    const timer = setTimeout(() => client.destroy(), lingerMs)
    client.once('close', () => {
      clearTimeout(timer)
      this.#end.resolve()
    })
    client.resume()
    destroySoon(client)
  }

  async #cancel(): Promise<void> {
    if (this.#state.kind !== 'relaying' || !this.#backend) return
    await forwardCancel({ socketPath: this.#state.server.socketPath, backend: this.#backend })
  }

  async #check(server: ConnectedCompute, fresh: FreshState): Promise<ParkOutcome> {
    this.#state = { kind: 'checking', server }
    const { socket } = server
    this.#client.pause()
    socket.removeAllListeners('data')
    const answer = await ask(socket, writeCheck(this.pgMajor))
    if (!this.#isStill('checking')) return 'parked'
    if (!answer) {
      // Neither side can tell any more where the other one is.
      this.#endWith(refusals.lostWhileIdle())
      return 'parked'
    }
    const lost = answer.kind === 'state' ? whatWouldBeLost(answer.state, fresh) : ['a check that failed']
    if (lost.length > 0 || answer.kind !== 'state') {
      this.#relay(server)
      return this.#hold(lost)
    }
    this.#meter.serverLeft()
    this.#reported = fresh.parameters
    const { statements } = answer.state
    this.#state = { kind: 'parked', statements }
    this.#backend = undefined
    socket.end(Buffer.from([terminate, 0, 0, 0, 4]))
    if (this.#kept.length > 0) void this.#wake(statements)
    else this.#client.resume()
    return 'parked'
  }

  /** Back to normal, with what the client said meanwhile. */
  #relay(server: ConnectedCompute): void {
    this.#state = { kind: 'relaying', server }
    server.socket.on('data', (chunk: Buffer) => this.#serverSaid(chunk))
    const kept = this.#kept
    this.#kept = []
    let isTaken = true
    for (const chunk of kept) isTaken = server.socket.write(chunk)
    if (isTaken) this.#client.resume()
    server.socket.resume()
    if (this.#clientHasEnded) server.socket.end()
  }

  async #wake(statements: readonly PreparedStatement[]): Promise<void> {
    this.#state = { kind: 'waking' }
    const { waker } = this.#options.context
    try {
      const server = await openServerPatiently(
        waker,
        this.target,
        () => !this.#client.destroyed,
        () => this.#meter.touch(),
      )
      const again = writeStatements(statements)
      if (again) await answersTo(server.socket, again, statements.length)
      if (!this.#isStill('waking')) return void server.socket.destroy()
      this.#backend = server.key
      this.#meter.serverTaken()
      this.#state = { kind: 'relaying', server }
      this.#tellChanges(server.parameters)
      const notice = this.#noticed ? undefined : waker.noticeOf(this.target.computeName)
      this.#noticed ||= notice !== undefined
      if (notice) this.#client.write(notice)
      this.#attach(server.socket, () => {})
      server.socket.removeAllListeners('data')
      this.#relay(server)
    } catch (error) {
      if (!this.#isStill('waking')) return
      if (isAppError(error, 'quota_exceeded')) return this.#refuseKept(error, statements)
      const response = errorResponseFor(error)
      if (this.#client.writable && response) this.#client.write(response)
      this.#finish()
    }
  }

  /** It may be had again later, so the session stays: what was asked is refused, and the next message asks anew. */
  #refuseKept(error: unknown, statements: readonly PreparedStatement[]): void {
    const state = { kind: 'refusing', requests: new RefusedRequests(requestErrorFor(error)), statements } as const
    this.#state = state
    const kept = this.#kept
    this.#kept = []
    this.#client.resume()
    this.#refuse(state, Buffer.concat(kept))
    if (this.#clientHasEnded) this.#finish()
  }

  #refuse({ requests, statements }: Extract<State, { kind: 'refusing' }>, bytes: Buffer): void {
    const { answer, isOver } = requests.push(bytes)
    // Counted like those of a server: each request has its answer.
    this.#fromServer.push(answer)
    if (!this.#client.write(answer)) this.#client.pause()
    if (isOver) this.#finish()
    else if (requests.atRest) this.#state = { kind: 'parked', statements }
  }

  /** What the server reports may have changed while the session was parked; what is the same need not be said again. */
  #tellChanges(parameters: ReadonlyMap<string, string>): void {
    const before = this.#reported
    if (before) {
      for (const [name, value] of parameters) {
        if (before.get(name) !== value) this.#client.write(writeParameterStatus(name, value))
      }
    }
    this.#reported = parameters
  }

  #isStill(kind: State['kind']): boolean {
    return this.#state.kind === kind
  }
}

async function ask(socket: Socket, request: Buffer): Promise<ReturnType<typeof readCheckAnswer>> {
  try {
    return readCheckAnswer(await answersTo(socket, request, 1))
  } catch {
    return undefined
  }
}
