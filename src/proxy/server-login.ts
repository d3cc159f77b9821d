// Logs in to a compute in a client's place, with the keys that the client's own login yielded.
//
// Leaves unread in the socket what the client is to see: AuthenticationOk and all after it, or the server's error.

import type { Socket } from 'node:net'
import { AppError } from '../model/errors.ts'
import { sqlStateOf } from '../pgwire/error-fields.ts'
import { authenticationCodes } from '../pgwire/backend-messages.ts'
import { writeSaslInitialResponse, writeSaslResponse } from '../pgwire/frontend-messages.ts'
import { readMessage } from '../pgwire/message.ts'
import { ProtocolError } from '../pgwire/protocol-error.ts'
import { ScramClient, scramSha256, type ScramSecret } from '../pgwire/scram-client.ts'
import type { Parsed } from '../pgwire/startup-packet.ts'
import { ConnectionLost, readFrom } from './socket-reader.ts'

const loginTimeoutMs = 15_000
const longestMessage = 65_536

/** Postgres ends or begins: whoever asks again may be let in. */
const goingAway = new Set(['57P01', '57P02', '57P03'])
/** All connections are taken; which ones are kept for whom Postgres only looks at after the login. */
const tooManyConnections = '53300'

type Answer =
  | { kind: 'authentication'; code: number; data: string }
  | { kind: 'for_the_client' }
  | { kind: 'going_away' }
  | { kind: 'full' }

export type LoginOutcome = 'answered' | 'going_away' | 'full'

/** `full`: answered with that error. `going_away`: it stopped meanwhile, and the socket is of no more use. Throws `compute_start_failed` where it says something that Postgres would not. */
export async function logIn(server: Socket, secret: ScramSecret): Promise<LoginOutcome> {
  const timer = setTimeout(() => server.destroy(), loginTimeoutMs)
  try {
    const scram = new ScramClient(secret)
    for (;;) {
      const answer = await readFrom(server, readAnswer)
      if (answer.kind === 'for_the_client') return 'answered'
      if (answer.kind === 'full') return 'full'
      if (answer.kind === 'going_away') {
        server.destroy()
        return 'going_away'
      }
      switch (answer.code) {
        case authenticationCodes.sasl:
          if (!answer.data.split('\0').includes(scramSha256)) throw new ProtocolError('SCRAM-SHA-256 is not offered')
          server.write(writeSaslInitialResponse(scramSha256, scram.first()))
          break
        case authenticationCodes.saslContinue:
          server.write(writeSaslResponse(await scram.final(answer.data)))
          break
        case authenticationCodes.saslFinal:
          scram.verify(answer.data)
          break
        default:
          throw new ProtocolError(`authentication request ${answer.code} is not supported`)
      }
    }
  } catch (cause) {
    server.destroy()
    if (cause instanceof ConnectionLost) return 'going_away'
    throw new AppError('compute_start_failed', 'the compute did not complete the login', { cause })
  } finally {
    clearTimeout(timer)
  }
}

function readAnswer(buffer: Buffer): Parsed<Answer> {
  if (buffer.length === 0) return undefined
  if (buffer[0] !== 'R'.charCodeAt(0) && buffer[0] !== 'E'.charCodeAt(0)) {
    return { value: { kind: 'for_the_client' }, length: 0 }
  }
  const message = readMessage(buffer, longestMessage)
  if (!message) return undefined
  if (message.value.type === 'E') return { value: { kind: kindOfError(message.value.body) }, length: 0 }
  const { body } = message.value
  if (body.length < 4) throw new ProtocolError('authentication request is too short')
  const code = body.readInt32BE(0)
  if (code === authenticationCodes.ok) {
    // The password was right, and what follows may still be a refusal.
    const next = buffer.subarray(message.length)
    if (next.length === 0) return undefined
    if (next[0] !== 'E'.charCodeAt(0)) return { value: { kind: 'for_the_client' }, length: 0 }
    const error = readMessage(next, longestMessage)
    return error && { value: { kind: kindOfError(error.value.body) }, length: 0 }
  }
  return { value: { kind: 'authentication', code, data: body.toString('utf8', 4) }, length: message.length }
}

function kindOfError(body: Buffer): 'for_the_client' | 'going_away' | 'full' {
  const state = sqlStateOf(body)
  if (goingAway.has(state)) return 'going_away'
  return state === tooManyConnections ? 'full' : 'for_the_client'
}
