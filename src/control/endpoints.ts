// Endpoints: stable addresses of branches, each with at most one compute.

import { readActivity } from '../compute/activity.ts'
import type { Caller } from '../model/caller.ts'
import type { AwakeReason } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { newEndpointId, type TimelineId } from '../model/ids.ts'
import { getBranch } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import {
  getEndpoint,
  insertEndpoint,
  listBranchEndpoints,
  listEndpoints,
  setEndpointDeleted,
  updateEndpoint,
} from '../store/endpoints.ts'
import { endpointNotFound, liveBranch, visibleProject } from './access.ts'
import { refreshAssignment } from './assignments.ts'
import { withClient } from './branch-compute.ts'
import type { Control } from './control.ts'
import type { CreateEndpointInput, EndpointOperations, EndpointStatus, UpdateEndpointInput } from './params.ts'
import type { ControlContext } from './context.ts'
import { mergeEndpointSettings, newEndpointSettings } from './endpoint-settings.ts'
import { awakeReasons, isQuiet } from './idle.ts'
import { organizationLimits } from './limits.ts'
import { assertDisplayName } from './names.ts'
import { schedule, scheduleStarts } from './operations/schedule.ts'
import { assertMayUseCompute } from './start-gate.ts'

export const readOnlyUnavailable = (): AppError =>
  new AppError(
    'not_implemented',
    'read_only endpoints are not available in this version of pgrove; use a read_write endpoint',
  )

export function endpointStatus(
  control: ControlContext,
  endpoint: Endpoint,
  timelineId: TimelineId | undefined,
): EndpointStatus {
  const compute = control.computes.state(timelineId, endpoint.id)
  const pendingState = compute.kind === 'starting' ? 'active' : compute.kind === 'stopping' ? 'idle' : undefined
  const size = compute.kind === 'running' && timelineId ? control.sizes.of(timelineId) : undefined
  return { endpoint, compute, pendingState, size }
}

export async function endpointStatuses(
  control: ControlContext,
  endpoints: readonly Endpoint[],
): Promise<EndpointStatus[]> {
  if (endpoints.length === 0) return []
  const rows = await control.store.query<{ id: string; timeline_id: TimelineId | null }>(
    'select id, timeline_id from branches where id = any($1)',
    [endpoints.map((endpoint) => endpoint.branchId)],
  )
  const timelines = new Map(rows.map((row) => [row.id, row.timeline_id ?? undefined]))
  return endpoints.map((endpoint) => endpointStatus(control, endpoint, timelines.get(endpoint.branchId)))
}

async function statusOf(control: ControlContext, endpoint: Endpoint): Promise<EndpointStatus> {
  const branch = await getBranch(control.store, endpoint.projectId, endpoint.branchId)
  return endpointStatus(control, endpoint, branch?.timelineId)
}

async function liveEndpoint(sql: Sql, projectId: string, endpointId: string): Promise<Endpoint> {
  const endpoint = await getEndpoint(sql, projectId, endpointId)
  if (!endpoint) throw endpointNotFound()
  return endpoint
}

async function create(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  input: CreateEndpointInput,
): Promise<EndpointOperations> {
  if (input.type === 'read_only') throw readOnlyUnavailable()
  if (input.name !== undefined) assertDisplayName(input.name, 'endpoint', 64)
  const id = newEndpointId()
  const { result, operations } = await scheduleStarts(control, caller, projectId, async (sql, project, claim) => {
    const branch = await liveBranch(sql, projectId, input.branchId)
    if (input.regionId !== undefined && input.regionId !== project.regionId) {
      throw new AppError('bad_request', `region_id must be the project's region, ${project.regionId}`)
    }
    if ((await listBranchEndpoints(sql, branch.id)).some((endpoint) => endpoint.type === 'read_write')) {
      throw new AppError('already_exists', 'branch already has a read-write endpoint')
    }
    if (!input.disabled) await assertMayUseCompute(sql, projectId, branch.id)
    const preloadable = input.preloadLibraries ? await control.preloadable(project.pgMajor) : []
    const endpoint = await insertEndpoint(sql, {
      id,
      projectId: project.id,
      branchId: branch.id,
      name: input.name,
      type: input.type,
      disabled: input.disabled ?? false,
      creationSource: input.creationSource,
      regionId: project.regionId,
      ...newEndpointSettings(project, input, preloadable, await organizationLimits(sql, project.orgId)),
    })
    if (!endpoint.disabled) await claim(id, branch)
    return {
      result: endpoint,
      plan: {
        kind: 'start_endpoint',
        operations: endpoint.disabled
          ? []
          : [{ action: 'start_compute' as const, branchId: branch.id, endpointId: endpoint.id }],
      },
    }
  })
  const pendingState = operations.length > 0 ? ('active' as const) : undefined
  const compute = pendingState
    ? ({ kind: 'starting', since: result.createdAt } as const)
    : ({ kind: 'stopped' } as const)
  return { endpoint: { endpoint: result, compute, pendingState }, operations }
}

async function get(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  endpointId: string,
): Promise<EndpointStatus & { awakeReasons: AwakeReason[] }> {
  await visibleProject(control.store, caller, projectId)
  const status = await statusOf(control, await liveEndpoint(control.store, projectId, endpointId))
  return { ...status, awakeReasons: await currentAwakeReasons(control, endpointId) }
}

/** `look`: into Postgres, so that the answer is about now; otherwise what is known without asking. */
export async function currentAwakeReasons(
  control: ControlContext,
  endpointId: string,
  look = true,
): Promise<AwakeReason[]> {
  const found = control.computes.servingEndpoint(endpointId)
  if (!found) return []
  const { timelineId, serving } = found
  if (control.supervisor.state(timelineId).kind === 'starting') return [{ kind: 'starting' }]
  const now = Date.now()
  const backends = look ? await withClient(control, timelineId, readActivity).catch(() => undefined) : undefined
  const reasons = awakeReasons({ ...serving, now, backends, heldSessions: serving.held?.count ?? 0 })
  if (control.runner.isWorking(serving.projectId)) reasons.push({ kind: 'operation', action: 'running' })
  // Quiet for long enough and nothing at work: the next round of the reconciler takes it.
  if (reasons.length === 0 && isQuiet(now, serving.lastActivityAt, serving.suspendTimeoutSeconds)) return []
  return reasons
}

async function update(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  endpointId: string,
  input: UpdateEndpointInput,
): Promise<EndpointOperations> {
  if (input.name !== undefined) assertDisplayName(input.name, 'endpoint', 64)
  const { result, operations } = await schedule(control, caller, projectId, async (sql, project) => {
    const before = await liveEndpoint(sql, projectId, endpointId)
    if (input.branchId !== undefined && input.branchId !== before.branchId) {
      throw new AppError(
        'not_implemented',
        'moving an endpoint to another branch is not available; create an endpoint on that branch',
      )
    }
    const preloadable = input.preloadLibraries ? await control.preloadable(project.pgMajor) : before.preloadLibraries
    const endpoint = await updateEndpoint(sql, {
      id: before.id,
      branchId: before.branchId,
      name: input.name ?? before.name,
      disabled: input.disabled ?? before.disabled,
      ...mergeEndpointSettings(before, input, preloadable, await organizationLimits(sql, project.orgId)),
    })
    const active = control.computes.servingEndpoint(endpoint.id) !== undefined
    const action = endpoint.disabled ? ('suspend_compute' as const) : ('apply_config' as const)
    const changesCompute = endpoint.disabled || touchesCompute(input)
    return {
      result: endpoint,
      plan: {
        kind: 'update_endpoint',
        // A start at work has read the settings already: what is changed now would be lost on it.
        exclusive: changesMoreThanName(input),
        operations: active && changesCompute ? [{ action, branchId: endpoint.branchId, endpointId: endpoint.id }] : [],
      },
    }
  })
  control.computes.setSuspendTimeout(result.id, result.suspendTimeoutSeconds)
  control.computes.setScaling(result.id, { minCu: result.autoscalingLimitMinCu, maxCu: result.autoscalingLimitMaxCu })
  await control.sizes.limitsChanged(result.id)
  await refreshAssignment(control, result.id)
  await control.computes.changed(result.id)
  if (result.disabled && operations.length === 0) await control.computes.dismiss(result.branchId, result.id)
  return { endpoint: await statusOf(control, result), operations }
}

function changesMoreThanName({ name: _name, ...settings }: UpdateEndpointInput): boolean {
  return Object.values(settings).some((value) => value !== undefined)
}

/** A name or a timeout is a matter of rows; everything else reaches Postgres. */
function touchesCompute(input: UpdateEndpointInput): boolean {
  return (
    input.autoscalingLimitMinCu !== undefined ||
    input.autoscalingLimitMaxCu !== undefined ||
    input.pgSettings !== undefined ||
    input.preloadLibraries !== undefined
  )
}

async function remove(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  endpointId: string,
): Promise<EndpointOperations | undefined> {
  const { result, operations } = await schedule(control, caller, projectId, async (sql) => {
    const endpoint = await getEndpoint(sql, projectId, endpointId)
    if (!endpoint) return { result: undefined, plan: undefined }
    const branch = await liveBranch(sql, projectId, endpoint.branchId)
    if (branch.protected)
      throw new AppError(
        'unprocessable',
        'the compute of a protected branch cannot be deleted; unprotect the branch first',
      )
    const active = control.computes.servingEndpoint(endpoint.id) !== undefined
    return {
      result: await setEndpointDeleted(sql, endpoint.id, true),
      plan: {
        kind: 'suspend_endpoint',
        exclusive: true,
        operations: active
          ? [{ action: 'suspend_compute' as const, branchId: branch.id, endpointId: endpoint.id }]
          : [],
      },
    }
  })
  if (!result) return undefined
  await control.assignments.remove(result.id)
  await control.computes.changed(result.id)
  if (operations.length === 0) await control.computes.dismiss(result.branchId, result.id)
  return { endpoint: await statusOf(control, result), operations }
}

/** `wanted`: what the compute has to be now for the call to have something to do. */
async function scheduleCompute(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  endpointId: string,
  kind: 'start_endpoint' | 'suspend_endpoint' | 'restart_endpoint',
): Promise<EndpointOperations> {
  const { result, operations } = await scheduleStarts(control, caller, projectId, async (sql, _project, claim) => {
    const endpoint = await liveEndpoint(sql, projectId, endpointId)
    if (endpoint.disabled && kind !== 'suspend_endpoint') {
      throw new AppError('unprocessable', 'endpoint is disabled; set "disabled" to false before starting it')
    }
    const active = control.computes.servingEndpoint(endpoint.id) !== undefined
    if (kind === 'restart_endpoint' && !active)
      throw new AppError('unprocessable', 'endpoint is not active, only an active endpoint can be restarted')
    if (kind !== 'suspend_endpoint') await assertMayUseCompute(sql, projectId, endpoint.branchId)
    if (kind === 'start_endpoint' && !active)
      await claim(endpoint.id, await liveBranch(sql, projectId, endpoint.branchId))
    const target = { branchId: endpoint.branchId, endpointId: endpoint.id }
    const suspend = { action: 'suspend_compute' as const, ...target }
    const start = { action: 'start_compute' as const, ...target }
    const operations = {
      start_endpoint: active ? [] : [start],
      suspend_endpoint: active ? [suspend] : [],
      restart_endpoint: [suspend, start],
    }[kind]
    return { result: endpoint, plan: { kind, operations } }
  })
  const status = await statusOf(control, result)
  if (operations.length === 0) return { endpoint: status, operations }
  return { endpoint: { ...status, pendingState: kind === 'suspend_endpoint' ? 'idle' : 'active' }, operations }
}

export function endpointControl(control: ControlContext): Control['endpoints'] {
  return {
    create: (caller, projectId, input) => create(control, caller, projectId, input),
    async list(caller, projectId) {
      await visibleProject(control.store, caller, projectId)
      return await endpointStatuses(control, await listEndpoints(control.store, projectId))
    },
    get: (caller, projectId, endpointId) => get(control, caller, projectId, endpointId),
    update: (caller, projectId, endpointId, input) => update(control, caller, projectId, endpointId, input),
    delete: (caller, projectId, endpointId) => remove(control, caller, projectId, endpointId),
    start: (caller, projectId, endpointId) => scheduleCompute(control, caller, projectId, endpointId, 'start_endpoint'),
    suspend: (caller, projectId, endpointId) =>
      scheduleCompute(control, caller, projectId, endpointId, 'suspend_endpoint'),
    restart: (caller, projectId, endpointId) =>
      scheduleCompute(control, caller, projectId, endpointId, 'restart_endpoint'),
  }
}
