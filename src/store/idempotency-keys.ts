import type { Sql } from './database.ts'

export type IdempotencyKey = {
  fingerprint: string
  process: string
  status: number | undefined
  body: string | undefined
}

/** Undefined: the key was free and is ours now. */
export async function claimIdempotencyKey(
  sql: Sql,
  key: { subject: string; key: string; fingerprint: string; process: string },
): Promise<IdempotencyKey | undefined> {
  const inserted = await sql.query(
    'insert into idempotency_keys (subject, key, fingerprint, process) values ($1, $2, $3, $4) on conflict do nothing returning key',
    [key.subject, key.key, key.fingerprint, key.process],
  )
  if (inserted.length > 0) return undefined
  const [row] = await sql.query(
    'select fingerprint, process, status, body from idempotency_keys where subject = $1 and key = $2',
    [key.subject, key.key],
  )
  if (!row) return await claimIdempotencyKey(sql, key)
  return {
    fingerprint: row['fingerprint'] as string,
    process: row['process'] as string,
    status: (row['status'] as number | null) ?? undefined,
    body: (row['body'] as string | null) ?? undefined,
  }
}

export async function storeAnswer(
  sql: Sql,
  subject: string,
  key: string,
  answer: { status: number; body: string },
): Promise<void> {
  await sql.query('update idempotency_keys set status = $3, body = $4 where subject = $1 and key = $2', [
    subject,
    key,
    answer.status,
    answer.body,
  ])
}

export async function freeIdempotencyKey(sql: Sql, subject: string, key: string): Promise<void> {
  await sql.query('delete from idempotency_keys where subject = $1 and key = $2 and status is null', [subject, key])
}

/** A day is longer than any client retries. */
export async function deleteOldIdempotencyKeys(sql: Sql): Promise<void> {
  await sql.query(`delete from idempotency_keys where created_at < now() - interval '1 day'`)
}
