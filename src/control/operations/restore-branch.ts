// suspend_compute → create_branch → delete_timeline → start_compute: a branch gets a timeline made of another point.
//
// The new one is made beside the old one, and they change places in one transaction. Until then nothing has happened to the branch.

import { failpoint } from '../../lib/failpoint.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import type { BranchId, TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import {
  adoptIncomingTimeline,
  getBranch,
  setBranchDeleted,
  setBranchIncoming,
  setBranchParent,
  setBranchReady,
} from '../../store/branches.ts'
import type { Sql } from '../../store/database.ts'
import { listBranchEndpoints } from '../../store/endpoints.ts'
import { lockProject } from '../../store/projects.ts'
import { getTimeline } from '../../store/timelines.ts'
import { settleCopiedAuth } from '../auth/copies.ts'
import { branchSpec } from '../branch-compute.ts'
import { applyPasswords } from '../role-passwords.ts'
import { rereadCatalog } from '../catalog.ts'
import type { ControlContext } from '../context.ts'
import { discardTimeline, isPlaced, originOf, placeTimeline, recoverTimeline } from '../placing.ts'
import { resolvePoint, storedPoint } from '../points.ts'
import { removeTimeline } from '../timeline-removal.ts'
import { nothingToUndo, type ChainDefinition, type StepContext } from './chain.ts'
import type { Chain } from '../../store/operations.ts'
import { startStep, suspendStep } from './endpoint-chains.ts'
import { stepBranch } from './step-branch.ts'

export const restoreBranchChain: ChainDefinition = {
  kind: 'restore_branch',
  steps: {
    suspend_compute: suspendStep,
    create_branch: { run: replaceTimeline, undo: forgetIncoming },
    delete_timeline: { run: removeReplaced, undo: nothingToUndo },
    start_compute: startStep,
  },
  async finished(_control, chain, sql) {
    await setReady(sql, inputOf(chain))
  },
  async undone(_control, chain, sql) {
    const input = inputOf(chain)
    const branch = await getBranch(sql, chain.projectId, input.branchId)
    if (!branch || isReplaced(branch, input)) return await setReady(sql, input)
    await setBranchParent(sql, branch.id, input.parentId)
    await setBranchReady(sql, branch.id)
    if (input.backupId !== undefined) await setBranchDeleted(sql, input.backupId, { purging: true })
  },
}

type Input = {
  branchId: BranchId
  sourceId: BranchId
  backupId: BranchId | undefined
  replacedTimelineId: TimelineId
  parentId: BranchId | undefined
  starts: boolean
  point: unknown
}

const inputOf = (chain: Chain): Input => chain.input as unknown as Input
const isReplaced = (branch: Branch, input: Input): boolean => branch.timelineId !== input.replacedTimelineId

async function setReady(sql: Sql, input: Input): Promise<void> {
  await setBranchReady(sql, input.branchId)
  if (input.backupId !== undefined) await setBranchReady(sql, input.backupId)
}

async function replaceTimeline(step: StepContext): Promise<void> {
  const { control, chain } = step
  const input = inputOf(chain)
  let branch = await stepBranch(step)
  if (!isReplaced(branch, input)) {
    branch = await ensurePlaced(step, branch)
    const incoming = branch.incomingTimelineId && (await getTimeline(control.store, branch.incomingTimelineId))
    if (!incoming || incoming.birthLsn === undefined) {
      throw new AppError('internal', `branch ${branch.id} has lost its new timeline`)
    }
    using _lock = await control.branchLocks.acquire(branch.id, 'restore')
    if (incoming.state === 'making') {
      const spec = {
        ...(await branchSpec(control, branch)),
        timelineId: incoming.id,
        serviceKeyId: incoming.serviceKeyId,
        owner: control.ownerOf(incoming.uidOffset),
      }
      const target = branch
      await recoverTimeline(control, spec, async () => {
        // A connection string goes on to open.
        await applyPasswords(control, target, incoming.id)
        await rereadCatalog(control, target, incoming.id)
        await settleCopiedAuth(control, target, incoming.id, { dropsWithoutUsers: false })
      })
    }
    await exchange(control, branch, input, incoming.id, incoming.birthLsn)
  }
  // Nobody would ever stop it.
  if (!input.starts && branch.timelineId) {
    const now = await stepBranch(step)
    if (now.timelineId) await control.supervisor.ensureStopped(now.timelineId, 'fast')
  }
}

async function ensurePlaced(step: StepContext, branch: Branch): Promise<Branch> {
  const { control, chain } = step
  const input = inputOf(chain)
  const known = branch.incomingTimelineId && (await getTimeline(control.store, branch.incomingTimelineId))
  if (known && (known.state === 'owned' || (await isPlaced(control, known.id)))) return branch
  if (known) await discardIncoming(control, branch)
  const source = await getBranch(control.store, chain.projectId, input.sourceId)
  if (!source?.timelineId) throw new AppError('internal', `branch ${branch.id} has lost what it is restored from`)
  using _lock = await control.historyLocks.acquire(source.timelineId, 'restore')
  // The source of a restore from itself is `resetting`, which says nothing against its past.
  const resolved = await resolvePoint(control, source, storedPoint(input.point), { resolved: true })
  await placeTimeline(control, { ...resolved, ...originOf(resolved.timeline) }, (sql, id) =>
    setBranchIncoming(sql, branch.id, id),
  )
  return await stepBranch(step)
}

async function exchange(
  control: ControlContext,
  branch: Branch,
  input: Input,
  incoming: TimelineId,
  lsn: Lsn,
): Promise<void> {
  const endpoints = await listBranchEndpoints(control.store, branch.id)
  for (const { id } of endpoints) await control.assignments.remove(id)
  if (branch.timelineId) await control.computes.suspend(branch.timelineId, 'chain')
  await failpoint('restore_branch.suspended')
  await control.store.transaction(async (sql) => {
    await lockProject(sql, branch.projectId)
    await adoptIncomingTimeline(sql, { branch, incoming, backupId: input.backupId, lsn })
  })
  await failpoint('restore_branch.exchanged')
  for (const { id } of endpoints) await control.computes.changed(id)
}

async function removeReplaced({ control, chain }: StepContext): Promise<void> {
  const { replacedTimelineId } = inputOf(chain)
  if (await getTimeline(control.store, replacedTimelineId)) await removeTimeline(control, replacedTimelineId)
}

async function forgetIncoming(step: StepContext): Promise<void> {
  await discardIncoming(step.control, await stepBranch(step))
}

async function discardIncoming(control: ControlContext, branch: Branch): Promise<void> {
  const { incomingTimelineId } = branch
  if (!incomingTimelineId) return
  await discardTimeline(control, incomingTimelineId, (sql) => setBranchIncoming(sql, branch.id, undefined))
}
