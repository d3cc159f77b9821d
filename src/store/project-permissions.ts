// Projects that are shared with somebody, by his address: he need not be a user yet.

import type { ProjectPermission } from '../model/project.ts'
import type { OrganizationId, ProjectId } from '../model/ids.ts'
import type { Row, Sql } from './database.ts'

const toPermission = (row: Row): ProjectPermission => ({
  id: row['id'] as string,
  projectId: row['project_id'] as ProjectId,
  grantedToEmail: row['granted_to_email'] as string,
  grantedAt: row['granted_at'] as Date,
  revokedAt: (row['revoked_at'] as Date | null) ?? undefined,
})

/** Those that hold. */
export async function listPermissions(sql: Sql, projectId: ProjectId): Promise<ProjectPermission[]> {
  const rows = await sql.query(
    'select * from project_permissions where project_id = $1 and revoked_at is null order by granted_at, id',
    [projectId],
  )
  return rows.map(toPermission)
}

/** The one that is there already, where there is one. */
export async function ensurePermission(sql: Sql, projectId: ProjectId, email: string): Promise<ProjectPermission> {
  const [row] = await sql.query(
    `insert into project_permissions (project_id, granted_to_email) values ($1, lower($2))
       on conflict (project_id, granted_to_email) where revoked_at is null
       do update set granted_to_email = excluded.granted_to_email returning *`,
    [projectId, email],
  )
  return toPermission(row ?? {})
}

/** Undefined where there is none, or no longer. */
export async function revokePermission(
  sql: Sql,
  projectId: ProjectId,
  permissionId: string,
): Promise<ProjectPermission | undefined> {
  const [row] = await sql.query(
    'update project_permissions set revoked_at = now() where project_id = $1 and id::text = $2 and revoked_at is null returning *',
    [projectId, permissionId],
  )
  return row && toPermission(row)
}

export async function revokePermissionsOfProjects(sql: Sql, projectIds: readonly ProjectId[]): Promise<void> {
  await sql.query(
    'update project_permissions set revoked_at = now() where project_id = any($1) and revoked_at is null',
    [projectIds],
  )
}

/** What was shared with one address by the projects of one organization. */
export async function revokePermissionsInOrganization(sql: Sql, orgId: OrganizationId, email: string): Promise<void> {
  await sql.query(
    `update project_permissions s set revoked_at = now() from projects p
      where p.id = s.project_id and p.org_id = $1 and s.granted_to_email = lower($2) and s.revoked_at is null`,
    [orgId, email],
  )
}

export async function deletePermissionsRevokedBefore(sql: Sql, moment: Date): Promise<number> {
  const rows = await sql.query('delete from project_permissions where revoked_at < $1 returning id', [moment])
  return rows.length
}
