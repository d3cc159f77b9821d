import type { AuthIntegrationId } from '../../model/ids.ts'
import type { Sql } from '../database.ts'

export type AuthKeyKind = 'publishable' | 'secret'

export async function insertAuthKey(
  sql: Sql,
  key: { integrationId: AuthIntegrationId; kind: AuthKeyKind; sha256: Uint8Array },
): Promise<void> {
  await sql.query('insert into auth_keys (id, integration_id, kind, sha256) values ($1, $2, $3, $4)', [
    crypto.randomUUID(),
    key.integrationId,
    key.kind,
    key.sha256,
  ])
}

/** Those that open something, oldest first. */
export async function listAuthKeys(
  sql: Sql,
  integrationId: AuthIntegrationId,
): Promise<{ kind: AuthKeyKind; sha256: Uint8Array }[]> {
  const rows = await sql.query(
    'select kind, sha256 from auth_keys where integration_id = $1 and revoked_at is null order by created_at, id',
    [integrationId],
  )
  return rows.map((row) => ({ kind: row['kind'] as AuthKeyKind, sha256: row['sha256'] as Uint8Array }))
}

export async function countAuthKeys(sql: Sql, integrationId: AuthIntegrationId): Promise<number> {
  const [row] = await sql.query(
    'select count(*)::int as keys from auth_keys where integration_id = $1 and revoked_at is null',
    [integrationId],
  )
  return (row?.['keys'] as number | undefined) ?? 0
}
