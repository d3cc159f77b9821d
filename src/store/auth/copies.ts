// What becomes of integrations when branches are copied, swapped and restored.

import type { AuthIntegrationId, BranchId } from '../../model/ids.ts'
import type { Sql } from '../database.ts'

/** Which data has been made ready for an integration. */
export type Prepared = { timelineId: string; version: number }

export async function getPrepared(
  sql: Sql,
  id: string,
): Promise<{ databaseName: string; prepared: Prepared | undefined } | undefined> {
  const [row] = await sql.query<{ databaseName: string; timelineId: string | null; version: number | null }>(
    `select database_name as "databaseName", prepared_timeline_id as "timelineId", prepared_version as version
       from auth_integrations where id = $1`,
    [id],
  )
  if (!row) return undefined
  const { databaseName, timelineId, version } = row
  return { databaseName, prepared: timelineId === null ? undefined : { timelineId, version: version ?? 0 } }
}

export async function setPrepared(sql: Sql, id: string, prepared: Prepared): Promise<void> {
  await sql.query('update auth_integrations set prepared_timeline_id = $2, prepared_version = $3 where id = $1', [
    id,
    prepared.timelineId,
    prepared.version,
  ])
}

/**
 * What `from` has goes on at `to` under the same id, with its keys and its key set; what `to` has of its own goes. Returns the ids of all that
 * are not what they were.
 */
export async function moveIntegration(sql: Sql, from: BranchId, to: BranchId): Promise<AuthIntegrationId[]> {
  const replaced = await sql.query<{ id: AuthIntegrationId }>(
    'delete from auth_integrations where branch_id = $1 returning id',
    [to],
  )
  const moved = await sql.query<{ id: AuthIntegrationId }>(
    `update auth_integrations set branch_id = $2, version = version + 1, updated_at = clock_timestamp() where branch_id = $1 returning id`,
    [from, to],
  )
  for (const { id } of moved) {
    await sql.query(
      'update project_jwks set branch_id = $2, updated_at = clock_timestamp() where auth_integration_id = $1',
      [id, to],
    )
  }
  return [...replaced, ...moved].map(({ id }) => id)
}

/** Where an integration's key set is to be found, after that has changed. */
export async function setKeySetUrl(sql: Sql, id: AuthIntegrationId, url: string): Promise<void> {
  await sql.query(
    'update project_jwks set jwks_url = $2, updated_at = clock_timestamp() where auth_integration_id = $1 and jwks_url <> $2',
    [id, url],
  )
}
