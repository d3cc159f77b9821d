// The string that is pasted into a program.

import type { GetConnectionUriParams } from '@neondatabase/api-client'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

export const connectionUri = {
  async getConnectionURI({ control, caller, params, query }: ApiRequest<GetConnectionUriParams>) {
    const uri = await control.connectionUris.get(caller, {
      projectId: params.project_id,
      branchId: query.branch_id,
      endpointId: query.endpoint_id,
      databaseName: query.database_name,
      roleName: query.role_name,
      pooled: query.pooled ?? false,
    })
    return ok({ uri })
  },
} satisfies Handlers
