// What a project has used, and the period it is counted by: the calendar month in UTC.

import type { BranchId, EndpointId, ProjectId, TimelineId } from './ids.ts'
import type { Lsn } from './lsn.ts'

/** Half-open: `end` is the next period's `start`. */
export type Period = { start: Date; end: Date }

export function periodOf(moment: Date): Period {
  const month = (offset: number): Date => new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() + offset, 1))
  return { start: month(0), end: month(1) }
}

/** The four that only grow. Seconds may have fractions. */
export type Usage = {
  /** While endpoints' computes served; those of two endpoints add up. */
  activeSeconds: number
  /** CU × seconds. */
  computeSeconds: number
  /** Write-ahead log. */
  writtenBytes: number
  /** From the proxy to clients. */
  transferBytes: number
}

export const noUsage: Usage = { activeSeconds: 0, computeSeconds: 0, writtenBytes: 0, transferBytes: 0 }

export function addUsage(one: Usage, other: Usage): Usage {
  return {
    activeSeconds: one.activeSeconds + other.activeSeconds,
    computeSeconds: one.computeSeconds + other.computeSeconds,
    writtenBytes: one.writtenBytes + other.writtenBytes,
    transferBytes: one.transferBytes + other.transferBytes,
  }
}

export type PeriodUsage = Usage & { periodStart: Date; periodEnd: Date }

/** Levels at this moment, in bytes. */
export type ProjectStorage = {
  /** Sum over the branches of what their databases hold, as Postgres says it. */
  logicalBytes: number
  /** Data and retained log over all branches, what they share once. */
  syntheticBytes: number
  /** Of that, what is kept for going back in time. */
  historyBytes: number
  snapshotBytes: number
}

/** What used it. `endpointId` is empty where no endpoint served. */
export type UsagePlace = { projectId: ProjectId; branchId: BranchId; endpointId: EndpointId | '' }

/** Moments in milliseconds since 1970, as everywhere in the counting. A compute served from `since` to `until` at one size. */
export type ServedInterval = UsagePlace & { cu: number; since: number; until: number }

export type UsedBytes = UsagePlace & { at: number; writtenBytes: number; transferBytes: number }

/** A compute that serves, not accounted for since. */
export type RunningSince = UsagePlace & { timelineId: TimelineId; cu: number; since: number }

/** A timeline's log is accounted for up to here, of which `writtenBytes` since the last time. */
export type LogReading = { timelineId: TimelineId; lsn: Lsn; writtenBytes: number }

/** What a run of the proxy has sent to clients of an endpoint since it began. */
export type EdgeReading = { run: string; endpointId: string; bytes: number }

/** What happened since the last delivery, and where the readings stand with it: taken together, or not at all. */
export type UsageDelivery = {
  /** Grows by one with each; a delivery that comes again is recognised by it. */
  number: number
  /** Every compute that is running at the end of it has run until then. */
  aliveAt: number
  intervals: ServedInterval[]
  bytes: UsedBytes[]
  started: RunningSince[]
  stopped: TimelineId[]
  logs: LogReading[]
  edges: EdgeReading[]
  /** Branches whose share of storage is to be looked at again. */
  branches: BranchId[]
}
