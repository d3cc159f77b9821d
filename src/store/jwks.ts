import type { AuthIntegrationId, BranchId, DataApiId, ProjectId } from '../model/ids.ts'
import type { Jwks } from '../model/jwks.ts'
import type { Row, Sql } from './database.ts'

const toJwks = (row: Row): Jwks => ({
  id: row['id'] as string,
  projectId: row['project_id'] as ProjectId,
  branchId: (row['branch_id'] as BranchId | null) ?? undefined,
  url: row['jwks_url'] as string,
  privateAllowed: row['private_allowed'] as boolean,
  providerName: row['provider_name'] as string,
  audience: (row['jwt_audience'] as string | null) ?? undefined,
  roleNames: (row['role_names'] as string[] | null) ?? undefined,
  authIntegrationId: (row['auth_integration_id'] as AuthIntegrationId | null) ?? undefined,
  dataApiId: (row['data_api_id'] as DataApiId | null) ?? undefined,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

export async function insertJwks(sql: Sql, jwks: Omit<Jwks, 'createdAt' | 'updatedAt'>): Promise<Jwks> {
  const [row] = await sql.query(
    `insert into project_jwks (id, project_id, branch_id, jwks_url, private_allowed, provider_name, jwt_audience, role_names, auth_integration_id, data_api_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *`,
    [
      jwks.id,
      jwks.projectId,
      jwks.branchId ?? null,
      jwks.url,
      jwks.privateAllowed,
      jwks.providerName,
      jwks.audience ?? null,
      jwks.roleNames === undefined ? null : JSON.stringify(jwks.roleNames),
      jwks.authIntegrationId ?? null,
      jwks.dataApiId ?? null,
    ],
  )
  return toJwks(row ?? {})
}

export async function listJwks(sql: Sql, projectId: string): Promise<Jwks[]> {
  // What they belong to may move to another branch with its endpoint, and they are of the branch where it is.
  const rows = await sql.query(
    `select j.id, j.project_id, coalesce(a.branch_id, d.branch_id, j.branch_id) as branch_id, j.jwks_url, j.private_allowed, j.provider_name,
            j.jwt_audience, j.role_names, j.auth_integration_id, j.data_api_id, j.created_at, j.updated_at
       from project_jwks j
       left join auth_integrations a on a.id = j.auth_integration_id
       left join data_apis d on d.id = j.data_api_id
      where j.project_id = $1 order by j.created_at, j.id`,
    [projectId],
  )
  return rows.map(toJwks)
}

export async function getJwks(sql: Sql, projectId: string, id: string): Promise<Jwks | undefined> {
  const [row] = await sql.query('select * from project_jwks where project_id = $1 and id = $2', [projectId, id])
  return row && toJwks(row)
}

/** Undefined where there is none. */
export async function deleteJwks(sql: Sql, projectId: string, id: string): Promise<Jwks | undefined> {
  const [row] = await sql.query('delete from project_jwks where project_id = $1 and id = $2 returning *', [
    projectId,
    id,
  ])
  return row && toJwks(row)
}
