// A branch's storage: one data directory. Before a branch owns it, it may wait in the warm pool.

import type { PgMajor } from './compute.ts'
import type { TimelineId } from './ids.ts'
import type { Lsn } from './lsn.ts'

/**
 * `making` → `pooled` → `owned` → `deleting`; `making` → `owned` for a timeline that is made for its branch.
 * Whatever is found `making` after a crash is thrown away or made again.
 */
export type TimelineState = 'making' | 'pooled' | 'owned' | 'deleting'

export type Timeline = {
  id: TimelineId
  pgMajor: PgMajor
  state: TimelineState
  /** Offset into the range of uids when pgrove is root; a project's branches share one. */
  uidOffset: number
  serviceKeyId: string
  /** Its branch's history begins here; undefined until its branch has it. */
  birthLsn: Lsn | undefined
  birthAt: Date | undefined
  /** A subscription was seen in it, or in what it was made of. */
  hasSubscriptions: boolean
  createdAt: Date
}
