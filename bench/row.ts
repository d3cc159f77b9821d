// What a row is and what it hands back. A row starts the pgrove it measures, measures, and takes everything down again.

import type { Summary } from './stats.ts'

export type Options = {
  /** How often a row of latencies measures. */
  samples: number
  /** How long a row of throughput runs, and the idle row watches. */
  seconds: number
  /** Running at once, for density. */
  computes: number
  /** Suspended, for idle. */
  projects: number
  /** What the parent of a branch holds, for branch-large. */
  sizeMb: number
  /** Callers at once, for sustained-creates. */
  concurrency: readonly number[]
  /** Of each kind, for many-branches. */
  branches: number
  /** What a branch has to replay, for past-point-large. */
  logMb: number
  /** What a bulk load writes, for write-throughput. */
  loadMb: number
  /** For the rows of the data path: how often each path is measured, in turns, for how long, and with how many clients at once. */
  rounds: number
  roundSeconds: number
  clients: readonly number[]
  /** Connected and silent, for idle-clients. */
  idleClients: number
  idleTlsClients: number
  /** Projects in one organization, for large-organization. */
  organization: number
}

export type Target = { text: string; met: boolean }

export type Result = {
  /** One line of the table. */
  what: string
  unit: 'ms' | 'kB' | 'MB' | '/s' | '%' | 'tps' | 'MB/s'
  figures: Summary
  floor?: { what: string; figures: Summary } | undefined
  targets: Target[]
  /** What else was seen and has no target. */
  note?: string | undefined
}

export type Row = {
  name: string
  /** Takes minutes: only when it is named. */
  slow: boolean
  about: string
  run(options: Options, say: (text: string) => void): Promise<Result[]>
}

export const p50AtMost = (figures: Summary, limit: number): Target => ({
  text: `p50 ≤ ${limit}`,
  met: figures.p50 <= limit,
})
export const p99AtMost = (figures: Summary, limit: number): Target => ({
  text: `p99 ≤ ${limit}`,
  met: figures.p99 <= limit,
})

export const timesFloorAtMost = (figures: Summary, floor: Summary, limit: number): Target => ({
  text: `p50 ≤ ${limit} × floor`,
  met: figures.p50 <= limit * floor.p50,
})

export const timesFloorAtLeast = (figures: Summary, floor: Summary, limit: number): Target => ({
  text: `p50 ≥ ${limit} × floor`,
  met: figures.p50 >= limit * floor.p50,
})

export const oneValue = (value: number): Summary => ({ n: 1, p50: value, p99: value, min: value, max: value })
