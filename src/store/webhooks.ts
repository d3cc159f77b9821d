import type { PlatformEvent } from '../model/event.ts'
import type { OrganizationId } from '../model/ids.ts'
import type { Webhook } from '../model/webhook.ts'
import type { Row, Sql } from './database.ts'
import { toEvent } from './events.ts'

const toWebhook = (row: Row): Webhook => ({
  orgId: row['org_id'] as OrganizationId,
  url: row['url'] as string,
  secret: row['secret'] as Uint8Array,
  privateAllowed: row['private_allowed'] as boolean,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
  lastDeliveredAt: (row['last_delivered_at'] as Date | null) ?? undefined,
  lastFailedAt: (row['last_failed_at'] as Date | null) ?? undefined,
  lastError: (row['last_error'] as string | null) ?? undefined,
})

/** In the place of the one that was there; what is still to be sent goes to the new one. */
export async function putWebhook(
  sql: Sql,
  webhook: Pick<Webhook, 'orgId' | 'url' | 'secret' | 'privateAllowed'>,
): Promise<Webhook> {
  const [row] = await sql.query(
    `insert into webhooks (org_id, url, secret, private_allowed) values ($1, $2, $3, $4)
     on conflict (org_id) do update set url = excluded.url, secret = excluded.secret, private_allowed = excluded.private_allowed,
       updated_at = now(), last_delivered_at = null, last_failed_at = null, last_error = null
     returning *`,
    [webhook.orgId, webhook.url, webhook.secret, webhook.privateAllowed],
  )
  return toWebhook(row ?? {})
}

export async function getWebhook(sql: Sql, orgId: string): Promise<Webhook | undefined> {
  const [row] = await sql.query('select * from webhooks where org_id = $1', [orgId])
  return row && toWebhook(row)
}

/** With it goes what was still to be sent. */
export async function deleteWebhook(sql: Sql, orgId: string): Promise<void> {
  await sql.query('delete from webhooks where org_id = $1', [orgId])
}

export type Delivery = { id: string; attempts: number; webhook: Webhook; event: PlatformEvent }

/**
 * Takes up what is due, the oldest event of each organization first and one of each at a time: a receiver that hangs holds up itself
 * alone. Nobody else takes the same up for `leaseSeconds`; whoever dies at it leaves it to the next one after that.
 */
export async function takeDueDeliveries(
  sql: Sql,
  options: { limit: number; leaseSeconds: number; but?: readonly string[]; of?: string },
): Promise<Delivery[]> {
  const rows = await sql.query(
    `with due as (
       select d.id from webhook_deliveries d
        where d.due_at <= now() and d.org_id <> all($3) and ($4::text is null or d.org_id = $4)
          and d.event_id = (select min(o.event_id) from webhook_deliveries o where o.org_id = d.org_id and o.due_at <= now())
        order by d.due_at limit $1 for update skip locked
     ), taken as (
       update webhook_deliveries d set attempts = attempts + 1, due_at = now() + make_interval(secs => $2)
         from due where d.id = due.id returning d.id as delivery_id, d.org_id, d.event_id, d.attempts
     )
     select t.delivery_id, t.attempts, to_jsonb(e) - 'created_at' as event, e.created_at as event_at, w.*
       from taken t join events e on e.id = t.event_id join webhooks w on w.org_id = t.org_id`,
    [options.limit, options.leaseSeconds, options.but ?? [], options.of ?? null],
  )
  return rows.map((row) => ({
    id: row['delivery_id'] as string,
    attempts: row['attempts'] as number,
    webhook: toWebhook(row),
    event: toEvent({ ...(row['event'] as Row), created_at: row['event_at'] }),
  }))
}

export async function recordDelivered(sql: Sql, { id, webhook }: Delivery): Promise<void> {
  await sql.query(
    `with gone as (delete from webhook_deliveries where id = $1)
     update webhooks set last_delivered_at = now(), last_error = null where org_id = $2`,
    [id, webhook.orgId],
  )
}

/** `othersAfterSeconds`: what else the organization is owed is not tried before that either. */
export async function recordFailed(
  sql: Sql,
  { id, webhook }: Delivery,
  failure: { error: string; retryAfterSeconds: number; othersAfterSeconds: number },
): Promise<void> {
  await sql.query(
    `with later as (update webhook_deliveries set due_at = now() + make_interval(secs => $3) where id = $1),
     others as (
       update webhook_deliveries set due_at = now() + make_interval(secs => $5)
        where org_id = $2 and id <> $1 and due_at < now() + make_interval(secs => $5))
     update webhooks set last_failed_at = now(), last_error = $4 where org_id = $2`,
    [id, webhook.orgId, failure.retryAfterSeconds, failure.error, failure.othersAfterSeconds],
  )
}

/** What is too old, and of each organization what is beyond so many: the oldest go. Returns how many there were. */
export async function dropDeliveries(
  sql: Sql,
  { olderThanSeconds, mostOfOne }: { olderThanSeconds: number; mostOfOne: number },
): Promise<number> {
  const rows = await sql.query(
    `delete from webhook_deliveries d
      where d.created_at < now() - make_interval(secs => $1)
         or d.event_id <= (select o.event_id from webhook_deliveries o where o.org_id = d.org_id order by o.event_id desc offset $2 limit 1)
      returning id`,
    [olderThanSeconds, mostOfOne],
  )
  return rows.length
}
