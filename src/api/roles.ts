// Roles of a branch.

import type { RoleCreateRequest } from '@neondatabase/api-client'
import type { RoleOperations } from '../control/params.ts'
import { created, ok, okOrGone, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'
import { roleView } from './role-view.ts'

export const roles = {
  async listProjectBranchRoles({ control, caller, params }: ApiRequest) {
    const roles = await control.roles.list(caller, params.project_id, params.branch_id)
    return ok({ roles: roles.map((role) => roleView(role)) })
  },

  async createProjectBranchRole({ control, caller, params, body }: ApiRequest<unknown, RoleCreateRequest>) {
    const input = { name: body.role.name, noLogin: body.role.no_login ?? false }
    return created(operationsView(await control.roles.create(caller, params.project_id, params.branch_id, input)))
  },

  async getProjectBranchRole({ control, caller, params }: ApiRequest) {
    return ok({
      role: roleView(await control.roles.get(caller, params.project_id, params.branch_id, params.role_name)),
    })
  },

  async deleteProjectBranchRole({ control, caller, params }: ApiRequest) {
    return okOrGone(
      await control.roles.delete(caller, params.project_id, params.branch_id, params.role_name),
      operationsView,
    )
  },

  async getProjectBranchRolePassword({ control, caller, params }: ApiRequest) {
    return ok({
      password: await control.roles.revealPassword(caller, params.project_id, params.branch_id, params.role_name),
    })
  },

  async resetProjectBranchRolePassword({ control, caller, params }: ApiRequest) {
    return ok(
      operationsView(await control.roles.resetPassword(caller, params.project_id, params.branch_id, params.role_name)),
    )
  },
} satisfies Handlers

function operationsView({ role, password, operations }: RoleOperations) {
  return { role: roleView(role, password), operations: operations.map(operationView) }
}
