// Consumption, as the API shows it: the metrics by their names, each rounded to a whole number.

import type {
  ConsumptionHistoryPerPeriod,
  ConsumptionHistoryPerPeriodV2,
  ConsumptionHistoryPerTimeframe,
} from '@neondatabase/api-client'
import type { BilledPeriod, ProjectConsumption } from '../control/params.ts'
import { perHour, perMonth, type Figures, type Timeframe } from '../model/consumption.ts'
import { AppError } from '../model/errors.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

type Metric = (figures: Figures, timeframe: Timeframe) => number

const stored = ({ byteMs }: Figures): number => byteMs.root + byteMs.child + byteMs.history

const olderMetrics = {
  active_time_seconds: ({ activeMs }) => activeMs / 1000,
  compute_time_seconds: ({ computeCuMs }) => computeCuMs / 1000,
  written_data_bytes: ({ writtenBytes }) => writtenBytes,
  synthetic_storage_size_bytes: ({ syntheticAtEnd }) => syntheticAtEnd,
  data_storage_bytes_hour: (figures) => perHour(stored(figures)),
  logical_size_bytes: ({ logicalAtEnd }) => logicalAtEnd,
  logical_size_bytes_hour: ({ byteMs }) => perHour(byteMs.logical),
} as const satisfies Record<string, Metric>

type OlderMetric = keyof typeof olderMetrics

/** The contract has them in every sample, whatever was asked for. */
const alwaysThere: readonly OlderMetric[] = [
  'active_time_seconds',
  'compute_time_seconds',
  'written_data_bytes',
  'synthetic_storage_size_bytes',
]

const branchMetrics = {
  compute_unit_seconds: ({ computeCuMs }) => computeCuMs / 1000,
  root_branch_bytes_month: ({ byteMs }, timeframe) => perMonth(byteMs.root, timeframe),
  child_branch_bytes_month: ({ byteMs }, timeframe) => perMonth(byteMs.child, timeframe),
  instant_restore_bytes_month: ({ byteMs }, timeframe) => perMonth(byteMs.history, timeframe),
  public_network_transfer_bytes: ({ transferBytes }) => transferBytes,
  /** There is no private network that would be told apart. */
  private_network_transfer_bytes: () => 0,
} as const satisfies Record<string, Metric>

const projectMetrics = {
  ...branchMetrics,
  extra_branches_month: ({ extraBranchMs }, timeframe) => perMonth(extraBranchMs, timeframe),
  snapshot_storage_bytes_month: ({ byteMs }, timeframe) => perMonth(byteMs.snapshots, timeframe),
} as const satisfies Record<string, Metric>

export type Metrics = ReadonlyMap<string, Metric>

export const toOlderMetrics = (names: readonly string[] | undefined, withStorageHours: boolean): Metrics =>
  selected(olderMetrics, [
    ...alwaysThere,
    ...(names ?? (withStorageHours ? (['data_storage_bytes_hour'] satisfies OlderMetric[]) : [])),
  ])
export const toProjectMetrics = (names: readonly string[]): Metrics => selected(projectMetrics, named(names))
export const toBranchMetrics = (names: readonly string[]): Metrics => selected(branchMetrics, named(names))

function named(names: readonly string[]): readonly string[] {
  if (names.length > 0) return names
  throw new AppError('bad_request', 'metrics: name at least one')
}

function selected(table: Readonly<Record<string, Metric>>, names: readonly string[]): Metrics {
  const metrics = new Map<string, Metric>()
  for (const name of names) {
    const metric = Object.hasOwn(table, name) ? table[name] : undefined
    if (!metric) {
      throw new AppError(
        'bad_request',
        `metrics: there is no ${name.slice(0, 60)} here; use ${Object.keys(table).join(', ')}`,
      )
    }
    metrics.set(name, metric)
  }
  return metrics
}

export function olderPeriodView(period: BilledPeriod, metrics: Metrics): Wire<ConsumptionHistoryPerPeriod> {
  return {
    ...periodFields(period),
    consumption: period.samples.map(
      ({ figures, timeframe }) =>
        ({
          ...timeframeFields(timeframe),
          ...Object.fromEntries([...metrics].map(([name, metric]) => [name, Math.round(metric(figures, timeframe))])),
        }) as Wire<ConsumptionHistoryPerTimeframe>,
    ),
  }
}

export function periodView(period: BilledPeriod, metrics: Metrics): Wire<ConsumptionHistoryPerPeriodV2> {
  return {
    ...periodFields(period),
    consumption: period.samples.map(({ figures, timeframe }) => ({
      ...timeframeFields(timeframe),
      metrics: [...metrics].map(([name, metric]) => ({
        metric_name: name,
        value: Math.round(metric(figures, timeframe)),
      })),
    })),
  }
}

function periodFields({ id, plan, start, end }: BilledPeriod) {
  return {
    period_id: id,
    period_plan: plan,
    period_start: seconds(start),
    ...(end === undefined ? {} : { period_end: seconds(end) }),
  }
}

const timeframeFields = ({ start, end }: Timeframe) => ({
  timeframe_start: seconds(new Date(start)),
  timeframe_end: seconds(new Date(end)),
})

/** Flat, and with the last second of the month as its end. */
export function consumptionView({ projectId, usage, storageByteHours }: ProjectConsumption): Record<string, unknown> {
  return {
    project_id: projectId,
    period_start: seconds(usage.periodStart),
    period_end: seconds(new Date(usage.periodEnd.getTime() - 1000)),
    compute_time_seconds: Math.round(usage.computeSeconds),
    active_time_seconds: Math.round(usage.activeSeconds),
    data_storage_bytes_hour: Math.round(storageByteHours),
    data_transfer_bytes: usage.transferBytes,
    written_data_bytes: usage.writtenBytes,
  }
}
