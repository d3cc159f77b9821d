// The auth process. Loads what it needs, opens its socket, then gives up root for good.

import { startDevelopmentProvider } from '../auth/oauth/development-provider.ts'
import { Instances } from '../auth/instances.ts'
import { AuthLimits } from '../auth/limits.ts'
import { Passwords } from '../auth/passwords.ts'
import { RpcAuthControlPlane } from '../auth/rpc-control-plane.ts'
import { createAuthServer, loadSurfaces } from '../auth/server.ts'
import { authRole } from '../compute/postgres-service.ts'
import type { Logger } from '../lib/logger.ts'
import type { AuthProcessSettings } from './auth-settings.ts'
import { assertReadable, becomeUnprivileged, listenAs } from './listen-as.ts'
import { closeServer, runServiceChild, type RunningService } from './service-child.ts'

export const runAuthChild = (): void =>
  runServiceChild('auth', (settings, logger) => serve(settings as AuthProcessSettings, logger))

async function serve(settings: AuthProcessSettings, logger: Logger): Promise<RunningService> {
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
      await closeServer(server)
      await provider?.close()
      await instances.close()
      await passwords.close()
      controlPlane.close()
    },
  }
}
