// Joins a client and its server: bytes go both ways as they come, and only as fast as the other side takes them.
//
// Nothing is read in them but what the server says up to its first ReadyForQuery, where the cancel key is. An end on one side
// becomes an end on the other: a client that has said its last may still be read to (`shutdown`), a server that ended has
// nothing more to hear. So neither side is left behind half open.

import type { Socket } from 'node:net'
import { BackendGreeting, type BackendKey } from '../pgwire/backend-greeting.ts'
import type { EndpointMeter } from './activity.ts'
import { errorResponseFor, refusals } from './errors.ts'
import type { Refusal } from './refusal.ts'

export type SpliceOptions = {
  meter: EndpointMeter
  exchangeKey: (key: BackendKey) => BackendKey
}

/** How long a client that takes nothing may keep the last bytes of a server that ended. */
const lingerMs = 60_000

/**
 * What a client is told in place of a server that ended without a word. Postgres drops whoever is still logging in when it stops; and what
 * it says to an idle session is lost where the client's next message was on its way, since writing to a closed socket discards what
 * was still to be read from it. Between a ReadyForQuery and the next answer is the one place where a message may be put in.
 */
function lastWord(greeting: BackendGreeting, lastToClient: Buffer | undefined): Refusal | undefined {
  if (greeting.unanswered) return refusals.lostDuringLogin()
  if (greeting.done && lastToClient && readyForQuery.equals(lastToClient.subarray(-6, -1)))
    return refusals.lostWhileIdle()
  return undefined
}

const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5])
/** A client that ends its session wants to hear nothing more. */
const terminate = Buffer.from([0x58, 0, 0, 0, 4])

/** Resolves when both sides are closed. */
export function splice(client: Socket, server: Socket, options: SpliceOptions): Promise<void> {
  const { meter } = options
  const closed = Promise.withResolvers<void>()
  const greeting = new BackendGreeting(options.exchangeKey)
  let lastToClient: Buffer | undefined
  let saidGoodbye = false

  const toServer = (chunk: Buffer): void => {
    meter.bytesFromClient += chunk.length
    meter.touch()
    saidGoodbye = terminate.equals(chunk.subarray(-terminate.length))
    if (!server.write(chunk)) client.pause()
  }
  const toClient = (chunk: Buffer): void => {
    meter.bytesToClient += chunk.length
    meter.touch()
    lastToClient = chunk
    if (!client.write(chunk)) server.pause()
  }
  const greet = (chunk: Buffer): void => {
    try {
      for (const part of greeting.push(chunk)) toClient(part)
    } catch {
      server.destroy()
      return
    }
    if (!greeting.done) return
    server.off('data', greet)
    server.on('data', toClient)
  }

  client.on('data', toServer)
  server.on('data', greet)
  client.on('drain', () => server.resume())
  server.on('drain', () => client.resume())

  client.on('end', () => server.end())
  server.on('end', () => server.destroy())
  client.on('error', () => {})
  server.on('error', () => {})
  client.on('close', () => {
    server.destroy()
    if (server.closed) closed.resolve()
  })
  server.on('close', () => {
    if (client.closed) {
      closed.resolve()
      return
    }
    const last = saidGoodbye ? undefined : lastWord(greeting, lastToClient)
    const answer = last && errorResponseFor(last)
    if (answer && client.writable) client.write(answer)
    client.setTimeout(lingerMs, () => client.destroy())
    client.destroySoon()
  })

  if (server.destroyed) client.destroy()
  if (client.destroyed) server.destroy()
  if (client.closed && server.closed) closed.resolve()
  client.resume()
  server.resume()
  return closed.promise
}
