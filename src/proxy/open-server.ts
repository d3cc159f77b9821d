// Opens a session with a compute in a client's name: wakes it, dials, logs in.

import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { AppError, isAppError } from '../model/errors.ts'
import type { BackendKey } from '../pgwire/backend-greeting.ts'
import { readMessage, writeMessage, type Message } from '../pgwire/message.ts'
import type { ScramKeys } from '../pgwire/scram-keys.ts'
import { writeStartupMessage, type StartupParameter } from '../pgwire/startup-packet.ts'
import { connectCompute, type ConnectedCompute } from './connect-compute.ts'
import { dial } from './dial.ts'
import { refusals } from './errors.ts'
import { logIn } from './server-login.ts'
import { ServerRefused } from './server-refused.ts'
import { readFrom } from './socket-reader.ts'
import type { Waker } from './wake.ts'

export type ServerTarget = {
  /** An endpoint, or a compute of its past (`computeNameOf`). */
  computeName: string
  /** As Postgres is to see them: `user`, `database`, and whatever else. */
  parameters: readonly StartupParameter[]
  keys: ScramKeys
}

export type OpenServer = ConnectedCompute & {
  parameters: Map<string, string>
  key: BackendKey
}

const longestGreetingMessage = 1024 * 1024
const greetingTimeoutMs = 30_000

const mostLogins = 4
const roomPauseMs = 20
const controlPatienceMs = 15_000
const controlPauseMs = 200

/**
 * Logged in, with AuthenticationOk and all after it still unread in the socket, or the server's refusal. `makeRoom`: gives up
 * server connections that nobody uses; false where there are none. Throws AppError, Refusal.
 */
export async function connectServer(
  waker: Waker,
  target: ServerTarget,
  isWanted: () => boolean,
  onDial: () => void,
  makeRoom: () => boolean = () => false,
): Promise<ConnectedCompute> {
  const startup = writeStartupMessage({ major: 3, minor: 0 }, target.parameters)
  for (let left = mostLogins; left > 0; left--) {
    const connected = await connectCompute(waker, target.computeName, startup, isWanted, onDial)
    const outcome = await logIn(connected.socket, target.keys)
    if (outcome === 'answered') return connected
    if (outcome === 'going_away') continue
    if (left === 1 || !makeRoom()) return connected
    connected.socket.destroy()
    // A backend is gone a moment after its connection.
    await delay(roomPauseMs)
  }
  throw refusals.lostDuringLogin()
}

/** Ready for its first query, with nothing left unread. Throws AppError, ServerRefused. */
export async function openServer(
  waker: Waker,
  target: ServerTarget,
  isWanted: () => boolean,
  onDial: () => void,
  makeRoom?: () => boolean,
): Promise<OpenServer> {
  return await greeted(await connectServer(waker, target, isWanted, onDial, makeRoom))
}

/** As `openServer`, for clients that have a session already: control may be on its way back, and they are worth a wait. */
export async function openServerPatiently(...args: Parameters<typeof openServer>): Promise<OpenServer> {
  const [, , isWanted] = args
  const deadline = performance.now() + controlPatienceMs
  for (;;) {
    try {
      return await openServer(...args)
    } catch (error) {
      if (!isAppError(error, 'unavailable') || !isWanted() || performance.now() > deadline) throw error
      await delay(controlPauseMs)
    }
  }
}

/** At a place where a session of this target is: no compute is woken or asked for. Throws AppError, ServerRefused. */
export async function openServerAt(socketPath: string, target: ServerTarget): Promise<OpenServer> {
  const outcome = await dial(socketPath, writeStartupMessage({ major: 3, minor: 0 }, target.parameters))
  if (outcome.kind !== 'answered') throw new AppError('unavailable', 'the compute does not answer')
  if ((await logIn(outcome.socket, target.keys)) === 'going_away') throw refusals.lostDuringLogin()
  return await greeted({ socket: outcome.socket, socketPath })
}

async function greeted(connected: ConnectedCompute): Promise<OpenServer> {
  const { socket } = connected
  const timer = setTimeout(() => socket.destroy(), greetingTimeoutMs)
  try {
    return { ...connected, ...(await readGreeting(socket)) }
  } catch (error) {
    socket.destroy()
    if (error instanceof ServerRefused) throw error
    throw new AppError('compute_start_failed', 'the compute did not complete the login', { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

async function readGreeting(socket: Socket): Promise<{ parameters: Map<string, string>; key: BackendKey }> {
  const parameters = new Map<string, string>()
  let key: BackendKey = { pid: 0, secret: Buffer.alloc(4) }
  for (;;) {
    const { type, body } = await readFrom(socket, readGreetingMessage)
    switch (type) {
      case 'S': {
        const [name = '', value = ''] = body.toString('utf8').split('\0')
        parameters.set(name, value)
        break
      }
      case 'K':
        key = { pid: body.readInt32BE(0), secret: Buffer.from(body.subarray(4)) }
        break
      case 'E':
        throw new ServerRefused(writeMessage(type, body))
      case 'Z':
        return { parameters, key }
    }
  }
}

function readGreetingMessage(buffer: Buffer): { value: Message; length: number } | undefined {
  const read = readMessage(buffer, longestGreetingMessage)
  return read && { value: { type: read.value.type, body: Buffer.from(read.value.body) }, length: read.length }
}
