// The edge: everything that clients connect to, wired together over a control plane. Runs unprivileged and holds nothing that a
// restart would lose but the connections themselves.

import { createSecureContext } from 'node:tls'
import type { Logger } from '../lib/logger.ts'
import { ActivityLedger } from './activity.ts'
import { CancelKeys } from './cancel.ts'
import type { ControlPlane, ControlPlaneEvents } from './control-plane.ts'
import { startHttpFront } from './http.ts'
import type { ListenAddress } from './listen.ts'
import { startListener } from './listener.ts'
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
  logger: Logger
  handshakeTimeoutMs?: number
}

export type Edge = {
  ports: { pg: number; http: number; https: number | undefined }
  /** Open connections to the Postgres port. */
  connections(): number
  /** For connections from now on. */
  setCertificate(tls: { cert: string; key: string }): void
  /** Takes no more connections; those that are still open after the time are cut off. */
  close(drainMs?: number): Promise<void>
}

/** Throws `port_taken` and `config_invalid`. */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const { controlPlane, logger } = options
  const waker = new Waker(controlPlane)
  const ledger = new ActivityLedger(controlPlane, logger)
  controlPlane.onEndpointChanged(async ({ endpointId }) => {
    waker.forget(endpointId)
    // Who is on the way to the compute cannot be seen in it yet, and control is about to decide whether it may sleep.
    await ledger.flush()
  })
  controlPlane.onConnected(() => {
    waker.forgetAll()
    ledger.repeatAll()
  })

  let secureContext = createSecureContext({ ...options.tls, minVersion: 'TLSv1.2' })
  const listener = await startListener({
    address: options.pg,
    secureContext: () => secureContext,
    context: { domains: options.domains, waker, ledger, cancelKeys: new CancelKeys() },
    logger,
    ...(options.handshakeTimeoutMs === undefined ? {} : { handshakeTimeoutMs: options.handshakeTimeoutMs }),
  })
  const front = await startHttpFront({
    http: options.http,
    https: options.https,
    tls: options.tls,
    controlHttpSocket: options.controlHttpSocket,
    logger,
  }).catch(async (error: unknown) => {
    await listener.close(0)
    throw error
  })

  return {
    ports: { pg: listener.port, http: front.httpPort, https: front.httpsPort },
    connections: () => listener.connections(),
    setCertificate(tls) {
      secureContext = createSecureContext({ ...tls, minVersion: 'TLSv1.2' })
      front.setCertificate(tls)
    },
    async close(drainMs = 0) {
      await Promise.all([listener.close(drainMs), front.close(drainMs)])
      await ledger.close()
    },
  }
}
