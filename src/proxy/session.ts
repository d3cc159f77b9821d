// One database session: routed and authenticated before any compute is disturbed, then given a server connection or a place in the pooler.

import type { Duplex } from 'node:stream'
import type { StartupPacket, StartupParameter } from '../pgwire/startup-packet.ts'
import { parameterValue } from '../pgwire/startup-packet.ts'
import type { ActivityLedger } from './activity.ts'
import { isAllowed } from '../lib/allow-list.ts'
import type { Authenticator, Credentials } from './authenticate.ts'
import type { CancelKeys } from './cancel.ts'
import { DirectSession } from './direct-session.ts'
import { refusals } from './errors.ts'
import { connectServer, type ServerTarget } from './open-server.ts'
import type { Parking } from './parking.ts'
import { askForPassword, negotiateVersion } from './password-route.ts'
import type { Poolers } from './pooler/poolers.ts'
import { computeNameOf, routeByStartup, withoutRouting, type Route } from './route.ts'
import type { Waker } from './wake.ts'

export type SessionContext = {
  domains: readonly string[]
  waker: Waker
  ledger: ActivityLedger
  cancelKeys: CancelKeys
  authenticator: Authenticator
  parking: Parking
  poolers: Poolers
}

/** Of one compute. Parked ones cost no Postgres anything, and so have no other end. */
const mostSessions = 10_000

/** A client that has said what it wants. */
export type SessionStartup = {
  socket: Duplex
  packet: Extract<StartupPacket, { kind: 'startup' }>
  /** In the TLS handshake, or what stands for it. */
  serverName: string | undefined
  address: string | undefined
  /** What SCRAM can be bound to; undefined without TLS. */
  channelBinding: Buffer | undefined
  /** The client sends its password in clear text without being asked twice: it is asked for that. */
  clearText: boolean
  /** `performance.now()` at its first byte. */
  since: number
}

/** Who it is and where it goes: known before any compute is disturbed. Waiting for the client has an end that the caller puts. */
export type Admitted = {
  client: Duplex
  route: Route
  credentials: Credentials
  /** As Postgres is to see them. */
  parameters: readonly StartupParameter[]
  since: number
}

/** Throws Refusal, ProtocolError, ConnectionLost, AppError. */
export async function admitSession(startup: SessionStartup, context: SessionContext): Promise<Admitted> {
  const { socket: client, packet, serverName, address, channelBinding, clearText, since } = startup
  if (packet.major !== 3) throw refusals.unsupportedProtocol(packet.major, packet.minor)
  const user = parameterValue(packet.parameters, 'user')
  if (!user) throw refusals.noUserName()
  const given = negotiateVersion(client, packet)
  const routed = routeByStartup(serverName, given, context.domains)
  const parameters = withoutRouting(given)
  if (routed && !clearText) {
    const applicant = { endpointId: routed.endpointId, user, address }
    const credentials = await context.authenticator.scram(client, applicant, channelBinding)
    return { client, route: routed, credentials, parameters, since }
  }
  const { route, password } = await askForPassword(client, routed)
  const credentials = await context.authenticator.password({ endpointId: route.endpointId, user, address }, password)
  return { client, route, credentials, parameters, since }
}

/** Returns once the session runs by itself; `ended` resolves when it is over. Throws AppError, Refusal. */
export async function startSession(admitted: Admitted, context: SessionContext): Promise<{ ended: Promise<void> }> {
  const { client, route, credentials, parameters, since } = admitted
  const computeName = computeNameOf(route)
  const target: ServerTarget = { computeName, parameters, keys: credentials.keys }
  const { allowedIps } = credentials.access
  const isCancelAllowed = (address: string | undefined): boolean => !allowedIps || isAllowed(address, allowedIps)
  const onReady = (): void => context.ledger.latencies.connected(since)
  if (route.pooled && route.point === undefined) {
    return await context.poolers.serve({ client, target, credentials, isCancelAllowed, onReady })
  }
  if (context.ledger.sessionsOf(computeName) >= mostSessions) throw refusals.tooManySessions()
  const server = await connectServer(
    context.waker,
    target,
    () => !client.destroyed,
    // Only now the endpoint is known to exist: a meter is for good.
    () => context.ledger.meter(computeName).touch(),
    () => context.poolers.giveUpIdle(computeName) > 0,
  )
  const session = new DirectSession({
    client,
    server,
    target,
    pgMajor: credentials.access.pgMajor,
    meter: context.ledger.meter(computeName),
    context,
    isCancelAllowed,
    onReady,
  })
  context.parking.add(session)
  return session
}
