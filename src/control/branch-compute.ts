// The compute of a branch as the operations need it: started, asked something as the service role, stopped.

import type pg from 'pg'
import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { listBranchEndpoints, getEndpointTarget, type EndpointTarget } from '../store/endpoints.ts'
import { getProject } from '../store/projects.ts'
import { getTimeline } from '../store/timelines.ts'
import { defaultPgMajor, smallestCu, type ComputeSpec } from '../model/compute.ts'
import { toComputeSpec } from './compute-spec.ts'
import { inheritedSettings } from './inherited-settings.ts'
import type { ControlContext } from './context.ts'

export function isBranchRunning(control: ControlContext, branch: Branch): boolean {
  return branch.timelineId !== undefined && control.supervisor.state(branch.timelineId).kind === 'running'
}

/** The branch's read-write endpoint as a target; undefined where it has none, or is disabled. */
export async function servingTarget(
  control: ControlContext,
  branch: Branch,
): Promise<(EndpointTarget & { timelineId: TimelineId }) | undefined> {
  const endpoint = (await listBranchEndpoints(control.store, branch.id)).find(
    ({ type, disabled }) => type === 'read_write' && !disabled,
  )
  if (!endpoint) return undefined
  const target = await getEndpointTarget(control.store, endpoint.id)
  if (!target?.timelineId) return undefined
  return { ...target, timelineId: target.timelineId }
}

/** A compute for a branch that no endpoint serves: the smallest that does the work. */
async function plainSpec(control: ControlContext, branch: Branch, timelineId: TimelineId): Promise<ComputeSpec> {
  const [project, timeline, inherited] = await Promise.all([
    getProject(control.store, branch.projectId),
    getTimeline(control.store, timelineId),
    inheritedSettings(control.store, branch.parentId ?? branch.restoredAs),
  ])
  return toComputeSpec(
    {
      endpointId: '' as EndpointTarget['endpointId'],
      projectId: branch.projectId,
      branchId: branch.id,
      timelineId,
      disabled: false,
      branchReady: true,
      busy: true,
      suspendTimeoutSeconds: 0,
      projectSettings: project?.settings ?? {},
      pgMajor: timeline?.pgMajor ?? project?.pgMajor ?? defaultPgMajor,
      minCu: smallestCu,
      maxCu: smallestCu,
      pgSettings: { ...project?.endpointDefaults.pgSettings, ...inherited },
      preloadLibraries: [],
      uidOffset: timeline?.uidOffset ?? 0,
      serviceKeyId: timeline?.serviceKeyId ?? '',
      outbound: false,
      place: undefined,
      usageStandings: undefined,
      sizeStanding: undefined,
    },
    control,
  )
}

/** The desired compute of a branch, endpoint or not. */
export async function branchSpec(control: ControlContext, branch: Branch): Promise<ComputeSpec> {
  const target = await servingTarget(control, branch)
  if (target) return toComputeSpec(target, control)
  if (!branch.timelineId) throw new AppError('unavailable', `branch ${branch.id} has no data yet`)
  return await plainSpec(control, branch, branch.timelineId)
}

/**
 * Does something in a branch's Postgres as the service role. Starts the compute where need be; one that no endpoint serves is
 * stopped again, one that an endpoint serves is left to the chain or to the idle rule. The caller holds no lock.
 */
export async function withBranchCompute<T>(
  control: ControlContext,
  branch: Branch,
  holder: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { timelineId } = branch
  if (!timelineId) throw new AppError('unavailable', `branch ${branch.id} has no data yet`)
  using _lock = await control.branchLocks.acquire(branch.id, holder)
  const target = await servingTarget(control, branch)
  if (target) await control.computes.start(target, 'chain')
  else await control.supervisor.ensureRunning(await plainSpec(control, branch, timelineId))
  try {
    return await withClient(control, timelineId, work)
  } finally {
    // Also where it ran before: a run of this that died left it so, and nobody else would ever stop it.
    if (!target) await control.computes.suspend(timelineId, 'chain')
  }
}

export async function withClient<T>(
  control: ControlContext,
  timelineId: TimelineId,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await control.supervisor.client(timelineId)
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}
