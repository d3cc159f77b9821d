import type { AuthIntegrationId } from '../../model/ids.ts'
import type { Row, Sql } from '../database.ts'

export type JsonWebKey = Readonly<Record<string, unknown>>

export type StoredSigningKey = {
  kid: string
  publicJwk: JsonWebKey
  /** Sealed under the master key. */
  privateJwk: Uint8Array
  createdAt: Date
}

const toSigningKey = (row: Row): StoredSigningKey => ({
  kid: row['kid'] as string,
  publicJwk: row['public_jwk'] as JsonWebKey,
  privateJwk: row['private_jwk'] as Uint8Array,
  createdAt: row['created_at'] as Date,
})

export async function insertSigningKey(
  sql: Sql,
  integrationId: AuthIntegrationId,
  key: Omit<StoredSigningKey, 'createdAt'>,
): Promise<void> {
  await sql.query(
    'insert into auth_signing_keys (kid, integration_id, public_jwk, private_jwk) values ($1, $2, $3, $4)',
    [key.kid, integrationId, JSON.stringify(key.publicJwk), key.privateJwk],
  )
}

/** Newest first: the first one signs, all verify. */
export async function listSigningKeys(sql: Sql, integrationId: string): Promise<StoredSigningKey[]> {
  const rows = await sql.query(
    'select * from auth_signing_keys where integration_id = $1 order by created_at desc, kid',
    [integrationId],
  )
  return rows.map(toSigningKey)
}
