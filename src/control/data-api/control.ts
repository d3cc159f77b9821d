// Enabling, changing and disabling the Data API of a branch's database.
//
// The database comes first, the row after it: what is visible works, and a crash between the two leaves roles that the repeated call finds.

import { failpoint } from '../../lib/failpoint.ts'
import { KeyedLock } from '../../lib/keyed-lock.ts'
import type { Branch } from '../../model/branch.ts'
import type { Caller } from '../../model/caller.ts'
import type { DataApi } from '../../model/data-api.ts'
import { AppError, errorChain } from '../../model/errors.ts'
import { newDataApiId, type DataApiId, type OrganizationId } from '../../model/ids.ts'
import type { Jwks } from '../../model/jwks.ts'
import {
  deleteDataApi,
  getAvailableSchemas,
  getDataApiOf,
  insertDataApi,
  setDataApiSettings,
} from '../../store/data-apis.ts'
import type { Sql } from '../../store/database.ts'
import { getDatabase } from '../../store/databases.ts'
import { listBranchEndpoints } from '../../store/endpoints.ts'
import { insertJwks } from '../../store/jwks.ts'
import { liveBranch, lockVisibleProject, visibleProject } from '../access.ts'
import { isBranchRunning } from '../branch-compute.ts'
import { syncedBranch } from '../catalog.ts'
import type { ControlContext } from '../context.ts'
import { assertDisplayName } from '../names.ts'
import { atRest, restPlan } from '../operations/at-rest.ts'
import { projectLocked, schedule } from '../operations/schedule.ts'
import { assertOutboundUrl, mayNamePrivate } from '../outbound-urls.ts'
import type { DataApiControl, DataApiPlace, EnableDataApiInput } from './data-api-control.ts'
import { provisionDataApi, renewDataApi } from './provisioning.ts'
import { assertDataApiSettings } from './settings.ts'

const longestAudience = 255

export function dataApiControl(control: ControlContext): DataApiControl {
  /** One who enables, disables or renews at a time: what one does in the database, another would look at. */
  const locks = new KeyedLock()
  return {
    async enable(caller, place, input) {
      const { projectId, branchId } = place
      const authProvider = input.authProvider ?? (input.jwksUrl === undefined ? 'neon_auth' : 'external')
      assertInput(authProvider, input)
      const { orgId } = await visibleProject(control.store, caller, projectId, 'project:write')
      const keySet = authProvider === 'external' ? await keySetOf(control.store, caller, orgId, input) : undefined
      await atRest(control, caller, projectId)
      const before = await syncedBranch(control, caller, projectId, branchId)
      using _lock = await locks.acquire(before.id, 'enable')
      const seen = await freePlace(control.store, place)
      const { timelineId, schemas } = await provisionDataApi(control, seen.branch, place.databaseName, input)
      await failpoint('data-api.enable.provisioned')
      const { result } = await schedule(control, caller, projectId, async (sql, project) => {
        const { branch, endpointId } = await freePlace(sql, place)
        // It has got other data meanwhile, which knows nothing of this.
        if (branch.timelineId !== timelineId) throw projectLocked()
        const { audience, grantsDefaults, skipsAuthSchema, settings } = input
        const api = await insertDataApi(sql, {
          id: newDataApiId(),
          projectId: project.id,
          branchId: branch.id,
          databaseName: place.databaseName,
          authProvider,
          audience,
          grantsDefaults,
          skipsAuthSchema,
          settings,
          preparedTimelineId: timelineId,
          schemas,
        })
        if (keySet) await insertKeySet(sql, api, keySet)
        return { result: { id: api.id, endpointId }, plan: restPlan }
      })
      await failpoint('data-api.enable.committed')
      await changed(control, result.id)
      return { url: control.addresses.serviceUrl('data-api', result.endpointId, place.databaseName) }
    },

    async get(caller, place) {
      await visibleProject(control.store, caller, place.projectId)
      const { api, branch } = await existing(control.store, place)
      const [endpoints, database] = await Promise.all([
        listBranchEndpoints(control.store, branch.id),
        getDatabase(control.store, branch.id, api.databaseName),
      ])
      const endpoint = endpoints.find(({ type }) => type === 'read_write')
      return {
        api,
        url: control.addresses.serviceUrl('data-api', endpoint?.id ?? '', api.databaseName),
        status: endpoint && database ? 'active' : 'error',
        schemas: await getAvailableSchemas(control.store, api.id),
      }
    },

    async update(caller, place, settings) {
      if (settings) assertDataApiSettings(settings)
      const { api, branch } = await control.store.transaction(async (sql) => {
        await lockVisibleProject(sql, caller, place.projectId)
        const found = await existing(sql, place)
        if (settings) await setDataApiSettings(sql, found.api.id, settings)
        return found
      })
      using _lock = await locks.acquire(branch.id, 'update')
      const { timelineId } = branch
      if (timelineId !== undefined && isBranchRunning(control, branch)) {
        // What could not be looked at now is looked at by the next request.
        await renewDataApi(control, api, timelineId).catch((error: unknown) =>
          control.logger.warn({ branch: branch.id, cause: errorChain(error) }, 'a Data API could not be renewed'),
        )
      }
      await changed(control, api.id)
    },

    async disable(caller, place) {
      const { api } = await control.store.transaction(async (sql) => {
        await lockVisibleProject(sql, caller, place.projectId)
        const found = await existing(sql, place)
        await deleteDataApi(sql, found.api.id)
        return found
      })
      await failpoint('data-api.disable.committed')
      await changed(control, api.id)
    },
  }
}

const changed = (control: ControlContext, dataApiId: DataApiId): Promise<void> =>
  control.dataApiPlane.changed({ dataApiId, what: 'all' })

function assertInput(provider: DataApi['authProvider'], input: EnableDataApiInput): void {
  const { jwksUrl, providerName, audience, settings } = input
  if (provider === 'external' && jwksUrl === undefined)
    throw new AppError('bad_request', 'auth_provider external needs jwks_url: where the keys are that sign its tokens')
  if (provider === 'neon_auth' && jwksUrl !== undefined)
    throw new AppError('bad_request', 'jwks_url goes with auth_provider external; Neon Auth has its own')
  if (providerName !== undefined) assertDisplayName(providerName, 'provider', 64)
  if (audience !== undefined && (audience === '' || audience.length > longestAudience))
    throw new AppError('bad_request', `jwt_audience must have 1 to ${longestAudience} characters`)
  if (settings) assertDataApiSettings(settings)
}

/** Where it can be enabled. Throws `not_found`, `already_exists`, `unprocessable`. */
async function freePlace(
  sql: Sql,
  { projectId, branchId, databaseName }: DataApiPlace,
): Promise<{ branch: Branch; endpointId: string }> {
  const branch = await liveBranch(sql, projectId, branchId)
  const quoted = JSON.stringify(databaseName)
  if (!(await getDatabase(sql, branch.id, databaseName))) {
    throw new AppError(
      'not_found',
      `database ${quoted} not found: create it with POST /projects/${projectId}/branches/${branch.id}/databases`,
    )
  }
  if (await getDataApiOf(sql, branch.id, databaseName))
    throw new AppError(
      'already_exists',
      `the Data API is already enabled for database ${quoted} of branch ${branch.id}`,
    )
  if (branch.expiresAt)
    throw new AppError('unprocessable', 'a branch that expires has no Data API; clear its expires_at first')
  const endpoint = (await listBranchEndpoints(sql, branch.id)).find(({ type }) => type === 'read_write')
  if (!endpoint)
    throw new AppError('unprocessable', `branch ${branch.id} has no read-write endpoint that requests could come to`)
  return { branch, endpointId: endpoint.id }
}

async function existing(sql: Sql, place: DataApiPlace): Promise<{ api: DataApi; branch: Branch }> {
  const branch = await liveBranch(sql, place.projectId, place.branchId)
  const api = await getDataApiOf(sql, branch.id, place.databaseName)
  if (api) return { api, branch }
  throw new AppError(
    'not_found',
    `the Data API is not enabled for database ${JSON.stringify(place.databaseName)} of branch ${branch.id}`,
  )
}

type KeySet = Pick<Jwks, 'url' | 'privateAllowed' | 'providerName'>

/** Throws `bad_request`. */
async function keySetOf(
  sql: Sql,
  caller: Caller,
  orgId: OrganizationId,
  { jwksUrl = '', providerName }: EnableDataApiInput,
): Promise<KeySet> {
  const privateAllowed = await mayNamePrivate(sql, caller, orgId)
  const { hostname } = assertOutboundUrl(jwksUrl, { privateAllowed, field: 'jwks_url' })
  return { url: jwksUrl, privateAllowed, providerName: providerName ?? hostname.slice(0, 64) }
}

async function insertKeySet(sql: Sql, { id, projectId, branchId, audience }: DataApi, keySet: KeySet): Promise<void> {
  await insertJwks(sql, {
    ...keySet,
    id: crypto.randomUUID(),
    projectId,
    branchId,
    audience,
    roleNames: undefined,
    authIntegrationId: undefined,
    dataApiId: id,
  })
}
