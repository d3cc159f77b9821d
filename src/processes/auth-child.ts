// The auth process as a child of `pgrove start`. Loads what it needs, opens its socket, then gives up root for good.

import { startDevelopmentProvider } from '../auth/oauth/development-provider.ts'
import { Instances } from '../auth/instances.ts'
import { AuthLimits } from '../auth/limits.ts'
import { Passwords } from '../auth/passwords.ts'
import { RpcAuthControlPlane } from '../auth/rpc-control-plane.ts'
import { createAuthServer, loadSurfaces } from '../auth/server.ts'
import { authRole } from '../compute/postgres-service.ts'
import { createLogger, type Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import type { AuthProcessSettings } from './auth-settings.ts'
import { assertReadable, becomeUnprivileged, listenAs } from './listen-as.ts'
import { toFailure, type FromService, type ToService } from './messages.ts'

const drainMs = 5_000

const tell = (message: FromService): void => {
  if (process.connected) process.send?.(message)
}

export function runAuthChild(): void {
  let running: Running | undefined
  const stop = async (): Promise<void> => {
    await running?.stop()
    tell({ kind: 'stopped' })
    process.exit(0)
  }
  const start = async (settings: AuthProcessSettings): Promise<void> => {
    const logger = createLogger({ level: settings.logLevel, process: 'auth' })
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error: unknown) => {
        const stack = error instanceof Error ? error.stack : undefined
        logger.fatal({ cause: errorChain(error), stack }, 'auth ends')
        process.exit(1)
      })
    }
    try {
      running = await serve(settings, logger)
      tell({ kind: 'serving' })
    } catch (error) {
      tell(toFailure(error))
      process.exit(1)
    }
  }
  process.on('message', (message) => {
    const heard = message as ToService<AuthProcessSettings>
    switch (heard.kind) {
      case 'serve':
        void start(heard.settings)
        return
      case 'stop':
        void stop()
    }
  })
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit(0))
}

type Running = { stop(): Promise<void> }

async function serve(settings: AuthProcessSettings, logger: Logger): Promise<Running> {
  const { owner } = settings
  const controlPlane = new RpcAuthControlPlane(settings.controlSocket, logger)
  const passwords = new Passwords()
  const limits = new AuthLimits({ countsAddresses: settings.countsAddresses })
  const provider = settings.hasDevelopmentProvider ? await startDevelopmentProvider(logger) : undefined
  const instances = new Instances({
    controlPlane,
    role: authRole,
    shared: { developmentProvider: provider?.origin, passwords, limits },
    logger,
  })
  const server = createAuthServer({ instances, domains: settings.domains, surfaces: await loadSurfaces(), logger })
  await listenAs(server, settings.socket, owner?.edgeUid)
  becomeUnprivileged(owner)
  await assertReadable()
  return {
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const timer = setTimeout(() => server.closeAllConnections(), drainMs)
      await closed
      clearTimeout(timer)
      await provider?.close()
      await instances.close()
      await passwords.close()
      controlPlane.close()
    },
  }
}
