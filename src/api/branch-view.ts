// Branches, as the API shows them.

import type { AnnotationData, Branch as BranchWire, BranchRecoveryInfo } from '@neondatabase/api-client'
import type { Branch } from '../model/branch.ts'
import type { User } from '../model/caller.ts'
import { formatLsn } from '../model/lsn.ts'
import { noUsage, type Usage } from '../model/usage.ts'
import type { Wire } from './contract/wire.ts'
import { seconds, secondsIfSet } from './timestamps.ts'
import { usageFields } from './usage-view.ts'

/** `usage` is told by reads only: mutations answer zeros, as Neon does. `parent_id` is absent on roots: Neon's snapshot demo drops branches whose `parent_id` is null. */
export function branchView(branch: Branch, creator?: User, usage: Usage = noUsage): Wire<BranchWire> {
  return {
    id: branch.id,
    project_id: branch.projectId,
    parent_id: branch.parentId,
    parent_lsn: branch.parentLsn === undefined ? undefined : formatLsn(branch.parentLsn),
    parent_timestamp: secondsIfSet(branch.parentTimestamp),
    name: branch.name,
    current_state: branch.state,
    pending_state: branch.pendingState,
    state_changed_at: seconds(branch.stateChangedAt),
    logical_size: branch.logicalSizeBytes,
    // Ours: no client of Neon's looks for it.
    ...(branch.historyBytes === undefined ? {} : { history_bytes: branch.historyBytes }),
    creation_source: branch.creationSource,
    primary: branch.isDefault,
    default: branch.isDefault,
    protected: branch.protected,
    ...usageFields(usage),
    created_at: seconds(branch.createdAt),
    updated_at: seconds(branch.updatedAt),
    created_by: creator && { name: creator.name, image: '' },
    expires_at: secondsIfSet(branch.expiresAt),
    ttl_interval_seconds: branch.ttlIntervalSeconds,
    last_reset_at: secondsIfSet(branch.lastResetAt),
    init_source: branch.initSource,
    restore_status: branch.restoreStatus,
    restored_from: branch.restoredFrom,
    restored_as: branch.restoredAs,
  }
}

/** The contract shows it in lists only, where deleted branches are asked for. */
export function recoveryView(branch: Branch, recoveryWindowSeconds: number): Wire<BranchRecoveryInfo> | undefined {
  const { deletedAt, deletionMethod } = branch
  return (
    deletedAt && {
      deleted_at: seconds(deletedAt),
      recoverable_until: seconds(new Date(deletedAt.getTime() + recoveryWindowSeconds * 1000)),
      deletion_method: deletionMethod ?? 'user',
    }
  )
}

export function annotationView(branch: Branch): Wire<AnnotationData> {
  return { object: { type: 'console/branch', id: branch.id }, value: branch.annotation }
}

/** Always an object, since the Neon CLI reads it without asking; it holds the branches that have annotations. */
export function annotationsView(branches: readonly Branch[]): Record<string, Wire<AnnotationData>> {
  const annotated = branches.filter((branch) => Object.keys(branch.annotation).length > 0)
  return Object.fromEntries(annotated.map((branch) => [branch.id, annotationView(branch)]))
}
