// The edge: everything that clients connect to, wired together over a control plane. Runs unprivileged and holds nothing that a
// restart would lose but the connections themselves.

import { createSecureContext } from 'node:tls'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import type { ServiceName } from '../model/service-routes.ts'
import { ActivityLedger } from './activity.ts'
import { Authenticator } from './authenticate.ts'
import { CancelKeys } from './cancel.ts'
import { channelBindingOf } from './channel-binding.ts'
import type { ControlPlane, ControlPlaneEvents } from './control-plane.ts'
import { startHttpFront } from './http.ts'
import type { ListenAddress } from './listen.ts'
import { serveStream, startListener } from './listener.ts'
import { Parking } from './parking.ts'
import { Poolers } from './pooler/poolers.ts'
import { RoleCache } from './role-cache.ts'
import { ServiceFront, type ServiceFrontOptions } from './service-front.ts'
import type { SessionContext } from './session.ts'
import { createServerless } from './serverless/serverless.ts'
import { Throttle } from './throttle.ts'
import { Waker } from './wake.ts'

export type EdgeOptions = {
  controlPlane: ControlPlane & ControlPlaneEvents
  /** Base domains of endpoint hosts, lower case. */
  domains: readonly string[]
  pg: ListenAddress
  http: ListenAddress
  https?: ListenAddress | undefined
  /** PEM. */
  tls: { cert: string; key: string }
  /** Where control answers HTTP. */
  controlHttpSocket: string
  /** Of processes beside control. */
  services?: Pick<ServiceFrontOptions, 'sockets' | 'want'>
  /** Whose word on who the client is counts: addresses and networks. */
  trustedProxies?: readonly string[]
  /** Salts of roles that do not exist are made from it; the same over restarts. */
  mockSecret: Buffer
  logger: Logger
  handshakeTimeoutMs?: number
}

export type Edge = {
  ports: { pg: number; http: number; https: number | undefined }
  /** Open connections to the Postgres port. */
  connections(): number
  /** Told by whoever starts services. */
  serviceChanged(service: ServiceName, isUp: boolean): void
  /** For connections from now on. */
  setCertificate(tls: { cert: string; key: string }): void
  /** Takes no more connections; those that are still open after the time are cut off. */
  close(drainMs?: number): Promise<void>
}

/** Throws `port_taken` and `config_invalid`. */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const { controlPlane, logger } = options
  const ledger = new ActivityLedger(controlPlane, logger)
  const waker = new Waker(controlPlane, ledger.latencies)
  const roles = new RoleCache(controlPlane, (endpointId) => ledger.lastActivity(endpointId))
  const cancelKeys = new CancelKeys()
  const authenticator = new Authenticator({ roles, throttle: new Throttle(), mockSecret: options.mockSecret })
  const poolers = new Poolers({ waker, ledger, cancelKeys, logger })
  const serverless = createServerless({
    domains: options.domains,
    controlPlane,
    authenticator,
    waker,
    ledger,
    logger,
    serveWebSocket: (stream, info) => void serveStream(stream, info, context, logger),
  })
  const parking = new Parking([
    poolers,
    {
      park: (computeName) => ({ busy: serverless.parkIdle(computeName), clients: 0 }),
      end: (computeName, { message }) => serverless.end(computeName, new AppError('quota_exceeded', message)),
    },
  ])
  const context: SessionContext = {
    domains: options.domains,
    waker,
    ledger,
    cancelKeys,
    authenticator,
    parking,
    poolers,
  }
  controlPlane.onPark((request) => parking.park(request))
  controlPlane.onEndpointChanged(async ({ endpointId, what, notice }) => {
    waker.forget(endpointId)
    if (notice !== undefined) {
      waker.setNotice(endpointId, notice)
      poolers.forgetGreetings(endpointId)
    }
    if (what === 'all') roles.changed(endpointId)
    serverless.forget(endpointId)
    // Who is on the way to the compute cannot be seen in it yet, and control is about to decide whether it may sleep.
    await ledger.flush()
  })
  controlPlane.onConnected(() => {
    waker.forgetAll()
    roles.allChanged()
    ledger.repeatAll()
  })

  let certificate = certificateOf(options.tls)
  const listener = await startListener({
    address: options.pg,
    certificate: () => certificate,
    context,
    logger,
    ...(options.handshakeTimeoutMs === undefined ? {} : { handshakeTimeoutMs: options.handshakeTimeoutMs }),
  })
  const { trustedProxies = [] } = options
  const services =
    options.services && new ServiceFront({ ...options.services, domains: options.domains, trustedProxies, logger })
  const front = await startHttpFront({
    http: options.http,
    https: options.https,
    tls: options.tls,
    controlHttpSocket: options.controlHttpSocket,
    serverless,
    services,
    trustedProxies,
    logger,
  }).catch(async (error: unknown) => {
    await listener.close(0)
    throw error
  })

  return {
    ports: { pg: listener.port, http: front.httpPort, https: front.httpsPort },
    connections: () => listener.connections(),
    serviceChanged: (service, isUp) => services?.changed(service, isUp),
    setCertificate(tls) {
      certificate = certificateOf(tls)
      front.setCertificate(tls)
    },
    async close(drainMs = 0) {
      await Promise.all([listener.close(drainMs), front.close(drainMs), serverless.close(drainMs)])
      poolers.close()
      services?.close()
      await ledger.close()
    },
  }
}

function certificateOf(tls: {
  cert: string
  key: string
}): ReturnType<Parameters<typeof startListener>[0]['certificate']> {
  return {
    context: createSecureContext({ ...tls, minVersion: 'TLSv1.2' }),
    channelBinding: channelBindingOf(tls.cert),
  }
}
