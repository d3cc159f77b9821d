// Calls between our own processes: lines of JSON over a Unix socket, both ways.
//
//   → {"id":1,"method":"wake","params":{…}}      ← {"id":1,"result":{…}}  or  {"id":1,"error":{"code","message",…}}
//   ← {"push":7,"event":"changed","params":{…}}  → {"ack":7}  or, where it was a question,  {"ack":7,"result":{…}}
//
// A call never waits for a peer that is away: it fails at once with `unavailable`, since whoever called has a client of its own
// waiting and knows better what to do. Errors cross as AppErrors; anything else crosses as a bare `internal`, its text stays in
// the log of the process that threw. A line has a bound: the two sides do not trust each other with their memory.

import { chmod, chown, lstat, rename, rm } from 'node:fs/promises'
import { createServer, connect, type Socket } from 'node:net'
import { AppError, errorChain, isAppError, toErrorCode } from '../model/errors.ts'
import { silentLogger, type Logger } from './logger.ts'

export type RpcMethods = Readonly<Record<string, (params: unknown) => Promise<unknown>>>

export type RpcServer = {
  /** Tells every connected client, and returns when each has dealt with it, or has not within the time. */
  notify(event: string, params: unknown, timeoutMs?: number): Promise<void>
  /** What every connected client answered in time. One that fails or is late adds nothing to it, and stays connected. */
  ask(event: string, params: unknown, timeoutMs: number): Promise<unknown[]>
  close(): Promise<void>
}

export type ServeRpcOptions = {
  /** Of the socket: who may connect. */
  mode: number
  uid?: number | undefined
  gid?: number | undefined
  logger?: Logger
}

const longestLine = 1024 * 1024
const longestBacklog = 16 * longestLine
const callTimeoutMs = 10_000
const notifyTimeoutMs = 2_000
const firstReconnectMs = 20
/** A peer that restarts is back in about a second, and clients fail until it is noticed; looking costs next to nothing. */
const longestReconnectMs = 200

type WireError = { code: string; message: string; apiCode: string; retryAfterSeconds?: number }

/** Takes the place of whatever socket is at `path`; clients of it find us when they reconnect. */
export async function serveRpc(path: string, methods: RpcMethods, options: ServeRpcOptions): Promise<RpcServer> {
  const logger = options.logger ?? silentLogger
  const peers = new Set<Peer>()
  const server = createServer((socket) => {
    const peer = new Peer(socket)
    peers.add(peer)
    socket.on('error', () => {})
    socket.on('close', () => peers.delete(peer))
    eachLine(socket, (line) => {
      const { id, method, params, ack } = line
      if (typeof ack === 'number') return peer.acknowledged(ack, line['result'])
      if (typeof id !== 'number' || typeof method !== 'string') return void socket.destroy()
      void answer(methods, method, params, logger).then((reply) => send(socket, { id, ...reply }))
    })
  })
  // Bound under another name and moved into place once its mode is right: nobody can connect in between.
  // Few characters more: a Unix socket's path may have 107 bytes at most (sun_path).
  const draft = `${path}.new`
  await rm(draft, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(draft, resolve)
  })
  await chmod(draft, options.mode)
  if (options.uid !== undefined || options.gid !== undefined) await chown(draft, options.uid ?? -1, options.gid ?? -1)
  const { ino } = await lstat(draft)
  await rename(draft, path)

  return {
    async notify(event, params, timeoutMs = notifyTimeoutMs) {
      await Promise.all([...peers].map((peer) => peer.notify(event, params, timeoutMs)))
    },
    async ask(event, params, timeoutMs) {
      const answers = await Promise.all([...peers].map((peer) => peer.ask(event, params, timeoutMs)))
      return answers.filter((answer) => answer !== undefined)
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const peer of peers) peer.socket.destroy()
      await closed
      const there = await lstat(path).catch(() => undefined)
      // By now another process may serve here under the same name.
      if (there?.ino === ino) await rm(path, { force: true })
    },
  }
}

async function answer(
  methods: RpcMethods,
  method: string,
  params: unknown,
  logger: Logger,
): Promise<{ result: unknown } | { error: WireError }> {
  try {
    const run = Object.hasOwn(methods, method) ? methods[method] : undefined
    if (!run) throw new AppError('not_implemented', `there is no method ${method}`)
    return { result: (await run(params)) ?? null }
  } catch (error) {
    if (!isAppError(error) || !error.isCallersFault) logger.warn({ method, error: errorChain(error) }, 'call failed')
    return { error: toWireError(error) }
  }
}

function toWireError(error: unknown): WireError {
  if (!isAppError(error)) return { code: 'internal', message: 'internal error', apiCode: '' }
  const { code, message, apiCode, retryAfterSeconds } = error
  return { code, message, apiCode, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) }
}

function fromWireError(error: unknown): AppError {
  const { code, message, apiCode, retryAfterSeconds } = (error ?? {}) as Partial<WireError>
  return new AppError(toErrorCode(code), typeof message === 'string' ? message : 'internal error', {
    ...(typeof apiCode === 'string' ? { apiCode } : {}),
    ...(typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {}),
  })
}

/** One connected client, as the server sees it. */
class Peer {
  readonly socket: Socket
  readonly #waiting = new Map<number, (result: unknown) => void>()
  #nextPush = 1

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('close', () => {
      for (const done of this.#waiting.values()) done(undefined)
    })
  }

  async notify(event: string, params: unknown, timeoutMs: number): Promise<void> {
    // A client that does not answer gets no second chance: closing makes it reconnect and ask afresh.
    await this.#push(event, params, timeoutMs, () => this.socket.destroy())
  }

  ask(event: string, params: unknown, timeoutMs: number): Promise<unknown> {
    return this.#push(event, params, timeoutMs, (settle) => settle())
  }

  acknowledged(push: number, result: unknown): void {
    this.#waiting.get(push)?.(result)
  }

  #push(event: string, params: unknown, timeoutMs: number, late: (settle: () => void) => void): Promise<unknown> {
    const push = this.#nextPush++
    return new Promise((resolve) => {
      const done = (result?: unknown): void => {
        clearTimeout(timer)
        this.#waiting.delete(push)
        resolve(result)
      }
      const timer = setTimeout(() => late(done), timeoutMs)
      this.#waiting.set(push, done)
      send(this.socket, { push, event, params })
      // Closed a moment ago, and its end not yet told.
      if (this.socket.destroyed) done()
    })
  }
}

export type RpcClientOptions = {
  /** Of a notification or a question; what it returns is the answer. */
  onNotify?: (event: string, params: unknown) => unknown
  /** Each time the connection is there, the first time too: what was pushed meanwhile is lost. */
  onConnected?: () => void
  logger?: Logger
}

/** Returns at once; `whenConnected` waits. */
export function connectRpc(path: string, options: RpcClientOptions = {}): RpcClient {
  return new RpcClient(path, options)
}

export class RpcClient {
  readonly #path: string
  readonly #options: RpcClientOptions
  readonly #logger: Logger
  readonly #calls = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  readonly #waitingForConnection = new Set<() => void>()
  #nextId = 1
  #socket: Socket | undefined
  #connected = false
  #closed = false
  #retryMs = firstReconnectMs
  #retryTimer: NodeJS.Timeout | undefined

  constructor(path: string, options: RpcClientOptions) {
    this.#path = path
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#connect()
  }

  get connected(): boolean {
    return this.#connected
  }

  /** Throws `unavailable` at once while disconnected, when the connection breaks before the answer, and after the time. */
  call(method: string, params: unknown, options: { timeoutMs?: number } = {}): Promise<unknown> {
    const socket = this.#socket
    if (!this.#connected || !socket) return Promise.reject(new AppError('unavailable', 'the control plane is away'))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(id)
        reject(new AppError('unavailable', `the control plane did not answer ${method} in time`))
      }, options.timeoutMs ?? callTimeoutMs)
      const settle = <T>(how: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          clearTimeout(timer)
          this.#calls.delete(id)
          how(value)
        }
      }
      this.#calls.set(id, { resolve: settle(resolve), reject: settle(reject) })
      send(socket, { id, method, params })
    })
  }

  /** Throws `unavailable` after the time. */
  async whenConnected(timeoutMs: number): Promise<void> {
    if (this.#connected) return
    await new Promise<void>((resolve, reject) => {
      const connected = (): void => {
        clearTimeout(timer)
        this.#waitingForConnection.delete(connected)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waitingForConnection.delete(connected)
        reject(new AppError('unavailable', 'the control plane is away'))
      }, timeoutMs)
      this.#waitingForConnection.add(connected)
    })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retryTimer)
    this.#socket?.destroy()
  }

  #connect(): void {
    const socket = connect({ path: this.#path })
    this.#socket = socket
    socket.on('connect', () => {
      this.#connected = true
      this.#retryMs = firstReconnectMs
      this.#options.onConnected?.()
      for (const connected of this.#waitingForConnection) connected()
    })
    socket.on('error', () => {})
    socket.on('close', () => this.#disconnected())
    eachLine(socket, (line) => this.#received(socket, line))
  }

  #disconnected(): void {
    const was = this.#connected
    this.#connected = false
    const lost = [...this.#calls.values()]
    for (const call of lost) call.reject(new AppError('unavailable', 'the control plane went away'))
    if (this.#closed) return
    if (was) this.#logger.warn({}, 'connection to the control plane lost')
    this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, longestReconnectMs)
  }

  #received(socket: Socket, line: Line): void {
    const { id, push, event } = line
    if (typeof push === 'number' && typeof event === 'string') {
      // Without a result where it could not be dealt with: JSON leaves out what is undefined.
      void this.#notified(event, line['params']).then((result) => send(socket, { ack: push, result }))
      return
    }
    const call = typeof id === 'number' ? this.#calls.get(id) : undefined
    if (!call) return
    if (line['error'] === undefined) call.resolve(line['result'])
    else call.reject(fromWireError(line['error']))
  }

  async #notified(event: string, params: unknown): Promise<unknown> {
    try {
      return await this.#options.onNotify?.(event, params)
    } catch (error) {
      this.#logger.error({ event, error: errorChain(error) }, 'push could not be handled')
      return undefined
    }
  }
}

type Line = Readonly<Record<string, unknown>>

function send(socket: Socket, line: Line): void {
  if (!socket.writable) return
  socket.write(`${JSON.stringify(line)}\n`)
  // A peer that asks without reading the answers would have us keep them all.
  if (socket.writableLength > longestBacklog) socket.destroy()
}

/** Gives each line's object to `take`; destroys the socket on a line that is too long or no JSON object. */
function eachLine(socket: Socket, take: (line: Line) => void): void {
  let parts: string[] = []
  let held = 0
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    let at = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      const line = parseLine(parts.join('') + text.slice(at, end))
      parts = []
      held = 0
      at = end + 1
      if (line) take(line)
      else socket.destroy()
      if (socket.destroyed) return
    }
    if (at === text.length) return
    parts.push(text.slice(at))
    held += text.length - at
    if (held > longestLine) socket.destroy()
  })
}

function parseLine(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Line) : undefined
  } catch {
    return undefined
  }
}
