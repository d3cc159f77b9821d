// Consumption: of the current period, and its history.

import type {
  GetConsumptionHistoryPerBranchV2Params,
  GetConsumptionHistoryPerProjectParams,
  GetConsumptionHistoryPerProjectV2Params,
} from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import type { HistoryQuery } from '../control/params.ts'
import {
  consumptionView,
  olderPeriodView,
  periodView,
  toBranchMetrics,
  toOlderMetrics,
  toProjectMetrics,
} from './consumption-view.ts'
import type { Wire } from './contract/wire.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { formatBranchHistoryCursor, parseBranchHistoryCursor, parseProjectCursor } from './paging.ts'

const defaultProjects = 10
const defaultBranches = 100

type Stretch = Wire<Pick<GetConsumptionHistoryPerProjectParams, 'from' | 'to' | 'granularity' | 'org_id'>>

const stretchOf = ({ from, to, granularity, org_id: orgId }: Stretch): HistoryQuery => ({
  from: new Date(from),
  to: new Date(to),
  granularity,
  orgId,
})

const pageOf = (
  query: Stretch & Wire<Pick<GetConsumptionHistoryPerProjectParams, 'project_ids' | 'cursor' | 'limit'>>,
) => ({
  ...stretchOf(query),
  projectIds: listOf(query.project_ids),
  after: parseProjectCursor(query.cursor),
  limit: query.limit ?? defaultProjects,
})

type ProjectHistory = Awaited<ReturnType<Control['consumption']['projectHistory']>>

const projectsView = <Period>(
  { projects, cursor }: ProjectHistory,
  view: (period: ProjectHistory['projects'][number]['periods'][number]) => Period,
) => ({
  projects: projects.map(({ projectId, periods }) => ({ project_id: projectId, periods: periods.map(view) })),
  ...(cursor === undefined ? {} : { pagination: { cursor } }),
})

/** An empty list asks for all, as if it were not there. */
const listOf = (ids: readonly string[] | undefined): readonly string[] | undefined =>
  ids === undefined || ids.length === 0 ? undefined : ids

export const consumption = {
  async getProjectConsumption({ control, caller, params }: ApiRequest) {
    return ok(consumptionView(await control.consumption.project(caller, params.project_id)))
  },

  async getConsumptionHistoryPerProject({ control, caller, query }: ApiRequest<GetConsumptionHistoryPerProjectParams>) {
    const metrics = toOlderMetrics(listOf(query.metrics), query.include_v1_metrics ?? false)
    const page = await control.consumption.projectHistory(caller, { version: 1, ...pageOf(query) })
    return ok(projectsView(page, (period) => olderPeriodView(period, metrics)))
  },

  async getConsumptionHistoryPerProjectV2({
    control,
    caller,
    query,
  }: ApiRequest<GetConsumptionHistoryPerProjectV2Params>) {
    const metrics = toProjectMetrics(query.metrics)
    const page = await control.consumption.projectHistory(caller, { version: 2, ...pageOf(query) })
    return ok(projectsView(page, (period) => periodView(period, metrics)))
  },

  async getConsumptionHistoryPerBranchV2({
    control,
    caller,
    query,
  }: ApiRequest<GetConsumptionHistoryPerBranchV2Params>) {
    const metrics = toBranchMetrics(query.metrics)
    const { branches, last } = await control.consumption.branchHistory(caller, {
      ...stretchOf(query),
      projectIds: query.project_ids,
      branchIds: listOf(query.branch_ids),
      after: parseBranchHistoryCursor(query.cursor),
      limit: query.limit ?? defaultBranches,
    })
    return ok({
      branches: branches.map(({ projectId, branchId, periods }) => ({
        project_id: projectId,
        branch_id: branchId,
        periods: periods.map((period) => periodView(period, metrics)),
      })),
      ...(last === undefined ? {} : { pagination: { cursor: formatBranchHistoryCursor(last) } }),
    })
  },
} satisfies Handlers
