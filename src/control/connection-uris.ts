import { AppError } from '../model/errors.ts'
import { defaultBranch } from '../store/branches.ts'
import { getDatabase } from '../store/databases.ts'
import { getEndpoint, listBranchEndpoints } from '../store/endpoints.ts'
import { getRole } from '../store/roles.ts'
import { branchNotFound, endpointNotFound, liveBranch, visibleProject } from './access.ts'
import { syncCatalog } from './catalog.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { revealRolePassword } from './role-secrets.ts'

export function connectionUriControl(control: ControlContext): Control['connectionUris'] {
  return {
    async get(caller, query) {
      const { store } = control
      await visibleProject(store, caller, query.projectId, 'project:write')
      const named =
        query.endpointId === undefined ? undefined : await getEndpoint(store, query.projectId, query.endpointId)
      if (query.endpointId !== undefined && !named) throw endpointNotFound()
      const branchId = query.branchId ?? named?.branchId
      const branch =
        branchId === undefined
          ? await defaultBranch(store, query.projectId)
          : await liveBranch(store, query.projectId, branchId)
      if (!branch) throw branchNotFound()
      if (named && named.branchId !== branch.id) throw new AppError('not_found', 'endpoint not found on this branch')
      const endpoint = named ?? (await listBranchEndpoints(store, branch.id)).find(({ type }) => type === 'read_write')
      if (!endpoint) throw new AppError('not_found', `branch ${branch.id} has no endpoint; create one to connect to it`)
      let [role, database] = await Promise.all([
        getRole(store, branch.id, query.roleName),
        getDatabase(store, branch.id, query.databaseName),
      ])
      if (!role || !database) {
        // Made by SQL a moment ago, perhaps.
        await syncCatalog(control, branch)
        role = await getRole(store, branch.id, query.roleName)
        database = await getDatabase(store, branch.id, query.databaseName)
      }
      if (!role) throw new AppError('not_found', 'role not found')
      if (!database) throw new AppError('not_found', 'database not found')
      return control.addresses.connectionUri({
        endpointId: endpoint.id,
        database: query.databaseName,
        role: role.name,
        password: revealRolePassword(control.cipher, role),
        pooled: query.pooled,
      })
    },
  }
}
