// What a project has used, and the period it is counted by: the calendar month in UTC.

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

/** The zero usage of a period, until something is used in it. */
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
