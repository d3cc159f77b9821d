// The timeline that a branch is to get: placed once, found again by a step that runs again, forgotten when the branch is not to be.

import type { Branch } from '../../model/branch.ts'
import { getTimeline } from '../../store/timelines.ts'
import type { ControlContext } from '../context.ts'
import { discardTimeline, isPlaced } from '../placing.ts'
import type { StepContext } from './chain.ts'
import { stepBranch } from './step-branch.ts'

/** `place` makes one; what an earlier run left half made is thrown away first. */
export async function ensureBranchTimeline(
  step: StepContext,
  place: (branch: Branch) => Promise<void>,
): Promise<Branch> {
  const { control } = step
  const branch = await stepBranch(step)
  const known = branch.timelineId && (await getTimeline(control.store, branch.timelineId))
  if (known && (known.state === 'owned' || (await isPlaced(control, known.id)))) return branch
  if (known) await forgetBranchTimeline(control, branch)
  await place(branch)
  return await stepBranch(step)
}

export async function forgetBranchTimeline(control: ControlContext, branch: Branch): Promise<void> {
  const { timelineId } = branch
  if (!timelineId) return
  await discardTimeline(control, timelineId, async (sql) => {
    await sql.query('update branches set timeline_id = null where id = $1', [branch.id])
  })
}
