// What has happened in integrations and their webhooks are still to hear of.

import type { AuthIntegrationId } from '../../model/ids.ts'
import type { Row, Sql } from '../database.ts'

export type StoredAuthEvent = {
  id: string
  integrationId: AuthIntegrationId
  type: string
  body: { user?: unknown; event_data?: unknown }
  occurredAt: Date
  attempts: number
}

/** One that is there already stays as it is. Of one integration, no more than so many are kept: the oldest go. */
export async function insertAuthEvents(
  sql: Sql,
  integrationId: AuthIntegrationId,
  events: readonly Pick<StoredAuthEvent, 'id' | 'type' | 'body' | 'occurredAt'>[],
  mostOfOne: number,
): Promise<void> {
  await sql.query(
    `insert into auth_events (id, integration_id, type, body, occurred_at)
     select e.id, $1, e.type, e.body, e.at
       from rows from (jsonb_to_recordset($2::jsonb) as (id uuid, type text, body jsonb, at timestamptz)) with ordinality as e (id, type, body, at, n)
      order by e.n
     on conflict (integration_id, id) do nothing`,
    [
      integrationId,
      JSON.stringify(events.map(({ id, type, body, occurredAt }) => ({ id, type, body, at: occurredAt }))),
    ],
  )
  await sql.query(
    `delete from auth_events where integration_id = $1 and id in (
       select id from auth_events where integration_id = $1 order by created_at desc, id desc offset $2)`,
    [integrationId, mostOfOne],
  )
}

const toEvent = (row: Row): StoredAuthEvent => ({
  id: row['id'] as string,
  integrationId: row['integration_id'] as AuthIntegrationId,
  type: row['type'] as string,
  body: row['body'] as StoredAuthEvent['body'],
  occurredAt: row['occurred_at'] as Date,
  attempts: row['attempts'] as number,
})

/**
 * Takes up what is due, the oldest of each integration and one of each: a receiver that hangs holds up itself alone. Nobody else takes the
 * same up for `leaseSeconds`.
 */
export async function takeDueAuthEvents(
  sql: Sql,
  options: { limit: number; leaseSeconds: number; but?: readonly string[]; of?: AuthIntegrationId },
): Promise<StoredAuthEvent[]> {
  const rows = await sql.query(
    `with due as (
       select e.integration_id, e.id from auth_events e
        where e.due_at <= now() and e.integration_id <> all($3::uuid[]) and ($4::uuid is null or e.integration_id = $4)
          and e.id = (select o.id from auth_events o where o.integration_id = e.integration_id and o.due_at <= now()
                       order by o.created_at, o.id limit 1)
        order by e.due_at limit $1 for update skip locked
     )
     update auth_events e set due_at = now() + make_interval(secs => $2)
       from due where e.integration_id = due.integration_id and e.id = due.id returning e.*`,
    [options.limit, options.leaseSeconds, options.but ?? [], options.of ?? null],
  )
  return rows.map(toEvent)
}

/** Taken, or given up. */
export async function deleteAuthEvent(
  sql: Sql,
  { id, integrationId }: Pick<StoredAuthEvent, 'id' | 'integrationId'>,
): Promise<void> {
  await sql.query('delete from auth_events where integration_id = $1 and id = $2', [integrationId, id])
}

/** `othersAfterSeconds`: what else the integration is owed is not tried before that either. */
export async function recordAuthEventFailed(
  sql: Sql,
  { id, integrationId }: Pick<StoredAuthEvent, 'id' | 'integrationId'>,
  failure: { attempts: number; retryAfterSeconds: number; othersAfterSeconds: number },
): Promise<void> {
  await sql.query(
    `with others as (
       update auth_events set due_at = now() + make_interval(secs => $5)
        where integration_id = $2 and id <> $1 and due_at < now() + make_interval(secs => $5))
     update auth_events set attempts = $3, due_at = now() + make_interval(secs => $4) where integration_id = $2 and id = $1`,
    [id, integrationId, failure.attempts, failure.retryAfterSeconds, failure.othersAfterSeconds],
  )
}

/** Returns how many there were. */
export async function deleteOldAuthEvents(sql: Sql, olderThanSeconds: number): Promise<number> {
  const rows = await sql.query(
    'delete from auth_events where created_at < now() - make_interval(secs => $1) returning id',
    [olderThanSeconds],
  )
  return rows.length
}
