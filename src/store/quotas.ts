// What quotas say of projects and branches: kept with their rows, so that whoever reads a row to start a compute reads it too.

import type { BranchId, OrganizationId, ProjectId } from '../model/ids.ts'
import type { Quotas, SizeStanding, UsageStanding } from '../model/quota.ts'
import type { Row, Sql } from './database.ts'
import { standingsOf, type EndpointTarget } from './endpoints.ts'

export type QuotaRow = {
  projectId: ProjectId
  orgId: OrganizationId
  quotas: Quotas
  /** Those that are not fine. */
  usage: readonly UsageStanding[]
  sizes: ReadonlyMap<BranchId, SizeStanding>
}

const columns = `p.id, p.org_id, p.settings->'quota' as quota, p.usage_standings,
  (select jsonb_object_agg(b.id, b.size_standing) from branches b
    where b.project_id = p.id and b.size_standing is not null and b.deleted_at is null) as sizes`

const toQuotaRow = (row: Row): QuotaRow => ({
  projectId: row['id'] as ProjectId,
  orgId: row['org_id'] as OrganizationId,
  quotas: (row['quota'] as Quotas | null) ?? {},
  usage: (row['usage_standings'] as UsageStanding[] | null) ?? [],
  sizes: new Map(
    Object.entries((row['sizes'] as Record<BranchId, SizeStanding> | null) ?? {}) as [BranchId, SizeStanding][],
  ),
})

/** Of live projects that have quotas, or have been told something of them. */
export async function listQuotaRows(sql: Sql, projectIds: readonly ProjectId[]): Promise<QuotaRow[]> {
  const rows = await sql.query(
    `select ${columns} from projects p where p.id = any($1) and p.deleted_at is null
        and (p.settings ? 'quota' or p.usage_standings is not null
             or exists (select from branches b where b.project_id = p.id and b.size_standing is not null))`,
    [projectIds],
  )
  return rows.map(toQuotaRow)
}

/** Holds the project's row, so that a change of its quotas comes before or after. */
export async function lockQuotaRow(sql: Sql, projectId: ProjectId): Promise<QuotaRow | undefined> {
  const [row] = await sql.query(
    `select ${columns} from projects p where p.id = $1 and p.deleted_at is null for update of p`,
    [projectId],
  )
  return row && toQuotaRow(row)
}

export async function setUsageStandings(
  sql: Sql,
  projectId: ProjectId,
  standings: readonly UsageStanding[],
): Promise<void> {
  await sql.query('update projects set usage_standings = $2 where id = $1', [
    projectId,
    standings.length === 0 ? null : JSON.stringify(standings),
  ])
}

export async function setSizeStanding(sql: Sql, branchId: BranchId, standing: SizeStanding | undefined): Promise<void> {
  await sql.query('update branches set size_standing = $2 where id = $1', [
    branchId,
    standing === undefined ? null : JSON.stringify(standing),
  ])
}

/** Live branches that have been measured once, or have been told something of their size. */
export async function listSizedBranches(sql: Sql, projectId: ProjectId): Promise<BranchId[]> {
  const rows = await sql.query<{ id: BranchId }>(
    `select id from branches where project_id = $1 and deleted_at is null
        and (size_standing is not null or logical_size_bytes is not null)`,
    [projectId],
  )
  return rows.map((row) => row.id)
}

/** `branchId` undefined: of the project alone. */
export async function getStandings(
  sql: Sql,
  projectId: string,
  branchId: string | undefined,
): Promise<Pick<EndpointTarget, 'usageStandings' | 'sizeStanding'>> {
  const [row] = await sql.query(
    `select p.settings, p.usage_standings, (select b.size_standing from branches b where b.id = $2 and b.project_id = p.id) as size_standing
       from projects p where p.id = $1`,
    [projectId, branchId ?? null],
  )
  return row ? standingsOf(row) : { usageStandings: undefined, sizeStanding: undefined }
}

/** Live projects of this cell with a standing of a period that is over. */
export async function listOverPeriods(sql: Sql, cell: string): Promise<ProjectId[]> {
  const rows = await sql.query<{ id: ProjectId }>(
    `select p.id from projects p
      where p.cell = $1 and p.usage_standings is not null and p.deleted_at is null
        and exists (select from jsonb_array_elements(p.usage_standings) s where (s->>'periodEnd')::timestamptz <= now())
      limit 100`,
    [cell],
  )
  return rows.map((row) => row.id)
}
