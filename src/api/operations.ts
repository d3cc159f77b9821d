// Operations of a project: what clients poll.

import type { ListProjectOperationsParams } from '@neondatabase/api-client'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'
import { formatOperationCursor, parseOperationCursor } from './paging.ts'

/** The contract's maximum. */
const defaultPageSize = 1000

export const operations = {
  async listProjectOperations({ control, caller, params, query }: ApiRequest<ListProjectOperationsParams>) {
    const page = await control.operations.list(caller, params.project_id, {
      limit: query.limit ?? defaultPageSize,
      before: parseOperationCursor(query.cursor),
    })
    return ok({
      operations: page.operations.map(operationView),
      ...(page.cursor === undefined ? {} : { pagination: { cursor: formatOperationCursor(page.cursor) } }),
    })
  },

  async getProjectOperation({ control, caller, params }: ApiRequest) {
    return ok({
      operation: operationView(await control.operations.get(caller, params.project_id, params.operation_id)),
    })
  },
} satisfies Handlers
