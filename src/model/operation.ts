// Operations: the persisted steps of a chain. Names and order of actions are Neon's, clients show and poll them.

import type { BranchId, ChainId, EndpointId, OperationId, ProjectId } from './ids.ts'

/** The part of the contract's `OperationAction` that pgrove performs. */
export type OperationAction =
  | 'create_timeline'
  | 'create_branch'
  | 'delete_timeline'
  | 'start_compute'
  | 'suspend_compute'
  | 'apply_config'
  | 'apply_schema_from_branch'
  | 'timeline_archive'
  | 'timeline_unarchive'

export type OperationStatus =
  | 'scheduling'
  | 'running'
  | 'finished'
  | 'failed'
  | 'error'
  | 'cancelling'
  | 'cancelled'
  | 'skipped'

export const unfinishedStatuses = ['scheduling', 'running', 'failed', 'cancelling'] as const satisfies OperationStatus[]

export type Operation = {
  id: OperationId
  chainId: ChainId
  projectId: ProjectId
  branchId: BranchId | undefined
  endpointId: EndpointId | undefined
  /** Position inside the chain, from 0. */
  position: number
  action: OperationAction
  status: OperationStatus
  error: string | undefined
  failuresCount: number
  retryAt: Date | undefined
  createdAt: Date
  updatedAt: Date
  startedAt: Date | undefined
  totalDurationMs: number
}
