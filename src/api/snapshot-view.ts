// Snapshots, as the API shows them.

import type { Snapshot as SnapshotWire } from '@neondatabase/api-client'
import { formatLsn } from '../model/lsn.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Wire } from './contract/wire.ts'
import { milliseconds, seconds, secondsIfSet } from './timestamps.ts'

/** Beyond the contract: the names that Neon's guide for AI agents uses, and what a caller has attached. */
type OurFields = {
  parent_id: string
  parent_lsn: string | undefined
  parent_timestamp: string
  metadata: Record<string, string>
}

/**
 * `lsn` and `timestamp` are what was asked for; `parent_lsn` and `parent_timestamp` the point that it became. Points have their
 * milliseconds: whole seconds would be another point.
 */
export function snapshotView(snapshot: Snapshot): Wire<SnapshotWire> & OurFields {
  return {
    id: snapshot.id,
    name: snapshot.name,
    source_branch_id: snapshot.sourceBranchId,
    lsn: snapshot.requestedLsn === undefined ? undefined : formatLsn(snapshot.requestedLsn),
    timestamp: snapshot.requestedAt && milliseconds(snapshot.requestedAt),
    parent_id: snapshot.sourceBranchId,
    parent_lsn: snapshot.pointLsn === undefined ? undefined : formatLsn(snapshot.pointLsn),
    parent_timestamp: milliseconds(snapshot.pointAt),
    created_at: seconds(snapshot.createdAt),
    expires_at: secondsIfSet(snapshot.expiresAt),
    manual: snapshot.manual,
    full_size: snapshot.fullSizeBytes,
    metadata: snapshot.metadata,
  }
}
