// Users of a branch's sign-in.

import type {
  CreateBranchNeonAuthNewUserRequest,
  NeonAuthCreateNewUserRequest,
  UpdateNeonAuthUserRoleRequest,
} from '@neondatabase/api-client'
import { ofBody, ofBranch, ofProject } from './auth-place.ts'
import { created, ok, type ApiRequest, type Handlers } from './handler.ts'

const gone = { status: 204 } as const

export const authUsers = {
  async createBranchNeonAuthNewUser({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, CreateBranchNeonAuthNewUserRequest>) {
    const input = { email: body.email, name: body.name }
    return created({ id: await control.auth.users.create(caller, ofBranch(params), input) })
  },

  async createNeonAuthNewUser({ control, caller, body }: ApiRequest<unknown, NeonAuthCreateNewUserRequest>) {
    const input = { email: body.email, name: body.name }
    return created({ id: await control.auth.users.create(caller, ofBody(body), input) })
  },

  async deleteBranchNeonAuthUser({ control, caller, params }: ApiRequest) {
    await control.auth.users.delete(caller, ofBranch(params), params.auth_user_id)
    return gone
  },

  async deleteNeonAuthUser({ control, caller, params }: ApiRequest) {
    await control.auth.users.delete(caller, ofProject(params), params.auth_user_id)
    return gone
  },

  async updateNeonAuthUserRole({ control, caller, params, body }: ApiRequest<unknown, UpdateNeonAuthUserRoleRequest>) {
    const { roles } = body
    return ok({ id: await control.auth.users.setRoles(caller, ofBranch(params), params.auth_user_id, roles) })
  },
} satisfies Handlers
