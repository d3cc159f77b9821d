// Suspends computes that nobody has used for their suspend timeout. Safe to run at any time, any number of times.

import { readActivity } from '../../compute/activity.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { errorChain } from '../../model/errors.ts'
import type { EndpointId, TimelineId } from '../../model/ids.ts'
import { getBranch, setBranchLogicalSize } from '../../store/branches.ts'
import { syncCatalog } from '../catalog.ts'
import { withClient } from '../branch-compute.ts'
import type { Serving } from '../computes.ts'
import type { ControlContext } from '../context.ts'
import { refreshAssignment } from '../assignments.ts'
import { awakeReasons, isQuiet, parkingPlan } from '../idle.ts'
import { noteSubscriptions } from '../wal-head.ts'

const atOnce = 8

export async function suspendIdle(control: ControlContext): Promise<{ examined: number; suspended: EndpointId[] }> {
  const now = Date.now()
  const { heldSessionMs } = control.limits
  const quiet = [...control.computes.serving()].filter(
    ([, serving]) =>
      isQuiet(now, serving.lastActivityAt, serving.suspendTimeoutSeconds) &&
      parkingPlan({ ...serving, now, heldSessionMs }).asks,
  )
  const suspended: EndpointId[] = []
  for (let i = 0; i < quiet.length; i += atOnce) {
    await Promise.all(
      quiet.slice(i, i + atOnce).map(async ([timelineId, serving]) => {
        try {
          if (await suspendIfIdle(control, timelineId, serving)) suspended.push(serving.endpointId)
        } catch (error) {
          control.logger.warn(
            { endpoint: serving.endpointId, cause: errorChain(error) },
            'could not look whether a compute is idle',
          )
        }
      }),
    )
  }
  return { examined: quiet.length, suspended }
}

async function suspendIfIdle(control: ControlContext, timelineId: TimelineId, serving: Serving): Promise<boolean> {
  // Somebody is working on the branch: it is not idle, and the next round will look again.
  const lock = control.branchLocks.tryAcquire(serving.branchId, 'suspend_compute')
  if (!lock) return false
  using _lock = lock
  if (control.computes.serving().get(timelineId) !== serving) return false
  const lastActivityAt = serving.lastActivityAt
  // From here on the proxy asks before it connects, which counts as activity.
  await control.computes.moved(serving.endpointId)
  const sizes = await withClient(control, timelineId, async (client) => {
    const backends = await readActivity(client)
    const now = Date.now()
    const reasons = awakeReasons({ ...serving, now, backends })
    if (reasons.some((reason) => reason.kind !== 'recent_activity')) serving.lastActivityAt = now
    if (reasons.length > 0 || !(await areParked(control, serving))) return undefined
    // With the control database away it sleeps all the same, and is read back when it runs the next time.
    const branch = await getBranch(control.store, serving.projectId, serving.branchId).catch(() => undefined)
    if (branch) await syncCatalog(control, branch, client)
    await noteSubscriptions(control, timelineId, client).catch(() => {})
    const { rows } = await client.query<{ bytes: string }>(
      'select sum(pg_database_size(oid))::text as bytes from pg_database',
    )
    return Number(rows[0]?.bytes ?? 0)
  })
  if (sizes === undefined) return false
  await failpoint('suspend.looked')
  // Somebody has come while we looked.
  if (serving.lastActivityAt !== lastActivityAt) return false
  await control.computes.suspend(timelineId, 'idle')
  await setBranchLogicalSize(control.store, serving.branchId, sizes).catch(() => {})
  await refreshAssignment(control, serving.endpointId).catch(() => {})
  return true
}

/** Whether no client needs the compute any more: those that come back from here on ask for a wake, which counts as activity. */
async function areParked(control: ControlContext, serving: Serving): Promise<boolean> {
  const now = Date.now()
  const { endHeld } = parkingPlan({ ...serving, now, heldSessionMs: control.limits.heldSessionMs })
  const { busy, held } = await control.computes.park(serving.endpointId, { endHeld })
  // The proxy's own look into sessions is no activity: the time of those that are held runs from what their clients did last.
  serving.held = held > 0 ? { count: held, askedAt: now } : undefined
  if (busy > 0) serving.lastActivityAt = Date.now()
  return busy === 0 && (held === 0 || endHeld)
}
