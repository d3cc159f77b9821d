import type { OauthProvider, OauthProviderId } from '../../model/auth.ts'
import type { AuthIntegrationId } from '../../model/ids.ts'
import type { Row, Sql } from '../database.ts'

const toProvider = (row: Row): OauthProvider => ({
  id: row['provider'] as OauthProviderId,
  type: row['type'] as OauthProvider['type'],
  clientId: (row['client_id'] as string | null) ?? undefined,
  clientSecret: (row['client_secret'] as Uint8Array | null) ?? undefined,
  microsoftTenantId: (row['microsoft_tenant_id'] as string | null) ?? undefined,
  createdAt: row['created_at'] as Date,
})

/** In the order in which they were added. */
export async function listOauthProviders(sql: Sql, integrationId: AuthIntegrationId): Promise<OauthProvider[]> {
  const rows = await sql.query(
    'select * from auth_oauth_providers where integration_id = $1 order by created_at, provider',
    [integrationId],
  )
  return rows.map(toProvider)
}

/** Replaces the one of the same name. */
export async function putOauthProvider(
  sql: Sql,
  integrationId: AuthIntegrationId,
  provider: Omit<OauthProvider, 'createdAt'>,
): Promise<void> {
  await sql.query(
    `insert into auth_oauth_providers (integration_id, provider, type, client_id, client_secret, microsoft_tenant_id)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (integration_id, provider) do update set type = excluded.type, client_id = excluded.client_id,
       client_secret = excluded.client_secret, microsoft_tenant_id = excluded.microsoft_tenant_id`,
    [
      integrationId,
      provider.id,
      provider.type,
      provider.clientId ?? null,
      provider.clientSecret ?? null,
      provider.microsoftTenantId ?? null,
    ],
  )
}

/** Whether there was one. */
export async function deleteOauthProvider(sql: Sql, integrationId: AuthIntegrationId, id: string): Promise<boolean> {
  const rows = await sql.query(
    'delete from auth_oauth_providers where integration_id = $1 and provider = $2 returning provider',
    [integrationId, id],
  )
  return rows.length > 0
}
