// Sign-in of a branch: enabling, disabling, its keys and its name.

import type {
  EnableNeonAuthIntegrationRequest,
  NeonAuthConfigUpdate,
  NeonAuthCreateAuthProviderSDKKeysRequest,
  NeonAuthCreateIntegrationRequest,
  NeonAuthTransferAuthProviderProjectRequest,
} from '@neondatabase/api-client'
import { createdIntegrationView, integrationView } from './auth-integration-view.ts'
import { ofBody, ofBranch } from './auth-place.ts'
import { created, ok, type ApiRequest, type Handlers } from './handler.ts'

export const authIntegrations = {
  async createNeonAuth({ control, caller, params, body }: ApiRequest<unknown, EnableNeonAuthIntegrationRequest>) {
    const input = { provider: body.auth_provider, databaseName: body.database_name }
    return created(createdIntegrationView(await control.auth.create(caller, ofBranch(params), input)))
  },

  /** `role_name` has long had no meaning. */
  async createNeonAuthIntegration({ control, caller, body }: ApiRequest<unknown, NeonAuthCreateIntegrationRequest>) {
    const place = { projectId: body.project_id, branchId: body.branch_id }
    const input = { provider: body.auth_provider, databaseName: body.database_name }
    return created(createdIntegrationView(await control.auth.create(caller, place, input)))
  },

  async getNeonAuth({ control, caller, params }: ApiRequest) {
    return ok(integrationView(await control.auth.get(caller, ofBranch(params))))
  },

  async listNeonAuthIntegrations({ control, caller, params }: ApiRequest) {
    return ok({ data: (await control.auth.list(caller, params.project_id)).map(integrationView) })
  },

  async disableNeonAuth({ control, caller, params, body }: ApiRequest<unknown, { delete_data?: boolean }>) {
    await control.auth.disable(caller, ofBranch(params), { deleteData: body.delete_data ?? false })
    return ok(undefined)
  },

  async deleteNeonAuthIntegration({ control, caller, params, body }: ApiRequest<unknown, { delete_data?: boolean }>) {
    const place = { projectId: params.project_id, provider: params.auth_provider }
    await control.auth.disable(caller, place, { deleteData: body.delete_data ?? false })
    return ok(undefined)
  },

  async createNeonAuthProviderSDKKeys({
    control,
    caller,
    body,
  }: ApiRequest<unknown, NeonAuthCreateAuthProviderSDKKeysRequest>) {
    return created(createdIntegrationView(await control.auth.createKeys(caller, ofBody(body))))
  },

  async transferNeonAuthProviderProject({
    control,
    caller,
    body,
  }: ApiRequest<unknown, NeonAuthTransferAuthProviderProjectRequest>) {
    return ok({ url: await control.auth.transfer(caller, ofBody(body)) })
  },

  async updateNeonAuthConfig({ control, caller, params, body }: ApiRequest<unknown, NeonAuthConfigUpdate>) {
    return ok({ name: await control.auth.rename(caller, ofBranch(params), body.name) })
  },
} satisfies Handlers
