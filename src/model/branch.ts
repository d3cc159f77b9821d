import type { BranchId, ProjectId, SnapshotId, TimelineId, UserId } from './ids.ts'
import type { Lsn } from './lsn.ts'

/** `restored`: made from a snapshot, and may yet take its target's place; `finalized`: has taken it. */
export type RestoreStatus = 'restored' | 'finalized'
export type InitSource = 'parent-data' | 'schema-only'

export type BranchState = 'init' | 'ready' | 'resetting' | 'archived'

export type Branch = {
  id: BranchId
  projectId: ProjectId
  timelineId: TimelineId | undefined
  /** Being made to take the place of `timelineId`. */
  incomingTimelineId: TimelineId | undefined
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
  /** What its past costs on disk: its log, and what its images hold alone. */
  historyBytes: number | undefined
  annotation: Record<string, string>
  creationSource: string
  createdBy: UserId | undefined
  createdAt: Date
  updatedAt: Date
  /** It is deleted at or after this time. */
  expiresAt: Date | undefined
  /** From when `expiresAt` was set to it: begins anew at a reset. */
  ttlIntervalSeconds: number | undefined
  lastResetAt: Date | undefined
  initSource: InitSource
  restoreStatus: RestoreStatus | undefined
  restoredFrom: SnapshotId | undefined
  /** The branch that it replaces, or would. */
  restoredAs: BranchId | undefined
  deletionMethod: 'user' | 'ttl' | undefined
  deletedAt: Date | undefined
  purgingAt: Date | undefined
}
