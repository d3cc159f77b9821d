import type { Operation as OperationWire } from '@neondatabase/api-client'
import type { Operation } from '../model/operation.ts'
import type { Wire } from './contract/wire.ts'
import { milliseconds } from './timestamps.ts'

export function operationView(operation: Operation): Wire<OperationWire> {
  return {
    id: operation.id,
    project_id: operation.projectId,
    branch_id: operation.branchId,
    endpoint_id: operation.endpointId,
    action: operation.action,
    status: operation.status,
    error: operation.error,
    failures_count: operation.failuresCount,
    retry_at: operation.retryAt && milliseconds(operation.retryAt),
    created_at: milliseconds(operation.createdAt),
    updated_at: milliseconds(operation.updatedAt),
    total_duration_ms: Math.round(operation.totalDurationMs),
  }
}
