// What the projects of an organization used in a period, as it is priced: exact sums over the hours and levels that metering keeps.

import type { ProjectId } from '../model/ids.ts'
import { noQuantities, type Quantities } from '../model/cost.ts'
import type { Meter } from '../model/prices.ts'
import type { Sql } from './database.ts'

export type Span = { orgId: string; start: Date; end: Date }

/** So many are summed up by one statement: no organization is too large for the time that one may take. */
const projectsAtOnce = 500

/**
 * While the organization had them; by project. `projectIds`: of those alone. `end` is cut to now: what is stored is taken to go on as it
 * is, not longer.
 */
export async function sumQuantities(
  sql: Sql,
  span: Span,
  branchesIncluded: number,
  projectIds?: readonly ProjectId[],
): Promise<Map<ProjectId, Quantities>> {
  const found = new Map<ProjectId, Quantities>()
  const all = projectIds ?? (await listBilledProjects(sql, span.orgId))
  for (let i = 0; i < all.length; i += projectsAtOnce) {
    const rows = await sql.query<{ project_id: ProjectId; meter: Meter; quantity: string }>(quantitiesOf, [
      span.orgId,
      span.start,
      span.end,
      branchesIncluded,
      all.slice(i, i + projectsAtOnce),
    ])
    for (const { project_id: id, meter, quantity } of rows) {
      found.set(id, { ...(found.get(id) ?? noQuantities), [meter]: BigInt(quantity) })
    }
  }
  return found
}

/** All that it ever had: what was used a moment after a project had gone is still its own. */
async function listBilledProjects(sql: Sql, orgId: string): Promise<ProjectId[]> {
  const rows = await sql.query<{ project_id: ProjectId }>(
    'select distinct project_id from usage_owners where org_id = $1 order by project_id',
    [orgId],
  )
  return rows.map((row) => row.project_id)
}

/** Milliseconds, as a whole number: sums stay exact. */
const ms = (interval: string): string => `round(date_part('epoch', ${interval}) * 1000)::bigint`

const quantitiesOf = `
  with span as (
    select $2::timestamptz as start, least($3::timestamptz, now()) as stop
  ), owned as (
    select o.project_id, greatest(o.since, s.start) as since, least(coalesce(o.ended_at, 'infinity'), s.stop) as until
      from usage_owners o, span s
     where o.org_id = $1 and o.project_id = any($5)
       and o.since < s.stop and coalesce(o.ended_at, 'infinity') > s.start
  ), hours as (
    select project_id, sum(round((compute_cu_ms * 1000)::numeric)) as compute, sum(transfer_bytes::numeric) as transfer
      from usage_hours
     where project_id = any($5) and org_id = $1 and hour >= $2 and hour < $3
     group by project_id
  ), running as (
    select r.project_id, sum(round((p.ms * r.cu * 1000)::numeric)) as compute
      from usage_running r
      join usage_cells c on c.cell = r.cell
      join owned o on o.project_id = r.project_id
     cross join lateral (select ${ms('least(c.alive_at, o.until) - greatest(r.since, o.since)')} as ms) p
     where p.ms > 0
     group by r.project_id
  ), levels as (
    select l.project_id, l.branch_id, l.kind, l.value, l.since,
           lead(l.since, 1, 'infinity') over w as until,
           l.value - coalesce(lag(l.value) over w, 0) as change
      from usage_levels l
     where l.project_id = any($5) and l.since < $3
    window w as (partition by l.project_id, l.branch_id, l.kind order by l.since)
  ), stored as (
    select l.project_id, l.kind, sum(l.value::numeric * p.ms) as quantity
      from levels l
      join owned o on o.project_id = l.project_id
     cross join lateral (select ${ms('least(l.until, o.until) - greatest(l.since, o.since)')} as ms) p
     where l.kind in ('root', 'child', 'history', 'snapshots') and l.until > o.since and l.since < o.until and p.ms > 0
     group by l.project_id, l.kind
  ), counted as (
    select project_id, since, lead(since, 1, 'infinity') over (partition by project_id order by since) as until,
           sum(change) over (partition by project_id order by since) - $4::bigint as extra
      from (select project_id, since, sum(change) as change from levels where kind = 'exists' group by project_id, since) c
  ), extra as (
    select n.project_id, sum(n.extra::numeric * p.ms) as quantity
      from counted n
      join owned o on o.project_id = n.project_id
     cross join lateral (select ${ms('least(n.until, o.until) - greatest(n.since, o.since)')} as ms) p
     where n.extra > 0 and n.until > o.since and n.since < o.until and p.ms > 0
     group by n.project_id
  )
  select project_id, meter, sum(quantity)::text as quantity
    from (
      select project_id, 'compute' as meter, compute as quantity from hours
      union all select project_id, 'compute', compute from running
      union all select project_id, 'transfer', transfer from hours
      union all select project_id,
                       case kind when 'root' then 'root_storage' when 'child' then 'child_storage' else kind end, quantity
                  from stored
      union all select project_id, 'extra_branches', quantity from extra
    ) all_of_it
   group by project_id, meter
  having sum(quantity) > 0
   order by project_id, meter`

/** Bytes to clients of all its projects. */
export async function sumTransfer(sql: Sql, { orgId, start, end }: Span): Promise<bigint> {
  const [row] = await sql.query<{ bytes: string }>(
    `select coalesce(sum(transfer_bytes::numeric), 0)::text as bytes from usage_hours
      where org_id = $1 and hour >= $2 and hour < $3
        and project_id in (select project_id from usage_owners where org_id = $1)`,
    [orgId, start, end],
  )
  return BigInt(row?.bytes ?? 0)
}
