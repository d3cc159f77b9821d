import type { DataApi, DataApiAuthProvider, DataApiSettings } from '../model/data-api.ts'
import type { DataApiTargetName } from '../model/data-api-target.ts'
import type { AuthIntegrationId, BranchId, DataApiId, EndpointId, ProjectId } from '../model/ids.ts'
import type { ProjectSettings } from '../model/project.ts'
import type { Row, Sql } from './database.ts'

const toDataApi = (row: Row): DataApi => ({
  id: row['id'] as DataApiId,
  projectId: row['project_id'] as ProjectId,
  branchId: row['branch_id'] as BranchId,
  databaseName: row['database_name'] as string,
  authProvider: row['auth_provider'] as DataApiAuthProvider,
  audience: (row['jwt_audience'] as string | null) ?? undefined,
  grantsDefaults: row['add_default_grants'] as boolean,
  skipsAuthSchema: row['skip_auth_schema'] as boolean,
  settings: (row['settings'] as DataApiSettings | null) ?? undefined,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

export async function insertDataApi(
  sql: Sql,
  api: Omit<DataApi, 'createdAt' | 'updatedAt'> & { preparedTimelineId: string; schemas: readonly string[] },
): Promise<DataApi> {
  const [row] = await sql.query(
    `insert into data_apis (id, project_id, branch_id, database_name, auth_provider, jwt_audience, add_default_grants,
       skip_auth_schema, settings, prepared_timeline_id, available_schemas)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning *`,
    [
      api.id,
      api.projectId,
      api.branchId,
      api.databaseName,
      api.authProvider,
      api.audience ?? null,
      api.grantsDefaults,
      api.skipsAuthSchema,
      api.settings === undefined ? null : JSON.stringify(api.settings),
      api.preparedTimelineId,
      JSON.stringify(api.schemas),
    ],
  )
  return toDataApi(row ?? {})
}

export async function getDataApi(sql: Sql, id: string): Promise<DataApi | undefined> {
  const [row] = await sql.query('select * from data_apis where id = $1', [id])
  return row && toDataApi(row)
}

export async function getDataApiOf(sql: Sql, branchId: string, databaseName: string): Promise<DataApi | undefined> {
  const [row] = await sql.query('select * from data_apis where branch_id = $1 and database_name = $2', [
    branchId,
    databaseName,
  ])
  return row && toDataApi(row)
}

export async function countDataApis(sql: Sql, branchId: string): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    'select count(*)::int as count from data_apis where branch_id = $1',
    [branchId],
  )
  return row?.count ?? 0
}

/** All of them: what is not there is no longer said. */
export async function setDataApiSettings(sql: Sql, id: DataApiId, settings: DataApiSettings): Promise<void> {
  await sql.query(
    'update data_apis set settings = $2, version = version + 1, updated_at = clock_timestamp() where id = $1',
    [id, JSON.stringify(settings)],
  )
}

export async function deleteDataApi(sql: Sql, id: DataApiId): Promise<void> {
  await sql.query('delete from data_apis where id = $1', [id])
}

/** Of a database that is gone. */
export async function deleteDataApiOfDatabase(sql: Sql, branchId: BranchId, databaseName: string): Promise<void> {
  await sql.query('delete from data_apis where branch_id = $1 and database_name = $2', [branchId, databaseName])
}

export async function renameDataApisDatabase(
  sql: Sql,
  branchId: BranchId,
  names: { from: string; to: string },
): Promise<void> {
  await sql.query(
    `update data_apis set database_name = $3, version = version + 1, updated_at = clock_timestamp()
      where branch_id = $1 and database_name = $2`,
    [branchId, names.from, names.to],
  )
}

/** Those of `from` go on at `to` under the same ids; those that `to` has of its own go. Returns the ids of all that are not what they were. */
export async function moveDataApis(sql: Sql, from: BranchId, to: BranchId): Promise<DataApiId[]> {
  const replaced = await sql.query<{ id: DataApiId }>('delete from data_apis where branch_id = $1 returning id', [to])
  const moved = await sql.query<{ id: DataApiId }>(
    `update data_apis set branch_id = $2, version = version + 1, updated_at = clock_timestamp() where branch_id = $1 returning id`,
    [from, to],
  )
  return [...replaced, ...moved].map(({ id }) => id)
}

export type DataApiPreparation = { api: DataApi; preparedTimelineId: string | undefined }

export async function getDataApiPreparation(sql: Sql, id: string): Promise<DataApiPreparation | undefined> {
  const [row] = await sql.query('select * from data_apis where id = $1', [id])
  return row && { api: toDataApi(row), preparedTimelineId: (row['prepared_timeline_id'] as string | null) ?? undefined }
}

export async function setDataApiPrepared(sql: Sql, id: string, timelineId: string): Promise<void> {
  await sql.query('update data_apis set prepared_timeline_id = $2 where id = $1', [id, timelineId])
}

/** Undefined: never looked at. */
export async function getAvailableSchemas(sql: Sql, id: DataApiId): Promise<string[] | undefined> {
  const [row] = await sql.query('select available_schemas from data_apis where id = $1', [id])
  return (row?.['available_schemas'] as string[] | null | undefined) ?? undefined
}

export async function setAvailableSchemas(sql: Sql, id: DataApiId, schemas: readonly string[]): Promise<void> {
  await sql.query('update data_apis set available_schemas = $2 where id = $1', [id, JSON.stringify(schemas)])
}

export type StoredDataApiTarget = {
  api: DataApi
  version: number
  endpointId: EndpointId
  projectSettings: ProjectSettings
  branchProtected: boolean
  /** Of the branch's own sign-in. */
  integrationId: AuthIntegrationId | undefined
}

/** Of live branches, by their read-write endpoint. */
export async function findDataApiTarget(
  sql: Sql,
  name: DataApiTargetName | { id: string },
): Promise<StoredDataApiTarget | undefined> {
  const [row] = await sql.query(
    `select d.*, e.id as endpoint_id, p.settings as project_settings, b.protected as branch_protected, a.id as integration_id
       from data_apis d
       join branches b on b.id = d.branch_id and b.deleted_at is null
       join projects p on p.id = d.project_id and p.deleted_at is null
       join endpoints e on e.branch_id = d.branch_id and e.type = 'read_write' and e.deleted_at is null
       left join auth_integrations a on a.branch_id = d.branch_id
      where ${'id' in name ? 'd.id = $1' : 'e.id = $1 and d.database_name = $2'}`,
    'id' in name ? [name.id] : [name.endpointId, name.database],
  )
  if (!row) return undefined
  return {
    api: toDataApi(row),
    version: row['version'] as number,
    endpointId: row['endpoint_id'] as EndpointId,
    projectSettings: row['project_settings'] as ProjectSettings,
    branchProtected: row['branch_protected'] as boolean,
    integrationId: (row['integration_id'] as AuthIntegrationId | null) ?? undefined,
  }
}
