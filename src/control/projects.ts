// Projects: the rules, and the rows and chain of each call.

import { isDeepStrictEqual } from 'node:util'
import { defaultPgMajor, isPgMajor, type PgMajor } from '../model/compute.ts'
import { failpoint } from '../lib/failpoint.ts'
import type { Caller } from '../model/caller.ts'
import { AppError, errorChain } from '../model/errors.ts'
import { newBranchId, newEndpointId, newProjectId } from '../model/ids.ts'
import { longestHistoryRetentionSeconds, type Project } from '../model/project.ts'
import { defaultRegionId, regions } from '../model/region.ts'
import { insertBranch, listAllBranches } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { insertDatabase } from '../store/databases.ts'
import { insertEndpoint, listEndpoints, listEndpointsEvenDeleted } from '../store/endpoints.ts'
import { hasUnfinishedChain } from '../store/operations.ts'
import { insertProject, setProjectDeleted, updateProject } from '../store/projects.ts'
import { insertRole } from '../store/roles.ts'
import { assertOrganizationNamed, lockVisibleProjectEvenDeleted, organizationFor, visibleProject } from './access.ts'
import { reservingPlaces } from './active-computes.ts'
import { addressRules } from './address-rules.ts'
import { refreshAssignments } from './assignments.ts'
import type { Control } from './control.ts'
import type { CreateProjectInput, PreloadLibrary } from './params.ts'
import type { ControlContext } from './context.ts'
import { mergeEndpointDefaults, newEndpointDefaults, newEndpointSettings } from './endpoint-settings.ts'
import { assertHistoryLimit, assertProjectsLimit, limitsOf, organizationLimits } from './limits.ts'
import { assertDatabaseName, assertDisplayName, assertRoleName } from './names.ts'
import { isLogicalReplicationOn, preloadLibrariesOf } from './compute-spec.ts'
import { prepareStart } from './operations/create-project.ts'
import { isSlotClass, ownSlot, type Slot } from './warm-pool.ts'
import { projectLocked, schedule, writeChain, type Scheduled } from './operations/schedule.ts'
import { getDetails, listPage, listSharedPage } from './project-reads.ts'
import { initialProjectSettings, mergeProjectSettings } from './project-settings.ts'
import { reviewProject } from './quotas/review.ts'
import { newRoleSecret } from './role-secrets.ts'

function assertRegion(regionId: string): void {
  if (regions.some((region) => region.id === regionId)) return
  throw new AppError('bad_request', `region ${JSON.stringify(regionId)} is not known; GET /regions lists them`)
}

function assertHistoryRetention(seconds: number): void {
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > longestHistoryRetentionSeconds) {
    throw new AppError(
      'bad_request',
      `history_retention_seconds must be between 0 and ${longestHistoryRetentionSeconds}`,
    )
  }
}

function assertMajor(control: ControlContext, value: number | undefined): PgMajor {
  const major =
    value ?? (control.availableMajors.includes(defaultPgMajor) ? defaultPgMajor : control.availableMajors.at(-1))
  if (!isPgMajor(major))
    throw new AppError('bad_request', `pg_version ${String(value)} is not supported; supported are 14 to 18`)
  if (!control.availableMajors.includes(major)) {
    throw new AppError(
      'bad_request',
      `Postgres ${major} is not installed here; available: ${control.availableMajors.join(', ')}. Run \`pgrove postgres add ${major}\` or install it on the machine, then start pgrove again`,
    )
  }
  return major
}

async function createProject(
  control: ControlContext,
  caller: Caller,
  input: CreateProjectInput,
): ReturnType<Control['projects']['create']> {
  assertOrganizationNamed(control, caller, input.orgId)
  const id = newProjectId()
  const branchId = newBranchId()
  const pgMajor = assertMajor(control, input.pgVersion)
  const regionId = input.regionId ?? defaultRegionId
  assertRegion(regionId)
  if (input.historyRetentionSeconds !== undefined) assertHistoryRetention(input.historyRetentionSeconds)
  if (input.name !== undefined) assertDisplayName(input.name, 'project')
  const branchName = input.branch?.name ?? 'main'
  assertDisplayName(branchName, 'branch')
  const databaseName = input.branch?.databaseName ?? 'neondb'
  assertDatabaseName(databaseName)
  const roleName = input.branch?.roleName ?? `${databaseName}_owner`
  assertRoleName(roleName)
  const storePasswords = input.storePasswords ?? true
  const preloadable = input.settings?.['preload_libraries'] === undefined ? [] : await control.preloadable(pgMajor)
  await control.storage.assertRoom()
  const [organization, secret] = await Promise.all([
    organizationFor(control.store, caller, input.orgId, 'projects:create'),
    newRoleSecret(control.cipher, branchId, roleName, storePasswords),
  ])
  const limits = limitsOf(organization)
  if (input.historyRetentionSeconds !== undefined) assertHistoryLimit(input.historyRetentionSeconds, limits)
  const newProject = {
    id,
    orgId: organization.id,
    name: input.name ?? id,
    regionId,
    pgMajor,
    storePasswords,
    historyRetentionSeconds:
      input.historyRetentionSeconds ??
      Math.min(limits.newProjectHistoryRetentionSeconds, limits.historyRetentionSeconds),
    endpointDefaults: newEndpointDefaults(input.endpointDefaults, limits),
    settings: mergeProjectSettings(initialProjectSettings(limits), input.settings ?? {}, preloadable),
    creationSource: input.creationSource,
  }
  const slot = takeSlot(control, newProject, limits.outbound)
  const endpointId = newEndpointId()
  const write = async (sql: Sql) => {
    const project = await insertProject(sql, control.cell, newProject)
    const owned = slot !== undefined && (await ownSlot(sql, slot))
    const branch = await insertBranch(sql, {
      id: branchId,
      projectId: id,
      timelineId: owned ? slot.timeline.id : undefined,
      name: branchName,
      parentId: undefined,
      isDefault: true,
      protected: false,
      annotation: input.branch?.annotation ?? {},
      creationSource: input.creationSource,
      createdBy: caller.userId,
    })
    const endpoint = await insertEndpoint(sql, {
      id: endpointId,
      projectId: id,
      branchId,
      name: undefined,
      type: 'read_write',
      disabled: false,
      creationSource: input.creationSource,
      regionId,
      ...newEndpointSettings(project, {}, [], limits),
    })
    const role = await insertRole(sql, {
      branchId,
      name: roleName,
      authenticationMethod: 'password',
      protected: false,
      verifier: secret.verifier,
      encryptedPassword: secret.encryptedPassword,
    })
    const database = await insertDatabase(sql, { branchId, name: databaseName, ownerName: roleName })
    const operations = await writeChain(control, sql, id, {
      kind: 'create_project',
      input: { branchId },
      operations: [
        { action: 'create_timeline', branchId },
        { action: 'start_compute', branchId, endpointId: endpoint.id },
      ],
    })
    await assertProjectsLimit(sql, organization.id, limits)
    return { project, branch, endpoint, role, database, operations }
  }
  const place = { orgId: organization.id, isDefault: true, limits }
  const writing = limits.defaultBranchesExempt
    ? control.store.transaction(write)
    : reservingPlaces(control, id, async (claim) => {
        await claim(endpointId, place)
        return await control.store.transaction(write)
      })
  const created = await writing.catch((error: unknown) => {
    // Should the commit have arrived all the same, the slot's row says that it is taken.
    if (slot) control.pool.giveBack(slot)
    throw error
  })
  if (slot && created.branch.timelineId) prepareStart(created, slot, limits)
  await failpoint('create_project.committed')
  control.runner.nudge(id)
  const { project, branch, endpoint, role, database, operations } = created
  return {
    project,
    branch,
    endpoints: [{ endpoint, compute: { kind: 'starting', since: endpoint.createdAt }, pendingState: 'active' }],
    roles: [{ role, password: secret.password }],
    databases: [database],
    operations,
    connections: [
      control.addresses.connection({
        endpointId: endpoint.id,
        database: databaseName,
        role: roleName,
        password: secret.password,
      }),
    ],
  }
}

/** With a started compute only where that is what the endpoint would be started as anyway. */
function takeSlot(
  control: ControlContext,
  project: Pick<Project, 'pgMajor' | 'settings' | 'endpointDefaults'>,
  outbound: boolean,
): Slot | undefined {
  const defaults = control.defaultLibraries(project.pgMajor)
  const wish = {
    minCu: project.endpointDefaults.autoscalingLimitMinCu,
    pgSettings: project.endpointDefaults.pgSettings,
    preloadLibraries: preloadLibrariesOf(project.settings, [], defaults),
    logicalReplication: isLogicalReplicationOn(project.settings),
    outbound,
  }
  return control.pool.take(project.pgMajor, { started: isSlotClass(wish, defaults) })
}

async function update(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  input: Parameters<Control['projects']['update']>[2],
): ReturnType<Control['projects']['update']> {
  if (input.name !== undefined) assertDisplayName(input.name, 'project')
  if (input.historyRetentionSeconds !== undefined) assertHistoryRetention(input.historyRetentionSeconds)
  let rulesChanged = false
  const decide = async (sql: Sql, project: Project): Promise<Scheduled<Project>> => {
    const preloadable =
      input.settings?.['preload_libraries'] === undefined ? [] : await control.preloadable(project.pgMajor)
    const settings = mergeProjectSettings(project.settings, input.settings ?? {}, preloadable)
    const limits = await organizationLimits(sql, project.orgId)
    const retention = input.historyRetentionSeconds
    if (retention !== undefined && retention > project.historyRetentionSeconds) assertHistoryLimit(retention, limits)
    const changed = await updateProject(sql, project.id, {
      name: input.name ?? project.name,
      settings,
      endpointDefaults: mergeEndpointDefaults(project.endpointDefaults, input.endpointDefaults, limits),
      historyRetentionSeconds: retention ?? project.historyRetentionSeconds,
    })
    rulesChanged = !isDeepStrictEqual(addressRules(settings, true), addressRules(project.settings, true))
    rulesChanged ||= !isDeepStrictEqual(addressRules(settings, false), addressRules(project.settings, false))
    const turnsReplicationOn =
      settings['enable_logical_replication'] === true && project.settings['enable_logical_replication'] !== true
    // wal_level cannot change while Postgres runs: active computes are suspended and wake with the new one.
    if (!turnsReplicationOn) return { result: changed, plan: undefined }
    const active = await activeEndpoints(control, sql, project)
    return {
      result: changed,
      plan: {
        kind: 'suspend_computes',
        operations: active.map(({ branchId, id }) => ({
          action: 'suspend_compute' as const,
          branchId,
          endpointId: id,
        })),
      },
    }
  }
  const asks = input.settings?.['quota'] === undefined ? 'project:write' : 'project:limit'
  const { result, operations } = await schedule(control, caller, projectId, decide, asks)
  await refreshAssignments(control, result.id)
  if (rulesChanged) {
    for (const { id } of await listEndpoints(control.store, result.id)) await control.computes.changed(id)
  } else if (input.name !== undefined) {
    // Mails to users of its apps say it.
    for (const { id } of await listEndpoints(control.store, result.id))
      await control.authPlane.changed({ endpointId: id, what: 'all' })
  }
  if (input.settings?.['quota'] !== undefined) {
    // Who connects from now on is judged by the new quota, whatever comes of this.
    await reviewProject(control, result.id).catch((error: unknown) =>
      control.logger.warn({ project: result.id, cause: errorChain(error) }, 'a changed quota could not be looked at'),
    )
  }
  return { project: result, operations }
}

/** On the transaction's own connection: many callers that each wait for a second one would have taken them all. */
async function activeEndpoints(
  control: ControlContext,
  sql: Sql,
  project: Project,
): Promise<Awaited<ReturnType<typeof listEndpoints>>> {
  const endpoints = await listEndpoints(sql, project.id)
  return endpoints.filter((endpoint) => control.computes.servingEndpoint(endpoint.id) !== undefined)
}

/** Soft: computes are stopped, data stays recoverable for the recovery window. */
async function deleteProject(control: ControlContext, caller: Caller, projectId: string): Promise<Project> {
  const { result, operations } = await schedule(
    control,
    caller,
    projectId,
    async (sql, project) => {
      const branches = (await listAllBranches(sql, project.id)).filter((branch) => !branch.deletedAt)
      const kept = branches.find((branch) => branch.protected)
      if (kept) {
        throw new AppError(
          'unprocessable',
          `project has a protected branch (${kept.name}); set "protected" to false on it before deleting the project`,
        )
      }
      const active = await activeEndpoints(control, sql, project)
      const deleted = await setProjectDeleted(sql, project.id, new Date())
      return {
        result: deleted,
        plan: {
          kind: 'suspend_computes',
          exclusive: true,
          operations: active.map(({ branchId, id }) => ({
            action: 'suspend_compute' as const,
            branchId,
            endpointId: id,
          })),
        },
      }
    },
    'project:delete',
  )
  const stopping = new Set(operations.map((operation) => operation.endpointId))
  for (const endpoint of await listEndpointsEvenDeleted(control.store, result.id)) {
    await control.assignments.remove(endpoint.id)
    await control.computes.changed(endpoint.id)
    if (!stopping.has(endpoint.id)) await control.computes.dismiss(endpoint.branchId, endpoint.id)
  }
  return result
}

async function recover(
  control: ControlContext,
  caller: Caller,
  projectId: string,
): ReturnType<Control['projects']['recover']> {
  const outcome = await control.store.transaction(async (sql) => {
    const project = await lockVisibleProjectEvenDeleted(sql, caller, projectId, 'project:delete')
    if (!project.deletedAt) throw new AppError('unprocessable', 'project is not deleted, there is nothing to recover')
    if (project.purgingAt) throw new AppError('gone', 'project can no longer be recovered')
    if (await hasUnfinishedChain(sql, project.id)) throw projectLocked()
    const recovered = await setProjectDeleted(sql, project.id, undefined)
    const branches = (await listAllBranches(sql, project.id)).filter((branch) => !branch.deletedAt)
    await assertProjectsLimit(sql, project.orgId, await organizationLimits(sql, project.orgId))
    return { project: recovered, branches }
  })
  // Remembered as not there.
  for (const { id } of await listEndpoints(control.store, projectId)) await control.computes.changed(id)
  return outcome
}

const libraryDescriptions: Readonly<Record<string, string>> = {
  pg_stat_statements: 'Tracks planning and execution statistics of all SQL statements',
  auto_explain: 'Logs execution plans of slow statements',
  pg_prewarm: 'Loads relations into the buffer cache',
}

async function preloadLibraries(control: ControlContext, caller: Caller, projectId: string): Promise<PreloadLibrary[]> {
  const project = await visibleProject(control.store, caller, projectId)
  return (await control.preloadable(project.pgMajor)).map((name) => ({
    name,
    description: libraryDescriptions[name] ?? name,
    isDefault: control.defaultLibraries(project.pgMajor).includes(name),
    isExperimental: false,
    version: String(project.pgMajor),
  }))
}

export function projectControl(control: ControlContext): Control['projects'] {
  return {
    create: (caller, input) => createProject(control, caller, input),
    list: (caller, query) => listPage(control, caller, query),
    listShared: (caller, query) => listSharedPage(control, caller, query),
    get: (caller, projectId) => getDetails(control, caller, projectId),
    update: (caller, projectId, input) => update(control, caller, projectId, input),
    delete: (caller, projectId) => deleteProject(control, caller, projectId),
    recover: (caller, projectId) => recover(control, caller, projectId),
    preloadLibraries: (caller, projectId) => preloadLibraries(control, caller, projectId),
  }
}
