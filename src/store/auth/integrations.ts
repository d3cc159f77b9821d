import { defaultAuthSettings, type AuthIntegration, type AuthProvider, type AuthSettings } from '../../model/auth.ts'
import type { AuthIntegrationId, BranchId, ProjectId } from '../../model/ids.ts'
import type { Row, Sql } from '../database.ts'

/** Of an age when there were fewer settings, some are not there. */
function toSettings(stored: Partial<AuthSettings>): AuthSettings {
  const defaults = defaultAuthSettings
  return {
    emailAndPassword: { ...defaults.emailAndPassword, ...stored.emailAndPassword },
    organization: { ...defaults.organization, ...stored.organization },
    magicLink: { ...defaults.magicLink, ...stored.magicLink },
    phoneNumber: { ...defaults.phoneNumber, ...stored.phoneNumber },
    allowLocalhost: stored.allowLocalhost ?? defaults.allowLocalhost,
    webhooks: { ...defaults.webhooks, ...stored.webhooks },
  }
}

export function toIntegration(row: Row): AuthIntegration {
  return {
    id: row['id'] as AuthIntegrationId,
    projectId: row['project_id'] as ProjectId,
    branchId: row['branch_id'] as BranchId,
    databaseName: row['database_name'] as string,
    provider: row['provider'] as AuthProvider,
    ownedBy: row['owned_by'] as AuthIntegration['ownedBy'],
    transferStatus: (row['transfer_status'] as AuthIntegration['transferStatus'] | null) ?? undefined,
    name: (row['name'] as string | null) ?? undefined,
    settings: toSettings(row['settings'] as Partial<AuthSettings>),
    createdAt: row['created_at'] as Date,
    updatedAt: row['updated_at'] as Date,
  }
}

export async function insertIntegration(
  sql: Sql,
  integration: Pick<AuthIntegration, 'id' | 'projectId' | 'branchId' | 'databaseName' | 'provider' | 'settings'>,
): Promise<AuthIntegration> {
  const [row] = await sql.query(
    `insert into auth_integrations (id, project_id, branch_id, database_name, provider, settings)
     values ($1, $2, $3, $4, $5, $6) returning *`,
    [
      integration.id,
      integration.projectId,
      integration.branchId,
      integration.databaseName,
      integration.provider,
      JSON.stringify(integration.settings),
    ],
  )
  return toIntegration(row ?? {})
}

export async function getIntegration(sql: Sql, id: string): Promise<AuthIntegration | undefined> {
  const [row] = await sql.query('select * from auth_integrations where id = $1', [id])
  return row && toIntegration(row)
}

export async function getIntegrationOfBranch(sql: Sql, branchId: string): Promise<AuthIntegration | undefined> {
  const [row] = await sql.query('select * from auth_integrations where branch_id = $1', [branchId])
  return row && toIntegration(row)
}

/** Of live branches; that of the default branch first, then in the order in which they were made. */
export async function listIntegrations(sql: Sql, projectId: string): Promise<AuthIntegration[]> {
  const rows = await sql.query(
    `select a.* from auth_integrations a join branches b on b.id = a.branch_id
      where a.project_id = $1 and b.deleted_at is null order by b.is_default desc, a.created_at, a.id`,
    [projectId],
  )
  return rows.map(toIntegration)
}

/** Holds the row for the rest of the transaction. */
export async function lockIntegration(sql: Sql, id: string): Promise<AuthIntegration | undefined> {
  const [row] = await sql.query('select * from auth_integrations where id = $1 for update', [id])
  return row && toIntegration(row)
}

/** Whoever changes something of an integration, or of what hangs on it, calls this in the same transaction. */
export async function raiseVersion(sql: Sql, id: AuthIntegrationId): Promise<void> {
  await sql.query('update auth_integrations set version = version + 1, updated_at = clock_timestamp() where id = $1', [
    id,
  ])
}

export async function setIntegrationSettings(sql: Sql, id: AuthIntegrationId, settings: AuthSettings): Promise<void> {
  await sql.query('update auth_integrations set settings = $2 where id = $1', [id, JSON.stringify(settings)])
}

export async function setIntegrationName(sql: Sql, id: AuthIntegrationId, name: string): Promise<void> {
  await sql.query('update auth_integrations set name = $2 where id = $1', [id, name])
}

/** Undefined: shared, with nothing said of its sender. */
export async function getSealedEmailServer(sql: Sql, id: AuthIntegrationId): Promise<Uint8Array | undefined> {
  const [row] = await sql.query('select email_server from auth_integrations where id = $1', [id])
  return (row?.['email_server'] as Uint8Array | null | undefined) ?? undefined
}

export async function setSealedEmailServer(sql: Sql, id: AuthIntegrationId, sealed: Uint8Array): Promise<void> {
  await sql.query('update auth_integrations set email_server = $2 where id = $1', [id, sealed])
}

/** With it goes all that hangs on it. */
export async function deleteIntegration(sql: Sql, id: AuthIntegrationId): Promise<void> {
  await sql.query('delete from auth_integrations where id = $1', [id])
}

/** Undefined where the database has none. */
export async function renameIntegrationsDatabase(
  sql: Sql,
  branchId: BranchId,
  names: { from: string; to: string },
): Promise<AuthIntegrationId | undefined> {
  const [row] = await sql.query(
    `update auth_integrations set database_name = $3, version = version + 1, updated_at = clock_timestamp()
      where branch_id = $1 and database_name = $2 returning id`,
    [branchId, names.from, names.to],
  )
  return row?.['id'] as AuthIntegrationId | undefined
}

/** Of a database that is gone. Undefined where it had none. */
export async function deleteIntegrationOfDatabase(
  sql: Sql,
  branchId: BranchId,
  databaseName: string,
): Promise<AuthIntegrationId | undefined> {
  const [row] = await sql.query(
    'delete from auth_integrations where branch_id = $1 and database_name = $2 returning id',
    [branchId, databaseName],
  )
  return row?.['id'] as AuthIntegrationId | undefined
}
