import type { BranchId, ProjectId } from '../model/ids.ts'
import type { SnapshotScheduleItem } from '../model/snapshot-schedule.ts'
import type { Sql } from './database.ts'

export async function getSnapshotSchedule(sql: Sql, branchId: BranchId): Promise<SnapshotScheduleItem[]> {
  const [row] = await sql.query<{ items: SnapshotScheduleItem[] }>(
    'select items from snapshot_schedules where branch_id = $1',
    [branchId],
  )
  return row?.items ?? []
}

/** What was due before this is not made up for. */
export async function setSnapshotSchedule(
  sql: Sql,
  branchId: BranchId,
  items: readonly SnapshotScheduleItem[],
): Promise<void> {
  if (items.length === 0) {
    await sql.query('delete from snapshot_schedules where branch_id = $1', [branchId])
    return
  }
  await sql.query(
    `insert into snapshot_schedules (branch_id, items) values ($1, $2)
     on conflict (branch_id) do update set items = $2, done_until = now(), updated_at = now()`,
    [branchId, JSON.stringify(items)],
  )
}

export type StoredSchedule = {
  branchId: BranchId
  projectId: ProjectId
  items: SnapshotScheduleItem[]
  doneUntil: Date
}

export async function listSnapshotSchedules(sql: Sql, cell: string): Promise<StoredSchedule[]> {
  const rows = await sql.query(
    `select s.branch_id, b.project_id, s.items, s.done_until from snapshot_schedules s
       join branches b on b.id = s.branch_id join projects p on p.id = b.project_id
      where p.cell = $1 and b.deleted_at is null and p.deleted_at is null and b.parent_id is null`,
    [cell],
  )
  return rows.map((row) => ({
    branchId: row['branch_id'] as BranchId,
    projectId: row['project_id'] as ProjectId,
    items: row['items'] as SnapshotScheduleItem[],
    doneUntil: row['done_until'] as Date,
  }))
}

export async function setScheduleDone(sql: Sql, branchId: BranchId, until: Date): Promise<void> {
  await sql.query('update snapshot_schedules set done_until = greatest(done_until, $2) where branch_id = $1', [
    branchId,
    until,
  ])
}
