// Asks a server something of our own, over a connection that is at rest and that nobody else reads from.

import type { Socket } from 'node:net'
import { readMessage, type Message } from '../pgwire/message.ts'
import { ConnectionLost } from './socket-reader.ts'

const timeoutMs = 5_000
const longestMessage = 8 * 1024 * 1024

/**
 * All messages up to so many ReadyForQuery; what lies behind them stays in the socket, which is paused then. A server that does not answer
 * in time loses the connection. Rejects with ConnectionLost, and with ProtocolError.
 */
export function answersTo(socket: Socket, request: Buffer, ready: number): Promise<Message[]> {
  return new Promise((resolve, reject) => {
    const messages: Message[] = []
    let held: Buffer = Buffer.alloc(0)
    let left = ready
    const timer = setTimeout(() => socket.destroy(), timeoutMs)
    const finish = (): void => {
      clearTimeout(timer)
      socket.off('data', take)
      socket.off('close', lost)
      socket.pause()
    }
    const lost = (): void => {
      finish()
      reject(new ConnectionLost())
    }
    const take = (chunk: Buffer): void => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      try {
        for (let read = readMessage(held, longestMessage); read; read = readMessage(held, longestMessage)) {
          messages.push({ type: read.value.type, body: Buffer.from(read.value.body) })
          held = held.subarray(read.length)
          if (read.value.type !== 'Z' || --left > 0) continue
          finish()
          if (held.length > 0) socket.unshift(held)
          resolve(messages)
          return
        }
      } catch (error) {
        finish()
        reject(error instanceof Error ? error : new ConnectionLost())
      }
    }
    if (socket.destroyed) return lost()
    socket.on('data', take)
    socket.on('close', lost)
    socket.resume()
    socket.write(request)
  })
}
