// From what was read of a compute, time and again, to what it needs. Pure.

import type { Load } from './autoscaling.ts'

/** One reading. Seconds and `…Total` only grow while a compute runs; the rest are levels. */
export type Usage = {
  cpuSeconds: number
  /** For which it had work to do and nothing left of its quota, summed over processors. */
  throttledSeconds: number
  /** What cannot be dropped. */
  memoryBytes: number
  /** Of the page cache charged to it, what was used more than once. */
  activeCacheBytes: number
  /** Read in again after it had been dropped for want of room. */
  refaultedBytesTotal: number
  /** What its processes have read of files, be it from the cache. Undefined until somebody counts, and from then on a number. */
  readBytesTotal: number | undefined
}

/** What has to be kept from one reading to the next. */
export type Readings = { usage: Usage; atMs: number; past: readonly Mark[] }

type Mark = { atMs: number; refaultedBytes: number; readBytes: number | undefined }

/** Neon looks at the working set of the last five minutes. */
const cacheWindowMs = 300_000
/** Often enough for a window to move smoothly, seldom enough to keep little. */
const markEveryMs = 15_000

/** Undefined after the first reading, which says nothing of the load yet. */
export function loadSince(
  before: Readings | undefined,
  usage: Usage,
  atMs: number,
): { load: Load | undefined; readings: Readings } {
  const readings = { usage, atMs, past: marksWith(before?.past ?? [], usage, atMs) }
  const seconds = before ? (atMs - before.atMs) / 1000 : 0
  if (!before || seconds <= 0) return { load: undefined, readings: before ?? readings }
  const grown = (of: (usage: Usage) => number): number => Math.max(0, of(usage) - of(before.usage))
  const cpus = (grown((each) => each.cpuSeconds) + grown((each) => each.throttledSeconds)) / seconds
  return { load: { cpus, memoryBytes: usage.memoryBytes, cacheBytes: workingSet(readings) }, readings }
}

/**
 * The kernel calls a page active that was used twice, and goes on to do so until it needs the room. What was not even read in five minutes was
 * not used in them, so what was read bounds the rest, once it has been counted for so long.
 */
function workingSet({ usage, past: [first], atMs }: Readings): number {
  const refaulted = usage.refaultedBytesTotal - (first?.refaultedBytes ?? usage.refaultedBytesTotal)
  const wanted = usage.activeCacheBytes + Math.max(0, refaulted)
  const counted = first?.readBytes !== undefined && atMs - first.atMs >= cacheWindowMs ? first.readBytes : undefined
  if (counted === undefined || usage.readBytesTotal === undefined) return wanted
  return Math.min(wanted, Math.max(0, usage.readBytesTotal - counted))
}

/** The first one is the youngest that is as old as the window, so that the window is covered. */
function marksWith(past: readonly Mark[], usage: Usage, atMs: number): readonly Mark[] {
  const last = past.at(-1)
  if (last && atMs - last.atMs < markEveryMs) return past
  const marks = [...past, { atMs, refaultedBytes: usage.refaultedBytesTotal, readBytes: usage.readBytesTotal }]
  const covering = marks.findLastIndex((mark) => atMs - mark.atMs >= cacheWindowMs)
  return covering > 0 ? marks.slice(covering) : marks
}
