// Reads packets off a socket while a connection is being made. What lies behind the packet stays in the socket for the next reader.
//
// The socket stays in paused mode, so a stranger who sends much before being asked fills a kernel buffer and not our memory.

import type { Duplex } from 'node:stream'
import { ProtocolError } from '../pgwire/protocol-error.ts'
import type { Parsed } from '../pgwire/startup-packet.ts'

/** The other end closed, or somebody destroyed the socket. Nobody is left to tell. */
export class ConnectionLost extends Error {
  constructor(cause?: Error) {
    super('connection lost', cause === undefined ? undefined : { cause })
    this.name = 'ConnectionLost'
  }
}

/**
 * Resolves with what `parse` makes of the bytes, asking it again whenever there are more; it says how many it took and must put
 * a bound to how many it waits for. Rejects with what `parse` throws, and with ConnectionLost.
 */
export function readFrom<T>(socket: Duplex, parse: (buffer: Buffer) => Parsed<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let held: Buffer = Buffer.alloc(0)
    const finish = (): void => {
      socket.off('readable', readable)
      socket.off('end', lost)
      socket.off('close', lost)
      socket.off('error', lost)
    }
    const lost = (error?: unknown): void => {
      finish()
      reject(new ConnectionLost(error instanceof Error ? error : undefined))
    }
    const readable = (): void => {
      for (;;) {
        const chunk = socket.read() as Buffer | null
        if (chunk === null) return
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
        let parsed: Parsed<T>
        try {
          parsed = parse(held)
        } catch (error) {
          finish()
          reject(error instanceof Error ? error : new ProtocolError(String(error)))
          return
        }
        if (!parsed) continue
        finish()
        if (parsed.length < held.length) socket.unshift(held.subarray(parsed.length))
        resolve(parsed.value)
        return
      }
    }
    socket.on('end', lost)
    socket.on('close', lost)
    socket.on('error', lost)
    if (socket.destroyed || socket.readableEnded) return lost()
    socket.on('readable', readable)
    readable()
  })
}

/** Sends the last bytes and closes; what the other end still sends is thrown away, for an answer to it would overtake ours. */
export function closeWith(socket: Duplex, bytes: Buffer | undefined, lingerMs = 5_000): void {
  if (socket.destroyed) return
  if (!bytes) return void socket.destroy()
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.on('error', () => {})
  socket.on('close', () => clearTimeout(timer))
  socket.on('end', () => destroySoon(socket))
  socket.resume()
  socket.end(bytes)
}

/** Once what was written has gone out. */
export function destroySoon(socket: Duplex): void {
  if (socket.writable) socket.end()
  if (socket.writableFinished) socket.destroy()
  else socket.once('finish', () => socket.destroy())
}
