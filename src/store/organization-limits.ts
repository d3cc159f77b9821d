// What organizations may have, and how many projects they have.

import type { OrganizationId } from '../model/ids.ts'
import type { LimitOverrides } from '../model/plan.ts'
import type { Sql } from './database.ts'

/** Undefined: there is no such organization. */
export async function getPlan(
  sql: Sql,
  orgId: OrganizationId,
): Promise<{ plan: string; overrides: LimitOverrides } | undefined> {
  const [row] = await sql.query<{ plan: string; limits: LimitOverrides }>(
    'select plan, limits from organizations where id = $1',
    [orgId],
  )
  return row && { plan: row.plan, overrides: row.limits }
}

/** Live projects as of the last commit; nobody else adds any until this transaction ends. */
export async function lockProjectCount(sql: Sql, orgId: OrganizationId): Promise<number> {
  const [row] = await sql.query<{ projects: number }>(
    'select projects from organization_counts where org_id = $1 for no key update',
    [orgId],
  )
  return row?.projects ?? 0
}
