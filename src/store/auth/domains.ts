import type { AuthIntegrationId } from '../../model/ids.ts'
import type { Sql } from '../database.ts'

export async function listAuthDomains(sql: Sql, integrationId: AuthIntegrationId): Promise<string[]> {
  const rows = await sql.query<{ domain: string }>(
    'select domain from auth_domains where integration_id = $1 order by created_at, domain',
    [integrationId],
  )
  return rows.map(({ domain }) => domain)
}

/** One that is there already is no error. */
export async function insertAuthDomain(sql: Sql, integrationId: AuthIntegrationId, domain: string): Promise<void> {
  await sql.query('insert into auth_domains (integration_id, domain) values ($1, $2) on conflict do nothing', [
    integrationId,
    domain,
  ])
}

export async function deleteAuthDomains(
  sql: Sql,
  integrationId: AuthIntegrationId,
  domains: readonly string[],
): Promise<void> {
  await sql.query('delete from auth_domains where integration_id = $1 and domain = any($2)', [integrationId, domains])
}
