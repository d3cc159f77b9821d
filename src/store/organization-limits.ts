// What organizations may have, and how many projects they have.

import type { OrganizationId } from '../model/ids.ts'
import type { LimitOverrides, OrganizationPlan } from '../model/plan.ts'
import type { Row, Sql } from './database.ts'

const toOrganizationPlan = (row: Row): OrganizationPlan => ({
  id: row['id'] as OrganizationId,
  name: row['name'] as string,
  plan: row['plan'] as string,
  overrides: row['limits'] as LimitOverrides,
  projects: (row['projects'] as number | null) ?? 0,
})

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

/** In the order in which they were made. */
export async function listOrganizationPlans(sql: Sql): Promise<OrganizationPlan[]> {
  const rows = await sql.query(
    `select o.id, o.name, o.plan, o.limits, c.projects from organizations o left join organization_counts c on c.org_id = o.id
      order by o.created_at, o.id`,
  )
  return rows.map(toOrganizationPlan)
}

/** Those that somebody may mean who writes an id, a name or a handle. */
export async function findOrganizationPlans(sql: Sql, text: string): Promise<OrganizationPlan[]> {
  const rows = await sql.query(
    `select o.id, o.name, o.plan, o.limits, c.projects from organizations o left join organization_counts c on c.org_id = o.id
      where o.id = $1 or lower(o.name) = lower($1) or o.handle = $1 order by o.id = $1 desc, o.created_at, o.id`,
    [text],
  )
  return rows.map(toOrganizationPlan)
}

/** Holds the organization's row: changes of it come one after another. */
export async function lockOrganizationPlan(sql: Sql, orgId: string): Promise<OrganizationPlan | undefined> {
  const [row] = await sql.query(
    `select o.id, o.name, o.plan, o.limits, (select projects from organization_counts where org_id = o.id) as projects
       from organizations o where o.id = $1 for no key update of o`,
    [orgId],
  )
  return row && toOrganizationPlan(row)
}

export async function setOrganizationPlan(
  sql: Sql,
  orgId: OrganizationId,
  { plan, overrides }: { plan: string; overrides: LimitOverrides },
): Promise<void> {
  await sql.query('update organizations set plan = $2, limits = $3, updated_at = now() where id = $1', [
    orgId,
    plan,
    JSON.stringify(overrides),
  ])
}

/** Live projects as of the last commit; nobody else adds any until this transaction ends. */
export async function lockProjectCount(sql: Sql, orgId: OrganizationId): Promise<number> {
  const [row] = await sql.query<{ projects: number }>(
    'select projects from organization_counts where org_id = $1 for no key update',
    [orgId],
  )
  return row?.projects ?? 0
}
