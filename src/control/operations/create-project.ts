// create_timeline → start_compute. The first takes a slot of the warm pool (or copies the template), the second makes the role and the
// database; with a started slot that is one round trip to Postgres.

import { claim as claimTemplate } from '../../compute/claim.ts'
import type { PgMajor } from '../../model/compute.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { AppError } from '../../model/errors.ts'
import { newTimelineId, type BranchId, type EndpointId, type TimelineId } from '../../model/ids.ts'
import type { Branch } from '../../model/branch.ts'
import type { Database } from '../../model/database.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import type { OrganizationLimits } from '../../model/plan.ts'
import type { Project } from '../../model/project.ts'
import type { Role } from '../../model/role.ts'
import type { Timeline } from '../../model/timeline.ts'
import { setBranchTimeline, setFirstBranchReady } from '../../store/branches.ts'
import { listDatabases } from '../../store/databases.ts'
import { getProject, setProjectPurging } from '../../store/projects.ts'
import { listRoles } from '../../store/roles.ts'
import { getTimeline, insertTimeline, moveTimeline } from '../../store/timelines.ts'
import { personalise, templateServiceKey, type Slot } from '../warm-pool.ts'
import { newProjectTarget, toComputeSpec } from '../compute-spec.ts'
import { getEndpointTarget, type EndpointTarget } from '../../store/endpoints.ts'
import type { ControlContext } from '../context.ts'
import { nothingToUndo, type ChainDefinition, type StepContext } from './chain.ts'
import { forgetBranchTimeline } from './branch-timeline.ts'
import { stepBranch } from './step-branch.ts'
import type pg from 'pg'

export const createProjectChain: ChainDefinition = {
  kind: 'create_project',
  steps: {
    create_timeline: { run: createTimeline, undo: forgetTimeline },
    start_compute: { run: startCompute, undo: nothingToUndo },
  },
  async finished(_control, chain, sql) {
    const branchId = chain.input['branchId'] as BranchId
    await setFirstBranchReady(sql, branchId)
  },
  async undone(_control, chain, sql) {
    // Its rows are of no use without data; they go with the next purge, after clients had time to read the operations.
    await setProjectPurging(sql, chain.projectId)
  },
}

type Prepared = {
  target: EndpointTarget & { timelineId: TimelineId }
  timeline: Timeline
  role: Role
  database: Database
  /** Of the service role, open since the slot was made. */
  client: pg.Client | undefined
  /** The claim of a started slot, begun when the slot was owned: the answer and the steps before it need not be waited for. */
  claimed: Promise<void> | undefined
}

/** From the call to the step: what the rows say, so that they need not be read again. Lost in a crash, and then they are. */
const prepared = new Map<EndpointId, Prepared>()

export function prepareStart(
  rows: { project: Project; branch: Branch; endpoint: Endpoint; role: Role; database: Database },
  { timeline, client }: Slot,
  limits: OrganizationLimits,
): void {
  const { role, database, endpoint } = rows
  const target = newProjectTarget(rows, timeline, limits)
  const claimed = client && claim(client, target.pgMajor, role, database)
  // Whoever awaits it hears of it; a process that dies before does not matter.
  claimed?.catch(() => {})
  prepared.set(endpoint.id, { target, timeline, role, database, client, claimed })
}

/** May run again, also beside itself. */
async function claim(client: pg.Client, major: PgMajor, role: Role, database: Database): Promise<void> {
  await failpoint('create_project.claim')
  await claimTemplate(client, major, {
    role: { name: role.name, verifier: role.verifier, login: true },
    database: database.name,
  })
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
  await failpoint('create_project.placed')
  await fillTimeline(control, id)
}

async function fillTimeline(control: ControlContext, id: TimelineId): Promise<void> {
  const timeline = await getTimeline(control.store, id)
  if (timeline?.state !== 'making') return
  await control.ensureTemplate(timeline.pgMajor)
  await control.storage.cloneTimeline(
    id,
    { template: String(timeline.pgMajor) },
    { owner: control.ownerOf(timeline.uidOffset), sync: !control.storage.description.copyOnWrite },
  )
  await moveTimeline(control.store, id, 'making', 'owned')
}

async function startCompute(step: StepContext): Promise<void> {
  const { control, operation } = step
  const { branchId, endpointId } = operation
  if (!branchId || !endpointId) throw new AppError('internal', `operation ${operation.id} has lost its endpoint`)
  using _lock = await control.branchLocks.acquire(branchId, 'start_compute')
  const {
    target,
    timeline,
    role,
    database,
    client: kept,
    claimed,
  } = prepared.get(endpointId) ?? (await readBack(control, endpointId))
  prepared.delete(endpointId)
  let client = kept
  try {
    // A timeline straight from the template gets its own service secret before anybody can look into it.
    const personal = await personalise(control, timeline, toComputeSpec(target, control))
    client ??= personal.client
    // What the claim writes is ours.
    control.metering.holdLog(timeline.id)
    await control.computes.start({ ...target, serviceKeyId: personal.timeline.serviceKeyId }, 'chain')
    if (claimed) return await claimed
    client ??= await control.supervisor.client(timeline.id)
    if (role && database) await claim(client, target.pgMajor, role, database)
  } finally {
    // Nobody waits for it: it is a few reads of files, and the tenant's first login takes longer.
    void control.metering.logBegins(timeline.id)
    client?.end().catch(() => {})
  }
}

async function readBack(
  control: ControlContext,
  endpointId: EndpointId,
): Promise<Omit<Prepared, 'role' | 'database'> & { role: Role | undefined; database: Database | undefined }> {
  const target = await getEndpointTarget(control.store, endpointId)
  const timeline = target?.timelineId && (await getTimeline(control.store, target.timelineId))
  if (!target || !timeline) throw new AppError('internal', `endpoint ${endpointId} has lost its timeline`)
  const [[role], [database]] = await Promise.all([
    listRoles(control.store, target.branchId),
    listDatabases(control.store, target.branchId),
  ])
  return {
    target: { ...target, timelineId: timeline.id },
    timeline,
    role,
    database,
    client: undefined,
    claimed: undefined,
  }
}

async function forgetTimeline(step: StepContext): Promise<void> {
  await forgetBranchTimeline(step.control, await stepBranch(step))
}
