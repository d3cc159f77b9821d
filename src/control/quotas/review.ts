// Looks what a project has used, keeps what its quotas say of that, and does what follows from it.
//
// First the rows, then the machine: from the moment the rows say that something is used up, nobody gets in and nothing is started, whatever
// becomes of us. Doing what the rows say is repeated with every look, so a crash in between is made up for by the next one.

import { failpoint } from '../../lib/failpoint.ts'
import { within } from '../../lib/within.ts'
import { AppError, errorChain } from '../../model/errors.ts'
import type { BranchId, ProjectId, TimelineId } from '../../model/ids.ts'
import {
  exceededUsage,
  isReadOnly,
  sameSizeStanding,
  sameUsageStandings,
  sizeQuota,
  sizeStanding,
  usageStandings,
  type SizeStanding,
} from '../../model/quota.ts'
import { getBranch } from '../../store/branches.ts'
import type { Endpoint } from '../../model/endpoint.ts'
import { getEndpointTarget, listBranchEndpoints, listEndpoints } from '../../store/endpoints.ts'
import { recordEvent } from '../../store/events.ts'
import {
  listQuotaRows,
  listSizedBranches,
  getStandings,
  lockQuotaRow,
  setSizeStanding,
  setUsageStandings,
  type QuotaRow,
} from '../../store/quotas.ts'
import { refreshAssignment } from '../assignments.ts'
import { withClient } from '../branch-compute.ts'
import { rereadCatalog } from '../catalog.ts'
import { toComputeSpec } from '../compute-spec.ts'
import type { Serving } from '../computes.ts'
import type { ControlContext } from '../context.ts'
import { refusalFor } from '../start-gate.ts'
import { noteSubscriptions } from '../wal-head.ts'
import { sizeEvents, usageEvents } from './quota-events.ts'
import { sizeNoticeOf, usageExceeded } from './refusals.ts'

/** A compute that is to be stopped is asked a few things first; a tenant who keeps it from answering is not waited for. */
const lastLookMs = 3_000
/** A chain at work holds its branch; the next round tries again. */
const lockPatienceMs = 5_000

/** By branch: the timeline that a compute of it serves, and whether its size is to be looked at. */
export type Look = ReadonlyMap<BranchId, { timelineId: TimelineId | undefined; measure: boolean }>

/** After its quotas were changed: what is forbidden no longer is allowed when this returns. Branches that sleep are looked at as well. */
export async function reviewProject(control: ControlContext, projectId: ProjectId): Promise<void> {
  const [row] = await listQuotaRows(control.store, [projectId])
  if (!row) return
  const running = servingOfProject(control, projectId)
  const look = new Map<BranchId, { timelineId: TimelineId | undefined; measure: boolean }>()
  for (const id of await listSizedBranches(control.store, projectId))
    look.set(id, { timelineId: undefined, measure: true })
  for (const [timelineId, { branchId }] of running) look.set(branchId, { timelineId, measure: true })
  await review(control, row, look)
}

export async function review(control: ControlContext, row: QuotaRow, look: Look): Promise<void> {
  for (const { timelineId } of look.values()) if (timelineId) await applyHardLimit(control, timelineId, row)
  const usage = await reviewUsage(control, row)
  const refusal = exceededUsage(usage, new Date())
  if (refusal) await stopProject(control, row.projectId)
  if ((row.quotas[sizeQuota] ?? 0) === 0 && row.sizes.size === 0) return
  for (const [branchId, { timelineId, measure }] of look) {
    const standing = measure ? await reviewSize(control, row, branchId, timelineId) : row.sizes.get(branchId)
    if (timelineId && !refusal) await applySize(control, timelineId, standing)
  }
}

/** Without the control database. What is found is kept in the files that clients are let in by then; the rows follow when it is back. */
export async function reviewWhileAway(control: ControlContext, row: QuotaRow): Promise<void> {
  const usage = usageStandings(await control.metering.periodUsage(row.projectId), row.quotas)
  const refusal = exceededUsage(usage, new Date())
  if (!refusal) return
  for (const [timelineId, serving] of servingOfProject(control, row.projectId)) {
    const assignment = await control.assignments.read(serving.endpointId)
    if (assignment) await control.assignments.write({ ...assignment, usageStandings: usage })
    using lock = control.branchLocks.tryAcquire(serving.branchId, 'quota')
    if (!lock || control.computes.serving().get(timelineId) !== serving) continue
    await control.computes.suspend(timelineId, 'quota', { farewell: usageExceeded(refusal).message })
  }
}

async function reviewUsage(control: ControlContext, row: QuotaRow): Promise<QuotaRow['usage']> {
  const figures = await control.metering.periodUsage(row.projectId)
  if (sameUsageStandings(row.usage, usageStandings(figures, row.quotas))) return row.usage
  const { usage, changed } = await control.store.transaction(async (sql) => {
    const before = await lockQuotaRow(sql, row.projectId)
    if (!before) return { usage: [], changed: false }
    const after = usageStandings(figures, before.quotas)
    if (sameUsageStandings(before.usage, after)) return { usage: before.usage, changed: false }
    await setUsageStandings(sql, row.projectId, after)
    for (const event of usageEvents(before, before.usage, after)) await recordEvent(sql, event)
    return { usage: after, changed: true }
  })
  await failpoint('quota.decided')
  if (changed) await tell(control, await listEndpoints(control.store, row.projectId))
  return usage
}

async function reviewSize(
  control: ControlContext,
  row: QuotaRow,
  branchId: BranchId,
  timelineId: TimelineId | undefined,
): Promise<SizeStanding | undefined> {
  const known = row.sizes.get(branchId)
  // Asleep, it holds what it held when it was judged; metering stores sizes less exactly.
  const bytes = known && !timelineId ? known.used : await control.metering.logicalSize(branchId)
  if (bytes === undefined || sameSizeStanding(known, sizeStanding(bytes, row.quotas))) return known
  const { standing, changed } = await control.store.transaction(async (sql) => {
    const before = await lockQuotaRow(sql, row.projectId)
    if (!before) return { standing: undefined, changed: false }
    const was = before.sizes.get(branchId)
    const after = sizeStanding(bytes, before.quotas)
    if (sameSizeStanding(was, after)) return { standing: was, changed: false }
    await setSizeStanding(sql, branchId, after)
    for (const event of sizeEvents(before, branchId, was, after, new Date())) await recordEvent(sql, event)
    return { standing: after, changed: true }
  })
  await failpoint('quota.size_decided')
  if (changed) await tell(control, await listBranchEndpoints(control.store, branchId))
  return standing
}

/** Who comes from now on asks anew, and is told what holds now; also while the control database is away. */
async function tell(control: ControlContext, endpoints: readonly Endpoint[]): Promise<void> {
  for (const { id } of endpoints) {
    await refreshAssignment(control, id)
    const target = await getEndpointTarget(control.store, id)
    await control.computes.noticeChanged(id, sizeNoticeOf(target?.sizeStanding))
  }
}

/** Set at its start; here for one that runs while its quota changes. */
async function applyHardLimit(control: ControlContext, timelineId: TimelineId, { quotas }: QuotaRow): Promise<void> {
  const spec = await control.supervisor.readSpec(timelineId)
  if (spec) await control.hardLimits.apply(timelineId, { quotas, pgSettings: spec.pgSettings })
}

/** The branch's compute, if it runs: stopped, told to write no more or to write again. */
async function applySize(
  control: ControlContext,
  timelineId: TimelineId,
  standing: SizeStanding | undefined,
): Promise<void> {
  const serving = control.computes.serving().get(timelineId)
  if (!serving) return
  if (standing?.level === 'blocked') return await stop(control, timelineId, serving)
  const spec = await control.supervisor.readSpec(timelineId)
  if (!spec || (spec.readOnly ?? false) === isReadOnly(standing)) return
  const lock = await control.branchLocks.acquireWithin(serving.branchId, 'quota', lockPatienceMs)
  if (!lock) return
  using _lock = lock
  if (control.computes.serving().get(timelineId) !== serving) return
  const target = await getEndpointTarget(control.store, serving.endpointId)
  if (target?.timelineId !== timelineId) return
  await control.supervisor.reconfigure(toComputeSpec({ ...target, timelineId }, control))
  await control.computes.noticeChanged(serving.endpointId, sizeNoticeOf(target.sizeStanding))
  control.logger.info(
    { endpoint: serving.endpointId, readOnly: isReadOnly(target.sizeStanding) },
    'a size quota changed what new transactions may do',
  )
}

async function stopProject(control: ControlContext, projectId: ProjectId): Promise<void> {
  const refusal = refusalFor(await getStandings(control.store, projectId, undefined))
  if (!refusal) return
  await Promise.all([
    control.pastReads.closeOf(projectId, refusal.message),
    ...servingOfProject(control, projectId).map(([timelineId, serving]) => stop(control, timelineId, serving)),
  ])
}

/** Sessions at rest outlive it, as they do when it sleeps because nobody uses it. */
async function stop(control: ControlContext, timelineId: TimelineId, serving: Serving): Promise<void> {
  const lock = control.branchLocks.tryAcquire(serving.branchId, 'quota')
  if (!lock) return
  using _lock = lock
  if (control.computes.serving().get(timelineId) !== serving) return
  // The quota may have been raised since we looked.
  const refusal = refusalFor(await getStandings(control.store, serving.projectId, serving.branchId))
  if (!refusal) return
  await failpoint('quota.stopping')
  await within(
    lastLook(control, timelineId, serving),
    lastLookMs,
    () => new AppError('unavailable', 'it took too long'),
  ).catch((error: unknown) =>
    control.logger.warn(
      { endpoint: serving.endpointId, cause: errorChain(error) },
      'a compute was not read back before its quota stopped it',
    ),
  )
  await control.computes.suspend(timelineId, 'quota', { farewell: refusal.message })
  await refreshAssignment(control, serving.endpointId)
}

/** Roles and databases made by SQL are known while it sleeps as well. */
async function lastLook(control: ControlContext, timelineId: TimelineId, serving: Serving): Promise<void> {
  await withClient(control, timelineId, (client) => noteSubscriptions(control, timelineId, client))
  const branch = await getBranch(control.store, serving.projectId, serving.branchId)
  if (branch) await rereadCatalog(control, branch, timelineId)
}

function servingOfProject(control: ControlContext, projectId: ProjectId): [TimelineId, Serving][] {
  return [...control.computes.serving()].filter(([, serving]) => serving.projectId === projectId)
}
