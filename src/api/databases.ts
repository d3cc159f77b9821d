// Databases of a branch.

import type { DatabaseCreateRequest, DatabaseUpdateRequest } from '@neondatabase/api-client'
import type { DatabaseOperations } from '../control/params.ts'
import { databaseView } from './database-view.ts'
import { created, ok, okOrGone, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'

export const databases = {
  async listProjectBranchDatabases({ control, caller, params }: ApiRequest) {
    const databases = await control.databases.list(caller, params.project_id, params.branch_id)
    return ok({ databases: databases.map(databaseView) })
  },

  async createProjectBranchDatabase({ control, caller, params, body }: ApiRequest<unknown, DatabaseCreateRequest>) {
    const input = { name: body.database.name, ownerName: body.database.owner_name }
    return created(operationsView(await control.databases.create(caller, params.project_id, params.branch_id, input)))
  },

  async getProjectBranchDatabase({ control, caller, params }: ApiRequest) {
    const database = await control.databases.get(caller, params.project_id, params.branch_id, params.database_name)
    return ok({ database: databaseView(database) })
  },

  async updateProjectBranchDatabase({ control, caller, params, body }: ApiRequest<unknown, DatabaseUpdateRequest>) {
    const input = { name: body.database.name, ownerName: body.database.owner_name }
    const updated = await control.databases.update(
      caller,
      params.project_id,
      params.branch_id,
      params.database_name,
      input,
    )
    return ok(operationsView(updated))
  },

  async deleteProjectBranchDatabase({ control, caller, params }: ApiRequest) {
    const deleted = await control.databases.delete(caller, params.project_id, params.branch_id, params.database_name)
    return okOrGone(deleted, operationsView)
  },
} satisfies Handlers

function operationsView({ database, operations }: DatabaseOperations) {
  return { database: databaseView(database), operations: operations.map(operationView) }
}
