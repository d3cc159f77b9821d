// Snapshots: the rules, and the rows and chain of each call.

import type { Branch } from '../model/branch.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { newBranchId, newEndpointId, newSnapshotId, newTimelineId } from '../model/ids.ts'
import { parseLsn } from '../model/lsn.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { getBranch, insertBranch, setBranchRestore } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { insertDatabase, listDatabases } from '../store/databases.ts'
import { insertEndpoint, listBranchEndpoints } from '../store/endpoints.ts'
import { insertRole, listRoles } from '../store/roles.ts'
import { getSnapshot, insertSnapshot, listSnapshots, setSnapshotDeleting, updateSnapshot } from '../store/snapshots.ts'
import { liveBranch, lockVisibleProject, visibleProject } from './access.ts'
import { freeBranchName } from './branch-names.ts'
import { copyIntegration } from './auth/copies.ts'
import { syncCatalog } from './catalog.ts'
import type { Control } from './control.ts'
import type { CreateSnapshotInput, RestoreSnapshotInput, UpdateSnapshotInput } from './params.ts'
import type { ControlContext } from './context.ts'
import { newEndpointSettings } from './endpoint-settings.ts'
import { endpointStatuses } from './endpoints.ts'
import { inheritedSettings } from './inherited-settings.ts'
import { assertBranchLimits, assertSnapshotsLimit, assertStorageLimit } from './limits.ts'
import { parseExpiry } from './expiry.ts'
import { assertMetadata } from './metadata.ts'
import { assertDisplayName } from './names.ts'
import { schedule, scheduleStarts } from './operations/schedule.ts'
import { originOf } from './placing.ts'
import { assertSameTimeline, parsePoint, resolvePoint } from './points.ts'
import { resealSecret } from './role-secrets.ts'

const snapshotNotFound = (): AppError => new AppError('not_found', 'snapshot not found')

/** What a snapshot of a branch's present or past is to hold. Nothing is written. */
export async function planSnapshot(
  control: ControlContext,
  branch: Branch,
  input: Pick<CreateSnapshotInput, 'lsn' | 'timestamp'>,
): Promise<
  Pick<
    Snapshot,
    | 'pointLsn'
    | 'pointAt'
    | 'pgMajor'
    | 'uidOffset'
    | 'serviceKeyId'
    | 'hasSubscriptions'
    | 'requestedLsn'
    | 'requestedAt'
  >
> {
  const now = new Date()
  const point = parsePoint(input.lsn, input.timestamp, now)
  const resolved = await resolvePoint(control, branch, point, { takeImages: false })
  return {
    pointLsn: resolved.lsn,
    pointAt: resolved.at ?? now,
    requestedLsn: input.lsn === undefined ? undefined : parseLsn(input.lsn),
    requestedAt: input.timestamp === undefined ? undefined : (resolved.at ?? now),
    ...originOf(resolved.timeline),
  }
}

export async function insertPlannedSnapshot(
  control: ControlContext,
  sql: Sql,
  seen: Branch,
  planned: Awaited<ReturnType<typeof planSnapshot>> & Pick<Snapshot, 'name' | 'manual' | 'metadata' | 'expiresAt'>,
): Promise<Snapshot> {
  const branch = await liveBranch(sql, seen.projectId, seen.id)
  assertSameTimeline(seen, branch)
  assertRoot(branch)
  const roles = await listRoles(sql, branch.id)
  const databases = await listDatabases(sql, branch.id)
  return await insertSnapshot(sql, control.cell, {
    ...planned,
    id: newSnapshotId(),
    projectId: branch.projectId,
    sourceBranchId: branch.id,
    backingBranchId: newBranchId(),
    roles: roles.map((role) => ({
      name: role.name,
      login: role.authenticationMethod === 'password',
      protected: role.protected,
      verifier: role.verifier,
      encryptedPassword: role.encryptedPassword,
    })),
    databases: databases.map(({ name, ownerName }) => ({ name, ownerName })),
    walId: newTimelineId(),
    fullSizeBytes: branch.logicalSizeBytes,
  })
}

export const snapshotPlan = (snapshot: Snapshot) => ({
  kind: 'create_snapshot',
  input: { snapshotId: snapshot.id },
  operations: [
    { action: 'create_branch' as const, branchId: snapshot.backingBranchId },
    { action: 'timeline_archive' as const, branchId: snapshot.backingBranchId },
  ],
})

async function create(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
  input: CreateSnapshotInput,
): ReturnType<Control['snapshots']['create']> {
  if (input.name !== undefined) assertDisplayName(input.name, 'snapshot')
  const metadata = assertMetadata(input.metadata)
  const expiresAt = input.expiresAt === undefined ? undefined : parseExpiry(input.expiresAt)
  await assertStorageLimit(control, await visibleProject(control.store, caller, projectId))
  const seen = await liveBranch(control.store, projectId, branchId)
  assertRoot(seen)
  await control.storage.assertRoom()
  await syncCatalog(control, seen)
  const planned = await planSnapshot(control, seen, input)
  const { result, operations } = await schedule(control, caller, projectId, async (sql, project) => {
    await assertSnapshotsLimit(sql, project)
    const name = input.name ?? `${seen.name} at ${planned.pointAt.toISOString()}`.slice(0, 256)
    const snapshot = await insertPlannedSnapshot(control, sql, seen, {
      ...planned,
      name,
      manual: true,
      metadata,
      expiresAt,
    })
    return { result: snapshot, plan: snapshotPlan(snapshot) }
  })
  return { snapshot: result, operations }
}

function assertRoot(branch: Branch): void {
  if (branch.parentId === undefined) return
  throw new AppError(
    'unprocessable',
    'snapshots can be made of root branches only (branches that have no parent); make it of the root, or create a branch at that point instead',
  )
}

async function update(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  snapshotId: string,
  input: UpdateSnapshotInput,
): Promise<Snapshot> {
  if (input.name !== undefined) assertDisplayName(input.name, 'snapshot')
  const change = {
    name: input.name,
    metadata: input.metadata === undefined ? undefined : assertMetadata(input.metadata),
    expiresAt: typeof input.expiresAt === 'string' ? parseExpiry(input.expiresAt) : input.expiresAt,
  }
  return await control.store.transaction(async (sql) => {
    await lockVisibleProject(sql, caller, projectId)
    const snapshot = await getSnapshot(sql, projectId, snapshotId)
    if (!snapshot) throw snapshotNotFound()
    return await updateSnapshot(sql, snapshot.id, change)
  })
}

async function remove(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  snapshotId: string,
): ReturnType<Control['snapshots']['delete']> {
  const { operations } = await schedule(control, caller, projectId, async (sql) => {
    const snapshot = await getSnapshot(sql, projectId, snapshotId)
    if (!snapshot) throw snapshotNotFound()
    await setSnapshotDeleting(sql, snapshot.id)
    return {
      result: undefined,
      plan: {
        kind: 'delete_snapshot',
        input: { snapshotId: snapshot.id },
        operations: [{ action: 'delete_timeline' as const, branchId: snapshot.backingBranchId }],
      },
    }
  })
  return { operations }
}

async function restore(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  snapshotId: string,
  input: RestoreSnapshotInput,
): ReturnType<Control['snapshots']['restore']> {
  if (input.name !== undefined) assertDisplayName(input.name, 'branch')
  await assertStorageLimit(control, await visibleProject(control.store, caller, projectId))
  const endpointId = newEndpointId()
  const { result, operations } = await scheduleStarts(control, caller, projectId, async (sql, project, claim) => {
    const snapshot = await getSnapshot(sql, projectId, snapshotId)
    if (!snapshot) throw snapshotNotFound()
    const targetId = input.targetBranchId ?? snapshot.sourceBranchId
    const target = await getBranch(sql, projectId, targetId)
    const targetLives = target !== undefined && target.deletedAt === undefined
    if (!targetLives && (input.targetBranchId !== undefined || input.finalize)) {
      throw new AppError(
        'not_found',
        input.targetBranchId === undefined
          ? `the branch that the snapshot was made of, ${targetId}, is gone; name the branch to replace as target_branch_id`
          : 'target branch not found',
      )
    }
    const limits = await assertBranchLimits(sql, project, { root: true, protected: false })
    await control.storage.assertRoom()
    const id = newBranchId()
    const wished = input.finalize ? undefined : input.name
    const branch = await insertBranch(sql, {
      id,
      projectId: project.id,
      name: await freeBranchName(sql, projectId, wished ?? `${snapshot.name} restored`.slice(0, 256), {
        exact: wished !== undefined,
      }),
      parentId: undefined,
      isDefault: false,
      protected: false,
      annotation: {},
      creationSource: input.creationSource,
      createdBy: caller.userId,
    })
    const restored = await setBranchRestore(sql, id, {
      from: snapshot.id,
      as: targetLives ? target.id : undefined,
      lsn: snapshot.pointLsn,
    })
    for (const role of snapshot.roles) {
      await insertRole(sql, {
        branchId: id,
        name: role.name,
        authenticationMethod: role.login ? 'password' : 'no_login',
        protected: role.protected,
        verifier: role.verifier,
        encryptedPassword: resealSecret(control.cipher, role, snapshot.sourceBranchId, id),
      })
    }
    for (const { name, ownerName } of snapshot.databases) await insertDatabase(sql, { branchId: id, name, ownerName })
    const archived = { action: 'timeline_unarchive' as const, branchId: snapshot.backingBranchId }
    const made = { action: 'create_branch' as const, branchId: branch.id }
    if (input.finalize && targetLives) {
      const moved = await listBranchEndpoints(sql, target.id)
      return {
        result: { branch: restored, endpoints: moved },
        plan: {
          kind: 'restore_snapshot',
          input: { snapshotId: snapshot.id, branchId: id, targetId: target.id },
          operations: [
            archived,
            made,
            { action: 'suspend_compute' as const, branchId: target.id, endpointId: moved[0]?.id },
            ...moved
              .filter(({ type, disabled }) => type === 'read_write' && !disabled)
              .map((endpoint) => ({ action: 'start_compute' as const, branchId: id, endpointId: endpoint.id })),
          ],
        },
      }
    }
    const settings = newEndpointSettings(project, {}, [], limits)
    await claim(endpointId, branch)
    const endpoint = await insertEndpoint(sql, {
      id: endpointId,
      projectId: project.id,
      branchId: id,
      name: undefined,
      type: 'read_write',
      disabled: false,
      creationSource: input.creationSource,
      regionId: project.regionId,
      ...settings,
      pgSettings: { ...(await inheritedSettings(sql, targetId)), ...settings.pgSettings },
    })
    if (targetLives) await copyIntegration(control, sql, target.id, branch, snapshot.databases)
    return {
      result: { branch: restored, endpoints: [endpoint] },
      plan: {
        kind: 'restore_snapshot',
        input: { snapshotId: snapshot.id, branchId: id },
        operations: [archived, made, { action: 'start_compute' as const, branchId: id, endpointId: endpoint.id }],
      },
    }
  })
  return { branch: result.branch, endpoints: await endpointStatuses(control, result.endpoints), operations }
}

export function snapshotControl(control: ControlContext): Control['snapshots'] {
  return {
    create: (caller, projectId, branchId, input) => create(control, caller, projectId, branchId, input),
    async list(caller, projectId) {
      await visibleProject(control.store, caller, projectId)
      return await listSnapshots(control.store, projectId)
    },
    update: (caller, projectId, snapshotId, input) => update(control, caller, projectId, snapshotId, input),
    delete: (caller, projectId, snapshotId) => remove(control, caller, projectId, snapshotId),
    restore: (caller, projectId, snapshotId, input) => restore(control, caller, projectId, snapshotId, input),
  }
}
