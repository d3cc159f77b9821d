// Consumption by timeframe: hours of use summed up, levels of storage integrated over time, within the time that a project was somebody's. Pure.
//
// Moments are milliseconds since 1970; what is told is exact up to the rounding of the figures.

import type { BranchId, ProjectId } from './ids.ts'
import { periodOf } from './usage.ts'

export const granularities = ['hourly', 'daily', 'monthly'] as const
export type Granularity = (typeof granularities)[number]

/** Half-open, and within one calendar month (UTC). */
export type Timeframe = { start: number; end: number }

export type UsedHour = {
  projectId: ProjectId
  branchId: BranchId
  hour: number
  activeMs: number
  computeCuMs: number
  writtenBytes: number
  transferBytes: number
}

/**
 * `exists`: 1 while a branch is there. `logical`: what it holds; the same as `root` or as `child` by what it is, a child's being no more
 * than what it changed. `history`: what going back in time takes. `snapshots`: of the project.
 */
export type LevelKind = 'exists' | 'logical' | 'root' | 'child' | 'history' | 'snapshots'

/** Holds until the next change of its kind. */
export type LevelChange = { projectId: ProjectId; branchId: BranchId; kind: LevelKind; since: number; value: number }

export type Ownership = { projectId: ProjectId; since: number; until: number }

/** Of one project or branch, in one timeframe. */
export type Figures = {
  activeMs: number
  computeCuMs: number
  writtenBytes: number
  transferBytes: number
  /** Integrals, in bytes × milliseconds. */
  byteMs: Record<Exclude<LevelKind, 'exists'>, number>
  /** Branches beyond the allowance, times milliseconds. */
  extraBranchMs: number
  /** In bytes, at the end of the timeframe, or now. */
  logicalAtEnd: number
  syntheticAtEnd: number
}

/** What the synthetic size is made of: a block that a branch shares with its parent is the parent's. */
const syntheticKinds: ReadonlySet<LevelKind> = new Set(['root', 'child', 'history'])

/** Branches of a project that cost nothing extra. */
export const includedBranches = 10

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Neon tells nothing of the time before. */
const firstMoment = Date.UTC(2024, 2, 1)

function roundedDown(moment: number, granularity: Granularity): number {
  switch (granularity) {
    case 'hourly':
      return Math.floor(moment / hourMs) * hourMs
    case 'daily':
      return Math.floor(moment / dayMs) * dayMs
    case 'monthly':
      return periodOf(new Date(moment)).start.getTime()
  }
}

function endOf(start: number, granularity: Granularity): number {
  switch (granularity) {
    case 'hourly':
      return start + hourMs
    case 'daily':
      return start + dayMs
    case 'monthly':
      return periodOf(new Date(start)).end.getTime()
  }
}

/** How far back each granularity is told. */
const reach: Readonly<Record<Granularity, { words: string; start: (now: Date) => number }>> = {
  hourly: { words: 'the last 168 hours', start: (now) => now.getTime() - 168 * hourMs },
  daily: { words: 'the last 60 days', start: (now) => now.getTime() - 60 * dayMs },
  monthly: {
    words: 'the last year',
    start: (now) => Date.UTC(now.getUTCFullYear() - 1, now.getUTCMonth(), now.getUTCDate()),
  },
}

/** Every timeframe from `from` to `to`, both rounded down; those that have not begun are left out. */
export function timeframesOf(
  granularity: Granularity,
  from: Date,
  to: Date,
  now: Date,
): { kind: 'timeframes'; timeframes: Timeframe[] } | { kind: 'refused'; why: string } {
  const start = roundedDown(from.getTime(), granularity)
  const end = roundedDown(to.getTime(), granularity)
  const { words, start: reaches } = reach[granularity]
  if (start < firstMoment)
    return { kind: 'refused', why: 'there is no consumption history before 2024-03-01T00:00:00Z' }
  if (start < roundedDown(reaches(now), granularity)) {
    return {
      kind: 'refused',
      why: `${granularity} consumption is told for ${words}: ask for a later start or a coarser granularity`,
    }
  }
  if (end < start) return { kind: 'refused', why: '"to" lies before "from"' }
  const timeframes: Timeframe[] = []
  for (let at = start; at < end && at <= now.getTime(); at = endOf(at, granularity)) {
    timeframes.push({ start: at, end: endOf(at, granularity) })
  }
  return { kind: 'timeframes', timeframes }
}

type Segment = { start: number; end: number; value: number }

/** Of one project or of one of its branches, for each timeframe. `now`: nothing is known of what comes after. */
export function figuresOf(
  timeframes: readonly Timeframe[],
  given: {
    hours: readonly UsedHour[]
    levels: readonly LevelChange[]
    ownerships: readonly Ownership[]
    now: number
  },
): Figures[] {
  const figures = timeframes.map(noFigures)
  for (const hour of given.hours) {
    const into = figures[frameAt(timeframes, hour.hour)]
    if (!into) continue
    into.activeMs += hour.activeMs
    into.computeCuMs += hour.computeCuMs
    into.writtenBytes += hour.writtenBytes
    into.transferBytes += hour.transferBytes
  }
  const lives: Segment[] = []
  for (const changes of byLevel(given.levels)) {
    const kind = changes[0]?.kind
    if (kind === undefined) continue
    const segments = owned(segmentsOf(changes, given.now), given.ownerships)
    if (kind === 'exists') {
      lives.push(...segments)
      continue
    }
    spread(segments, timeframes, (index, valueMs) => {
      const into = figures[index]
      if (into) into.byteMs[kind] += valueMs
    })
    for (const [index, { end }] of timeframes.entries()) {
      const into = figures[index]
      if (!into) continue
      const value = valueBefore(segments, Math.min(end, given.now))
      if (kind === 'logical') into.logicalAtEnd += value
      if (syntheticKinds.has(kind)) into.syntheticAtEnd += value
    }
  }
  spread(excess(lives, includedBranches), timeframes, (index, valueMs) => {
    const into = figures[index]
    if (into) into.extraBranchMs += valueMs
  })
  return figures
}

/** Bytes held all month long that come to the same. */
export function perMonth(valueMs: number, { start }: Timeframe): number {
  const month = periodOf(new Date(start))
  return valueMs / (month.end.getTime() - month.start.getTime())
}

export const perHour = (valueMs: number): number => valueMs / hourMs

const noFigures = (): Figures => ({
  activeMs: 0,
  computeCuMs: 0,
  writtenBytes: 0,
  transferBytes: 0,
  byteMs: { logical: 0, root: 0, child: 0, history: 0, snapshots: 0 },
  extraBranchMs: 0,
  logicalAtEnd: 0,
  syntheticAtEnd: 0,
})

/** -1 where none holds it. */
function frameAt(timeframes: readonly Timeframe[], moment: number): number {
  let [low, high] = [0, timeframes.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((timeframes[middle]?.end ?? 0) <= moment) low = middle + 1
    else high = middle
  }
  const found = timeframes[low]
  return found && found.start <= moment ? low : -1
}

function byLevel(levels: readonly LevelChange[]): Iterable<LevelChange[]> {
  const groups = new Map<string, LevelChange[]>()
  for (const change of levels) {
    const key = `${change.branchId} ${change.kind}`
    const group = groups.get(key)
    if (group) group.push(change)
    else groups.set(key, [change])
  }
  return groups.values()
}

/** `changes` are of one level, oldest first. */
function segmentsOf(changes: readonly LevelChange[], now: number): Segment[] {
  return changes.flatMap(({ since, value }, index) => {
    const end = Math.min(changes[index + 1]?.since ?? now, now)
    return value > 0 && end > since ? [{ start: since, end, value }] : []
  })
}

function owned(segments: readonly Segment[], ownerships: readonly Ownership[]): Segment[] {
  return segments.flatMap((segment) =>
    ownerships.flatMap(({ since, until }) => {
      const [start, end] = [Math.max(segment.start, since), Math.min(segment.end, until)]
      return end > start ? [{ start, end, value: segment.value }] : []
    }),
  )
}

function spread(
  segments: readonly Segment[],
  timeframes: readonly Timeframe[],
  add: (index: number, valueMs: number) => void,
): void {
  for (const { start, end, value } of segments) {
    const first = Math.max(0, frameAt(timeframes, start))
    for (let index = first; index < timeframes.length; index++) {
      const frame = timeframes[index]
      if (!frame || frame.start >= end) break
      const length = Math.min(end, frame.end) - Math.max(start, frame.start)
      if (length > 0) add(index, length * value)
    }
  }
}

function valueBefore(segments: readonly Segment[], moment: number): number {
  return segments.find(({ start, end }) => start < moment && end >= moment)?.value ?? 0
}

/** How many of them there are at a time beyond what is allowed. */
function excess(lives: readonly Segment[], allowed: number): Segment[] {
  const edges = lives
    .flatMap(({ start, end }) => [
      { at: start, by: 1 },
      { at: end, by: -1 },
    ])
    .toSorted((one, other) => one.at - other.at)
  const segments: Segment[] = []
  let count = 0
  for (const [index, { at, by }] of edges.entries()) {
    count += by
    const end = edges[index + 1]?.at ?? at
    if (count > allowed && end > at) segments.push({ start: at, end, value: count - allowed })
  }
  return segments
}
