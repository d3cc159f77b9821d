import type { BranchId, ProjectId } from '../model/ids.ts'
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
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

export async function insertJwks(sql: Sql, jwks: Omit<Jwks, 'createdAt' | 'updatedAt'>): Promise<Jwks> {
  const [row] = await sql.query(
    `insert into project_jwks (id, project_id, branch_id, jwks_url, private_allowed, provider_name, jwt_audience, role_names)
     values ($1, $2, $3, $4, $5, $6, $7, $8) returning *`,
    [
      jwks.id,
      jwks.projectId,
      jwks.branchId ?? null,
      jwks.url,
      jwks.privateAllowed,
      jwks.providerName,
      jwks.audience ?? null,
      jwks.roleNames === undefined ? null : JSON.stringify(jwks.roleNames),
    ],
  )
  return toJwks(row ?? {})
}

export async function listJwks(sql: Sql, projectId: string): Promise<Jwks[]> {
  const rows = await sql.query('select * from project_jwks where project_id = $1 order by created_at, id', [projectId])
  return rows.map(toJwks)
}

/** Undefined where there is none. */
export async function deleteJwks(sql: Sql, projectId: string, id: string): Promise<Jwks | undefined> {
  const [row] = await sql.query('delete from project_jwks where project_id = $1 and id = $2 returning *', [
    projectId,
    id,
  ])
  return row && toJwks(row)
}
