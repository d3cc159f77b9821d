// All that decides whether somebody may come in, in one statement: each connect of a client that is not known asks it.

import type { PgMajor } from '../model/compute.ts'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../model/ids.ts'
import type { ProjectSettings } from '../model/project.ts'
import type { Sql } from './database.ts'

export type RoleAccessRow = {
  endpointId: EndpointId
  projectId: ProjectId
  branchId: BranchId
  timelineId: TimelineId | undefined
  branchProtected: boolean
  /** A chain at work touches the branch: what Postgres has may be about to change, and the rows say what it will be. */
  busy: boolean
  projectSettings: ProjectSettings
  pgMajor: PgMajor
  minCu: number
  /** Undefined where the branch has no such role, or it is being deleted. */
  role: { verifier: string | undefined; login: boolean; encryptedPassword: Uint8Array | undefined } | undefined
}

/** Undefined for an endpoint that does not exist. */
export async function getRoleAccess(sql: Sql, endpointId: string, role: string): Promise<RoleAccessRow | undefined> {
  const [row] = await sql.query(
    `select e.id, e.project_id, e.branch_id, e.autoscaling_limit_min_cu, b.timeline_id, b.protected, p.settings, p.pg_major,
            r.name as role, r.verifier, r.authentication_method, r.encrypted_password,
            exists (select from chains c join operations o on o.chain_id = c.id
                     where c.project_id = e.project_id and c.state in ('running', 'undoing') and o.branch_id = e.branch_id) as busy
       from endpoints e
       join branches b on b.id = e.branch_id
       join projects p on p.id = e.project_id
       left join roles r on r.branch_id = b.id and r.name = $2 and not r.deleting
      where e.id = $1 and e.deleted_at is null and b.deleted_at is null and p.deleted_at is null`,
    [endpointId, role],
  )
  if (!row) return undefined
  return {
    endpointId: row['id'] as EndpointId,
    projectId: row['project_id'] as ProjectId,
    branchId: row['branch_id'] as BranchId,
    timelineId: (row['timeline_id'] as TimelineId | null) ?? undefined,
    branchProtected: row['protected'] as boolean,
    busy: row['busy'] as boolean,
    projectSettings: row['settings'] as ProjectSettings,
    pgMajor: row['pg_major'] as PgMajor,
    minCu: row['autoscaling_limit_min_cu'] as number,
    role:
      row['role'] === null
        ? undefined
        : {
            verifier: (row['verifier'] as string | null) ?? undefined,
            login: row['authentication_method'] === 'password',
            encryptedPassword: (row['encrypted_password'] as Buffer | null) ?? undefined,
          },
  }
}

export type BranchAccessRow = {
  projectSettings: ProjectSettings
  branchProtected: boolean
  /** Of roles that may log in, the oldest first. */
  verifiers: Record<string, string>
}

const mostVerifiers = 500

/** Undefined for an endpoint that does not exist. */
export async function getBranchAccess(sql: Sql, endpointId: string): Promise<BranchAccessRow | undefined> {
  const [row] = await sql.query(
    `select p.settings, b.protected,
            (select coalesce(json_object_agg(r.name, r.verifier), '{}') from (
               select name, verifier from roles
                where branch_id = b.id and not deleting and authentication_method = 'password' and verifier is not null
                order by created_at, name limit $2) r) as verifiers
       from endpoints e
       join branches b on b.id = e.branch_id
       join projects p on p.id = e.project_id
      where e.id = $1 and e.deleted_at is null and b.deleted_at is null and p.deleted_at is null`,
    [endpointId, mostVerifiers],
  )
  if (!row) return undefined
  return {
    projectSettings: row['settings'] as ProjectSettings,
    branchProtected: row['protected'] as boolean,
    verifiers: row['verifiers'] as Record<string, string>,
  }
}
