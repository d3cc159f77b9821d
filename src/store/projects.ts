import type { PgMajor } from '../model/compute.ts'
import type { OrganizationId, ProjectId, UserId } from '../model/ids.ts'
import type { EndpointDefaults, Project, ProjectSettings } from '../model/project.ts'
import type { Row, Sql } from './database.ts'

const toProject = (row: Row): Project => ({
  id: row['id'] as ProjectId,
  orgId: row['org_id'] as OrganizationId,
  name: row['name'] as string,
  regionId: row['region_id'] as string,
  pgMajor: row['pg_major'] as PgMajor,
  storePasswords: row['store_passwords'] as boolean,
  historyRetentionSeconds: row['history_retention_seconds'] as number,
  endpointDefaults: row['endpoint_defaults'] as EndpointDefaults,
  settings: row['settings'] as ProjectSettings,
  creationSource: row['creation_source'] as string,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
  deletedAt: (row['deleted_at'] as Date | null) ?? undefined,
  purgingAt: (row['purging_at'] as Date | null) ?? undefined,
})

export type NewProject = Omit<Project, 'createdAt' | 'updatedAt' | 'deletedAt' | 'purgingAt'>

export async function insertProject(sql: Sql, cell: string, project: NewProject): Promise<Project> {
  const [row] = await sql.query(
    `insert into projects (id, cell, org_id, name, region_id, pg_major, store_passwords, history_retention_seconds, endpoint_defaults, settings, creation_source)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning *`,
    [
      project.id,
      cell,
      project.orgId,
      project.name,
      project.regionId,
      project.pgMajor,
      project.storePasswords,
      project.historyRetentionSeconds,
      JSON.stringify(project.endpointDefaults),
      JSON.stringify(project.settings),
      project.creationSource,
    ],
  )
  return toProject(row ?? {})
}

/** Deleted ones too, until they are purged. */
export async function getProject(sql: Sql, id: string): Promise<Project | undefined> {
  const [row] = await sql.query('select * from projects where id = $1', [id])
  return row && toProject(row)
}

/** What a user is to a project. `userId` undefined: for keys that are nobody's in person. */
export type ProjectStanding = { orgId: OrganizationId; memberRole: string | undefined; isShared: boolean }

const standingColumns = `p.org_id,
       (select m.role from members m where m.org_id = p.org_id and m.user_id = $2) as member_role,
       exists (select from project_permissions s join users u on lower(u.email) = s.granted_to_email
                where s.project_id = p.id and s.revoked_at is null and u.id = $2) as is_shared`

const toStanding = (row: Row): ProjectStanding => ({
  orgId: row['org_id'] as OrganizationId,
  memberRole: (row['member_role'] as string | null) ?? undefined,
  isShared: row['is_shared'] as boolean,
})

/** Of a deleted project too. Undefined where there is none. */
export async function findProjectStanding(
  sql: Sql,
  id: string,
  userId: UserId | undefined,
): Promise<ProjectStanding | undefined> {
  const [row] = await sql.query(`select ${standingColumns} from projects p where p.id = $1`, [id, userId ?? null])
  return row && toStanding(row)
}

/** As `getProject`, with what a user is to it. */
export async function getProjectAndStanding(
  sql: Sql,
  id: string,
  userId: UserId | undefined,
): Promise<{ project: Project; standing: ProjectStanding } | undefined> {
  const [row] = await sql.query(`select p.*, ${standingColumns} from projects p where p.id = $1`, [id, userId ?? null])
  return row && { project: toProject(row), standing: toStanding(row) }
}

/** Deleted ones too; holds the row until the transaction ends, so that calls on one project come one after another. */
export async function lockProject(sql: Sql, id: string): Promise<Project | undefined> {
  const [row] = await sql.query('select * from projects where id = $1 for update', [id])
  return row && toProject(row)
}

/** As `lockProject`, in order of their ids: two who want some of the same do not wait for each other in a circle. */
export async function lockProjects(sql: Sql, ids: readonly string[]): Promise<Project[]> {
  return (await sql.query('select * from projects where id = any($1) order by id for update', [ids])).map(toProject)
}

export async function setProjectsOrganization(
  sql: Sql,
  ids: readonly ProjectId[],
  orgId: OrganizationId,
): Promise<void> {
  await sql.query('update projects set org_id = $2, updated_at = now() where id = any($1)', [ids, orgId])
}

export type ProjectListRow = { project: Project; orgName: string; lastActiveAt: Date | undefined }

const listColumns = `p.*, o.name as org_name,
            (select max(e.last_active_at) from endpoints e where e.project_id = p.id) as last_active_at`

const toListRow = (row: Row): ProjectListRow => ({
  project: toProject(row),
  orgName: row['org_name'] as string,
  lastActiveAt: (row['last_active_at'] as Date | null) ?? undefined,
})

type ProjectPageQuery = { after: string | undefined; limit: number; search: string | undefined }

/** Of one organization or of all that a user is a member of, in order of id; `recoverable` lists the deleted ones instead. */
export async function listProjects(
  sql: Sql,
  query: ProjectPageQuery & { within: { orgId: OrganizationId } | { userId: UserId }; recoverable: boolean },
): Promise<ProjectListRow[]> {
  const [isWithin, id] =
    'orgId' in query.within
      ? ['p.org_id = $1', query.within.orgId]
      : ['p.org_id in (select org_id from members where user_id = $1)', query.within.userId]
  const rows = await sql.query(
    `select ${listColumns}
       from projects p
       join organizations o on o.id = p.org_id
      where ${isWithin}
        and ($2::text is null or p.id > $2)
        and ($3::text is null or position(lower($3) in lower(p.name)) > 0 or position(lower($3) in p.id) > 0)
        and ${query.recoverable ? 'p.deleted_at is not null and p.purging_at is null' : 'p.deleted_at is null'}
      order by p.id
      limit $4`,
    [id, query.after ?? null, query.search ?? null, query.limit],
  )
  return rows.map(toListRow)
}

/** Live ones of organizations that the user is no member of. */
export async function listSharedProjects(
  sql: Sql,
  query: ProjectPageQuery & { userId: UserId },
): Promise<ProjectListRow[]> {
  const rows = await sql.query(
    `select ${listColumns}
       from project_permissions s
       join projects p on p.id = s.project_id
       join organizations o on o.id = p.org_id
      where s.granted_to_email = (select lower(email) from users where id = $1) and s.revoked_at is null
        and p.deleted_at is null
        and not exists (select from members m where m.org_id = p.org_id and m.user_id = $1)
        and ($2::text is null or p.id > $2)
        and ($3::text is null or position(lower($3) in lower(p.name)) > 0 or position(lower($3) in p.id) > 0)
      order by p.id
      limit $4`,
    [query.userId, query.after ?? null, query.search ?? null, query.limit],
  )
  return rows.map(toListRow)
}

export async function updateProject(
  sql: Sql,
  id: ProjectId,
  change: Pick<Project, 'name' | 'settings' | 'endpointDefaults' | 'historyRetentionSeconds'>,
): Promise<Project> {
  const [row] = await sql.query(
    `update projects set name = $2, settings = $3, endpoint_defaults = $4, history_retention_seconds = $5, updated_at = now()
      where id = $1 returning *`,
    [
      id,
      change.name,
      JSON.stringify(change.settings),
      JSON.stringify(change.endpointDefaults),
      change.historyRetentionSeconds,
    ],
  )
  return toProject(row ?? {})
}

export async function setProjectDeleted(sql: Sql, id: ProjectId, deletedAt: Date | undefined): Promise<Project> {
  const [row] = await sql.query('update projects set deleted_at = $2, updated_at = now() where id = $1 returning *', [
    id,
    deletedAt ?? null,
  ])
  return toProject(row ?? {})
}

/** From here on the project cannot be recovered and its data is removed. */
export async function setProjectPurging(sql: Sql, id: ProjectId): Promise<void> {
  await sql.query(
    'update projects set deleted_at = coalesce(deleted_at, now()), purging_at = coalesce(purging_at, now()), updated_at = now() where id = $1',
    [id],
  )
  await sql.query(
    'update branches set deleted_at = coalesce(deleted_at, now()), purging_at = coalesce(purging_at, now()) where project_id = $1',
    [id],
  )
}

export async function listProjectsToPurge(sql: Sql, cell: string, recoveryWindowSeconds: number): Promise<ProjectId[]> {
  const rows = await sql.query<{ id: ProjectId }>(
    `select id from projects
      where cell = $1 and purging_at is null and deleted_at < now() - make_interval(secs => $2) order by deleted_at limit 100`,
    [cell, recoveryWindowSeconds],
  )
  return rows.map((row) => row.id)
}

/** Removes the rows of projects whose branches are all gone, an hour after: until then their operations can still be polled. */
export async function deletePurgedProjects(sql: Sql, cell: string): Promise<number> {
  const rows = await sql.query(
    `delete from projects p where p.cell = $1 and p.purging_at < now() - interval '1 hour'
        and not exists (select from branches b where b.project_id = p.id)
        and not exists (select from snapshots s where s.project_id = p.id)
        and not exists (select from chains c where c.project_id = p.id and c.state in ('running', 'undoing')) returning id`,
    [cell],
  )
  return rows.length
}
