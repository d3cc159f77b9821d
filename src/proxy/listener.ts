// The Postgres port: one port for plain connections, for TLS by SSLRequest and for TLS from the first byte.
//
// A connection has a bounded time to say what it wants, and there is a bound to how many may be in that state; whoever does
// not speak the protocol is dropped without a word. Plain connections are for this machine only.

import { createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContext } from 'node:tls'
import type { Logger } from '../lib/logger.ts'
import { errorChain, isAppError } from '../model/errors.ts'
import { ProtocolError } from '../pgwire/protocol-error.ts'
import { readStartupPacket } from '../pgwire/startup-packet.ts'
import { errorResponseFor, refusals } from './errors.ts'
import { listenOn, type ListenAddress } from './listen.ts'
import { isLoopback } from './peer.ts'
import { Refusal } from './refusal.ts'
import { admitSession, startSession, type Admitted, type SessionContext } from './session.ts'
import { closeWith, ConnectionLost, readFrom } from './socket-reader.ts'
import { readStartup } from './startup.ts'

export type ListenerOptions = {
  address: ListenAddress
  /** Asked for at each connection, so that a renewed certificate needs no restart. */
  certificate: () => { context: SecureContext; channelBinding: Buffer | undefined }
  context: SessionContext
  logger: Logger
  handshakeTimeoutMs?: number
}

export type PostgresListener = {
  port: number
  /** Connections of any kind that are open now. */
  connections(): number
  /** Takes no more; what is still open after the time is cut off. */
  close(drainMs: number): Promise<void>
}

const defaultHandshakeTimeoutMs = 15_000
const mostHandshakes = 16_384
const keepAliveAfterMs = 60_000

export async function startListener(options: ListenerOptions): Promise<PostgresListener> {
  const open = new Set<Socket>()
  const sessions = new Set<Promise<void>>()
  let handshakes = 0
  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveAfterMs },
    (tcp) => {
      tcp.on('error', () => {})
      if (handshakes >= mostHandshakes) {
        tcp.destroy()
        return
      }
      open.add(tcp)
      tcp.on('close', () => open.delete(tcp))
      handshakes++
      void serve(tcp, options, () => handshakes--).then((session) => {
        if (!session) return
        sessions.add(session.ended)
        void session.ended.then(() => sessions.delete(session.ended))
      })
    },
  )
  const port = await listenOn(server, options.address)
  return {
    port,
    connections: () => open.size,
    async close(drainMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const timer = setTimeout(() => {
        for (const socket of open) socket.destroy()
      }, drainMs)
      await closed
      clearTimeout(timer)
      await Promise.all(sessions)
    },
  }
}

/** Never throws. Undefined where no session came of it. */
async function serve(
  tcp: Socket,
  options: ListenerOptions,
  handshakeDone: () => void,
): Promise<{ ended: Promise<void> } | undefined> {
  /** Where an answer can be read: inside TLS once that is up. */
  let client = tcp
  try {
    const admitted = await shakeHands(tcp, options, (socket) => (client = socket)).finally(handshakeDone)
    return admitted && (await startSession(admitted, options.context))
  } catch (error) {
    logRefused(options.logger, error)
    if (error instanceof ConnectionLost) tcp.destroy()
    else closeWith(client, errorResponseFor(error))
    return undefined
  }
}

/** A session in a stream that brings its own way of being secure: a WebSocket. Never throws; resolves when it is over. */
export async function serveStream(
  client: Duplex,
  from: { serverName: string | undefined; address: string | undefined; secure: boolean },
  context: SessionContext,
  logger: Logger,
): Promise<void> {
  client.on('error', () => {})
  const since = performance.now()
  try {
    const timer = setTimeout(() => client.destroy(), defaultHandshakeTimeoutMs)
    const admitted = await readFrom(client, readStartupPacket)
      .then((packet) => {
        if (packet.kind !== 'startup') throw new ProtocolError('no startup packet')
        const { serverName, address } = from
        // Its drivers send the password along with the startup packet, before anything was asked.
        const startup = {
          socket: client,
          packet,
          serverName,
          address,
          channelBinding: undefined,
          clearText: true,
          since,
        }
        return admitSession(startup, context)
      })
      .finally(() => clearTimeout(timer))
    const { ended } = await startSession(admitted, context)
    await ended
  } catch (error) {
    logRefused(logger, error)
    if (error instanceof ConnectionLost) client.destroy()
    else closeWith(client, errorResponseFor(error))
  }
}

/** Undefined where the connection has done what it came for. */
async function shakeHands(
  tcp: Socket,
  options: ListenerOptions,
  answering: (socket: Socket) => void,
): Promise<Admitted | undefined> {
  const since = performance.now()
  const timer = setTimeout(() => tcp.destroy(), options.handshakeTimeoutMs ?? defaultHandshakeTimeoutMs)
  try {
    const { context, channelBinding } = options.certificate()
    const { socket, packet, secure, serverName } = await readStartup(tcp, context)
    answering(socket)
    switch (packet.kind) {
      case 'cancel_request':
        await options.context.cancelKeys.cancel(packet.pid, packet.secret, tcp.remoteAddress)
        socket.destroySoon()
        return undefined
      case 'startup':
        if (!secure && !isLoopback(tcp.remoteAddress)) throw refusals.insecure()
        return await admitSession(
          {
            socket,
            packet,
            serverName,
            address: tcp.remoteAddress,
            channelBinding: secure ? channelBinding : undefined,
            clearText: false,
            since,
          },
          options.context,
        )
    }
  } finally {
    clearTimeout(timer)
  }
}

function logRefused(logger: Logger, error: unknown): void {
  if (error instanceof ConnectionLost || error instanceof ProtocolError || error instanceof Refusal) {
    // Strangers can make as many of these as they like.
    logger.debug({ error: errorChain(error) }, 'connection refused')
  } else if (isAppError(error) && error.isCallersFault) {
    logger.info({ error: errorChain(error) }, 'connection refused')
  } else {
    logger.warn({ error: errorChain(error) }, 'connection failed')
  }
}
