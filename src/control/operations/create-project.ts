// create_timeline → start_compute. The first takes a slot of the warm pool (or copies the template), the second makes the role and the
// database; with a started slot that is one round trip to Postgres.

import { claim as claimTemplate } from '../../compute/claim.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { AppError } from '../../model/errors.ts'
import { newTimelineId, type BranchId, type EndpointId, type TimelineId } from '../../model/ids.ts'
import type { Branch } from '../../model/branch.ts'
import { getBranch, setBranchReady, setBranchTimeline } from '../../store/branches.ts'
import { listDatabases } from '../../store/databases.ts'
import { getProject, setProjectPurging } from '../../store/projects.ts'
import { listRoles } from '../../store/roles.ts'
import { getTimeline, insertTimeline, moveTimeline } from '../../store/timelines.ts'
import { removeTimeline } from '../timeline-removal.ts'
import { personalise, templateServiceKey } from '../warm-pool.ts'
import { toComputeSpec } from '../compute-spec.ts'
import { getEndpointTarget, type EndpointTarget } from '../../store/endpoints.ts'
import type { ControlContext } from '../context.ts'
import { nothingToUndo, type ChainDefinition, type StepContext } from './chain.ts'
import type pg from 'pg'

export const createProjectChain: ChainDefinition = {
  kind: 'create_project',
  steps: {
    create_timeline: { run: createTimeline, undo: forgetTimeline },
    start_compute: { run: startCompute, undo: nothingToUndo },
  },
  async finished(_control, chain, sql) {
    await setBranchReady(sql, chain.input['branchId'] as BranchId)
  },
  async undone(_control, chain, sql) {
    // Its rows are of no use without data; they go with the next purge, after clients had time to read the operations.
    await setProjectPurging(sql, chain.projectId)
  },
}

/** Open connections to slots that came with one, from the call to the step. Lost in a crash, and then simply made anew. */
const slotClients = new Map<TimelineId, pg.Client>()

export function keepSlotClient(id: TimelineId, client: pg.Client): void {
  slotClients.set(id, client)
}

export async function stepBranch({ control, chain, operation }: StepContext): Promise<Branch> {
  const branch = operation.branchId && (await getBranch(control.store, chain.projectId, operation.branchId))
  if (!branch) throw new AppError('internal', `operation ${operation.id} has lost its branch`)
  return branch
}

/** A slot of the warm pool became the branch's when its rows were written; without one, a timeline is made from the template. */
async function createTimeline(step: StepContext): Promise<void> {
  const { control } = step
  const branch = await stepBranch(step)
  if (branch.timelineId !== undefined) return await fillTimeline(control, branch.timelineId)
  const project = await getProject(control.store, branch.projectId)
  if (!project) throw new AppError('internal', `branch ${branch.id} has lost its project`)
  await control.storage.assertRoom()
  const id = newTimelineId()
  await control.store.transaction(async (sql) => {
    await insertTimeline(sql, control.cell, {
      id,
      pgMajor: project.pgMajor,
      state: 'making',
      uidOffset: undefined,
      serviceKeyId: templateServiceKey,
    })
    await setBranchTimeline(sql, branch.id, id)
  })
  await fillTimeline(control, id)
}

async function fillTimeline(control: ControlContext, id: TimelineId): Promise<void> {
  const timeline = await getTimeline(control.store, id)
  if (timeline?.state !== 'making') return
  await control.ensureTemplate(timeline.pgMajor)
  await control.storage.cloneTimeline(
    id,
    { template: String(timeline.pgMajor) },
    { owner: control.ownerOf(timeline.uidOffset) },
  )
  await moveTimeline(control.store, id, 'making', 'owned')
}

async function startCompute(step: StepContext): Promise<void> {
  const { control, operation } = step
  const { branchId, endpointId } = operation
  if (!branchId || !endpointId) throw new AppError('internal', `operation ${operation.id} has lost its endpoint`)
  using _lock = await control.branchLocks.acquire(branchId, 'start_compute')
  const [[role], [database], target] = await Promise.all([
    listRoles(control.store, branchId),
    listDatabases(control.store, branchId),
    personalTarget(control, endpointId),
  ])
  const { timelineId } = target
  await control.computes.start(target, 'chain')
  const client = slotClients.get(timelineId) ?? (await control.supervisor.client(timelineId))
  slotClients.delete(timelineId)
  try {
    await failpoint('create_project.claim')
    if (role && database) {
      const desired = { name: role.name, verifier: role.verifier, login: true }
      await claimTemplate(client, target.pgMajor, { role: desired, database: database.name })
    }
  } finally {
    client.end().catch(() => {})
  }
}

/** A timeline straight from the template gets its own service secret before anybody can look into it. */
async function personalTarget(
  control: ControlContext,
  endpointId: EndpointId,
): Promise<EndpointTarget & { timelineId: TimelineId }> {
  const target = await getEndpointTarget(control.store, endpointId)
  const timelineId = target?.timelineId
  if (!target || !timelineId) throw new AppError('internal', `endpoint ${endpointId} has lost its timeline`)
  if (target.serviceKeyId !== templateServiceKey) return { ...target, timelineId }
  const timeline = await getTimeline(control.store, timelineId)
  if (!timeline) throw new AppError('internal', `timeline ${timelineId} has lost its row`)
  const { serviceKeyId } = await personalise(control, timeline, toComputeSpec({ ...target, timelineId }, control))
  return { ...target, timelineId, serviceKeyId }
}

async function forgetTimeline(step: StepContext): Promise<void> {
  const branch = await stepBranch(step)
  const { timelineId } = branch
  if (!timelineId) return
  const { control } = step
  await control.store.transaction(async (sql) => {
    await sql.query(`update timelines set state = 'deleting' where id = $1`, [timelineId])
    await sql.query('update branches set timeline_id = null where id = $1', [branch.id])
  })
  await removeTimeline(control, timelineId)
}
