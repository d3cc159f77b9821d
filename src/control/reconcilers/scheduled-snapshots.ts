// Makes the snapshots that schedules ask for. After a time in which pgrove did not run, one is made for all that were missed.

import { errorChain, isAppError } from '../../model/errors.ts'
import { getBranch } from '../../store/branches.ts'
import { listSnapshotSchedules, setScheduleDone, type StoredSchedule } from '../../store/snapshot-schedules.ts'
import type { ControlContext } from '../context.ts'
import { scheduleByItself } from '../operations/schedule.ts'
import { dueSince } from '../snapshot-schedules.ts'
import { insertPlannedSnapshot, planSnapshot, snapshotPlan } from '../snapshots.ts'

export async function makeScheduledSnapshots(control: ControlContext, now: Date = new Date()): Promise<void> {
  for (const schedule of await listSnapshotSchedules(control.store, control.cell)) {
    const due = dueSince(schedule.items, schedule.doneUntil, now)
    if (!due) continue
    try {
      await makeOne(control, schedule, due, now)
    } catch (error) {
      // The next round tries again.
      if (isAppError(error, 'locked')) continue
      control.logger.warn(
        { branch: schedule.branchId, cause: errorChain(error) },
        'a scheduled snapshot could not be made',
      )
    }
  }
}

async function makeOne(
  control: ControlContext,
  schedule: StoredSchedule,
  due: { at: Date; retentionSeconds: number },
  now: Date,
): Promise<void> {
  const seen = await getBranch(control.store, schedule.projectId, schedule.branchId)
  if (!seen || seen.deletedAt || seen.parentId !== undefined) return
  await control.storage.assertRoom()
  const planned = await planSnapshot(control, seen, {})
  await scheduleByItself(control, schedule.projectId, async (sql) => {
    const snapshot = await insertPlannedSnapshot(control, sql, seen, {
      ...planned,
      name: `${seen.name} at ${due.at.toISOString()}`.slice(0, 256),
      manual: false,
      metadata: {},
      expiresAt: new Date(now.getTime() + due.retentionSeconds * 1000),
    })
    await setScheduleDone(sql, seen.id, due.at)
    return { result: undefined, plan: snapshotPlan(snapshot) }
  })
}
