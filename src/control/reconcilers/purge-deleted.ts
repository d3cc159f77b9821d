// Removes what was deleted for good: branches past their recovery window or deleted hard, then the projects they leave empty.

import { failpoint } from '../../lib/failpoint.ts'
import type { Branch } from '../../model/branch.ts'
import { errorChain } from '../../model/errors.ts'
import type { Timeline } from '../../model/timeline.ts'
import { deleteBranchRow, expireDeletedBranches, listBranchesToPurge } from '../../store/branches.ts'
import { listTimelinesInState, moveTimeline } from '../../store/timelines.ts'
import { deletePurgedProjects, listProjectsToPurge, setProjectPurging } from '../../store/projects.ts'
import type { ControlContext } from '../context.ts'
import { listSnapshotsToRemove, setSnapshotDeleting } from '../../store/snapshots.ts'
import { removeSnapshot } from '../operations/snapshot-chains.ts'
import { removeForsakenImages } from './trim-history.ts'
import { removeTimeline } from '../timeline-removal.ts'

export async function purgeDeleted(control: ControlContext): Promise<{ branches: number; projects: number }> {
  const { store, cell, recoveryWindowSeconds } = control
  for (const projectId of await listProjectsToPurge(store, cell, recoveryWindowSeconds)) {
    await store.transaction((sql) => setProjectPurging(sql, projectId))
  }
  await expireDeletedBranches(store, cell, recoveryWindowSeconds)
  let branches = 0
  for (const branch of await listBranchesToPurge(store, cell)) {
    try {
      await purgeBranch(control, branch)
      branches += 1
    } catch (error) {
      control.logger.warn({ branch: branch.id, cause: errorChain(error) }, 'could not purge a branch')
    }
  }
  for (const snapshot of await listSnapshotsToRemove(store, cell)) {
    await setSnapshotDeleting(store, snapshot.id)
    await removeSnapshot(control, snapshot).catch((error: unknown) =>
      control.logger.warn({ snapshot: snapshot.id, cause: errorChain(error) }, 'could not remove a snapshot'),
    )
  }
  for (const timeline of await listForsakenTimelines(control)) {
    await removeTimeline(control, timeline.id).catch((error: unknown) =>
      control.logger.warn({ timeline: timeline.id, cause: errorChain(error) }, 'could not remove a timeline'),
    )
  }
  await removeForsakenImages(control)
  const projects = await deletePurgedProjects(store, cell)
  await control.storage.emptyTrash()
  return { branches, projects }
}

/** What is on its way out, and what was being made when the control database went away. */
async function listForsakenTimelines({ store, cell, pool, pastReads }: ControlContext): Promise<Timeline[]> {
  for (const { id } of await listTimelinesInState(store, cell, ['making'])) {
    const [user] = await store.query('select from branches where timeline_id = $1 or incoming_timeline_id = $1', [id])
    // Moved only if it is still `making`: by now the pool may have it ready.
    if (!user && !pool.isMaking(id) && !pastReads.isServing(id)) await moveTimeline(store, id, 'making', 'deleting')
  }
  return await listTimelinesInState(store, cell, ['deleting'])
}

/** The rows go first: whatever a crash leaves of the timeline is found by its `deleting` mark. */
async function purgeBranch(control: ControlContext, branch: Branch): Promise<void> {
  const { store, assignments } = control
  using _lock = await control.branchLocks.acquire(branch.id, 'purge')
  const endpoints = await store.query<{ id: string }>('select id from endpoints where branch_id = $1', [branch.id])
  for (const { id } of endpoints) await assignments.remove(id)
  await store.transaction(async (sql) => {
    if (branch.timelineId) await sql.query(`update timelines set state = 'deleting' where id = $1`, [branch.timelineId])
    await deleteBranchRow(sql, branch.id)
  })
  await failpoint('purge.rows_deleted')
  if (branch.timelineId) await removeTimeline(control, branch.timelineId)
}
