// create_branch → start_compute for an endpoint, if one was asked for.
//
// The copy stays `making` until it is durable: a branch that a crash leaves so is copied again. It recovers with fsync off, nobody
// has been told of it yet, and is made durable by one sync before its operation ends.

import { cloneExclusions, finishBackup, finishSnapshot, finishStoppedCopy, startBackup } from '../../compute/backup.ts'
import { readControlFile } from '../../compute/data-dir.ts'
import { setRoleVerifier } from '../../compute/roles.ts'
import { failpoint } from '../../lib/failpoint.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import { newTimelineId, type BranchId, type TimelineId } from '../../model/ids.ts'
import { parseLsn, type Lsn } from '../../model/lsn.ts'
import {
  getBranch,
  setBranchDeleted,
  setBranchParentPoint,
  setBranchReady,
  setBranchTimeline,
} from '../../store/branches.ts'
import { listRoles } from '../../store/roles.ts'
import { getTimeline, insertTimeline, moveTimeline } from '../../store/timelines.ts'
import { branchSpec, isBranchRunning, servingTarget, withClient } from '../branch-compute.ts'
import type { ControlContext } from '../context.ts'
import { removeTimeline } from '../timeline-removal.ts'
import { nothingToUndo, type ChainDefinition, type StepContext } from './chain.ts'
import { stepBranch } from './create-project.ts'

export const createBranchChain: ChainDefinition = {
  kind: 'create_branch',
  steps: {
    create_branch: { run: createBranch, undo: forgetBranch },
    start_compute: { run: startCompute, undo: nothingToUndo },
  },
  async finished(_control, chain, sql) {
    await setBranchReady(sql, chain.input['branchId'] as BranchId)
  },
  async undone(_control, chain, sql) {
    await setBranchDeleted(sql, chain.input['branchId'] as BranchId, { purging: true })
  },
}

/** Copies that this process made: only of those is it known that no crash of the machine came between. */
const copiedHere = new Set<TimelineId>()

async function createBranch(step: StepContext): Promise<void> {
  const { control, chain } = step
  const branch = await ensureCopied(step)
  if (chain.input['newPasswords'] === true) await applyNewPasswords(control, branch)
  if (chain.input['starts'] === true) return
  // Nothing else will sync it.
  await makeDurable(control, branch)
}

async function ensureCopied(step: StepContext): Promise<Branch> {
  const { control } = step
  let branch = await stepBranch(step)
  const known = branch.timelineId && (await getTimeline(control.store, branch.timelineId))
  if (known && known.state === 'owned') return branch
  if (known && copiedHere.has(known.id) && (await control.storage.hasTimeline(known.id))) return branch
  if (known) await forgetTimeline(control, branch)
  const parent = branch.parentId && (await getBranch(control.store, branch.projectId, branch.parentId))
  const parentTimeline = parent && parent.timelineId && (await getTimeline(control.store, parent.timelineId))
  if (!parent || !parentTimeline) throw new AppError('internal', `branch ${branch.id} has lost its parent`)
  await control.storage.assertRoom()
  const id = newTimelineId()
  await control.store.transaction(async (sql) => {
    await insertTimeline(sql, control.cell, {
      id,
      pgMajor: parentTimeline.pgMajor,
      state: 'making',
      uidOffset: parentTimeline.uidOffset,
      serviceKeyId: parentTimeline.serviceKeyId,
    })
    await setBranchTimeline(sql, branch.id, id)
  })
  await failpoint('create_branch.placed')
  const point = await copyParent(control, parent, parentTimeline.id, id, control.ownerOf(parentTimeline.uidOffset))
  copiedHere.add(id)
  await setBranchParentPoint(control.store, branch.id, point.lsn, point.at)
  branch = await stepBranch(step)
  return branch
}

type ParentPoint = { lsn: Lsn; at: Date }

/** A suspended parent is just copied; a running one in backup mode, or as it is where the file system copies one moment of it. */
async function copyParent(
  control: ControlContext,
  parent: Branch,
  from: TimelineId,
  to: TimelineId,
  owner: { uid: number; gid: number } | undefined,
): Promise<ParentPoint> {
  const { storage } = control
  // Held while copying: the parent is neither woken in the middle of a copy nor suspended in the middle of a backup.
  using _lock = await control.branchLocks.acquire(parent.id, 'copy')
  const parentDir = storage.timelineDir(from)
  if (!isBranchRunning(control, parent)) {
    const target = await servingTarget(control, parent)
    const clean = (await readControlFile(parentDir)).state === 'shut_down'
    // Who has an endpoint and would be away for long, since it has to recover or a full copy takes its time, is copied running.
    if (!target || (clean && storage.description.copyOnWrite)) {
      await ensureShutDown(control, parent, parentDir)
      const { checkpointLsn } = await readControlFile(parentDir)
      await storage.cloneTimeline(
        to,
        { timeline: from },
        { owner, exclude: cloneExclusions, finish: (draft) => finishStoppedCopy(draft, parentDir, owner) },
      )
      return { lsn: checkpointLsn, at: new Date() }
    }
    await control.computes.start(target, 'connect')
  }
  return await withClient(control, from, async (client) => {
    if (storage.description.atomic) {
      const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')
      await storage.cloneTimeline(to, { timeline: from }, { owner, finish: (draft) => finishSnapshot(draft, owner) })
      return { lsn: parseLsn(rows[0]?.lsn ?? '0/0') ?? (0n as Lsn), at: new Date() }
    }
    const backup = await startBackup(client)
    let lsn = 0n as Lsn
    await failpoint('create_branch.backup')
    await storage.cloneTimeline(
      to,
      { timeline: from },
      {
        owner,
        exclude: cloneExclusions,
        async finish(draft) {
          const result = await backup.stop()
          lsn = result.stopLsn
          await finishBackup(draft, parentDir, result, owner)
        },
      },
    )
    return { lsn, at: new Date() }
  })
}

/** A parent that was copied from a running one and never started, or that crashed, is made whole by Postgres first. */
async function ensureShutDown(control: ControlContext, parent: Branch, parentDir: string): Promise<void> {
  const { timelineId } = parent
  if (!timelineId || (await readControlFile(parentDir)).state === 'shut_down') return
  await control.supervisor.ensureRunning(await branchSpec(control, parent))
  await control.supervisor.ensureStopped(timelineId, 'fast')
}

async function startCompute(step: StepContext): Promise<void> {
  const { control, operation } = step
  const branch = await ensureCopied(step)
  const { timelineId } = branch
  if (!timelineId) throw new AppError('internal', `branch ${branch.id} has lost its timeline`)
  const target = await servingTarget(control, branch)
  if (!target || target.endpointId !== operation.endpointId) return
  const timeline = await getTimeline(control.store, timelineId)
  if (timeline?.state === 'making') {
    using _lock = await control.branchLocks.acquire(branch.id, 'start_compute')
    await control.supervisor.ensureRunning(await branchSpec(control, branch), { fresh: true })
    await failpoint('create_branch.recovered')
    await control.supervisor.makeDurable(timelineId, () => control.storage.syncTimeline(timelineId))
    await failpoint('create_branch.durable')
    await moveTimeline(control.store, timelineId, 'making', 'owned')
    copiedHere.delete(timelineId)
  }
  using _lock = await control.branchLocks.acquire(branch.id, 'start_compute')
  await control.computes.start(target, 'chain')
}

async function makeDurable(control: ControlContext, branch: Branch): Promise<void> {
  const { timelineId } = branch
  if (!timelineId) return
  await control.storage.syncTimeline(timelineId)
  await moveTimeline(control.store, timelineId, 'making', 'owned')
  copiedHere.delete(timelineId)
}

/** A child of a protected branch does not open with its parent's passwords. */
async function applyNewPasswords(control: ControlContext, branch: Branch): Promise<void> {
  const { timelineId } = branch
  if (!timelineId) return
  using _lock = await control.branchLocks.acquire(branch.id, 'new passwords')
  await control.supervisor.ensureRunning(await branchSpec(control, branch))
  await withClient(control, timelineId, async (client) => {
    for (const role of await listRoles(control.store, branch.id)) {
      if (role.verifier !== undefined) await setRoleVerifier(client, role.name, role.verifier)
    }
  })
  await control.supervisor.ensureStopped(timelineId, 'fast')
}

async function forgetBranch(step: StepContext): Promise<void> {
  await forgetTimeline(step.control, await stepBranch(step))
}

async function forgetTimeline(control: ControlContext, branch: Branch): Promise<void> {
  const { timelineId } = branch
  if (!timelineId) return
  await control.store.transaction(async (sql) => {
    await sql.query(`update timelines set state = 'deleting' where id = $1`, [timelineId])
    await sql.query('update branches set timeline_id = null where id = $1', [branch.id])
  })
  await removeTimeline(control, timelineId)
}
