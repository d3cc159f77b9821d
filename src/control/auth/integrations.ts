// Enabling and disabling sign-in on a branch.
//
// The database comes first, the rows after it: what is visible works, and a crash between the two leaves a schema that nobody is told of
// and that the repeated call completes. Deleting goes the same way, so that a repeated call finds what it is to finish.

import { KeyedLock } from '../../lib/keyed-lock.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { defaultAuthSettings, hasSdkKeys, type AuthIntegration } from '../../model/auth.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import { setPrepared } from '../../store/auth/copies.ts'
import {
  deleteIntegration,
  getIntegrationOfBranch,
  listIntegrations,
  setIntegrationName,
} from '../../store/auth/integrations.ts'
import { countAuthKeys } from '../../store/auth/keys.ts'
import type { Sql } from '../../store/database.ts'
import { getDatabase, listDatabases } from '../../store/databases.ts'
import { listBranchEndpoints } from '../../store/endpoints.ts'
import { getProject } from '../../store/projects.ts'
import { liveBranch, visibleProject } from '../access.ts'
import { syncedBranch } from '../catalog.ts'
import type { ControlContext } from '../context.ts'
import { assertDisplayName } from '../names.ts'
import { atRest, restPlan } from '../operations/at-rest.ts'
import { projectLocked, schedule } from '../operations/schedule.ts'
import type { AuthControl, ShownIntegration } from './auth-control.ts'
import { authChanged } from './auth-plane.ts'
import { changeIntegration, visibleIntegration } from './find.ts'
import { insertFirstProviders, insertNewIntegration, insertSdkKeys } from './new-integration.ts'
import { deprovisionAuth, provisionAuth } from './provisioning.ts'
import { authUrls } from './urls.ts'

/** Publishable and secret ones together. */
const mostKeys = 200

type Integrations = Pick<AuthControl, 'create' | 'get' | 'list' | 'disable' | 'createKeys' | 'rename' | 'transfer'>

export function integrationControl(control: ControlContext): Integrations {
  /** One who enables or disables at a time: what one does in the database, another would undo. */
  const locks = new KeyedLock()
  const show = async (sql: Sql, integration: AuthIntegration): Promise<ShownIntegration> => ({
    integration,
    appName: integration.name ?? (await getProject(sql, integration.projectId))?.name ?? '',
    urls: await authUrls(control, sql, integration),
  })

  return {
    async create(caller, { projectId, branchId }, { provider, databaseName }) {
      await visibleProject(control.store, caller, projectId, 'project:write')
      await atRest(control, caller, projectId)
      const before = await syncedBranch(control, caller, projectId, branchId)
      using _lock = await locks.acquire(before.id, 'enable')
      const place = await placeFor(control.store, projectId, branchId, databaseName)
      const prepared = await provisionAuth(control, place.branch, place.database)
      await failpoint('auth.create.provisioned')
      const { result } = await schedule(control, caller, projectId, async (sql, project) => {
        const { branch, database } = await placeFor(sql, projectId, branchId, place.database)
        // It has got other data meanwhile, which knows nothing of this.
        if (branch.timelineId !== prepared.timelineId) throw projectLocked()
        const integration = await insertNewIntegration(control, sql, {
          projectId: project.id,
          branchId: branch.id,
          databaseName: database,
          provider,
          settings: defaultAuthSettings,
        })
        await setPrepared(sql, integration.id, prepared)
        await insertFirstProviders(control, sql, integration)
        const keys = hasSdkKeys(provider) ? await insertSdkKeys(sql, integration) : undefined
        return { result: { ...(await show(sql, integration)), keys }, plan: restPlan }
      })
      await failpoint('auth.create.committed')
      await authChanged(control, result.integration.id)
      await control.dataApiPlane.changed({ branchId: result.integration.branchId, what: 'all' })
      return result
    },

    async get(caller, place) {
      return await show(control.store, await visibleIntegration(control, caller, place))
    },

    async list(caller, projectId) {
      await visibleProject(control.store, caller, projectId)
      const integrations = await listIntegrations(control.store, projectId)
      return await Promise.all(integrations.map((integration) => show(control.store, integration)))
    },

    async disable(caller, place, { deleteData }) {
      const { branchId } = await visibleIntegration(control, caller, place, 'project:write')
      using _lock = await locks.acquire(branchId, 'disable')
      const integration = await visibleIntegration(control, caller, { ...place, branchId }, 'project:write')
      if (deleteData) {
        await atRest(control, caller, place.projectId)
        const branch = await liveBranch(control.store, place.projectId, branchId)
        await deprovisionAuth(control, branch, integration.databaseName)
        await failpoint('auth.disable.deprovisioned')
      }
      await changeIntegration(control, caller, { ...place, branchId }, async (sql, { id }) => {
        await deleteIntegration(sql, id)
      })
      await control.dataApiPlane.changed({ branchId, what: 'all' })
    },

    async createKeys(caller, place) {
      return await changeIntegration(control, caller, place, async (sql, integration) => {
        const shown = await show(sql, integration)
        if (!hasSdkKeys(integration.provider)) return { ...shown, keys: undefined }
        if ((await countAuthKeys(sql, integration.id)) >= mostKeys) {
          throw new AppError(
            'unprocessable',
            `an integration has at most ${mostKeys / 2} pairs of keys; disable and enable it, and none of them opens anything any more`,
          )
        }
        return { ...shown, keys: await insertSdkKeys(sql, integration) }
      })
    },

    async rename(caller, place, name) {
      assertDisplayName(name, 'app')
      // oxlint-disable-next-line no-control-regex -- it ends up in the headers of mails
      if (/[\u0000-\u001f\u007f]/.test(name)) throw new AppError('bad_request', 'app name must be one line of text')
      return await changeIntegration(control, caller, place, async (sql, { id }) => {
        await setIntegrationName(sql, id, name)
        return name
      })
    },

    /** Neon hands a Stack project over to an account at Stack. Here there is no account that could own it apart from its Neon project. */
    async transfer(caller, place) {
      await visibleProject(control.store, caller, place.projectId, 'project:share')
      await visibleIntegration(control, caller, place)
      throw new AppError(
        'unprocessable',
        `sign-in belongs to its project and has no account elsewhere that it could be handed to; it goes along when the project is transferred: POST /projects/${place.projectId}/transfer_requests`,
      )
    },
  }
}

/** Where sign-in can be enabled. Throws `not_found`, `already_exists`, `unprocessable`. */
async function placeFor(
  sql: Sql,
  projectId: string,
  branchId: string,
  databaseName: string | undefined,
): Promise<{ branch: Branch; database: string }> {
  const branch = await liveBranch(sql, projectId, branchId)
  const there = await getIntegrationOfBranch(sql, branch.id)
  if (there) {
    throw new AppError(
      'already_exists',
      `Neon Auth is already enabled on branch ${branch.id}, with ${there.provider} in database ${JSON.stringify(there.databaseName)}`,
    )
  }
  if (!(await listBranchEndpoints(sql, branch.id)).some(({ type }) => type === 'read_write')) {
    throw new AppError('unprocessable', `branch ${branch.id} has no read-write endpoint that users could sign in at`)
  }
  const database =
    databaseName === undefined
      ? (await listDatabases(sql, branch.id))[0]
      : await getDatabase(sql, branch.id, databaseName)
  if (!database) {
    const named =
      databaseName === undefined ? 'branch has no database' : `database ${JSON.stringify(databaseName)} not found`
    throw new AppError(
      'not_found',
      `${named}: create one with POST /projects/${projectId}/branches/${branch.id}/databases`,
    )
  }
  return { branch, database: database.name }
}
