import { AppError } from '../model/errors.ts'
import { getOperation, listOperations } from '../store/operations.ts'
import { visibleProjectEvenDeleted } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function operationControl(control: ControlContext): Control['operations'] {
  return {
    async list(caller, projectId, query) {
      await visibleProjectEvenDeleted(control.store, caller, projectId)
      return await listOperations(control.store, projectId, { limit: query.limit, before: query.before })
    },
    async get(caller, projectId, operationId) {
      await visibleProjectEvenDeleted(control.store, caller, projectId)
      const operation = uuid.test(operationId) ? await getOperation(control.store, projectId, operationId) : undefined
      if (!operation) throw new AppError('not_found', 'operation not found')
      return operation
    },
  }
}
