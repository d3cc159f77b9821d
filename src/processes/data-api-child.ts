// The Data API's process: opens its socket, then gives up root for good.

import { dataApiRole } from '../compute/postgres-service.ts'
import { Activity } from '../data-api/branches/activity.ts'
import { Instances } from '../data-api/branches/instances.ts'
import { RpcDataApiControlPlane } from '../data-api/branches/rpc-control-plane.ts'
import { createDataApiServer } from '../data-api/branches/server.ts'
import { KeySets } from '../lib/key-sets.ts'
import type { Logger } from '../lib/logger.ts'
import { assertReadable, becomeUnprivileged, listenAs } from './listen-as.ts'
import { closeServer, runServiceChild, type RunningService } from './service-child.ts'
import type { ServiceSettings } from './service-settings.ts'

export const runDataApiChild = (): void => runServiceChild('data-api', serve)

async function serve(settings: ServiceSettings, logger: Logger): Promise<RunningService> {
  const { owner, domains } = settings
  const controlPlane = new RpcDataApiControlPlane(settings.controlSocket, logger)
  const activity = new Activity(controlPlane, logger)
  const instances = new Instances({
    controlPlane,
    role: dataApiRole,
    keySets: new KeySets(),
    renewed: () => activity.repeat(),
    logger,
  })
  const server = createDataApiServer({ instances, activity, domains, logger })
  await listenAs(server, settings.socket, owner?.edgeUid)
  becomeUnprivileged(owner)
  await assertReadable()
  return {
    async stop() {
      await closeServer(server)
      await instances.close()
      await activity.close()
      controlPlane.close()
    },
  }
}
