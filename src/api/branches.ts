// Branches.

import type {
  AnnotationCreateValueRequest,
  Api,
  BranchCreateRequest,
  BranchRestoreRequest,
  BranchUpdateRequest,
  CountProjectBranchesParams,
  DeleteProjectBranchParams,
  ListProjectBranchesParams,
} from '@neondatabase/api-client'
import type { BranchOperations, BranchSort, CreateBranchInput } from '../control/params.ts'
import { annotationsView, annotationView, branchView, recoveryView } from './branch-view.ts'
import { connectionView } from './connection-view.ts'
import type { Wire } from './contract/wire.ts'
import { databaseView } from './database-view.ts'
import { toEndpointSettings } from './endpoint-settings.ts'
import { endpointView } from './endpoint-view.ts'
import { created, ok, okOrGone, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'
import { formatBranchCursor, parseBranchCursor } from './paging.ts'
import { roleView } from './role-view.ts'

/** The contract's maximum: the Neon CLI shows the first page and no other. */
const defaultPageSize = 10_000

type CreateBody = BranchCreateRequest & AnnotationCreateValueRequest
type FinalizeBody = NonNullable<Parameters<Api<unknown>['finalizeRestoreBranch']>[2]>

export const branches = {
  async createProjectBranch({ control, caller, params, body, creationSource }: ApiRequest<unknown, CreateBody>) {
    const made = await control.branches.create(caller, params.project_id, { ...toCreateInput(body), creationSource })
    return created({
      branch: branchView(made.branch),
      endpoints: made.endpoints.map((endpoint) => endpointView(endpoint, control.addresses)),
      operations: made.operations.map(operationView),
      roles: made.roles.map((role) => roleView(role)),
      databases: made.databases.map(databaseView),
      connection_uris: made.connections?.map(connectionView),
    })
  },

  async listProjectBranches({ control, caller, params, query }: ApiRequest<ListProjectBranchesParams>) {
    const cursor = parseBranchCursor(query.cursor)
    const sortBy: BranchSort = cursor?.sortBy ?? query.sort_by ?? 'updated_at'
    const descending = cursor?.descending ?? query.sort_order !== 'asc'
    const page = await control.branches.list(caller, params.project_id, {
      search: query.search,
      sortBy,
      descending,
      limit: query.limit ?? defaultPageSize,
      after: cursor && { branchId: cursor.branchId, value: cursor.value },
      includeDeleted: query.include_deleted ?? false,
    })
    return ok({
      branches: page.branches.map((branch) => ({
        ...branchView(branch, branch.createdBy && page.creators.get(branch.createdBy), page.usage.get(branch.id)),
        recovery: recoveryView(branch, control.recoveryWindowSeconds),
      })),
      annotations: annotationsView(page.branches),
      pagination: {
        next: page.next && formatBranchCursor({ ...page.next, sortBy, descending }),
        sort_by: sortBy,
        sort_order: descending ? 'DESC' : 'ASC',
      },
    })
  },

  async countProjectBranches({ control, caller, params, query }: ApiRequest<CountProjectBranchesParams>) {
    return ok({ count: await control.branches.count(caller, params.project_id, query.search) })
  },

  async getProjectBranch({ control, caller, params }: ApiRequest) {
    const { branch, creator, usage } = await control.branches.get(caller, params.project_id, params.branch_id)
    return ok({ branch: branchView(branch, creator, usage), annotation: annotationView(branch) })
  },

  async updateProjectBranch({ control, caller, params, body }: ApiRequest<unknown, BranchUpdateRequest>) {
    const { name, protected: isProtected, expires_at: expiresAt } = body.branch
    const input = { name, protected: isProtected, expiresAt }
    return ok(operationsView(await control.branches.update(caller, params.project_id, params.branch_id, input)))
  },

  async setDefaultProjectBranch({ control, caller, params }: ApiRequest) {
    return ok(operationsView(await control.branches.setDefault(caller, params.project_id, params.branch_id)))
  },

  async deleteProjectBranch({ control, caller, params, query }: ApiRequest<DeleteProjectBranchParams>) {
    const options = { hard: query.hard_delete ?? false }
    return okOrGone(await control.branches.delete(caller, params.project_id, params.branch_id, options), operationsView)
  },

  async recoverProjectBranch({ control, caller, params }: ApiRequest) {
    const { branch, endpoints } = await control.branches.recover(caller, params.project_id, params.branch_id)
    return ok({
      branch: branchView(branch),
      endpoints: endpoints.map((endpoint) => endpointView(endpoint, control.addresses)),
    })
  },

  async restoreProjectBranch({ control, caller, params, body }: ApiRequest<unknown, BranchRestoreRequest>) {
    const input = {
      sourceBranchId: body.source_branch_id,
      lsn: body.source_lsn,
      timestamp: body.source_timestamp,
      preserveUnderName: body.preserve_under_name,
    }
    return ok(operationsView(await control.branches.restore(caller, params.project_id, params.branch_id, input)))
  },

  async finalizeRestoreBranch({ control, caller, params, body }: ApiRequest<unknown, FinalizeBody>) {
    const input = { name: body.name }
    const { operations } = await control.branches.finalizeRestore(caller, params.project_id, params.branch_id, input)
    return ok({ operations: operations.map(operationView) })
  },

  async listProjectBranchEndpoints({ control, caller, params }: ApiRequest) {
    const endpoints = await control.branches.endpoints(caller, params.project_id, params.branch_id)
    return ok({ endpoints: endpoints.map((endpoint) => endpointView(endpoint, control.addresses)) })
  },
} satisfies Handlers

function operationsView({ branch, operations }: BranchOperations) {
  return { branch: branchView(branch), operations: operations.map(operationView) }
}

function toCreateInput(body: Wire<CreateBody>): Omit<CreateBranchInput, 'creationSource'> {
  const { branch = {}, endpoints = [] } = body
  return {
    parentId: branch.parent_id,
    name: branch.name,
    parentLsn: branch.parent_lsn,
    parentTimestamp: branch.parent_timestamp,
    protected: branch.protected,
    archived: branch.archived,
    initSource: branch.init_source,
    expiresAt: branch.expires_at,
    annotation: body.annotation_value,
    endpoints: endpoints.map((endpoint) => ({ ...toEndpointSettings(endpoint), type: endpoint.type })),
  }
}
