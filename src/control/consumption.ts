// What projects and branches used over time: of the current period, and of any stretch by the hour, day or month. Wakes nothing.
//
// History is an organization's: what a project used while it was another's is the other's.

import { createHash } from 'node:crypto'
import {
  figuresOf,
  perHour,
  timeframesOf,
  type Figures,
  type Granularity,
  type LevelChange,
  type Ownership,
  type Timeframe,
  type UsedHour,
} from '../model/consumption.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId, ProjectId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import { periodOf } from '../model/usage.ts'
import {
  listExistingBranches,
  listLevelChanges,
  listOwnedProjects,
  listOwnerships,
  listUsedHours,
} from '../store/usage-levels.ts'
import { assertOrganizationNamed, organizationFor, visibleProject } from './access.ts'
import type { ControlContext } from './context.ts'
import type { Control } from './control.ts'
import type { BilledPeriod, HistoryQuery, ProjectConsumption } from './params.ts'

/** Neon tells the older history to its older paid plans. The newer one is told to all: an agent platform's free organization is its own to bill. */
const plansWithoutOlderHistory: ReadonlySet<string> = new Set(['free', 'free_v2', 'free_v3'])

export function consumptionControl(control: ControlContext): Control['consumption'] {
  return {
    async project(caller, projectId) {
      const project = await visibleProject(control.store, caller, projectId)
      return await projectConsumption(control, project.id)
    },
    async projectHistory(caller, query) {
      assertOrganizationNamed(control, caller, query.orgId)
      const organization = await organizationFor(control.store, caller, query.orgId, 'projects:list')
      if (query.version === 1) assertToldOlderHistory(organization)
      const { timeframes, from, until, now } = stretchOf(query)
      await control.metering.settle()
      const ids = await listOwnedProjects(control.store, organization.id, {
        from,
        until,
        ids: query.projectIds,
        after: query.after,
        limit: query.limit,
      })
      const known = await readStretch(control, ids, organization.id, from, until)
      const projects = ids.map((id) => {
        const own = known.of(id)
        return {
          projectId: id,
          periods: periodsOf(organization, timeframes, figuresOf(timeframes, { ...own, now }), now),
        }
      })
      return { projects, cursor: ids.at(-1) }
    },
    async branchHistory(caller, query) {
      const organization = await organizationFor(control.store, caller, query.orgId, 'projects:list')
      const { timeframes, from, until, now } = stretchOf(query)
      await control.metering.settle()
      const asked = { from, until, ids: query.projectIds, after: undefined, limit: query.projectIds.length }
      const projectIds = await listOwnedProjects(control.store, organization.id, asked)
      const ids = await listExistingBranches(control.store, projectIds, {
        from,
        until,
        ids: query.branchIds,
        after: query.after,
        limit: query.limit,
      })
      const known = await readStretch(
        control,
        [...new Set(ids.map((each) => each.projectId))],
        organization.id,
        from,
        until,
      )
      const branches = ids.map(({ projectId, branchId }) => {
        const { hours, levels, ownerships } = known.of(projectId)
        const own = {
          hours: hours.filter((each) => each.branchId === branchId),
          levels: levels.filter((each) => each.branchId === branchId),
          ownerships,
        }
        return {
          projectId,
          branchId,
          periods: periodsOf(organization, timeframes, figuresOf(timeframes, { ...own, now }), now),
        }
      })
      return { branches, last: ids.at(-1) }
    },
  }
}

/** Of the current period, whosever the project was in it. */
export async function projectConsumption(control: ControlContext, projectId: ProjectId): Promise<ProjectConsumption> {
  const now = new Date()
  const usage = await control.metering.periodUsage(projectId)
  const [levels, ownerships, storage] = await Promise.all([
    listLevelChanges(control.store, [projectId], usage.periodStart, now),
    listOwnerships(control.store, [projectId], undefined),
    control.metering.projectStorage(projectId),
  ])
  const timeframes = [{ start: usage.periodStart.getTime(), end: usage.periodEnd.getTime() }]
  const [figures] = figuresOf(timeframes, { hours: [], levels, ownerships, now: now.getTime() })
  return { projectId, usage, storage, storageByteHours: figures ? storedByteHours(figures) : 0 }
}

/** Data and what going back in time takes; shared blocks once. */
export const storedByteHours = ({ byteMs }: Figures): number => perHour(byteMs.root + byteMs.child + byteMs.history)

function assertToldOlderHistory({ plan }: Organization): void {
  if (!plansWithoutOlderHistory.has(plan)) return
  throw new AppError(
    'forbidden',
    `the plan ${plan} of this organization does not include this consumption history; ask for /consumption_history/v2/projects, or move to another plan`,
  )
}

function stretchOf(query: HistoryQuery): { timeframes: Timeframe[]; from: Date; until: Date; now: number } {
  const now = new Date()
  const stretch = timeframesOf(query.granularity satisfies Granularity, query.from, query.to, now)
  if (stretch.kind === 'refused') throw new AppError('not_acceptable', stretch.why)
  const { timeframes } = stretch
  const from = new Date(timeframes[0]?.start ?? now)
  return { timeframes, from, until: new Date(timeframes.at(-1)?.end ?? from), now: now.getTime() }
}

type Known = { hours: UsedHour[]; levels: LevelChange[]; ownerships: Ownership[] }

async function readStretch(
  control: ControlContext,
  ids: readonly ProjectId[],
  orgId: OrganizationId,
  from: Date,
  until: Date,
): Promise<{ of(id: ProjectId): Known }> {
  const { store } = control
  const [hours, levels, ownerships] = await Promise.all([
    listUsedHours(store, ids, orgId, from, until),
    listLevelChanges(store, ids, from, until),
    listOwnerships(store, ids, orgId),
  ])
  const byProject = <T extends { projectId: ProjectId }>(rows: readonly T[]): Partial<Record<ProjectId, T[]>> =>
    Object.groupBy(rows, (row) => row.projectId)
  const [hoursOf, levelsOf, ownershipsOf] = [byProject(hours), byProject(levels), byProject(ownerships)]
  return {
    of: (id) => ({ hours: hoursOf[id] ?? [], levels: levelsOf[id] ?? [], ownerships: ownershipsOf[id] ?? [] }),
  }
}

/** By calendar month; those without use as well. */
function periodsOf(
  organization: Organization,
  timeframes: readonly Timeframe[],
  figures: readonly Figures[],
  now: number,
): BilledPeriod[] {
  const periods: BilledPeriod[] = []
  for (const [index, timeframe] of timeframes.entries()) {
    const { start, end } = periodOf(new Date(timeframe.start))
    let last = periods.at(-1)
    if (last?.start.getTime() !== start.getTime()) {
      const id = periodId(organization.id, start)
      last = { id, plan: organization.plan, start, end: end.getTime() <= now ? end : undefined, samples: [] }
      periods.push(last)
    }
    const of = figures[index]
    if (of) last.samples.push({ timeframe, figures: of })
  }
  return periods
}

/** The same whenever it is asked for. */
function periodId(orgId: OrganizationId, start: Date): string {
  const hex = createHash('sha256').update(`${orgId} ${start.toISOString()}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
