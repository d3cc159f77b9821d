// Who may see what. Whatever a caller may not see does not exist for him.

import type { Branch } from '../model/branch.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import type { Project } from '../model/project.ts'
import { listOrganizationsOf } from '../store/accounts.ts'
import { getBranch } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { getProject, lockProject } from '../store/projects.ts'

export const projectNotFound = (): AppError => new AppError('not_found', 'project not found')
export const branchNotFound = (): AppError => new AppError('not_found', 'branch not found')
export const endpointNotFound = (): AppError => new AppError('not_found', 'endpoint not found')

async function isMember(sql: Sql, caller: Caller, orgId: OrganizationId): Promise<boolean> {
  const rows = await sql.query('select from members where org_id = $1 and user_id = $2', [orgId, caller.userId])
  return rows.length > 0
}

async function assertVisible(sql: Sql, caller: Caller, project: Project | undefined): Promise<Project> {
  if (!project || !(await isMember(sql, caller, project.orgId))) throw projectNotFound()
  return project
}

/** A live project. */
export async function visibleProject(sql: Sql, caller: Caller, projectId: string): Promise<Project> {
  const project = await assertVisible(sql, caller, await getProject(sql, projectId))
  if (project.deletedAt) throw projectNotFound()
  return project
}

/** Live or deleted: what happened to it can still be asked. */
export async function visibleProjectEvenDeleted(sql: Sql, caller: Caller, projectId: string): Promise<Project> {
  return await assertVisible(sql, caller, await getProject(sql, projectId))
}

/** As `visibleProject`, holding its row for the rest of the transaction. */
export async function lockVisibleProject(sql: Sql, caller: Caller, projectId: string): Promise<Project> {
  const project = await assertVisible(sql, caller, await lockProject(sql, projectId))
  if (project.deletedAt) throw projectNotFound()
  return project
}

export async function lockVisibleProjectEvenDeleted(sql: Sql, caller: Caller, projectId: string): Promise<Project> {
  return await assertVisible(sql, caller, await lockProject(sql, projectId))
}

export async function liveBranch(sql: Sql, projectId: string, branchId: string): Promise<Branch> {
  const branch = await getBranch(sql, projectId, branchId)
  if (!branch || branch.deletedAt) throw branchNotFound()
  return branch
}

/** The organization a call is about; the caller's first one where he names none. */
export async function organizationFor(sql: Sql, caller: Caller, orgId: string | undefined): Promise<Organization> {
  const organizations = await listOrganizationsOf(sql, caller.userId)
  const found = orgId === undefined ? organizations[0] : organizations.find((organization) => organization.id === orgId)
  if (!found) throw new AppError('not_found', 'organization not found')
  return found
}
