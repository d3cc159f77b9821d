// What was used, by the hour, and the readings that the counting goes on from.

import { formatLsn, parseLsn, type Lsn } from '../model/lsn.ts'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../model/ids.ts'
import type {
  EdgeReading,
  LogReading,
  RunningSince,
  ServedInterval,
  Usage,
  UsageDelivery,
  UsedBytes,
} from '../model/usage.ts'
import { failpoint } from '../lib/failpoint.ts'
import type { Sql, Store } from './database.ts'

/**
 * All of a delivery or nothing; `false` where it was taken before, or another process counts for this cell by now. Idempotent.
 */
export async function takeDelivery(store: Store, cell: string, run: string, delivery: UsageDelivery): Promise<boolean> {
  return await store.transaction(async (sql) => {
    const taken = await sql.query(
      `update usage_cells set delivered = $3, alive_at = greatest(alive_at, to_timestamp($4::float8 / 1000))
        where cell = $1 and run = $2 and delivered < $3 returning cell`,
      [cell, run, delivery.number, delivery.aliveAt],
    )
    if (taken.length === 0) return false
    await account(sql, delivery)
    await failpoint('usage.accounted')
    await setRunning(sql, cell, delivery.started, delivery.stopped)
    await setLogs(sql, delivery.logs)
    await setEdges(sql, cell, delivery.edges)
    if (delivery.branches.length > 0) {
      await sql.query('select note_branch_levels(b, true) from branches b where id = any($1) and deleted_at is null', [
        delivery.branches,
      ])
    }
    await failpoint('usage.delivering')
    return true
  })
}

/** Nothing but a sign of life. */
export async function noteAlive(store: Store, cell: string, run: string, at: number): Promise<void> {
  await store.quick(
    'update usage_cells set alive_at = greatest(alive_at, to_timestamp($3::float8 / 1000)) where cell = $1 and run = $2',
    [cell, run, at],
  )
}

/**
 * To hours and to whose the project was at the time. What was used before a project's first owner or after its last is theirs as well:
 * a compute may serve a moment longer than its project is there.
 */
export async function account(
  sql: Sql,
  { intervals, bytes }: { intervals: readonly ServedInterval[]; bytes: readonly UsedBytes[] },
): Promise<void> {
  if (intervals.length + bytes.length === 0) return
  const column = <T, V>(rows: readonly T[], pick: (row: T) => V): V[] => rows.map(pick)
  await sql.query(
    `with owners as (
       select project_id, org_id,
              case when row_number() over w = 1 then '-infinity' else since end as begins,
              coalesce(lead(since) over w, 'infinity') as ends
         from usage_owners where project_id = any($1::text[] || $7::text[])
       window w as (partition by project_id order by since)
     ), served as (
       select project_id, branch_id, endpoint_id, cu, to_timestamp(since / 1000) as since, to_timestamp(until / 1000) as until
         from unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::float8[], $6::float8[])
              as g (project_id, branch_id, endpoint_id, cu, since, until)
     ), used as (
       select s.project_id, h.hour, s.branch_id, s.endpoint_id, o.org_id, p.ms as active_ms, p.ms * s.cu as compute_cu_ms,
              0::bigint as written_bytes, 0::bigint as transfer_bytes
         from served s
         join owners o on o.project_id = s.project_id and o.begins < s.until and o.ends > s.since
        cross join generate_series(date_trunc('hour', s.since, 'UTC'), s.until, '1 hour') as h (hour)
        cross join lateral (
          select round(extract(epoch from least(s.until, o.ends, h.hour + interval '1 hour') - greatest(s.since, o.begins, h.hour)) * 1000)::bigint as ms
        ) p
        where p.ms > 0
       union all
       select b.project_id, date_trunc('hour', to_timestamp(b.at / 1000), 'UTC'), b.branch_id, b.endpoint_id, o.org_id, 0, 0,
              b.written_bytes, b.transfer_bytes
         from unnest($7::text[], $8::text[], $9::text[], $10::float8[], $11::bigint[], $12::bigint[])
              as b (project_id, branch_id, endpoint_id, at, written_bytes, transfer_bytes)
         join owners o on o.project_id = b.project_id and o.begins <= to_timestamp(b.at / 1000) and o.ends > to_timestamp(b.at / 1000)
     )
     insert into usage_hours as u (project_id, hour, branch_id, endpoint_id, org_id, active_ms, compute_cu_ms, written_bytes, transfer_bytes)
     select project_id, hour, branch_id, endpoint_id, org_id, sum(active_ms), sum(compute_cu_ms), sum(written_bytes), sum(transfer_bytes)
       from used group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
     on conflict (project_id, hour, branch_id, endpoint_id, org_id) do update set
       active_ms = u.active_ms + excluded.active_ms, compute_cu_ms = u.compute_cu_ms + excluded.compute_cu_ms,
       written_bytes = u.written_bytes + excluded.written_bytes, transfer_bytes = u.transfer_bytes + excluded.transfer_bytes`,
    [
      column(intervals, (each) => each.projectId),
      column(intervals, (each) => each.branchId),
      column(intervals, (each) => each.endpointId),
      column(intervals, (each) => each.cu),
      column(intervals, (each) => each.since),
      column(intervals, (each) => each.until),
      column(bytes, (each) => each.projectId),
      column(bytes, (each) => each.branchId),
      column(bytes, (each) => each.endpointId),
      column(bytes, (each) => each.at),
      column(bytes, (each) => each.writtenBytes),
      column(bytes, (each) => each.transferBytes),
    ],
  )
}

async function setRunning(
  sql: Sql,
  cell: string,
  started: readonly RunningSince[],
  stopped: readonly TimelineId[],
): Promise<void> {
  if (stopped.length > 0) {
    await sql.query('delete from usage_running where cell = $1 and timeline_id = any($2)', [cell, stopped])
  }
  if (started.length === 0) return
  await sql.query(
    `insert into usage_running (timeline_id, cell, project_id, branch_id, endpoint_id, cu, since)
     select timeline_id, $1, project_id, branch_id, endpoint_id, cu, to_timestamp(since / 1000)
       from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[])
            as g (timeline_id, project_id, branch_id, endpoint_id, cu, since)
     on conflict (timeline_id) do update set cell = excluded.cell, project_id = excluded.project_id, branch_id = excluded.branch_id,
       endpoint_id = excluded.endpoint_id, cu = excluded.cu, since = excluded.since`,
    [
      cell,
      started.map((each) => each.timelineId),
      started.map((each) => each.projectId),
      started.map((each) => each.branchId),
      started.map((each) => each.endpointId),
      started.map((each) => each.cu),
      started.map((each) => each.since),
    ],
  )
}

async function setLogs(sql: Sql, logs: readonly LogReading[]): Promise<void> {
  if (logs.length === 0) return
  await sql.query(
    `insert into usage_logs as l (timeline_id, lsn, written_bytes)
     select * from unnest($1::text[], $2::pg_lsn[], $3::bigint[])
     on conflict (timeline_id) do update set lsn = excluded.lsn, written_bytes = l.written_bytes + excluded.written_bytes`,
    [
      logs.map((each) => each.timelineId),
      logs.map((each) => formatLsn(each.lsn)),
      logs.map((each) => each.writtenBytes),
    ],
  )
}

async function setEdges(sql: Sql, cell: string, edges: readonly EdgeReading[]): Promise<void> {
  if (edges.length === 0) return
  await sql.query(
    `insert into usage_edges (cell, run, endpoint_id, bytes) select $1, * from unnest($2::text[], $3::text[], $4::bigint[])
     on conflict (cell, run, endpoint_id) do update set bytes = excluded.bytes`,
    [cell, edges.map((each) => each.run), edges.map((each) => each.endpointId), edges.map((each) => each.bytes)],
  )
}

/** `run` counts for the cell from here on, and deliveries of whoever did before come to nothing. */
export async function takeOverUsage(
  store: Store,
  cell: string,
  run: string,
): Promise<{ aliveAt: number; running: RunningSince[] }> {
  return await store.transaction(async (sql) => {
    const [row] = await sql.query<{ alive_at: Date }>(
      `insert into usage_cells (cell, run, delivered, alive_at) values ($1, $2, 0, clock_timestamp())
       on conflict (cell) do update set run = excluded.run, delivered = 0 returning alive_at`,
      [cell, run],
    )
    const rows = await sql.query<{
      timeline_id: TimelineId
      project_id: ProjectId
      branch_id: BranchId
      endpoint_id: EndpointId
      cu: number
      since: Date
    }>('select * from usage_running where cell = $1', [cell])
    return {
      aliveAt: row?.alive_at.getTime() ?? 0,
      running: rows.map((each) => ({
        timelineId: each.timeline_id,
        projectId: each.project_id,
        branchId: each.branch_id,
        endpointId: each.endpoint_id,
        cu: each.cu,
        since: each.since.getTime(),
      })),
    }
  })
}

export async function listLogReadings(sql: Sql, ids: readonly TimelineId[]): Promise<Map<TimelineId, Lsn>> {
  if (ids.length === 0) return new Map()
  const rows = await sql.query<{ timeline_id: TimelineId; lsn: string }>(
    'select timeline_id, lsn::text as lsn from usage_logs where timeline_id = any($1)',
    [ids],
  )
  return new Map(rows.map((row) => [row.timeline_id, parseLsn(row.lsn) ?? (0n as Lsn)]))
}

export async function listEdgeReadings(sql: Sql, cell: string, runs: readonly string[]): Promise<EdgeReading[]> {
  const rows = await sql.query<{ run: string; endpoint_id: string; bytes: number }>(
    'select run, endpoint_id, bytes from usage_edges where cell = $1 and run = any($2)',
    [cell, runs],
  )
  return rows.map((row) => ({ run: row.run, endpointId: row.endpoint_id, bytes: row.bytes }))
}

/** Where each endpoint stands now, or stood when it was deleted. */
export async function listEndpointPlaces(
  sql: Sql,
  ids: readonly string[],
): Promise<Map<string, { projectId: ProjectId; branchId: BranchId; endpointId: EndpointId }>> {
  if (ids.length === 0) return new Map()
  const rows = await sql.query<{ id: EndpointId; project_id: ProjectId; branch_id: BranchId }>(
    'select id, project_id, branch_id from endpoints where id = any($1)',
    [ids],
  )
  return new Map(
    rows.map((row) => [row.id, { projectId: row.project_id, branchId: row.branch_id, endpointId: row.id }]),
  )
}

/** When the rows say that these endpoints last started and were last suspended, in milliseconds. */
export async function listEndpointTimes(
  sql: Sql,
  ids: readonly string[],
): Promise<Map<string, { startedAt: number | undefined; suspendedAt: number | undefined }>> {
  if (ids.length === 0) return new Map()
  const rows = await sql.query<{ id: string; started_at: Date | null; suspended_at: Date | null }>(
    'select id, started_at, suspended_at from endpoints where id = any($1)',
    [ids],
  )
  return new Map(
    rows.map((row) => [row.id, { startedAt: row.started_at?.getTime(), suspendedAt: row.suspended_at?.getTime() }]),
  )
}

type SumRow = { id: string; active: number; compute: number; written: number; transfer: number }

const toUsage = (row: SumRow): Usage => ({
  activeSeconds: row.active / 1000,
  computeSeconds: row.compute / 1000,
  writtenBytes: row.written,
  transferBytes: row.transfer,
})

/** Stored usage of projects since a period's start. `exceptCell`: computes that run in other cells count until they were last seen. */
export async function sumProjectUsage(
  sql: Sql,
  projectIds: readonly string[],
  start: Date,
  exceptCell: string | undefined,
): Promise<Map<string, Usage>> {
  const rows = await sql.query<SumRow>(sumBy('project_id', 'project_id = any($1)'), [
    projectIds,
    start,
    exceptCell ?? null,
  ])
  return new Map(rows.map((row) => [row.id, toUsage(row)]))
}

/** Stored usage of a project's branches since a period's start, with running computes until they were last seen. */
export async function sumBranchUsage(sql: Sql, projectId: string, start: Date): Promise<Map<string, Usage>> {
  const rows = await sql.query<SumRow>(sumBy('branch_id', 'project_id = $1'), [projectId, start, null])
  return new Map(rows.map((row) => [row.id, toUsage(row)]))
}

const sumBy = (key: 'project_id' | 'branch_id', condition: string): string =>
  `select id, sum(active)::float8 as active, sum(compute)::float8 as compute, sum(written)::float8 as written, sum(transfer)::float8 as transfer
     from (
       select ${key} as id, active_ms as active, compute_cu_ms as compute, written_bytes as written, transfer_bytes as transfer
         from usage_hours where ${condition} and hour >= $2
       union all
       select r.${key}, p.ms, p.ms * r.cu, 0, 0
         from usage_running r join usage_cells c on c.cell = r.cell
        cross join lateral (select greatest(0, extract(epoch from c.alive_at - greatest(r.since, $2::timestamptz)) * 1000) as ms) p
        where r.${condition} and r.cell is distinct from $3
     ) used group by id`

/** Readings of what is gone, and hours that nobody can ask for any more. */
export async function forgetOldUsage(sql: Sql, cell: string, keepRuns: readonly string[], before: Date): Promise<void> {
  await sql.query('delete from usage_edges where cell = $1 and run <> all($2)', [cell, keepRuns])
  await sql.query('delete from usage_logs l where not exists (select from timelines t where t.id = l.timeline_id)')
  await sql.query('delete from usage_hours where hour < $1', [before])
  await sql.query(
    `delete from usage_levels l where since < $1 and exists (
       select from usage_levels n where n.project_id = l.project_id and n.branch_id = l.branch_id and n.kind = l.kind
          and n.since > l.since and n.since < $1)`,
    [before],
  )
  await sql.query('delete from usage_levels where since < $1 and value = 0', [before])
  await sql.query('delete from usage_owners where ended_at < $1', [before])
}
