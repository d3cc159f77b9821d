// A restored branch takes the place of another: endpoints, name and flags move to it, and what was there goes on as "<name> (old)".
//
// The rows change in one transaction: it happened or it did not. Before it the old compute is stopped and its addresses are forgotten,
// so that from the end of the transaction on nobody is led to the old data.

import { failpoint } from '../lib/failpoint.ts'
import type { Branch } from '../model/branch.ts'
import type { BranchId, ProjectId } from '../model/ids.ts'
import { moveIntegration } from '../store/auth/copies.ts'
import { moveDataApis } from '../store/data-apis.ts'
import { getBranch, moveBranchPlace } from '../store/branches.ts'
import { listBranchEndpoints, moveEndpoints, setEndpointDeleted } from '../store/endpoints.ts'
import { lockProject } from '../store/projects.ts'
import { freeBranchName } from './branch-names.ts'
import type { ControlContext } from './context.ts'

export async function swapBranches(
  control: ControlContext,
  projectId: ProjectId,
  ids: { restored: BranchId; target: BranchId; oldName: string | undefined },
): Promise<void> {
  const { store, computes, branchLocks, assignments } = control
  // In one order whoever asks, so that two of these cannot wait for each other.
  const [first, second] = [ids.restored, ids.target].toSorted()
  using _first = await branchLocks.acquire(first ?? ids.target, 'restore')
  using _second = await branchLocks.acquire(second ?? ids.restored, 'restore')
  const restored = await getBranch(store, projectId, ids.restored)
  const target = await getBranch(store, projectId, ids.target)
  if (!restored || !target || restored.restoreStatus === 'finalized') return
  const [moved, previews] = await Promise.all([
    listBranchEndpoints(store, target.id),
    listBranchEndpoints(store, restored.id),
  ])
  // A wake while the control database is away goes by these files.
  for (const { id } of [...moved, ...previews]) await assignments.remove(id)
  if (target.timelineId) await computes.suspend(target.timelineId, 'chain')
  // One that has just recovered, as what moves here is to run, goes on running.
  const serves = moved.some(({ type, disabled }) => type === 'read_write' && !disabled)
  if (restored.timelineId && (previews.length > 0 || !serves)) await computes.suspend(restored.timelineId, 'chain')
  await failpoint('swap.suspended')
  const { integrations, dataApis } = await store.transaction(async (sql) => {
    await lockProject(sql, projectId)
    for (const { id } of previews) await setEndpointDeleted(sql, id, true)
    await moveEndpoints(sql, target.id, restored.id)
    const oldName = await freeBranchName(sql, projectId, ids.oldName ?? `${target.name} (old)`)
    await moveBranchPlace(sql, { from: target, to: restored, oldName })
    return {
      integrations: await moveIntegration(sql, target.id, restored.id),
      dataApis: await moveDataApis(sql, target.id, restored.id),
    }
  })
  await failpoint('swap.committed')
  for (const { id } of [...moved, ...previews]) await computes.changed(id)
  for (const id of integrations) await control.authPlane.changed({ integrationId: id, what: 'all' })
  for (const id of dataApis) await control.dataApiPlane.changed({ dataApiId: id, what: 'all' })
}

/** A branch that a snapshot was restored into and that may still take another's place. */
export function mayBeFinalized(branch: Branch): boolean {
  return branch.restoreStatus === 'restored'
}
