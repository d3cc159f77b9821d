// Opens a connection to a compute and sends the startup packet. Returns with the server's first answer still unread in the socket.
//
// Postgres says 57P03 while it starts, recovers or shuts down. That answer is kept from the client: it is ours to wait.

import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { sqlStateOf } from '../pgwire/error-fields.ts'
import { readMessage } from '../pgwire/message.ts'
import { ProtocolError } from '../pgwire/protocol-error.ts'
import type { Parsed } from '../pgwire/startup-packet.ts'
import type { WokenCompute } from './control-plane.ts'
import { ConnectionLost, readFrom } from './socket-reader.ts'

export type DialOutcome =
  | { kind: 'answered'; socket: Socket }
  /** It is there and will answer later. */
  | { kind: 'not_yet' }
  /** Nothing answers at this address any more. */
  | { kind: 'gone'; cause: Error }

const firstAnswerTimeoutMs = 30_000
const longestFirstError = 65_536

export function socketPathOf(compute: WokenCompute): string {
  return join(compute.socketDir, '.s.PGSQL.5432')
}

export async function dial(socketPath: string, startupMessage: Buffer): Promise<DialOutcome> {
  const socket = connect({ path: socketPath, allowHalfOpen: true })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    socket.destroy()
  }, firstAnswerTimeoutMs)
  socket.on('error', () => {})
  socket.write(startupMessage)
  try {
    if ((await readFrom(socket, firstAnswer)) === 'answered') return { kind: 'answered', socket }
    socket.destroy()
    return { kind: 'not_yet' }
  } catch (error) {
    socket.destroy()
    // A listening queue that is full (EAGAIN on a Unix socket), and the bare text of a postmaster that could not fork.
    if (isQueueFull(error) || error instanceof ProtocolError) return { kind: 'not_yet' }
    const cause = error instanceof Error ? error : new Error(String(error))
    return { kind: 'gone', cause: timedOut ? new Error('no answer in time', { cause }) : cause }
  } finally {
    clearTimeout(timer)
  }
}

/** Takes nothing: what it looked at goes to the client. */
function firstAnswer(buffer: Buffer): Parsed<'answered' | 'not_yet'> {
  let rest = buffer
  // NegotiateProtocolVersion comes before the answer proper.
  while (rest[0] === 'v'.charCodeAt(0)) {
    const negotiation = readMessage(rest, longestFirstError)
    if (!negotiation) return undefined
    rest = rest.subarray(negotiation.length)
  }
  if (rest.length === 0) return undefined
  if (rest[0] !== 'E'.charCodeAt(0)) return { value: 'answered', length: 0 }
  const error = readMessage(rest, longestFirstError)
  if (!error) return undefined
  return { value: sqlStateOf(error.value.body) === '57P03' ? 'not_yet' : 'answered', length: 0 }
}

function isQueueFull(error: unknown): boolean {
  return error instanceof ConnectionLost && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EAGAIN'
}
