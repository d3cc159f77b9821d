// Where a project's tokens are signed.

import type { AddProjectJWKSRequest } from '@neondatabase/api-client'
import { created, ok, type ApiRequest, type Handlers } from './handler.ts'
import { jwksView } from './jwks-view.ts'

export const jwks = {
  async getProjectJWKS({ control, caller, params }: ApiRequest) {
    const sets = await control.jwks.list(caller, params.project_id)
    return ok({ jwks: sets.map(jwksView) })
  },

  /** Roles are made by their own operation: one that was made here would have a password that nobody was told. */
  async addProjectJWKS({ control, caller, params, body }: ApiRequest<unknown, AddProjectJWKSRequest>) {
    const set = await control.jwks.add(caller, params.project_id, {
      url: body.jwks_url,
      providerName: body.provider_name,
      branchId: body.branch_id,
      audience: body.jwt_audience,
      roleNames: body.role_names,
    })
    return created({ jwks: jwksView(set), operations: [] })
  },

  async deleteProjectJWKS({ control, caller, params }: ApiRequest) {
    return ok(jwksView(await control.jwks.delete(caller, params.project_id, params.jwks_id)))
  },
} satisfies Handlers
