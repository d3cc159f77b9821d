// What an organization may have, and the refusals of what goes beyond. What was there before a limit was lowered stays.
//
// Whoever adds something asks here inside his transaction, with the project's row (or the organization's count) held, so that two who
// ask at once do not both get the last place.

import { AppError } from '../model/errors.ts'
import type { OrganizationId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import { effectiveLimits, type OrganizationLimits } from '../model/plan.ts'
import type { Project } from '../model/project.ts'
import { countLiveBranches } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { getPlan, lockProjectCount } from '../store/organization-limits.ts'
import { countManualSnapshots } from '../store/snapshots.ts'
import type { ControlContext } from './context.ts'

/** What holds at this moment: the plan's values and the operator's. Throws `not_found`. */
export async function organizationLimits(sql: Sql, orgId: OrganizationId): Promise<OrganizationLimits> {
  return (await organizationPlan(sql, orgId)).limits
}

export async function organizationPlan(
  sql: Sql,
  orgId: OrganizationId,
): Promise<{ plan: string; limits: OrganizationLimits }> {
  const found = await getPlan(sql, orgId)
  if (!found) throw new AppError('not_found', 'organization not found')
  return { plan: found.plan, limits: effectiveLimits(found.plan, found.overrides) }
}

export const limitsOf = ({ plan, limits }: Organization): OrganizationLimits => effectiveLimits(plan, limits)

const higher = 'or ask the operator for a higher limit'

function exceeded(apiCode: string, what: string, limit: number, instead: string): AppError {
  return new AppError('unprocessable', `${what} limit of ${limit} exceeded: ${instead} ${higher}`, { apiCode })
}

/**
 * Last thing before the commit of whoever adds projects: from here on others who add some wait for that commit. Those that the same
 * transaction has written are counted when it is committed, so `added` says how many they are.
 */
export async function assertProjectsLimit(
  sql: Sql,
  orgId: OrganizationId,
  { projects }: OrganizationLimits,
  added = 1,
): Promise<void> {
  if ((await lockProjectCount(sql, orgId)) + added <= projects) return
  throw exceeded('PROJECTS_LIMIT_EXCEEDED', 'projects', projects, 'delete a project')
}

/** What the branch to be added is. */
export type AddedBranch = { root: boolean; protected: boolean }

/** Returns what else holds for it. */
export async function assertBranchLimits(
  sql: Sql,
  project: Pick<Project, 'id' | 'orgId'>,
  added: AddedBranch,
): Promise<OrganizationLimits> {
  const limits = await organizationLimits(sql, project.orgId)
  const { all, roots, protected: guarded } = await countLiveBranches(sql, project.id)
  if (all >= limits.branchesPerProject)
    throw exceeded('BRANCHES_LIMIT_EXCEEDED', 'branches', limits.branchesPerProject, 'delete a branch')
  if (added.root && roots >= limits.rootBranchesPerProject) {
    throw exceeded(
      'ROOT_BRANCHES_LIMIT_EXCEEDED',
      'root branches',
      limits.rootBranchesPerProject,
      'delete a branch that has no parent, such as one that a restore left behind,',
    )
  }
  if (added.protected) assertProtected(guarded, limits)
  return limits
}

/** Of one that is there already. */
export async function assertProtectedBranchesLimit(sql: Sql, project: Pick<Project, 'id' | 'orgId'>): Promise<void> {
  const limits = await organizationLimits(sql, project.orgId)
  assertProtected((await countLiveBranches(sql, project.id)).protected, limits)
}

function assertProtected(count: number, { protectedBranchesPerProject: limit }: OrganizationLimits): void {
  if (count < limit) return
  throw exceeded(
    'BRANCHES_PROTECTED_LIMIT_EXCEEDED',
    'protected branches',
    limit,
    limit === 0 ? 'move the project to an organization whose plan has them' : 'set "protected" to false on another one',
  )
}

export async function assertSnapshotsLimit(sql: Sql, project: Pick<Project, 'id' | 'orgId'>): Promise<void> {
  const { snapshotsPerProject: limit } = await organizationLimits(sql, project.orgId)
  if ((await countManualSnapshots(sql, project.id)) < limit) return
  throw exceeded('SNAPSHOTS_LIMIT_EXCEEDED', 'snapshots', limit, 'delete a snapshot')
}

export async function assertRolesLimit(sql: Sql, orgId: OrganizationId, roles: number): Promise<void> {
  const { rolesPerBranch: limit } = await organizationLimits(sql, orgId)
  if (roles >= limit) throw exceeded('ROLES_LIMIT_EXCEEDED', 'roles', limit, 'delete a role')
}

export async function assertDatabasesLimit(sql: Sql, orgId: OrganizationId, databases: number): Promise<void> {
  const { databasesPerBranch: limit } = await organizationLimits(sql, orgId)
  if (databases >= limit) throw exceeded('DATABASES_LIMIT_EXCEEDED', 'databases', limit, 'delete a database')
}

export function assertHistoryLimit(seconds: number, { historyRetentionSeconds: limit }: OrganizationLimits): void {
  if (seconds <= limit) return
  throw new AppError(
    'unprocessable',
    `history_retention_seconds limit of ${limit} exceeded: ask for no more, ${higher}`,
    { apiCode: 'HISTORY_RETENTION_LIMIT_EXCEEDED' },
  )
}

/**
 * Before the transaction of whoever adds data to a project: sizes are as they were last measured, so nobody has to hold anything for them.
 */
export async function assertStorageLimit(
  { store, metering }: Pick<ControlContext, 'store' | 'metering'>,
  { id, orgId }: Pick<Project, 'id' | 'orgId'>,
): Promise<void> {
  const { storageBytesPerProject: limit } = await organizationLimits(store, orgId)
  if (limit === 0) return
  const { syntheticBytes, snapshotBytes } = await metering.projectStorage(id)
  const used = syntheticBytes + snapshotBytes
  if (used < limit) return
  throw new AppError(
    'unprocessable',
    `storage limit of ${limit} bytes exceeded: the project has ${used}; delete branches, snapshots or data, ${higher}`,
    { apiCode: 'STORAGE_LIMIT_EXCEEDED' },
  )
}

type CuRange = { autoscalingLimitMinCu: number; autoscalingLimitMaxCu: number }

/** Sizes that a call changes lie in the organization's range; what was set in another organization may stay as it is. */
export function assertCuLimits(before: CuRange, after: CuRange, limits: OrganizationLimits): void {
  const changed = [
    ['autoscaling_limit_min_cu', before.autoscalingLimitMinCu, after.autoscalingLimitMinCu],
    ['autoscaling_limit_max_cu', before.autoscalingLimitMaxCu, after.autoscalingLimitMaxCu],
  ] as const
  for (const [field, was, is] of changed) {
    if (is === was || (is >= limits.minCu && is <= limits.maxCu)) continue
    throw new AppError(
      'unprocessable',
      `${field} must be between ${limits.minCu} and ${limits.maxCu} in this organization, got ${is}: stay in that range, ${higher}`,
      { apiCode: 'COMPUTE_UNITS_LIMIT_EXCEEDED' },
    )
  }
}

/** For what is new: defaults that come from elsewhere are brought into the organization's range. */
export function withinCuLimits<Settings extends CuRange>(settings: Settings, limits: OrganizationLimits): Settings {
  const bounded = (value: number): number => Math.min(Math.max(value, limits.minCu), limits.maxCu)
  return {
    ...settings,
    autoscalingLimitMinCu: bounded(settings.autoscalingLimitMinCu),
    autoscalingLimitMaxCu: bounded(settings.autoscalingLimitMaxCu),
  }
}
