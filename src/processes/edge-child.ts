// The edge process as a child of `pgrove start`. Opens its ports, then gives up root for good.

import { createLogger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import { startEdge, type Edge } from '../proxy/edge.ts'
import { RpcControlPlane } from '../proxy/rpc-control-plane.ts'
import { becomeUnprivileged } from './listen-as.ts'
import { toFailure, type FromEdge, type ToEdge } from './messages.ts'
import type { EdgeSettings } from './edge-settings.ts'

const drainMs = 5000

const tell = (message: FromEdge): void => {
  if (process.connected) process.send?.(message)
}

export function runEdgeChild(): void {
  let edge: Edge | undefined
  let controlPlane: RpcControlPlane | undefined
  const stop = async (): Promise<void> => {
    await edge?.close(drainMs)
    controlPlane?.close()
    tell({ kind: 'stopped' })
    process.exit(0)
  }
  const start = async (settings: EdgeSettings): Promise<void> => {
    const logger = createLogger({ level: settings.logLevel, process: 'edge' })
    process.on('uncaughtException', (error) => {
      logger.fatal({ cause: errorChain(error), stack: error.stack }, 'edge ends')
      process.exit(1)
    })
    try {
      controlPlane = new RpcControlPlane(settings.controlSocket, logger)
      edge = await startEdge({
        controlPlane,
        domains: settings.domains,
        pg: settings.pg,
        http: settings.http,
        https: settings.https,
        tls: settings.tls,
        mockSecret: Buffer.from(settings.mockSecret, 'base64'),
        controlHttpSocket: settings.apiSocket,
        services: { sockets: settings.serviceSockets, want: (service) => tell({ kind: 'wanted', service }) },
        trustedProxies: settings.trustedProxies,
        logger,
      })
      becomeUnprivileged(settings.owner)
      tell({ kind: 'listening', ports: edge.ports })
    } catch (error) {
      tell(toFailure(error))
      process.exit(1)
    }
  }
  process.on('message', (message) => {
    const heard = message as ToEdge
    switch (heard.kind) {
      case 'listen':
        void start(heard.settings)
        return
      case 'service':
        edge?.serviceChanged(heard.service, heard.isUp)
        return
      case 'stop':
        void stop()
    }
  })
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit(0))
}
