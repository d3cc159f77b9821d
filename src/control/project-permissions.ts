// Projects shared with people outside their organization, one by one.

import { AppError } from '../model/errors.ts'
import type { ProjectId } from '../model/ids.ts'
import type { Sql } from '../store/database.ts'
import {
  ensurePermission,
  listPermissions,
  revokePermission,
  revokePermissionsOfProjects,
} from '../store/project-permissions.ts'
import { lockVisibleProject, visibleProject } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const mostPermissions = 1000

export function permissionControl(control: ControlContext): Control['permissions'] {
  return {
    async list(caller, projectId) {
      const project = await visibleProject(control.store, caller, projectId, 'project:share')
      return await listPermissions(control.store, project.id)
    },
    async grant(caller, projectId, email) {
      return await control.store.transaction(async (sql) => {
        const project = await lockVisibleProject(sql, caller, projectId, 'project:share')
        const permission = await ensurePermission(sql, project.id, email)
        if ((await listPermissions(sql, project.id)).length > mostPermissions) {
          throw new AppError(
            'unprocessable',
            `a project can be shared with ${mostPermissions} addresses; revoke some permissions first`,
          )
        }
        return permission
      })
    },
    async revoke(caller, projectId, permissionId) {
      const project = await visibleProject(control.store, caller, projectId, 'project:share')
      const permission = await revokePermission(control.store, project.id, permissionId)
      if (!permission) throw new AppError('not_found', 'permission not found')
      return permission
    },
  }
}

/** For projects that leave their organization: whom that shared them with has no more to do with them. */
export async function dropProjectPermissions(sql: Sql, projectIds: readonly ProjectId[]): Promise<void> {
  await revokePermissionsOfProjects(sql, projectIds)
}
