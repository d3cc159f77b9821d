// Projects shared with people outside their organization.

import type {
  GrantPermissionToProjectRequest,
  ProjectPermission as ProjectPermissionWire,
} from '@neondatabase/api-client'
import type { ProjectPermission } from '../model/project.ts'
import type { Wire } from './contract/wire.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { seconds } from './timestamps.ts'

export const projectPermissions = {
  async listProjectPermissions({ control, caller, params }: ApiRequest) {
    const permissions = await control.permissions.list(caller, params.project_id)
    return ok({ project_permissions: permissions.map(permissionView) })
  },

  async grantPermissionToProject({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, GrantPermissionToProjectRequest>) {
    return ok(permissionView(await control.permissions.grant(caller, params.project_id, body.email)))
  },

  async revokePermissionFromProject({ control, caller, params }: ApiRequest) {
    return ok(permissionView(await control.permissions.revoke(caller, params.project_id, params.permission_id)))
  },
} satisfies Handlers

function permissionView(permission: ProjectPermission): Wire<ProjectPermissionWire> {
  return {
    id: permission.id,
    granted_to_email: permission.grantedToEmail,
    granted_at: seconds(permission.grantedAt),
    ...(permission.revokedAt === undefined ? {} : { revoked_at: seconds(permission.revokedAt) }),
  }
}
