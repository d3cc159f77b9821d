import type { PgMajor } from '../model/compute.ts'
import type { TimelineId } from '../model/ids.ts'
import type { Timeline, TimelineState } from '../model/timeline.ts'
import { formatLsn, type Lsn } from '../model/lsn.ts'
import type { Row, Sql } from './database.ts'
import { toLsn } from './images.ts'

const toTimeline = (row: Row): Timeline => ({
  id: row['id'] as TimelineId,
  pgMajor: row['pg_major'] as PgMajor,
  state: row['state'] as TimelineState,
  uidOffset: row['uid_offset'] as number,
  serviceKeyId: row['service_key_id'] as string,
  birthLsn: toLsn(row['birth_lsn']),
  birthAt: (row['birth_at'] as Date | null) ?? undefined,
  hasSubscriptions: row['has_subscriptions'] as boolean,
  createdAt: row['created_at'] as Date,
})

/** `uidOffset` undefined: the next one that nobody has had. */
export async function insertTimeline(
  sql: Sql,
  cell: string,
  timeline: {
    id: TimelineId
    pgMajor: PgMajor
    state: TimelineState
    uidOffset: number | undefined
    serviceKeyId: string
    hasSubscriptions?: boolean
  },
): Promise<Timeline> {
  const [row] = await sql.query(
    `insert into timelines (id, cell, pg_major, state, uid_offset, service_key_id, has_subscriptions)
     values ($1, $2, $3, $4, coalesce($5, nextval('uid_offsets')), $6, $7) returning *`,
    [
      timeline.id,
      cell,
      timeline.pgMajor,
      timeline.state,
      timeline.uidOffset ?? null,
      timeline.serviceKeyId,
      timeline.hasSubscriptions ?? false,
    ],
  )
  return toTimeline(row ?? {})
}

export async function getTimeline(sql: Sql, id: TimelineId): Promise<Timeline | undefined> {
  const [row] = await sql.query('select * from timelines where id = $1', [id])
  return row && toTimeline(row)
}

export async function listTimelinesInState(
  sql: Sql,
  cell: string,
  states: readonly TimelineState[],
): Promise<Timeline[]> {
  const rows = await sql.query('select * from timelines where cell = $1 and state = any($2) order by created_at', [
    cell,
    states,
  ])
  return rows.map(toTimeline)
}

export async function listTimelineIds(sql: Sql, cell: string): Promise<TimelineId[]> {
  const rows = await sql.query<{ id: TimelineId }>('select id from timelines where cell = $1', [cell])
  return rows.map((row) => row.id)
}

/** False where it was not in the state it should come from: somebody else was faster. */
export async function moveTimeline(sql: Sql, id: TimelineId, from: TimelineState, to: TimelineState): Promise<boolean> {
  const rows = await sql.query('update timelines set state = $3 where id = $1 and state = $2 returning id', [
    id,
    from,
    to,
  ])
  return rows.length > 0
}

export async function setTimelineSubscriptions(sql: Sql, id: TimelineId): Promise<void> {
  await sql.query('update timelines set has_subscriptions = true where id = $1 and not has_subscriptions', [id])
}

export async function setTimelineBirth(sql: Sql, id: TimelineId, lsn: Lsn, at: Date): Promise<void> {
  await sql.query('update timelines set birth_lsn = $2, birth_at = $3 where id = $1', [id, formatLsn(lsn), at])
}

export async function setTimelineDeleting(sql: Sql, id: TimelineId): Promise<void> {
  await sql.query(`update timelines set state = 'deleting' where id = $1`, [id])
}

export async function deleteTimelineRow(sql: Sql, id: TimelineId): Promise<void> {
  await sql.query('delete from timelines where id = $1', [id])
}
