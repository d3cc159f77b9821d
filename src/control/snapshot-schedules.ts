// Schedules of snapshots: what they may say, and making what is due.

import { AppError } from '../model/errors.ts'
import { lastDue, longestRetentionSeconds, type SnapshotScheduleItem } from '../model/snapshot-schedule.ts'
import { getSnapshotSchedule, setSnapshotSchedule } from '../store/snapshot-schedules.ts'
import { liveBranch, lockVisibleProject, visibleProject } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const mostItems = 10
const shortestRetentionSeconds = 3600

function assertItem(item: SnapshotScheduleItem): void {
  const within = (name: string, value: number | undefined, from: number, to: number): void => {
    if (value === undefined || (Number.isInteger(value) && value >= from && value <= to)) return
    throw new AppError('bad_request', `${name} of a ${item.frequency} schedule must be between ${from} and ${to}`)
  }
  within('hour', item.hour, 0, 23)
  within('day', item.day, 1, item.frequency === 'weekly' ? 7 : 31)
  within('month', item.month, 1, 12)
  within('retention_seconds', item.retentionSeconds, shortestRetentionSeconds, longestRetentionSeconds)
}

/** The newest moment at which one of the items was due since then, and the longest that its snapshot is to be kept. Pure. */
export function dueSince(
  items: readonly SnapshotScheduleItem[],
  since: Date,
  now: Date,
): { at: Date; retentionSeconds: number } | undefined {
  const due = items
    .map((item) => ({ at: lastDue(item, now), retentionSeconds: item.retentionSeconds ?? longestRetentionSeconds }))
    .filter(({ at }) => at > since)
  if (due.length === 0) return undefined
  return {
    at: new Date(Math.max(...due.map(({ at }) => at.getTime()))),
    retentionSeconds: Math.max(...due.map(({ retentionSeconds }) => retentionSeconds)),
  }
}

export function snapshotScheduleControl(
  control: ControlContext,
): Pick<Control['branches'], 'snapshotSchedule' | 'setSnapshotSchedule'> {
  return {
    async snapshotSchedule(caller, projectId, branchId) {
      await visibleProject(control.store, caller, projectId)
      return await getSnapshotSchedule(control.store, (await liveBranch(control.store, projectId, branchId)).id)
    },
    async setSnapshotSchedule(caller, projectId, branchId, schedule) {
      if (schedule.length > mostItems)
        throw new AppError('bad_request', `a schedule may have ${mostItems} items at most`)
      for (const item of schedule) assertItem(item)
      await control.store.transaction(async (sql) => {
        await lockVisibleProject(sql, caller, projectId)
        const branch = await liveBranch(sql, projectId, branchId)
        if (branch.parentId !== undefined && schedule.length > 0) {
          throw new AppError('unprocessable', 'only root branches (branches that have no parent) can have snapshots')
        }
        await setSnapshotSchedule(sql, branch.id, schedule)
      })
    },
  }
}
