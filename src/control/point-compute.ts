// A branch's Postgres as it is now, or as it was at a point of its past.

import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { withBranchCompute } from './branch-compute.ts'
import type { ControlContext } from './context.ts'
import type { Point } from './points.ts'
import { assertMayUseCompute } from './start-gate.ts'

/** `work` gets the timeline whose compute runs meanwhile. The caller holds no lock. Throws `quota_exceeded`. */
export async function withPointCompute<T>(
  control: ControlContext,
  branch: Branch,
  point: Point,
  holder: string,
  work: (timelineId: TimelineId) => Promise<T>,
): Promise<T> {
  await assertMayUseCompute(control.store, branch.projectId, branch.id)
  if (point.kind !== 'head') return await control.pastReads.during(branch, point, work)
  const { timelineId } = branch
  if (branch.state === 'init' || !timelineId) {
    throw new AppError('locked', `branch ${branch.id} is still being created`, { retryAfterSeconds: 1 })
  }
  return await withBranchCompute(control, branch, holder, () => work(timelineId))
}
