// One database session, from its startup packet to the splice.

import type { Socket } from 'node:net'
import type { BackendKey } from '../pgwire/backend-greeting.ts'
import { writeStartupMessage, type StartupParameter } from '../pgwire/startup-packet.ts'
import type { ActivityLedger } from './activity.ts'
import type { CancelKeys } from './cancel.ts'
import { connectCompute } from './connect-compute.ts'
import { refusals } from './errors.ts'
import { askForPassword } from './password-route.ts'
import { computeNameOf, routeByStartup, withoutRouting, type Route } from './route.ts'
import { logIn } from './server-login.ts'
import { splice } from './splice.ts'
import type { Startup } from './startup.ts'
import type { Waker } from './wake.ts'

export type SessionContext = {
  domains: readonly string[]
  waker: Waker
  ledger: ActivityLedger
  cancelKeys: CancelKeys
}

export type SessionStartup = Startup & { packet: { kind: 'startup' } }

/** What is known before any compute is disturbed. Waits for the client, so the caller has to put a time to it. */
export type Routed = {
  client: Socket
  route: Route
  startupMessage: Buffer
  /** Where the client gave it to us; otherwise it proves itself to Postgres through the splice. */
  password: string | undefined
}

/** Throws Refusal, ProtocolError, ConnectionLost. */
export async function routeSession(startup: SessionStartup, context: SessionContext): Promise<Routed> {
  const { socket: client, packet, serverName } = startup
  if (packet.major !== 3) throw refusals.unsupportedProtocol(packet.major, packet.minor)
  const route = routeByStartup(serverName, packet.parameters, context.domains)
  if (route) return { client, route, startupMessage: forPostgres(packet.minor, packet.parameters), password: undefined }
  const asked = await askForPassword(client, packet)
  return { client, route: asked.route, startupMessage: forPostgres(0, asked.parameters), password: asked.password }
}

function forPostgres(minor: number, parameters: readonly StartupParameter[]): Buffer {
  return writeStartupMessage({ major: 3, minor }, withoutRouting(parameters))
}

/** Returns once the session runs by itself; `ended` resolves when both sides are closed. Throws AppError. */
export async function startSession(routed: Routed, context: SessionContext): Promise<{ ended: Promise<void> }> {
  const { client, route, startupMessage, password } = routed
  const endpointId = computeNameOf(route)
  const { socket: server, socketPath } = await connectCompute(
    context.waker,
    endpointId,
    startupMessage,
    () => !client.destroyed,
    // Only now the endpoint is known to exist: a meter is for good.
    () => context.ledger.meter(endpointId).touch(),
  )
  if (password !== undefined) await logIn(server, password)

  const meter = context.ledger.meter(endpointId)
  let key: BackendKey | undefined
  meter.sessionOpened()
  const closed = splice(client, server, {
    meter,
    exchangeKey: (backend) => (key = context.cancelKeys.mint(socketPath, backend)),
  })
  const ended = closed.then(() => {
    if (key) context.cancelKeys.forget(key)
    meter.sessionClosed()
  })
  return { ended }
}
