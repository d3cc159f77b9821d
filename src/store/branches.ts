import type { Branch, BranchState, InitSource } from '../model/branch.ts'
import type { BranchId, ProjectId, SnapshotId, TimelineId, UserId } from '../model/ids.ts'
import { formatLsn, parseLsn, type Lsn } from '../model/lsn.ts'
import type { Row, Sql } from './database.ts'

const toBranch = (row: Row): Branch => ({
  id: row['id'] as BranchId,
  projectId: row['project_id'] as ProjectId,
  timelineId: (row['timeline_id'] as TimelineId | null) ?? undefined,
  incomingTimelineId: (row['incoming_timeline_id'] as TimelineId | null) ?? undefined,
  name: row['name'] as string,
  parentId: (row['parent_id'] as BranchId | null) ?? undefined,
  parentLsn: row['parent_lsn'] === null ? undefined : parseLsn(row['parent_lsn'] as string),
  parentTimestamp: (row['parent_timestamp'] as Date | null) ?? undefined,
  state: row['state'] as BranchState,
  pendingState: (row['pending_state'] as Branch['pendingState'] | null) ?? undefined,
  stateChangedAt: row['state_changed_at'] as Date,
  isDefault: row['is_default'] as boolean,
  protected: row['protected'] as boolean,
  logicalSizeBytes: (row['logical_size_bytes'] as number | null) ?? undefined,
  historyBytes: (row['history_bytes'] as number | null) ?? undefined,
  annotation: row['annotation'] as Record<string, string>,
  creationSource: row['creation_source'] as string,
  createdBy: (row['created_by'] as UserId | null) ?? undefined,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
  expiresAt: (row['expires_at'] as Date | null) ?? undefined,
  ttlIntervalSeconds: (row['ttl_interval_seconds'] as number | null) ?? undefined,
  lastResetAt: (row['last_reset_at'] as Date | null) ?? undefined,
  initSource: row['init_source'] as InitSource,
  restoreStatus: (row['restore_status'] as Branch['restoreStatus'] | null) ?? undefined,
  restoredFrom: (row['restored_from'] as SnapshotId | null) ?? undefined,
  restoredAs: (row['restored_as'] as BranchId | null) ?? undefined,
  deletionMethod: (row['deletion_method'] as Branch['deletionMethod'] | null) ?? undefined,
  deletedAt: (row['deleted_at'] as Date | null) ?? undefined,
  purgingAt: (row['purging_at'] as Date | null) ?? undefined,
})

export type NewBranch = Pick<
  Branch,
  'id' | 'projectId' | 'name' | 'parentId' | 'isDefault' | 'protected' | 'annotation' | 'creationSource' | 'createdBy'
> &
  Partial<Pick<Branch, 'timelineId' | 'initSource' | 'expiresAt' | 'parentTimestamp'>>

export async function insertBranch(sql: Sql, branch: NewBranch): Promise<Branch> {
  const [row] = await sql.query(
    `insert into branches (id, project_id, name, parent_id, state, pending_state, is_default, protected, annotation, creation_source, created_by, timeline_id, init_source,
                           expires_at, ttl_interval_seconds, parent_timestamp)
     values ($1, $2, $3, $4, 'init', 'ready', $5, $6, $7, $8, $9, $10, $11, $12, extract(epoch from $12::timestamptz - date_trunc('second', now())),
             case when $4::text is null then null else coalesce($13, now()) end) returning *`,
    [
      branch.id,
      branch.projectId,
      branch.name,
      branch.parentId ?? null,
      branch.isDefault,
      branch.protected,
      JSON.stringify(branch.annotation),
      branch.creationSource,
      branch.createdBy ?? null,
      branch.timelineId ?? null,
      branch.initSource ?? 'parent-data',
      branch.expiresAt ?? null,
      branch.parentTimestamp ?? null,
    ],
  )
  return toBranch(row ?? {})
}

/** Deleted ones too. */
export async function getBranch(sql: Sql, projectId: string, id: string): Promise<Branch | undefined> {
  const [row] = await sql.query('select * from branches where id = $1 and project_id = $2', [id, projectId])
  return row && toBranch(row)
}

export async function defaultBranch(sql: Sql, projectId: string): Promise<Branch | undefined> {
  const [row] = await sql.query('select * from branches where project_id = $1 and is_default and deleted_at is null', [
    projectId,
  ])
  return row && toBranch(row)
}

const sortColumns = { name: 'b.name', created_at: 'b.created_at', updated_at: 'b.updated_at' } as const
const sortTypes = { name: 'text', created_at: 'timestamptz', updated_at: 'timestamptz' } as const

/** Each with the text of the value it was sorted by, in full precision, for the cursor. */
export async function listBranches(
  sql: Sql,
  projectId: string,
  query: {
    search: string | undefined
    sortBy: keyof typeof sortColumns
    descending: boolean
    limit: number
    after: { branchId: string; value: string } | undefined
    includeDeleted: boolean
  },
): Promise<{ branch: Branch; sortValue: string }[]> {
  const column = sortColumns[query.sortBy]
  const [comparison, direction] = query.descending ? ['<', 'desc'] : ['>', 'asc']
  const rows = await sql.query(
    `select b.*, ${column}::text as sort_value from branches b
      where b.project_id = $1
        and case when $2 then b.purging_at is null else b.deleted_at is null end
        and ($3::text is null or position(lower($3) in lower(b.name)) > 0 or position(lower($3) in b.id) > 0)
        and ($4::text is null or (${column}, b.id) ${comparison} ($4::${sortTypes[query.sortBy]}, $5::text))
      order by ${column} ${direction}, b.id ${direction}
      limit $6`,
    [
      projectId,
      query.includeDeleted,
      query.search ?? null,
      query.after?.value ?? null,
      query.after?.branchId ?? null,
      query.limit,
    ],
  )
  return rows.map((row) => ({ branch: toBranch(row), sortValue: row['sort_value'] as string }))
}

export async function listAllBranches(sql: Sql, projectId: string): Promise<Branch[]> {
  return (await sql.query('select * from branches where project_id = $1 order by created_at, id', [projectId])).map(
    toBranch,
  )
}

export async function countBranches(sql: Sql, projectId: string, search: string | undefined): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `select count(*) from branches where project_id = $1 and deleted_at is null
        and ($2::text is null or position(lower($2) in lower(name)) > 0 or position(lower($2) in id) > 0)`,
    [projectId, search ?? null],
  )
  return row?.count ?? 0
}

export async function countLiveBranches(
  sql: Sql,
  projectId: ProjectId,
): Promise<{ all: number; roots: number; protected: number }> {
  const [row] = await sql.query<{ all: number; roots: number; protected: number }>(
    `select count(*) as "all", count(*) filter (where parent_id is null) as roots, count(*) filter (where protected) as protected
       from branches where project_id = $1 and deleted_at is null`,
    [projectId],
  )
  return row ?? { all: 0, roots: 0, protected: 0 }
}

/** Children that are not deleted. */
export async function countChildren(sql: Sql, id: BranchId): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    'select count(*) from branches where parent_id = $1 and deleted_at is null',
    [id],
  )
  return row?.count ?? 0
}

export async function updateBranch(
  sql: Sql,
  id: BranchId,
  change: {
    name?: string | undefined
    protected?: boolean | undefined
    /** Null clears. */
    expiresAt?: Date | null | undefined
  },
): Promise<Branch> {
  const [row] = await sql.query(
    `update branches set name = coalesce($2, name), protected = coalesce($3, protected), updated_at = now(),
            expires_at = case when $4 then $5 else expires_at end,
            ttl_interval_seconds = case when $4 then extract(epoch from $5::timestamptz - date_trunc('second', now())) else ttl_interval_seconds end
      where id = $1 returning *`,
    [id, change.name ?? null, change.protected ?? null, change.expiresAt !== undefined, change.expiresAt ?? null],
  )
  return toBranch(row ?? {})
}

export async function setDefaultBranch(sql: Sql, projectId: ProjectId, id: BranchId): Promise<Branch> {
  await sql.query(
    'update branches set is_default = false, updated_at = now() where project_id = $1 and is_default and id <> $2',
    [projectId, id],
  )
  const [row] = await sql.query('update branches set is_default = true, updated_at = now() where id = $1 returning *', [
    id,
  ])
  return toBranch(row ?? {})
}

export async function setBranchTimeline(sql: Sql, id: BranchId, timelineId: TimelineId): Promise<void> {
  await sql.query('update branches set timeline_id = $2, updated_at = now() where id = $1', [id, timelineId])
}

export async function setBranchParentPoint(sql: Sql, id: BranchId, lsn: Lsn, at: Date | undefined): Promise<void> {
  await sql.query('update branches set parent_lsn = $2, parent_timestamp = $3 where id = $1', [
    id,
    formatLsn(lsn),
    at ?? null,
  ])
}

export async function setBranchReady(sql: Sql, id: BranchId): Promise<void> {
  await sql.query(
    `update branches set state = 'ready', pending_state = null, state_changed_at = now(), updated_at = now() where id = $1 and state <> 'ready'`,
    [id],
  )
}

/** A project's first branch has its timeline for itself from now on: what the log says before that is the making of it. */
export async function setFirstBranchReady(sql: Sql, id: BranchId): Promise<void> {
  await sql.query(
    `with ready as (
       update branches set state = 'ready', pending_state = null, state_changed_at = now(), updated_at = now() where id = $1 returning timeline_id
     )
     update timelines t set birth_at = clock_timestamp() from ready where t.id = ready.timeline_id and t.birth_at is null`,
    [id],
  )
}

export async function setBranchLogicalSize(sql: Sql, id: BranchId, bytes: number): Promise<void> {
  await sql.query('update branches set logical_size_bytes = $2 where id = $1', [id, bytes])
}

export async function setHistoryBytes(sql: Sql, timelineId: TimelineId, bytes: number): Promise<void> {
  await sql.query('update branches set history_bytes = $2 where timeline_id = $1', [timelineId, bytes])
}

/** The name is freed at once; `recoverBranch` asks for it again. `purging`: nothing can be recovered from here on. */
export async function setBranchDeleted(
  sql: Sql,
  id: BranchId,
  options: { purging: boolean; method?: 'user' | 'ttl' },
): Promise<Branch> {
  const [row] = await sql.query(
    `update branches set deleted_at = coalesce(deleted_at, now()), deletion_method = coalesce(deletion_method, $3), purging_at = case when $2 then coalesce(purging_at, now()) else purging_at end,
            pending_state = 'storage_deleted', state_changed_at = now(), updated_at = now() where id = $1 returning *`,
    [id, options.purging, options.method ?? 'user'],
  )
  return toBranch(row ?? {})
}

/** Its time limit is not recovered with it: it would be deleted again at once. */
export async function setBranchRecovered(sql: Sql, id: BranchId): Promise<Branch> {
  const [row] = await sql.query(
    `update branches set deleted_at = null, deletion_method = null, expires_at = null, ttl_interval_seconds = null, pending_state = null, state_changed_at = now(), updated_at = now() where id = $1 returning *`,
    [id],
  )
  return toBranch(row ?? {})
}

/** Soft-deleted ones whose recovery window is over become purgeable. */
export async function expireDeletedBranches(sql: Sql, cell: string, recoveryWindowSeconds: number): Promise<void> {
  await sql.query(
    `update branches b set purging_at = now() from projects p
      where p.id = b.project_id and p.cell = $1 and b.purging_at is null and b.deleted_at < now() - make_interval(secs => $2)`,
    [cell, recoveryWindowSeconds],
  )
}

/** Branches to be removed now: none whose project has a chain at work. */
export async function listBranchesToPurge(sql: Sql, cell: string): Promise<Branch[]> {
  const rows = await sql.query(
    `select b.* from branches b join projects p on p.id = b.project_id
      where p.cell = $1 and b.purging_at is not null
        and not exists (select from chains c where c.project_id = b.project_id and c.state in ('running', 'undoing'))
      order by b.purging_at limit 100`,
    [cell],
  )
  return rows.map(toBranch)
}

export async function deleteBranchRow(sql: Sql, id: BranchId): Promise<void> {
  await sql.query('delete from branches where id = $1', [id])
}

/** Of a branch that is made from a snapshot. `as`: whose place it is to take, or may. */
export async function setBranchRestore(
  sql: Sql,
  id: BranchId,
  restore: { from: SnapshotId; as: BranchId | undefined; lsn: Lsn | undefined },
): Promise<Branch> {
  const [row] = await sql.query(
    `update branches set restore_status = 'restored', restored_from = $2, restored_as = $3, parent_lsn = $4 where id = $1 returning *`,
    [id, restore.from, restore.as ?? null, restore.lsn === undefined ? null : formatLsn(restore.lsn)],
  )
  return toBranch(row ?? {})
}

/** `to` is from now on what `from` was: its name, and which branch the project opens with. `from` goes on under another name. */
export async function moveBranchPlace(sql: Sql, place: { from: Branch; to: Branch; oldName: string }): Promise<void> {
  const { from, to, oldName } = place
  await sql.query(
    'update branches set name = $2, is_default = false, protected = false, updated_at = now() where id = $1',
    [from.id, oldName],
  )
  await sql.query(
    `update branches set name = $2, is_default = $3, protected = $4, restore_status = 'finalized', restored_as = $5, updated_at = now() where id = $1`,
    [to.id, from.name, from.isDefault, from.protected, from.id],
  )
}

export async function setBranchResetting(sql: Sql, id: BranchId, parentId: BranchId | undefined): Promise<Branch> {
  const [row] = await sql.query(
    `update branches set state = 'resetting', pending_state = 'ready', parent_id = $2, state_changed_at = now(), updated_at = now()
      where id = $1 returning *`,
    [id, parentId ?? null],
  )
  return toBranch(row ?? {})
}

export async function setBranchParent(sql: Sql, id: BranchId, parentId: BranchId | undefined): Promise<void> {
  await sql.query('update branches set parent_id = $2, updated_at = now() where id = $1', [id, parentId ?? null])
}

export async function setBranchIncoming(sql: Sql, id: BranchId, timelineId: TimelineId | undefined): Promise<void> {
  await sql.query('update branches set incoming_timeline_id = $2 where id = $1', [id, timelineId ?? null])
}

/** The new timeline is the branch's; the old one is its backup's, with the children that are made of it, or nobody's. */
export async function adoptIncomingTimeline(
  sql: Sql,
  change: { branch: Branch; incoming: TimelineId; backupId: BranchId | undefined; lsn: Lsn },
): Promise<void> {
  const { branch, incoming, backupId, lsn } = change
  await sql.query(
    `update branches set timeline_id = $2, incoming_timeline_id = null, size_standing = null, last_reset_at = now(), updated_at = now(),
            parent_lsn = case when parent_id is null then parent_lsn else $3::pg_lsn end,
            parent_timestamp = case when parent_id is null then parent_timestamp else now() end,
            expires_at = case when ttl_interval_seconds is null then expires_at else date_trunc('second', now()) + make_interval(secs => ttl_interval_seconds) end
      where id = $1`,
    [branch.id, incoming, formatLsn(lsn)],
  )
  if (backupId === undefined) {
    await sql.query(`update timelines set state = 'deleting' where id = $1`, [branch.timelineId])
    return
  }
  await sql.query('update branches set timeline_id = $2, parent_lsn = $3, parent_timestamp = $4 where id = $1', [
    backupId,
    branch.timelineId,
    branch.parentLsn === undefined ? null : formatLsn(branch.parentLsn),
    branch.parentTimestamp ?? null,
  ])
  await sql.query('update branches set parent_id = $2 where parent_id = $1 and id <> $2', [branch.id, backupId])
}

/** Whose time is over: each deleted by a chain of its own. */
export async function listExpiredBranches(sql: Sql, cell: string): Promise<Branch[]> {
  const rows = await sql.query(
    `select b.* from branches b join projects p on p.id = b.project_id
      where p.cell = $1 and p.deleted_at is null and b.deleted_at is null and b.expires_at <= now() order by b.expires_at limit 100`,
    [cell],
  )
  return rows.map(toBranch)
}
