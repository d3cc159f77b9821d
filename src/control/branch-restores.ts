// A branch gets other data and stays the branch it is; and a branch restored from a snapshot takes its target's place.

import type { Caller } from '../model/caller.ts'
import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import { newBranchId, type BranchId } from '../model/ids.ts'
import { countChildren, getBranch, insertBranch, setBranchResetting } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { copyDatabases } from '../store/databases.ts'
import { listBranchEndpoints } from '../store/endpoints.ts'
import { copyRoles } from '../store/roles.ts'
import { liveBranch, visibleProject } from './access.ts'
import { assertNameFree } from './branch-names.ts'
import { mayBeFinalized } from './branch-swap.ts'
import { syncCatalog } from './catalog.ts'
import type { Control } from './control.ts'
import type { BranchOperations, RestoreBranchInput } from './params.ts'
import type { ControlContext } from './context.ts'
import { assertBranchLimits } from './limits.ts'
import { assertDisplayName } from './names.ts'
import { schedule } from './operations/schedule.ts'
import { assertSameTimeline, parsePoint, resolvePoint, storablePoint, type ChainPoint, type Point } from './points.ts'
import { resealRolePassword } from './role-secrets.ts'

async function restore(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
  input: RestoreBranchInput,
): Promise<BranchOperations> {
  const { preserveUnderName } = input
  if (preserveUnderName !== undefined) assertDisplayName(preserveUnderName, 'branch')
  const asked = parsePoint(input.lsn, input.timestamp, new Date())
  await visibleProject(control.store, caller, projectId)
  const seen = await liveBranch(control.store, projectId, branchId)
  const source = await restoreSource(control.store, projectId, input.sourceBranchId)
  await assertRestorable(control.store, seen, source, asked, preserveUnderName)
  await control.storage.assertRoom()
  await syncCatalog(control, seen)
  const point: ChainPoint =
    asked.kind === 'head' ? asked : { kind: 'lsn', lsn: (await resolvePoint(control, source, asked)).lsn }
  const { result, operations } = await schedule(control, caller, projectId, async (sql, project) => {
    const branch = await liveBranch(sql, projectId, branchId)
    const sourceNow = await restoreSource(sql, projectId, input.sourceBranchId)
    if (point.kind === 'lsn') assertSameTimeline(source, sourceNow)
    await assertRestorable(sql, branch, source, asked, preserveUnderName)
    let backupId: BranchId | undefined
    if (preserveUnderName !== undefined) {
      await assertBranchLimits(sql, project, { root: branch.parentId === undefined, protected: false })
      await assertNameFree(sql, projectId, preserveUnderName)
      backupId = newBranchId()
      await insertBranch(sql, {
        id: backupId,
        projectId: project.id,
        name: preserveUnderName,
        parentId: branch.parentId,
        isDefault: false,
        protected: false,
        annotation: {},
        creationSource: branch.creationSource,
        createdBy: caller.userId,
      })
      const to = backupId
      await copyRoles(sql, branch.id, to, (role) => resealRolePassword(control.cipher, role, to))
      await copyDatabases(sql, branch.id, to)
    }
    // A backup of a child lies between it and its parent; that of a root is a root of its own.
    const parentId = branch.parentId === undefined ? undefined : (backupId ?? branch.parentId)
    const resetting = await setBranchResetting(sql, branch.id, parentId)
    const endpoints = (await listBranchEndpoints(sql, branch.id)).filter(({ type }) => type === 'read_write')
    const active = endpoints.filter(({ id }) => control.computes.servingEndpoint(id) !== undefined)
    return {
      result: resetting,
      plan: {
        kind: 'restore_branch',
        input: {
          branchId: branch.id,
          sourceId: source.id,
          backupId,
          point: storablePoint(point),
          replacedTimelineId: branch.timelineId,
          parentId: branch.parentId,
          starts: active.length > 0,
        },
        operations: [
          ...active.map(({ id }) => ({ action: 'suspend_compute' as const, branchId: branch.id, endpointId: id })),
          { action: 'create_branch' as const, branchId: branch.id },
          ...(backupId === undefined ? [{ action: 'delete_timeline' as const, branchId: branch.id }] : []),
          ...active.map(({ id }) => ({ action: 'start_compute' as const, branchId: branch.id, endpointId: id })),
        ],
      },
    }
  })
  return { branch: result, operations }
}

async function restoreSource(sql: Sql, projectId: string, id: string): Promise<Branch> {
  const source = await getBranch(sql, projectId, id)
  if (!source || source.deletedAt) throw new AppError('not_found', 'source branch not found')
  return source
}

async function assertRestorable(
  sql: Sql,
  branch: Branch,
  source: Branch,
  point: Point,
  preserveUnderName: string | undefined,
): Promise<void> {
  if (branch.protected) {
    throw new AppError('unprocessable', 'a protected branch cannot be restored; set "protected" to false first')
  }
  if (mayBeFinalized(branch)) {
    throw new AppError('unprocessable', 'restore from snapshot on target branch is still ongoing; finalize it first')
  }
  if (source.id === branch.id) {
    if (point.kind === 'head') {
      throw new AppError('bad_request', 'to restore a branch from itself, give source_lsn or source_timestamp')
    }
    if (preserveUnderName === undefined) {
      throw new AppError('bad_request', 'to restore a branch from itself, give preserve_under_name')
    }
  }
  if (preserveUnderName !== undefined) return
  const children = await countChildren(sql, branch.id)
  if (children === 0) return
  throw new AppError(
    'unprocessable',
    'branch has children: give preserve_under_name, and they become children of what is preserved',
  )
}

async function finalizeRestore(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  branchId: string,
  input: { name?: string | undefined },
): ReturnType<Control['branches']['finalizeRestore']> {
  if (input.name !== undefined) assertDisplayName(input.name, 'branch')
  const { operations } = await schedule(control, caller, projectId, async (sql) => {
    const branch = await liveBranch(sql, projectId, branchId)
    if (!mayBeFinalized(branch)) {
      throw new AppError(
        'unprocessable',
        branch.restoreStatus === 'finalized'
          ? 'the restore of this branch is finalized already'
          : 'only a branch that was restored from a snapshot with finalize_restore: false can be finalized',
      )
    }
    const target = branch.restoredAs && (await getBranch(sql, projectId, branch.restoredAs))
    if (!target || target.deletedAt) {
      throw new AppError(
        'unprocessable',
        'the branch to be replaced is gone; restore the snapshot again with target_branch_id',
      )
    }
    if (input.name !== undefined) await assertNameFree(sql, projectId, input.name)
    const moved = await listBranchEndpoints(sql, target.id)
    return {
      result: undefined,
      plan: {
        kind: 'finalize_restore',
        input: { branchId: branch.id, targetId: target.id, oldName: input.name },
        operations: [
          { action: 'suspend_compute' as const, branchId: target.id, endpointId: moved[0]?.id },
          ...moved
            .filter(({ type, disabled }) => type === 'read_write' && !disabled)
            .map(({ id }) => ({ action: 'start_compute' as const, branchId: branch.id, endpointId: id })),
        ],
      },
    }
  })
  return { operations }
}

export function branchRestoreControl(
  control: ControlContext,
): Pick<Control['branches'], 'restore' | 'finalizeRestore'> {
  return {
    restore: (caller, projectId, branchId, input) => restore(control, caller, projectId, branchId, input),
    finalizeRestore: (caller, projectId, branchId, input) =>
      finalizeRestore(control, caller, projectId, branchId, input),
  }
}
