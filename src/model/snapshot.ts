import type { PgMajor } from './compute.ts'
import type { BranchId, ImageId, ProjectId, SnapshotId } from './ids.ts'
import type { Lsn } from './lsn.ts'

/** `making` → `ready` → `deleting`. */
export type SnapshotState = 'making' | 'ready' | 'deleting'

/** A role as it was, with its password sealed for `sealedFor`. */
export type SnapshotRole = {
  name: string
  login: boolean
  protected: boolean
  verifier: string | undefined
  encryptedPassword: Uint8Array | undefined
}

export type Snapshot = {
  id: SnapshotId
  projectId: ProjectId
  /** Fixed for life, also when the branch is gone. */
  sourceBranchId: BranchId
  /** Operations name it; it is in no list of branches. */
  backingBranchId: BranchId
  state: SnapshotState
  name: string
  /** False for what a schedule made. */
  manual: boolean
  metadata: Record<string, string>
  requestedLsn: Lsn | undefined
  requestedAt: Date | undefined
  imageId: ImageId | undefined
  /** Undefined until it is resolved. */
  pointLsn: Lsn | undefined
  pointAt: Date
  pgMajor: PgMajor
  uidOffset: number
  serviceKeyId: string
  hasSubscriptions: boolean
  roles: SnapshotRole[]
  databases: { name: string; ownerName: string }[]
  /** Of its folder of log segments. */
  walId: string
  fullSizeBytes: number | undefined
  createdAt: Date
  expiresAt: Date | undefined
}
