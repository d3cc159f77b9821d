// What a caller is to the things he asks about. What a role may do is `authorization.ts`'s; whatever a caller may not see does not
// exist for him.

import type { Branch } from '../model/branch.ts'
import type { Caller, User } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId, UserId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import type { Project } from '../model/project.ts'
import { findMemberRole, isOperator } from '../store/access.ts'
import { getUser } from '../store/accounts.ts'
import { getBranch } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { getDefaultOrganization, getOrganization } from '../store/organizations.ts'
import { findProjectStanding, getProjectAndStanding, lockProject, type ProjectStanding } from '../store/projects.ts'
import { isMemberRole, may, refusal, scopeOf, type Requirement, type Role } from './authorization.ts'

export const projectNotFound = (): AppError => new AppError('not_found', 'project not found')
export const branchNotFound = (): AppError => new AppError('not_found', 'branch not found')
export const endpointNotFound = (): AppError => new AppError('not_found', 'endpoint not found')
export const organizationNotFound = (): AppError => new AppError('not_found', 'organization not found')

/** Whose role in an organization counts: a key that is nobody's in person has none. */
const personOf = (caller: Caller): UserId | undefined => (caller.kind === 'user' ? caller.userId : undefined)

function roleInOrganization(caller: Caller, orgId: string, memberRole: string | undefined): Role {
  switch (caller.kind) {
    case 'user':
      return memberRole !== undefined && isMemberRole(memberRole) ? memberRole : 'stranger'
    case 'organization':
      return caller.orgId === orgId ? 'organization_key' : 'stranger'
    case 'project':
      return caller.orgId === orgId ? 'project_key' : 'stranger'
  }
}

function roleOnProject(caller: Caller, projectId: string, standing: ProjectStanding): Role {
  if (caller.kind === 'project' && caller.projectId !== projectId) return 'stranger'
  const role = roleInOrganization(caller, standing.orgId, standing.memberRole)
  if (!standing.isShared || caller.kind !== 'user') return role
  // Who is a viewer and has the project shared with him as well may do what either gives him.
  return role === 'stranger' || role === 'viewer' ? 'collaborator' : role
}

/** What a request is about, as its path says it. */
export type Place = { projectId?: string | undefined; orgId?: string | undefined }

/** `orgId`: the organization that the caller was let into, or refused in as somebody whom it knows. */
export type Access = { role: Role; orgId: OrganizationId | undefined }

/** What the caller is where this requirement is asked; at most one query. */
export async function findAccess(
  sql: Sql,
  caller: Caller,
  requirement: Requirement,
  { projectId = '', orgId = '' }: Place,
): Promise<Access> {
  const ownOrgId = caller.kind === 'user' ? undefined : caller.orgId
  const known = (role: Role, id: OrganizationId): Access => ({ role, orgId: role === 'stranger' ? ownOrgId : id })
  switch (scopeOf(requirement)) {
    case 'project': {
      const standing = await findProjectStanding(sql, projectId, personOf(caller))
      if (!standing) return { role: 'stranger', orgId: ownOrgId }
      return known(roleOnProject(caller, projectId, standing), standing.orgId)
    }
    case 'organization': {
      const found = await findMemberRole(sql, orgId, personOf(caller))
      if (!found) return { role: 'stranger', orgId: ownOrgId }
      return known(roleInOrganization(caller, orgId, found.memberRole), orgId as OrganizationId)
    }
    case 'caller':
      if (caller.kind !== 'user') return known(roleInOrganization(caller, caller.orgId, undefined), caller.orgId)
      if (requirement !== 'operator') return { role: 'user', orgId: undefined }
      return { role: (await isOperator(sql, caller.userId)) ? 'operator' : 'user', orgId: undefined }
  }
}

/** For the API, which asks before it reads a body. */
export async function authorize(
  sql: Sql,
  caller: Caller,
  requirement: Requirement,
  place: Place,
): Promise<{ orgId: OrganizationId | undefined; refusal: AppError | undefined }> {
  const { role, orgId } = await findAccess(sql, caller, requirement, place)
  return { orgId, refusal: may(role, requirement) ? undefined : refusal(caller, role, requirement) }
}

/** Throws `not_found` or `forbidden`. */
export async function assertMay(
  sql: Sql,
  caller: Caller,
  requirement: Requirement,
  place: Place = {},
): Promise<Access> {
  const access = await findAccess(sql, caller, requirement, place)
  if (!may(access.role, requirement)) throw refusal(caller, access.role, requirement)
  return access
}

/** In person, or as the one who made the key. */
export async function userOf(sql: Sql, caller: Caller): Promise<User> {
  const user = await getUser(sql, caller.userId)
  if (!user) throw new AppError('unauthorized', 'the user of this API key is gone')
  return user
}

/** Throws `not_found` where he cannot see it, `forbidden` where he may not do that to it. */
function assertGiven(
  caller: Caller,
  found: { project: Project; standing: ProjectStanding } | undefined,
  requirement: Requirement,
): Project {
  const role = found ? roleOnProject(caller, found.project.id, found.standing) : 'stranger'
  if (!found || role === 'stranger') throw projectNotFound()
  if (!may(role, requirement)) throw refusal(caller, role, requirement)
  return found.project
}

/** A live project. */
export async function visibleProject(
  sql: Sql,
  caller: Caller,
  projectId: string,
  requirement: Requirement = 'project:read',
): Promise<Project> {
  const project = await visibleProjectEvenDeleted(sql, caller, projectId, requirement)
  if (project.deletedAt) throw projectNotFound()
  return project
}

/** Live or deleted: what happened to it can still be asked. */
export async function visibleProjectEvenDeleted(
  sql: Sql,
  caller: Caller,
  projectId: string,
  requirement: Requirement = 'project:read',
): Promise<Project> {
  return assertGiven(caller, await getProjectAndStanding(sql, projectId, personOf(caller)), requirement)
}

/** As `visibleProject`, holding its row for the rest of the transaction. */
export async function lockVisibleProject(
  sql: Sql,
  caller: Caller,
  projectId: string,
  requirement: Requirement = 'project:write',
): Promise<Project> {
  const project = await lockVisibleProjectEvenDeleted(sql, caller, projectId, requirement)
  if (project.deletedAt) throw projectNotFound()
  return project
}

/**
 * What he is to it is asked once the row is held: whoever held it before may have moved it to where he is less. What let the request in
 * was true when it came.
 */
export async function lockVisibleProjectEvenDeleted(
  sql: Sql,
  caller: Caller,
  projectId: string,
  requirement: Requirement = 'project:write',
): Promise<Project> {
  const project = await lockProject(sql, projectId)
  const standing = project && (await findProjectStanding(sql, project.id, personOf(caller)))
  return assertGiven(caller, project && standing && { project, standing }, requirement)
}

export async function liveBranch(sql: Sql, projectId: string, branchId: string): Promise<Branch> {
  const branch = await getBranch(sql, projectId, branchId)
  if (!branch || branch.deletedAt) throw branchNotFound()
  return branch
}

/**
 * The organization that a call is about: the named one, else the key's own, else the one that the user's projects are created in.
 * Throws `not_found` where the caller cannot see it, `forbidden` where his role there does not give what is asked.
 */
export async function organizationFor(
  sql: Sql,
  caller: Caller,
  orgId: string | undefined,
  requirement: Requirement = 'organization:read',
): Promise<Organization> {
  const id = orgId ?? (caller.kind === 'user' ? undefined : caller.orgId)
  const organization =
    id === undefined
      ? await getDefaultOrganization(sql, caller.userId)
      : await getOrganization(sql, id, personOf(caller))
  if (!organization) throw organizationNotFound()
  const role = roleInOrganization(caller, organization.id, organization.memberRole)
  if (role === 'stranger') throw organizationNotFound()
  if (!may(role, requirement)) throw refusal(caller, role, requirement)
  return organization
}

/** Where the operator wants it said as Neon does: its tools look for these words. */
export function assertOrganizationNamed(
  { requiresOrgId }: { requiresOrgId: boolean },
  caller: Caller,
  orgId: string | undefined,
): void {
  if (requiresOrgId && caller.kind === 'user' && orgId === undefined)
    throw new AppError('bad_request', 'org_id is required')
}
