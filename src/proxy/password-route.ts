// Where nothing but the password can say which endpoint is meant, it is asked for in clear text, over TLS or on loopback.

import type { Duplex } from 'node:stream'
import { writeAuthenticationCleartextPassword, writeNegotiateProtocolVersion } from '../pgwire/backend-messages.ts'
import { readPasswordMessage } from '../pgwire/frontend-messages.ts'
import { readMessage } from '../pgwire/message.ts'
import type { StartupPacket, StartupParameter } from '../pgwire/startup-packet.ts'
import { routeByPassword, type Route } from './route.ts'
import { readFrom } from './socket-reader.ts'

const longestPasswordMessage = 4_096

type StartupMessage = Extract<StartupPacket, { kind: 'startup' }>

/** We speak 3.0 and no options of the protocol. Returns the parameters without them. */
export function negotiateVersion(client: Duplex, packet: StartupMessage): StartupParameter[] {
  const unknown = packet.parameters.filter(([name]) => name.startsWith('_pq_.'))
  if (packet.minor > 0 || unknown.length > 0) {
    client.write(
      writeNegotiateProtocolVersion(
        0,
        unknown.map(([name]) => name),
      ),
    )
  }
  return packet.parameters.filter((parameter) => !unknown.includes(parameter))
}

/** `known`: the endpoint was named before, and the password is just that. Throws Refusal where it names none, ProtocolError and ConnectionLost. */
export async function askForPassword(
  client: Duplex,
  known: Route | undefined,
): Promise<{ route: Route; password: string }> {
  client.write(writeAuthenticationCleartextPassword())
  const message = await readFrom(client, (buffer) => readMessage(buffer, longestPasswordMessage))
  const text = readPasswordMessage(message)
  return known ? { route: known, password: text } : routeByPassword(text)
}
