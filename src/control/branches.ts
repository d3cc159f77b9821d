// Branches: the rules, and the rows and chain of each call.

import type { Branch } from '../model/branch.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { newBranchId, newEndpointId } from '../model/ids.ts'
import { noUsage } from '../model/usage.ts'
import { getUser, getUsers } from '../store/accounts.ts'
import {
  countBranches,
  countChildren,
  defaultBranch,
  getBranch,
  insertBranch,
  listBranches,
  setBranchDeleted,
  setBranchRecovered,
  setDefaultBranch,
  updateBranch,
} from '../store/branches.ts'
import { countDataApis } from '../store/data-apis.ts'
import type { Sql } from '../store/database.ts'
import { copyDatabases } from '../store/databases.ts'
import { insertEndpoint, listBranchEndpoints } from '../store/endpoints.ts'
import { hasUnfinishedChain } from '../store/operations.ts'
import { copyRoles, setRolePassword } from '../store/roles.ts'
import { branchNotFound, liveBranch, lockVisibleProject, visibleProject } from './access.ts'
import { branchAccessChanged } from './assignments.ts'
import { copyIntegration } from './auth/copies.ts'
import { deleteBranch, forgetEndpoints } from './branch-deletion.ts'
import { assertNameFree } from './branch-names.ts'
import type { Control } from './control.ts'
import type { BranchOperations, CreateBranchInput, CreatedBranch, ListBranchesQuery } from './params.ts'
import type { ControlContext } from './context.ts'
import { endpointStatuses, readOnlyUnavailable } from './endpoints.ts'
import { newEndpointSettings } from './endpoint-settings.ts'
import { inheritedSettings } from './inherited-settings.ts'
import { assertBranchLimits, assertProtectedBranchesLimit, assertStorageLimit } from './limits.ts'
import { assertDisplayName } from './names.ts'
import { parseExpiry } from './expiry.ts'
import { branchRestoreControl } from './branch-restores.ts'
import { projectLocked, schedule, scheduleStarts } from './operations/schedule.ts'
import { assertSameTimeline, parsePoint, resolvePoint, storablePoint, type ChainPoint } from './points.ts'
import { snapshotScheduleControl } from './snapshot-schedules.ts'
import { assertMayUseCompute } from './start-gate.ts'
import { newRoleSecret, resealRolePassword, revealRolePassword } from './role-secrets.ts'

/** What a call may ask for that has no answer yet: said before anything is written. */
function assertAvailable(input: CreateBranchInput): void {
  if (input.archived === true) {
    throw new AppError('not_implemented', 'creating an archived branch is not available in this version of pgrove')
  }
  if (input.initSource !== undefined && input.initSource !== 'parent-data' && input.initSource !== 'schema-only') {
    throw new AppError(
      'bad_request',
      `init_source ${JSON.stringify(input.initSource)} is not known; it is parent-data or schema-only`,
    )
  }
  if (input.endpoints.some((endpoint) => endpoint.type === 'read_only')) throw readOnlyUnavailable()
  if (input.endpoints.length > 1) throw new AppError('unprocessable', 'a branch can have only one read_write endpoint')
}

/** A point is resolved before anything is written: what cannot be had is refused in the call, not in an operation. */
async function resolveParentPoint(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  input: CreateBranchInput,
): Promise<{ point: ChainPoint; at: Date | undefined; seen: Branch | undefined }> {
  const asked = parsePoint(input.parentLsn, input.parentTimestamp, new Date())
  await assertStorageLimit(control, await visibleProject(control.store, caller, projectId))
  if (asked.kind === 'head') return { point: asked, at: undefined, seen: undefined }
  const parent = await parentOf(control.store, projectId, input)
  const { lsn, at } = await resolvePoint(control, parent, asked)
  return { point: { kind: 'lsn', lsn }, at, seen: parent }
}

async function parentOf(sql: Sql, projectId: string, input: CreateBranchInput): Promise<Branch> {
  const parent = input.parentId ? await getBranch(sql, projectId, input.parentId) : await defaultBranch(sql, projectId)
  if (!parent || parent.deletedAt) throw new AppError('not_found', 'parent branch not found')
  return parent
}

const longestTtlSeconds = 30 * 86_400

async function create(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  input: CreateBranchInput,
): Promise<CreatedBranch> {
  if (input.name !== undefined) assertDisplayName(input.name, 'branch')
  assertAvailable(input)
  const expiresAt = input.expiresAt === undefined ? undefined : parseExpiry(input.expiresAt, longestTtlSeconds)
  const schemaOnly = input.initSource === 'schema-only'
  const { point, at, seen } = await resolveParentPoint(control, caller, projectId, input)
  const endpointId = newEndpointId()
  const { result, operations } = await scheduleStarts(control, caller, projectId, async (sql, project, claim) => {
    const parent = await parentOf(sql, projectId, input)
    if (seen) assertSameTimeline(seen, parent)
    if (parent.expiresAt) {
      throw new AppError('unprocessable', 'a branch that expires cannot have children; clear its expires_at first')
    }
    const added = { root: schemaOnly, protected: input.protected ?? false }
    const limits = await assertBranchLimits(sql, project, added)
    await control.storage.assertRoom()
    const id = newBranchId()
    const name = input.name ?? id
    await assertNameFree(sql, projectId, name)
    const branch = await insertBranch(sql, {
      id,
      projectId: project.id,
      name,
      // What has no data of its parent's is a root of its own.
      parentId: schemaOnly ? undefined : parent.id,
      initSource: schemaOnly ? 'schema-only' : 'parent-data',
      expiresAt,
      parentTimestamp: schemaOnly ? undefined : at,
      isDefault: false,
      protected: input.protected ?? false,
      annotation: input.annotation ?? {},
      creationSource: input.creationSource,
      createdBy: caller.userId,
    })
    let roles = await copyRoles(sql, parent.id, id, (role) => resealRolePassword(control.cipher, role, id))
    if (parent.protected) {
      const renewed = roles.map(async (role) => {
        if (role.verifier === undefined) return role
        const secret = await newRoleSecret(control.cipher, id, role.name, project.storePasswords)
        return await setRolePassword(sql, id, role.name, secret)
      })
      roles = await Promise.all(renewed)
    }
    const databases = await copyDatabases(sql, parent.id, id)
    const endpoints = []
    const inherited = await inheritedSettings(sql, parent.id)
    if (input.endpoints.length > 0) await assertMayUseCompute(sql, project.id)
    for (const wanted of input.endpoints) {
      const preloadable = wanted.preloadLibraries ? await control.preloadable(project.pgMajor) : []
      const settings = newEndpointSettings(project, wanted, preloadable, limits)
      await claim(endpointId, branch)
      const endpoint = await insertEndpoint(sql, {
        id: endpointId,
        projectId: project.id,
        branchId: id,
        name: undefined,
        type: wanted.type,
        disabled: false,
        creationSource: input.creationSource,
        regionId: project.regionId,
        ...settings,
        pgSettings: { ...inherited, ...settings.pgSettings },
      })
      endpoints.push(endpoint)
    }
    await copyIntegration(control, sql, parent.id, branch, databases)
    return {
      result: { branch, roles, databases, endpoints },
      plan: {
        kind: 'create_branch',
        input: {
          branchId: id,
          sourceId: parent.id,
          point: storablePoint(point),
          newPasswords: parent.protected,
          schemaOnly,
          starts: endpoints.length > 0,
        },
        operations: [
          { action: 'create_branch' as const, branchId: id },
          ...(schemaOnly ? [{ action: 'apply_schema_from_branch' as const, branchId: id }] : []),
          ...endpoints.map((endpoint) => ({ action: 'start_compute' as const, branchId: id, endpointId: endpoint.id })),
        ],
      },
    }
  })
  const { branch, roles, databases, endpoints } = result
  const [endpoint, role, database] = [endpoints[0], roles[0], databases[0]]
  const connectable = endpoint && role && database && roles.length === 1 && databases.length === 1
  return {
    branch,
    roles,
    databases,
    operations,
    endpoints: endpoints.map((endpoint) => ({
      endpoint,
      compute: { kind: 'starting' as const, since: endpoint.createdAt },
      pendingState: 'active' as const,
    })),
    connections: connectable
      ? [
          control.addresses.connection({
            endpointId: endpoint.id,
            database: database.name,
            role: role.name,
            password: revealRolePassword(control.cipher, role),
          }),
        ]
      : undefined,
  }
}

async function listPage(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  query: ListBranchesQuery,
): ReturnType<Control['branches']['list']> {
  await visibleProject(control.store, caller, projectId)
  const rows = await listBranches(control.store, projectId, {
    ...query,
    search: query.search,
    after: query.after,
    limit: query.limit + 1,
  })
  const page = rows.slice(0, query.limit)
  const last = page.at(-1)
  const [creators, usage] = await Promise.all([
    getUsers(control.store, [...new Set(page.flatMap(({ branch }) => (branch.createdBy ? [branch.createdBy] : [])))]),
    control.metering.branchUsage(projectId),
  ])
  return {
    branches: page.map(({ branch }) => branch),
    creators: new Map(creators.map((user) => [user.id as string, user])),
    usage,
    next: rows.length > page.length && last ? { branchId: last.branch.id, value: last.sortValue } : undefined,
  }
}

async function get(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
): ReturnType<Control['branches']['get']> {
  await visibleProject(control.store, caller, projectId)
  const branch = await liveBranch(control.store, projectId, branchId)
  const [creator, usage, logicalSizeBytes] = await Promise.all([
    branch.createdBy && getUser(control.store, branch.createdBy),
    control.metering.branchUsage(projectId),
    control.metering.logicalSize(branch.id),
  ])
  return { branch: { ...branch, logicalSizeBytes }, creator, usage: usage.get(branch.id) ?? noUsage }
}

async function update(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
  input: Parameters<Control['branches']['update']>[3],
): Promise<BranchOperations> {
  if (input.name !== undefined) assertDisplayName(input.name, 'branch')
  const expiresAt =
    typeof input.expiresAt === 'string' ? parseExpiry(input.expiresAt, longestTtlSeconds) : input.expiresAt
  const changed = await control.store.transaction(async (sql) => {
    const project = await lockVisibleProject(sql, caller, projectId)
    const branch = await liveBranch(sql, projectId, branchId)
    if (input.name !== undefined && input.name !== branch.name) await assertNameFree(sql, projectId, input.name)
    if (expiresAt && (branch.isDefault || (input.protected ?? branch.protected))) {
      throw new AppError('unprocessable', 'a default or protected branch cannot expire')
    }
    if (expiresAt && (await countChildren(sql, branch.id)) > 0) {
      throw new AppError('unprocessable', 'a branch that has children cannot expire')
    }
    if (expiresAt && (await countDataApis(sql, branch.id)) > 0) {
      throw new AppError('unprocessable', 'a branch with a Data API cannot expire; disable that first')
    }
    if (input.protected === true && branch.expiresAt && expiresAt === undefined) {
      throw new AppError('unprocessable', 'a branch that expires cannot be protected; clear its expires_at first')
    }
    if (input.protected === true && !branch.protected) await assertProtectedBranchesLimit(sql, project)
    return { branch: await updateBranch(sql, branch.id, { ...input, expiresAt }), operations: [] }
  })
  // Lists of allowed addresses may be for protected branches only.
  if (input.protected !== undefined) await branchAccessChanged(control, changed.branch.id)
  return changed
}

async function setDefault(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
): Promise<BranchOperations> {
  return await control.store.transaction(async (sql) => {
    const project = await lockVisibleProject(sql, caller, projectId)
    const branch = await liveBranch(sql, projectId, branchId)
    if (branch.expiresAt) {
      throw new AppError('unprocessable', 'a branch that expires cannot be the default; clear its expires_at first')
    }
    return { branch: await setDefaultBranch(sql, project.id, branch.id), operations: [] }
  })
}

async function remove(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
  options: { hard: boolean },
): Promise<BranchOperations | undefined> {
  const { result, operations } = await schedule(control, caller, projectId, async (sql) => {
    const branch = await getBranch(sql, projectId, branchId)
    if (!branch) return { result: undefined, plan: undefined }
    if (branch.deletedAt) {
      if (options.hard && !branch.purgingAt) await setBranchDeleted(sql, branch.id, { purging: true })
      return { result: undefined, plan: undefined }
    }
    return await deleteBranch(control, sql, branch, { purging: options.hard, method: 'user' })
  })
  if (!result) return undefined
  await forgetEndpoints(control, result)
  return { branch: result, operations }
}

async function recover(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
): ReturnType<Control['branches']['recover']> {
  const recovered = await control.store.transaction(async (sql) => {
    const project = await lockVisibleProject(sql, caller, projectId)
    const branch = await getBranch(sql, projectId, branchId)
    if (!branch) throw branchNotFound()
    if (!branch.deletedAt) throw new AppError('unprocessable', 'branch is not deleted, there is nothing to recover')
    if (branch.purgingAt) throw new AppError('gone', 'branch can no longer be recovered')
    if (await hasUnfinishedChain(sql, project.id)) throw projectLocked()
    await assertNameFree(sql, projectId, branch.name)
    await assertBranchLimits(sql, project, { root: branch.parentId === undefined, protected: branch.protected })
    return await setBranchRecovered(sql, branch.id)
  })
  await branchAccessChanged(control, recovered.id)
  return {
    branch: recovered,
    endpoints: await endpointStatuses(control, await listBranchEndpoints(control.store, recovered.id)),
  }
}

export function branchControl(control: ControlContext): Control['branches'] {
  return {
    create: (caller, projectId, input) => create(control, caller, projectId, input),
    list: (caller, projectId, query) => listPage(control, caller, projectId, query),
    async count(caller, projectId, search) {
      await visibleProject(control.store, caller, projectId)
      return await countBranches(control.store, projectId, search)
    },
    get: (caller, projectId, branchId) => get(control, caller, projectId, branchId),
    update: (caller, projectId, branchId, input) => update(control, caller, projectId, branchId, input),
    setDefault: (caller, projectId, branchId) => setDefault(control, caller, projectId, branchId),
    ...branchRestoreControl(control),
    ...snapshotScheduleControl(control),
    delete: (caller, projectId, branchId, options) => remove(control, caller, projectId, branchId, options),
    recover: (caller, projectId, branchId) => recover(control, caller, projectId, branchId),
    async endpoints(caller, projectId, branchId) {
      await visibleProject(control.store, caller, projectId)
      const branch = await liveBranch(control.store, projectId, branchId)
      return await endpointStatuses(control, await listBranchEndpoints(control.store, branch.id))
    },
  }
}
