// Where nothing but the password can say which endpoint is meant, it is asked for in clear text, over TLS or on loopback.

import type { Socket } from 'node:net'
import { writeAuthenticationCleartextPassword, writeNegotiateProtocolVersion } from '../pgwire/backend-messages.ts'
import { readPasswordMessage } from '../pgwire/frontend-messages.ts'
import { readMessage } from '../pgwire/message.ts'
import type { StartupPacket, StartupParameter } from '../pgwire/startup-packet.ts'
import { routeByPassword, type Route } from './route.ts'
import { readFrom } from './socket-reader.ts'

const longestPasswordMessage = 4_096

type StartupMessage = Extract<StartupPacket, { kind: 'startup' }>

/** Throws Refusal where the password names no endpoint, ProtocolError and ConnectionLost. */
export async function askForPassword(
  client: Socket,
  packet: StartupMessage,
): Promise<{ route: Route; password: string; parameters: StartupParameter[] }> {
  // Postgres negotiates before it authenticates, and here we authenticate before we know which Postgres.
  const unknown = packet.parameters.filter(([name]) => name.startsWith('_pq_.'))
  if (packet.minor > 0 || unknown.length > 0) {
    client.write(
      writeNegotiateProtocolVersion(
        0,
        unknown.map(([name]) => name),
      ),
    )
  }
  client.write(writeAuthenticationCleartextPassword())
  const message = await readFrom(client, (buffer) => readMessage(buffer, longestPasswordMessage))
  const parameters = packet.parameters.filter((parameter) => !unknown.includes(parameter))
  return { ...routeByPassword(readPasswordMessage(message)), parameters }
}
