// create_branch → start_compute for an endpoint, if one was asked for.
//
// The timeline stays `making` until it is durable: a branch that a crash leaves so is made again.

import { keepSchemaOnly } from '../../compute/schema-copy.ts'
import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import type { BranchId, TimelineId } from '../../model/ids.ts'
import {
  getBranch,
  setBranchDeleted,
  setBranchParentPoint,
  setBranchReady,
  setBranchTimeline,
} from '../../store/branches.ts'
import { getIntegrationOfBranch } from '../../store/auth/integrations.ts'
import type { Chain } from '../../store/operations.ts'
import { getTimeline } from '../../store/timelines.ts'
import { settleCopiedAuth } from '../auth/copies.ts'
import { branchSpec } from '../branch-compute.ts'
import { applyPasswords } from '../role-passwords.ts'
import { rereadCatalog } from '../catalog.ts'
import type { ControlContext } from '../context.ts'
import { originOf, placeTimeline, recoverTimeline } from '../placing.ts'
import { resolvePoint, storedPoint } from '../points.ts'
import { ensureBranchTimeline, forgetBranchTimeline } from './branch-timeline.ts'
import { nothingToUndo, type ChainDefinition, type StepContext } from './chain.ts'
import { startStep } from './endpoint-chains.ts'
import { stepBranch } from './step-branch.ts'

export const createBranchChain: ChainDefinition = {
  kind: 'create_branch',
  steps: {
    create_branch: { run: createBranch, undo: forgetBranch },
    // Done before the branch's data is anybody's.
    apply_schema_from_branch: { run: async () => {}, undo: nothingToUndo },
    start_compute: startStep,
  },
  async finished(_control, chain, sql) {
    await setBranchReady(sql, chain.input['branchId'] as BranchId)
  },
  async undone(_control, chain, sql) {
    await setBranchDeleted(sql, chain.input['branchId'] as BranchId, { purging: true })
  },
}

async function createBranch(step: StepContext): Promise<void> {
  const { control, chain } = step
  const branch = await ensureBranchTimeline(step, (each) => place(step, each))
  const timeline = branch.timelineId && (await getTimeline(control.store, branch.timelineId))
  if (!timeline) throw new AppError('internal', `branch ${branch.id} has lost its timeline`)
  using _lock = await control.branchLocks.acquire(branch.id, 'create_branch')
  if (timeline.state === 'making') {
    await recoverTimeline(
      control,
      await branchSpec(control, branch),
      await beforeAnybody(control, chain, branch, timeline.id),
    )
  }
  // Nobody would ever stop it.
  if (chain.input['starts'] !== true) await control.supervisor.ensureStopped(timeline.id, 'fast')
}

/** What is changed in the data before the branch has it; undefined where that is nothing. */
async function beforeAnybody(
  control: ControlContext,
  { input }: Chain,
  branch: Branch,
  timelineId: TimelineId,
): Promise<(() => Promise<void>) | undefined> {
  const ofPast = input['point'] !== undefined
  const hasAuth = (await getIntegrationOfBranch(control.store, branch.id)) !== undefined
  if (input['schemaOnly'] !== true && input['newPasswords'] !== true && !ofPast && !hasAuth) return undefined
  return async () => {
    // First, since a role whose password is another one in the data loses the stored one.
    if (input['newPasswords'] === true) await applyPasswords(control, branch, timelineId)
    if (ofPast) await rereadCatalog(control, branch, timelineId)
    await settleCopiedAuth(control, branch, timelineId, { dropsWithoutUsers: ofPast })
    if (input['schemaOnly'] === true) {
      await keepSchemaOnly((database) => control.supervisor.client(timelineId, database))
    }
  }
}

async function place({ control, chain }: StepContext, branch: Branch): Promise<void> {
  const sourceId = (chain.input['sourceId'] as string | undefined) ?? branch.parentId
  const source = sourceId === undefined ? undefined : await getBranch(control.store, branch.projectId, sourceId)
  if (!source?.timelineId) throw new AppError('internal', `branch ${branch.id} has lost what it is made from`)
  using _lock = await control.historyLocks.acquire(source.timelineId, 'branch')
  const resolved = await resolvePoint(control, source, storedPoint(chain.input['point']), { resolved: true })
  await placeTimeline(control, { ...resolved, ...originOf(resolved.timeline) }, async (sql, id) => {
    await setBranchTimeline(sql, branch.id, id)
    if (branch.parentId !== undefined) {
      // A point in time was resolved to an LSN in the call, and the time it was is in the row.
      await setBranchParentPoint(sql, branch.id, resolved.lsn, resolved.at ?? branch.parentTimestamp)
    }
  })
}

async function forgetBranch(step: StepContext): Promise<void> {
  await forgetBranchTimeline(step.control, await stepBranch(step))
}
