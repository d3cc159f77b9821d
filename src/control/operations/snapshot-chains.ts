// The chains of snapshots: making one, removing it, restoring it into a new branch, and putting that in another's place.

import { copySegments, findSegments } from '../../compute/wal-files.ts'
import { syncDataDir, walSegmentNames } from '../../compute/data-dir.ts'
import { failpoint } from '../../lib/failpoint.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import type { BranchId } from '../../model/ids.ts'
import type { ComputeSpec } from '../../model/compute.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Timeline } from '../../model/timeline.ts'
import { getBranch, setBranchDeleted, setBranchReady, setBranchTimeline } from '../../store/branches.ts'
import { getImage } from '../../store/images.ts'
import {
  deleteSnapshotRow,
  getSnapshotEvenDeleting,
  setSnapshotPoint,
  setSnapshotReady,
} from '../../store/snapshots.ts'
import { getTimeline } from '../../store/timelines.ts'
import { settleCopiedAuth } from '../auth/copies.ts'
import { branchSpec, servingTarget } from '../branch-compute.ts'
import { toComputeSpec } from '../compute-spec.ts'
import { swapBranches } from '../branch-swap.ts'
import { rereadCatalog } from '../catalog.ts'
import type { ControlContext } from '../context.ts'
import { placeTimeline, recoverTimeline } from '../placing.ts'
import { resolvePoint } from '../points.ts'
import { ensureBranchTimeline, forgetBranchTimeline } from './branch-timeline.ts'
import { nothingToUndo, type ChainDefinition, type StepContext } from './chain.ts'
import { startStep } from './endpoint-chains.ts'
import { stepBranch } from './step-branch.ts'

const nothingToDo = { run: async (): Promise<void> => {}, undo: nothingToUndo }

export const createSnapshotChain: ChainDefinition = {
  kind: 'create_snapshot',
  steps: {
    create_branch: { run: keepPoint, undo: forgetSnapshot },
    // It takes no part in anything from the moment it is complete: there is nothing to archive.
    timeline_archive: nothingToDo,
  },
  async finished(_control, chain, sql) {
    await setSnapshotReady(sql, chain.input['snapshotId'] as Snapshot['id'])
  },
}

export const deleteSnapshotChain: ChainDefinition = {
  kind: 'delete_snapshot',
  steps: { delete_timeline: { run: forgetSnapshot, undo: nothingToUndo } },
}

export const restoreSnapshotChain: ChainDefinition = {
  kind: 'restore_snapshot',
  steps: {
    timeline_unarchive: nothingToDo,
    create_branch: { run: createRestored, undo: forgetRestored },
    suspend_compute: { run: takePlace, undo: nothingToUndo },
    start_compute: startStep,
  },
  async finished(_control, chain, sql) {
    await setBranchReady(sql, chain.input['branchId'] as BranchId)
  },
  async undone(_control, chain, sql) {
    const branch = await getBranch(sql, chain.projectId, chain.input['branchId'] as BranchId)
    // What has taken its place is there to stay: only its compute did not start, and the next connection starts it.
    if (branch?.restoreStatus === 'finalized') await setBranchReady(sql, branch.id)
    else if (branch) await setBranchDeleted(sql, branch.id, { purging: true })
  },
}

export const finalizeRestoreChain: ChainDefinition = {
  kind: 'finalize_restore',
  steps: {
    suspend_compute: { run: takePlace, undo: nothingToUndo },
    start_compute: startStep,
  },
}

async function chainSnapshot({ control, chain }: StepContext): Promise<Snapshot> {
  const snapshot = await getSnapshotEvenDeleting(control.store, chain.input['snapshotId'] as string)
  if (!snapshot) throw new AppError('internal', `chain ${chain.id} has lost its snapshot`)
  return snapshot
}

/** An image that is kept from now on, and a copy of the log from there to the point. */
async function keepPoint(step: StepContext): Promise<void> {
  const { control } = step
  const { store, storage } = control
  const snapshot = await chainSnapshot(step)
  if (snapshot.state !== 'making') return
  const branch = await getBranch(store, snapshot.projectId, snapshot.sourceBranchId)
  if (!branch?.timelineId || snapshot.pointLsn === undefined) {
    throw new AppError('internal', `snapshot ${snapshot.id} has lost its branch`)
  }
  using _lock = await control.historyLocks.acquire(branch.timelineId, 'snapshot')
  const source = await resolvePoint(control, branch, { kind: 'lsn', lsn: snapshot.pointLsn }, { resolved: true })
  await setSnapshotPoint(store, snapshot.id, { imageId: source.image.id, lsn: source.lsn })
  await failpoint('snapshot.pointed')
  const owner = control.ownerOf(snapshot.uidOffset)
  const folder = await storage.ensureWalDir(snapshot.walId, owner)
  const names = walSegmentNames(source.image.tli, source.image.redoLsn, source.lsn)
  await copySegments(await findSegments(source.walFolders, names), folder, owner)
  await syncDataDir(folder)
  await failpoint('snapshot.kept')
}

async function forgetSnapshot(step: StepContext): Promise<void> {
  const { control, chain } = step
  const snapshot = await getSnapshotEvenDeleting(control.store, chain.input['snapshotId'] as string)
  if (snapshot) await removeSnapshot(control, snapshot)
}

/** Its files, then its row: what a crash leaves is found by the row. */
export async function removeSnapshot(control: ControlContext, snapshot: Snapshot): Promise<void> {
  await control.storage.destroyWal(snapshot.walId)
  await failpoint('snapshot.removed')
  await deleteSnapshotRow(control.store, snapshot.id)
}

async function createRestored(step: StepContext): Promise<void> {
  const { control } = step
  const branch = await ensureBranchTimeline(step, (each) => place(step, each))
  const timeline = branch.timelineId && (await getTimeline(control.store, branch.timelineId))
  if (!timeline) throw new AppError('internal', `branch ${branch.id} has lost its timeline`)
  if (timeline.state !== 'making') return
  using _lock = await control.branchLocks.acquire(branch.id, 'create_branch')
  await recoverTimeline(control, await restoredSpec(step, branch, timeline), async () => {
    await rereadCatalog(control, branch, timeline.id)
    await settleCopiedAuth(control, branch, timeline.id, { dropsWithoutUsers: true })
  })
}

/** As the endpoints that are going to move here want it, so that nothing has to be started again then. */
async function restoredSpec({ control, chain }: StepContext, branch: Branch, timeline: Timeline): Promise<ComputeSpec> {
  const targetId = chain.input['targetId'] as string | undefined
  const target = targetId === undefined ? undefined : await getBranch(control.store, chain.projectId, targetId)
  const serving = target && (await servingTarget(control, target))
  if (!serving) return await branchSpec(control, branch)
  const { id, uidOffset, serviceKeyId } = timeline
  return toComputeSpec({ ...serving, timelineId: id, uidOffset, serviceKeyId }, control)
}

async function place(step: StepContext, branch: Branch): Promise<void> {
  const { control } = step
  const snapshot = await chainSnapshot(step)
  const image = snapshot.imageId && (await getImage(control.store, snapshot.imageId))
  if (!image || snapshot.pointLsn === undefined) throw new AppError('unavailable', 'the snapshot is not complete')
  const { pgMajor, uidOffset, serviceKeyId, hasSubscriptions } = snapshot
  const walFolders = [control.storage.walDir(snapshot.walId)]
  await placeTimeline(
    control,
    { image, lsn: snapshot.pointLsn, walFolders, pgMajor, uidOffset, serviceKeyId, hasSubscriptions },
    (sql, id) => setBranchTimeline(sql, branch.id, id),
  )
}

async function takePlace({ control, chain }: StepContext): Promise<void> {
  const target = chain.input['targetId'] as BranchId | undefined
  if (target === undefined) return
  await swapBranches(control, chain.projectId, {
    restored: chain.input['branchId'] as BranchId,
    target,
    oldName: chain.input['oldName'] as string | undefined,
  })
}

async function forgetRestored(step: StepContext): Promise<void> {
  const branch = await stepBranch(step)
  if (branch.restoreStatus !== 'finalized') await forgetBranchTimeline(step.control, branch)
}
