// Mails of integrations: on their way, or kept in the development mailbox.

import type { AuthProvider } from '../../model/auth.ts'
import type { AuthIntegrationId } from '../../model/ids.ts'
import type { Row, Sql } from '../database.ts'

export type NewMail = {
  id: string
  integrationId: AuthIntegrationId
  kind: string
  recipient: Uint8Array
  content: Uint8Array
  isShared: boolean
}

/** How many may be sent: to one recipient, and by the integration as a whole. */
export type MailBounds = {
  recipient: { count: number; seconds: number }
  integration: { count: number; seconds: number }
}

/** To be sent. False, and nothing stored, where that would be too many. */
export async function queueMail(sql: Sql, mail: NewMail, { recipient, integration }: MailBounds): Promise<boolean> {
  const rows = await sql.query(
    `insert into auth_mails (id, integration_id, kind, recipient, content, is_shared)
     select $1, $2, $3, $4, $5, $6
      where (select count(*) from auth_mails where integration_id = $2 and state <> 'kept' and recipient = $4
                and created_at > now() - make_interval(secs => $8)) < $7
        and (select count(*) from auth_mails where integration_id = $2 and state <> 'kept'
                and created_at > now() - make_interval(secs => $10)) < $9
     returning id`,
    [
      mail.id,
      mail.integrationId,
      mail.kind,
      mail.recipient,
      mail.content,
      mail.isShared,
      recipient.count,
      recipient.seconds,
      integration.count,
      integration.seconds,
    ],
  )
  return rows.length > 0
}

/** Into the mailbox, of which the newest so many stay. */
export async function keepNewMail(sql: Sql, mail: NewMail, mostKept: number): Promise<void> {
  await sql.query(
    `insert into auth_mails (id, integration_id, kind, recipient, content, is_shared, state)
     values ($1, $2, $3, $4, $5, $6, 'kept')`,
    [mail.id, mail.integrationId, mail.kind, mail.recipient, mail.content, mail.isShared],
  )
  await dropOldestKept(sql, mail.integrationId, mostKept)
}

/** What was to be sent, and has no server any more. */
export async function keepQueuedMail(sql: Sql, mail: DueMail, mostKept: number): Promise<void> {
  await sql.query(`update auth_mails set state = 'kept' where id = $1`, [mail.id])
  await dropOldestKept(sql, mail.integrationId, mostKept)
}

async function dropOldestKept(sql: Sql, integrationId: AuthIntegrationId, mostKept: number): Promise<void> {
  await sql.query(
    `delete from auth_mails where id in (
       select id from auth_mails where integration_id = $1 and state = 'kept' order by created_at desc, id desc offset $2)`,
    [integrationId, mostKept],
  )
}

export type KeptMail = { id: string; kind: string; content: Uint8Array; createdAt: Date }

/** Newest first. */
export async function listKeptMails(sql: Sql, integrationId: AuthIntegrationId, limit: number): Promise<KeptMail[]> {
  const rows = await sql.query(
    `select id, kind, content, created_at from auth_mails where integration_id = $1 and state = 'kept'
      order by created_at desc, id desc limit $2`,
    [integrationId, limit],
  )
  return rows.map((row) => ({
    id: row['id'] as string,
    kind: row['kind'] as string,
    content: row['content'] as Uint8Array,
    createdAt: row['created_at'] as Date,
  }))
}

export async function deleteKeptMails(sql: Sql, integrationId: AuthIntegrationId): Promise<void> {
  await sql.query(`delete from auth_mails where integration_id = $1 and state = 'kept'`, [integrationId])
}

export type DueMail = {
  id: string
  integrationId: AuthIntegrationId
  content: Uint8Array
  attempts: number
  createdAt: Date
  provider: AuthProvider
  /** Sealed; null: shared. */
  emailServer: Uint8Array | undefined
}

const toDueMail = (row: Row): DueMail => ({
  id: row['id'] as string,
  integrationId: row['integration_id'] as AuthIntegrationId,
  content: row['content'] as Uint8Array,
  attempts: row['attempts'] as number,
  createdAt: row['created_at'] as Date,
  provider: row['provider'] as AuthProvider,
  emailServer: (row['email_server'] as Uint8Array | null) ?? undefined,
})

/**
 * Takes up what is due, the oldest of each integration and one of each: a server that hangs holds up whoever named it. Nobody else takes the
 * same up for `leaseSeconds`.
 */
export async function takeDueMails(
  sql: Sql,
  options: { isShared: boolean; limit: number; leaseSeconds: number; but?: readonly string[]; of?: AuthIntegrationId },
): Promise<DueMail[]> {
  const rows = await sql.query(
    `with due as (
       select m.id from auth_mails m
        where m.state = 'queued' and m.is_shared = $1 and m.due_at <= now() and m.integration_id <> all($4::uuid[])
          and ($5::uuid is null or m.integration_id = $5)
          and m.id = (select o.id from auth_mails o where o.integration_id = m.integration_id and o.state = 'queued'
                         and o.is_shared = $1 and o.due_at <= now() order by o.due_at, o.id limit 1)
        order by m.due_at limit $2 for update skip locked
     ), taken as (
       update auth_mails m set attempts = attempts + 1, due_at = now() + make_interval(secs => $3)
         from due where m.id = due.id returning m.*
     )
     select t.*, i.provider, i.email_server from taken t join auth_integrations i on i.id = t.integration_id`,
    [options.isShared, options.limit, options.leaseSeconds, options.but ?? [], options.of ?? null],
  )
  return rows.map(toDueMail)
}

/** What was in it is of no use to anybody any more, and should not lie about. */
export async function recordMailOver(sql: Sql, id: string, error: string | undefined): Promise<void> {
  await sql.query(
    `update auth_mails set state = case when $2::text is null then 'sent' else 'failed' end, last_error = $2, content = '' where id = $1`,
    [id, error ?? null],
  )
}

/** `othersAfterSeconds`: what else the integration has to send is not tried before that either. */
export async function recordMailFailed(
  sql: Sql,
  { id, integrationId }: DueMail,
  failure: { error: string; retryAfterSeconds: number; othersAfterSeconds: number },
): Promise<void> {
  await sql.query(
    `with others as (
       update auth_mails set due_at = now() + make_interval(secs => $5)
        where integration_id = $2 and id <> $1 and state = 'queued' and due_at < now() + make_interval(secs => $5))
     update auth_mails set due_at = now() + make_interval(secs => $3), last_error = $4 where id = $1`,
    [id, integrationId, failure.retryAfterSeconds, failure.error, failure.othersAfterSeconds],
  )
}

/** Those that are over; they were kept to be counted. Returns how many there were. */
export async function deleteOverMails(sql: Sql, olderThanSeconds: number): Promise<number> {
  const rows = await sql.query(
    `delete from auth_mails where state in ('sent', 'failed') and created_at < now() - make_interval(secs => $1) returning id`,
    [olderThanSeconds],
  )
  return rows.length
}
