// Levels of storage and how they changed, whose each project was, and the hours of a stretch of time: what consumption is told from.

import type { BranchId, OrganizationId, ProjectId } from '../model/ids.ts'
import type { ProjectStorage } from '../model/usage.ts'
import type { LevelChange, LevelKind, Ownership, UsedHour } from '../model/consumption.ts'
import type { Sql } from './database.ts'

/** Where its levels stand. */
export async function currentStorage(sql: Sql, projectId: string): Promise<ProjectStorage> {
  const rows = await sql.query<{ kind: LevelKind; value: number }>(
    `select kind, sum(value)::float8 as value from (
       select distinct on (branch_id, kind) kind, value from usage_levels where project_id = $1 order by branch_id, kind, since desc
     ) newest group by kind`,
    [projectId],
  )
  const sum = (kind: LevelKind): number => rows.find((row) => row.kind === kind)?.value ?? 0
  return {
    logicalBytes: sum('logical'),
    syntheticBytes: sum('root') + sum('child') + sum('history'),
    historyBytes: sum('history'),
    snapshotBytes: sum('snapshots'),
  }
}

/** Changes before `until`, oldest first, of each level from the last one before `from` on. */
export async function listLevelChanges(
  sql: Sql,
  projectIds: readonly string[],
  from: Date,
  until: Date,
): Promise<LevelChange[]> {
  const rows = await sql.query<{
    project_id: ProjectId
    branch_id: BranchId
    kind: LevelKind
    since: Date
    value: number
  }>(
    `select project_id, branch_id, kind, since, value from usage_levels where project_id = any($1) and since > $2 and since < $3
     union all
     (select distinct on (project_id, branch_id, kind) project_id, branch_id, kind, since, value
        from usage_levels where project_id = any($1) and since <= $2 order by project_id, branch_id, kind, since desc)
      order by since`,
    [projectIds, from, until],
  )
  return rows.map((row) => ({
    projectId: row.project_id,
    branchId: row.branch_id,
    kind: row.kind,
    since: row.since.getTime(),
    value: row.value,
  }))
}

/** When each project was whose, oldest first; of `orgId` only where that is given. */
export async function listOwnerships(
  sql: Sql,
  projectIds: readonly string[],
  orgId: OrganizationId | undefined,
): Promise<Ownership[]> {
  const rows = await sql.query<{ project_id: ProjectId; since: Date; ended_at: Date | null }>(
    `select project_id, since, ended_at from usage_owners
      where project_id = any($1) and ($2::text is null or org_id = $2) order by since`,
    [projectIds, orgId ?? null],
  )
  return rows.map((row) => ({
    projectId: row.project_id,
    since: row.since.getTime(),
    until: row.ended_at?.getTime() ?? Number.POSITIVE_INFINITY,
  }))
}

/** Stored hours of a stretch, and of computes that run now what has not been stored by the hour yet. */
export async function listUsedHours(
  sql: Sql,
  projectIds: readonly string[],
  orgId: OrganizationId | undefined,
  from: Date,
  until: Date,
): Promise<UsedHour[]> {
  const rows = await sql.query<{
    project_id: ProjectId
    branch_id: BranchId
    hour: Date
    active: number
    compute: number
    written: number
    transfer: number
  }>(
    `select project_id, branch_id, hour, sum(active)::float8 as active, sum(compute)::float8 as compute, sum(written)::float8 as written,
            sum(transfer)::float8 as transfer
       from (
         select project_id, branch_id, hour, active_ms as active, compute_cu_ms as compute, written_bytes as written,
                transfer_bytes as transfer
           from usage_hours where project_id = any($1) and ($2::text is null or org_id = $2) and hour >= $3 and hour < $4
         union all
         select r.project_id, r.branch_id, h.hour, p.ms, p.ms * r.cu, 0, 0
           from usage_running r join usage_cells c on c.cell = r.cell
           join usage_owners o on o.project_id = r.project_id and o.ended_at is null and ($2::text is null or o.org_id = $2)
          cross join generate_series(date_trunc('hour', greatest(r.since, $3), 'UTC'), least(c.alive_at, $4), '1 hour') as h (hour)
          cross join lateral (
            select greatest(0, extract(epoch from least(c.alive_at, $4, h.hour + interval '1 hour')
                                                - greatest(r.since, o.since, h.hour)) * 1000) as ms) p
          where r.project_id = any($1)
       ) used group by 1, 2, 3`,
    [projectIds, orgId ?? null, from, until],
  )
  return rows.map((row) => ({
    projectId: row.project_id,
    branchId: row.branch_id,
    hour: row.hour.getTime(),
    activeMs: row.active,
    computeCuMs: row.compute,
    writtenBytes: row.written,
    transferBytes: row.transfer,
  }))
}

/** Projects that were the organization's at some time within the stretch, deleted ones too; those made last come first. */
export async function listOwnedProjects(
  sql: Sql,
  orgId: OrganizationId,
  query: {
    from: Date
    until: Date
    /** Of these only. */
    ids: readonly string[] | undefined
    /** The last project of the page before. */
    after: string | undefined
    limit: number
  },
): Promise<ProjectId[]> {
  const rows = await sql.query<{ project_id: ProjectId }>(
    `select project_id from usage_owners
      where org_id = $1 and since < $3 and coalesce(ended_at, 'infinity') > $2 and ($4::text[] is null or project_id = any($4))
        and ($5::text is null or (project_created_at, project_id) < (
              select project_created_at, project_id from usage_owners where project_id = $5 limit 1))
      group by project_created_at, project_id order by project_created_at desc, project_id desc limit $6`,
    [orgId, query.from, query.until, query.ids ?? null, query.after ?? null, query.limit],
  )
  return rows.map((row) => row.project_id)
}

/** Branches of these projects that existed within the stretch, by project and id. */
export async function listExistingBranches(
  sql: Sql,
  projectIds: readonly string[],
  query: {
    from: Date
    until: Date
    ids: readonly string[] | undefined
    after: { projectId: string; branchId: string } | undefined
    limit: number
  },
): Promise<{ projectId: ProjectId; branchId: BranchId }[]> {
  const rows = await sql.query<{ project_id: ProjectId; branch_id: BranchId }>(
    `select project_id, branch_id from (
       select project_id, branch_id, since, value,
              coalesce(lead(since) over (partition by project_id, branch_id order by since), 'infinity') as until
         from usage_levels where project_id = any($1) and kind = 'exists'
     ) lives
      where value > 0 and since < $3 and until > $2 and ($4::text[] is null or branch_id = any($4))
        and ($5::text is null or (project_id, branch_id) > ($5, $6))
      group by project_id, branch_id order by project_id, branch_id limit $7`,
    [
      projectIds,
      query.from,
      query.until,
      query.ids ?? null,
      query.after?.projectId ?? null,
      query.after?.branchId ?? null,
      query.limit,
    ],
  )
  return rows.map((row) => ({ projectId: row.project_id, branchId: row.branch_id }))
}
