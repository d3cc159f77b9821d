// Key sets of a project: where the keys are published that sign tokens for its roles.

import { AppError } from '../model/errors.ts'
import type { Jwks } from '../model/jwks.ts'
import { listIntegrations } from '../store/auth/integrations.ts'
import { getDataApi } from '../store/data-apis.ts'
import { deleteJwks, getJwks, insertJwks, listJwks } from '../store/jwks.ts'
import { liveBranch, lockVisibleProject, visibleProject } from './access.ts'
import { authUrls } from './auth/urls.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDisplayName, assertRoleName } from './names.ts'
import { assertOutboundUrl, mayNamePrivate } from './outbound-urls.ts'

const mostKeySets = 50
const longestAudience = 255
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** By a call for key sets, not along with something else. */
const isGiven = ({ authIntegrationId, dataApiId }: Jwks): boolean =>
  authIntegrationId === undefined && dataApiId === undefined

export function jwksControl(control: ControlContext): Control['jwks'] {
  return {
    async list(caller, projectId) {
      await visibleProject(control.store, caller, projectId)
      const sets = await listJwks(control.store, projectId)
      const integrations = new Map((await listIntegrations(control.store, projectId)).map((each) => [each.id, each]))
      return await Promise.all(
        sets.map(async (set) => {
          const integration = set.authIntegrationId && integrations.get(set.authIntegrationId)
          // Our own addresses are what they are now.
          return integration ? { ...set, url: (await authUrls(control, control.store, integration)).jwksUrl } : set
        }),
      )
    },
    async add(caller, projectId, input) {
      assertDisplayName(input.providerName, 'provider', 64)
      if (input.audience !== undefined && (input.audience === '' || input.audience.length > longestAudience))
        throw new AppError('bad_request', `jwt_audience must have 1 to ${longestAudience} characters`)
      for (const name of input.roleNames ?? []) assertRoleName(name)
      const added = await control.store.transaction(async (sql) => {
        const project = await lockVisibleProject(sql, caller, projectId)
        const privateAllowed = await mayNamePrivate(sql, caller, project.orgId)
        assertOutboundUrl(input.url, { privateAllowed, field: 'jwks_url' })
        const branch = input.branchId === undefined ? undefined : await liveBranch(sql, projectId, input.branchId)
        const given = (await listJwks(sql, projectId)).filter(isGiven)
        if (given.length >= mostKeySets)
          throw new AppError('unprocessable', `a project has at most ${mostKeySets} key sets`)
        return await insertJwks(sql, {
          ...input,
          id: crypto.randomUUID(),
          projectId: project.id,
          privateAllowed,
          branchId: branch?.id,
          authIntegrationId: undefined,
          dataApiId: undefined,
        })
      })
      await control.dataApiPlane.changed({ projectId, what: 'all' })
      return added
    },
    async delete(caller, projectId, id) {
      await visibleProject(control.store, caller, projectId, 'project:write')
      const set = uuid.test(id) ? await getJwks(control.store, projectId, id) : undefined
      if (set?.authIntegrationId !== undefined) {
        throw new AppError(
          'unprocessable',
          `this key set belongs to the sign-in of branch ${set.branchId} and goes with it: DELETE /projects/${projectId}/branches/${set.branchId}/auth`,
        )
      }
      if (set?.dataApiId !== undefined) {
        const api = await getDataApi(control.store, set.dataApiId)
        throw new AppError(
          'unprocessable',
          `this key set belongs to a Data API of branch ${api?.branchId} and goes with it: DELETE /projects/${projectId}/branches/${api?.branchId}/data-api/${encodeURIComponent(api?.databaseName ?? '')}`,
        )
      }
      const deleted = set && (await deleteJwks(control.store, projectId, set.id))
      if (!deleted) throw new AppError('not_found', 'JWKS not found')
      await control.dataApiPlane.changed({ projectId, what: 'all' })
      return deleted
    },
  }
}
