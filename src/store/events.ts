// What has happened, for those who operate a platform: read page by page, and sent to the organization's webhook.

import type { EventKind, PlatformEvent } from '../model/event.ts'
import type { BranchId, OrganizationId, ProjectId } from '../model/ids.ts'
import type { Row, Sql } from './database.ts'

export type NewEvent = {
  orgId: OrganizationId
  projectId?: ProjectId | undefined
  branchId?: BranchId | undefined
  kind: EventKind
  message: string
  details?: PlatformEvent['details'] | undefined
  /** A name for what is to be said a single time: another event of that name is left out. */
  once?: string | undefined
}

export const toEvent = (row: Row): PlatformEvent => ({
  id: row['id'] as number,
  orgId: row['org_id'] as OrganizationId,
  projectId: (row['project_id'] as ProjectId | null) ?? undefined,
  branchId: (row['branch_id'] as BranchId | null) ?? undefined,
  kind: row['kind'] as EventKind,
  message: row['message'] as string,
  details: row['details'] as PlatformEvent['details'],
  createdAt: row['created_at'] as Date,
})

/**
 * To be called in the transaction that makes it true; the webhook hears of it within seconds. False where it had been said before. A
 * webhook that is being removed is waited for: what the event tells of must not fail for it.
 */
export async function recordEvent(sql: Sql, event: NewEvent): Promise<boolean> {
  return (await recordEvents(sql, [event])) > 0
}

/** As `recordEvent`, in one statement. Returns how many had not been said before. */
export async function recordEvents(sql: Sql, events: readonly NewEvent[]): Promise<number> {
  const rows = await sql.query(
    `with event as (
       insert into events (org_id, project_id, branch_id, kind, message, details, once)
       select e.org_id, e.project_id, e.branch_id, e.kind, e.message, e.details, e.once
         from rows from (jsonb_to_recordset($1::jsonb) as (org_id text, project_id text, branch_id text, kind text, message text,
              details jsonb, once text)) with ordinality as e (org_id, project_id, branch_id, kind, message, details, once, n)
        order by e.n
       on conflict (once) where once is not null do nothing returning id, org_id
     ), delivery as (
       insert into webhook_deliveries (org_id, event_id)
       select w.org_id, e.id from event e join webhooks w on w.org_id = e.org_id for key share of w
     )
     select id from event`,
    [JSON.stringify(events.map(toJson))],
  )
  return rows.length
}

const toJson = ({ orgId, projectId, branchId, kind, message, details = {}, once }: NewEvent) => ({
  org_id: orgId,
  project_id: projectId ?? null,
  branch_id: branchId ?? null,
  kind,
  message,
  details,
  once: once ?? null,
})

/** Newest first; `before` is the id of the last one of the page before. */
export async function listEvents(
  sql: Sql,
  of: { orgId: string; projectId?: string },
  page: { limit: number; before: number | undefined },
): Promise<PlatformEvent[]> {
  const rows = await (of.projectId !== undefined
    ? sql.query(
        'select * from events where project_id = $1 and org_id = $2 and ($3::bigint is null or id < $3) order by id desc limit $4',
        [of.projectId, of.orgId, page.before ?? null, page.limit],
      )
    : sql.query(
        'select * from events where org_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3',
        [of.orgId, page.before ?? null, page.limit],
      ))
  return rows.map(toEvent)
}

/** What is older than that is of no more use to anybody. */
export async function deleteOldEvents(sql: Sql, keptDays: number): Promise<void> {
  await sql.query('delete from events where created_at < now() - make_interval(days => $1)', [keptDays])
}
