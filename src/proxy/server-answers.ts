// Asks a server something of our own, over a connection that is at rest and that nobody else reads from.

import type { Socket } from 'node:net'
import { readMessage, type Message } from '../pgwire/message.ts'
import { readFrom } from './socket-reader.ts'

const timeoutMs = 5_000
const longestMessage = 8 * 1024 * 1024

/** All messages up to so many ReadyForQuery. A server that does not answer in time loses the connection. Throws ConnectionLost, and ProtocolError. */
export async function answersTo(socket: Socket, request: Buffer, ready: number): Promise<Message[]> {
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  try {
    socket.write(request)
    const messages: Message[] = []
    for (let left = ready; left > 0;) {
      const message = await readFrom(socket, (buffer) => {
        const read = readMessage(buffer, longestMessage)
        return read && { value: { type: read.value.type, body: Buffer.from(read.value.body) }, length: read.length }
      })
      messages.push(message)
      if (message.type === 'Z') left--
    }
    return messages
  } finally {
    clearTimeout(timer)
  }
}
