// What storage a home folder has or would get, without making anything.

import { canReflink, canSnapshotSubvolumes, poolObstacle } from './probe.ts'
import { poolRoot } from './pool.ts'
import { ProjectQuotas } from './project-quotas.ts'
import { plainRoot, readBindingRecord } from './storage-record.ts'
import type { WantedStorage } from './choose.ts'

/** A sentence. The folder has to exist. */
export async function describeStorage(home: string, wanted: WantedStorage): Promise<string> {
  const held = await readBindingRecord(home)
  if (held)
    return `${held.kind}: ${held.why}; ${await hardLimitSentence(held.kind === 'pool' ? poolRoot(home) : plainRoot(home))}`
  if (wanted !== 'auto') return `${wanted}, because PGROVE_STORAGE says so`
  if (await canSnapshotSubvolumes(home)) return 'btrfs: the home folder is on btrfs, copies will be snapshots'
  if (await canReflink(home)) return 'reflink: the file system of the home folder shares blocks between files'
  const obstacle = await poolObstacle()
  if (obstacle === undefined)
    return 'pool: the file system cannot share blocks, so databases will live in a pool file with XFS in it'
  return `copy: no copy-on-write here (a pool would need ${obstacle}), so every branch takes its full size and time`
}

async function hardLimitSentence(root: string): Promise<string> {
  return (await ProjectQuotas.find(root))
    ? 'size quotas are backed by hard limits'
    : 'size quotas have no hard limits behind them (for those: XFS mounted with prjquota, and xfs_quota)'
}
