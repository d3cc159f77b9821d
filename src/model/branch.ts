import type { BranchId, ProjectId, TimelineId, UserId } from './ids.ts'
import type { Lsn } from './lsn.ts'

export type BranchState = 'init' | 'ready' | 'resetting' | 'archived'

export type Branch = {
  id: BranchId
  projectId: ProjectId
  timelineId: TimelineId | undefined
  name: string
  parentId: BranchId | undefined
  parentLsn: Lsn | undefined
  parentTimestamp: Date | undefined
  state: BranchState
  pendingState: BranchState | 'storage_deleted' | undefined
  stateChangedAt: Date
  isDefault: boolean
  protected: boolean
  logicalSizeBytes: number | undefined
  annotation: Record<string, string>
  creationSource: string
  createdBy: UserId | undefined
  createdAt: Date
  updatedAt: Date
  deletedAt: Date | undefined
  purgingAt: Date | undefined
}
