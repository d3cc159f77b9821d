// create_timeline → start_compute. The first takes a slot of the warm pool (or copies the template), the second makes the role and the
// database; with a started slot that is one round trip to Postgres.

import { claim as claimTemplate } from '../../compute/claim.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { AppError } from '../../model/errors.ts'
import { newTimelineId, type BranchId, type TimelineId } from '../../model/ids.ts'
import type { Branch } from '../../model/branch.ts'
import { getBranch, setBranchReady, setBranchTimeline } from '../../store/branches.ts'
import { listDatabases } from '../../store/databases.ts'
import { getProject, setProjectPurging } from '../../store/projects.ts'
import { listRoles } from '../../store/roles.ts'
import { getTimeline, insertTimeline, moveTimeline } from '../../store/timelines.ts'
import { branchSpec, servingTarget } from '../branch-compute.ts'
import { removeTimeline } from '../timeline-removal.ts'
import { isSlotClass, personalise, templateServiceKey } from '../warm-pool.ts'
import { preloadLibrariesOf, isLogicalReplicationOn } from '../compute-spec.ts'
import { listBranchEndpoints } from '../../store/endpoints.ts'
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

/** Connections to slots that were claimed started, between the two steps. Lost in a crash, and then simply made anew. */
const claimedClients = new Map<TimelineId, pg.Client>()

export async function stepBranch({ control, chain, operation }: StepContext): Promise<Branch> {
  const branch = operation.branchId && (await getBranch(control.store, chain.projectId, operation.branchId))
  if (!branch) throw new AppError('internal', `operation ${operation.id} has lost its branch`)
  return branch
}

async function createTimeline(step: StepContext): Promise<void> {
  const { control } = step
  const branch = await stepBranch(step)
  if (branch.timelineId === undefined) {
    const project = await getProject(control.store, branch.projectId)
    if (!project) throw new AppError('internal', `branch ${branch.id} has lost its project`)
    const endpoint = (await listBranchEndpoints(control.store, branch.id))[0]
    const defaults = control.defaultLibraries(project.pgMajor)
    const wish = {
      minCu: endpoint?.autoscalingLimitMinCu ?? 0,
      pgSettings: endpoint?.pgSettings ?? {},
      preloadLibraries: preloadLibrariesOf(project.settings, endpoint?.preloadLibraries ?? [], defaults),
      logicalReplication: isLogicalReplicationOn(project.settings),
    }
    const started = isSlotClass(wish, defaults)
    const claim = await control.pool.claim(branch.id, project.pgMajor, { started })
    if (claim) {
      if (claim.client) claimedClients.set(claim.timeline.id, claim.client)
      return
    }
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
    await failpoint('create_project.placed')
    await fillTimeline(control, id)
    return
  }
  await fillTimeline(control, branch.timelineId)
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
  const { control } = step
  const branch = await stepBranch(step)
  const { timelineId } = branch
  const timeline = timelineId && (await getTimeline(control.store, timelineId))
  if (!timeline) throw new AppError('internal', `branch ${branch.id} has lost its timeline`)
  using _lock = await control.branchLocks.acquire(branch.id, 'start_compute')
  const [roles, databases] = await Promise.all([
    listRoles(control.store, branch.id),
    listDatabases(control.store, branch.id),
  ])
  const [role, database] = [roles[0], databases[0]]
  if (timeline.serviceKeyId === templateServiceKey)
    await personalise(control, timeline, await branchSpec(control, branch))
  const target = await servingTarget(control, branch)
  if (!target) throw new AppError('internal', `branch ${branch.id} has lost its endpoint`)
  await control.computes.start(target, 'chain')
  const client = claimedClients.get(timeline.id) ?? (await control.supervisor.client(timeline.id))
  claimedClients.delete(timeline.id)
  try {
    await failpoint('create_project.claim')
    if (role && database) {
      await claimTemplate(client, timeline.pgMajor, {
        role: { name: role.name, verifier: role.verifier, login: true },
        database: database.name,
      })
    }
  } finally {
    void client.end().catch(() => {})
  }
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
