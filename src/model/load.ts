// From what was read of a compute, time and again, to what it needs. Pure.

import type { Load } from './autoscaling.ts'

/** One reading. Seconds and `…Total` only grow while a compute runs; the rest are levels. */
export type Usage = {
  cpuSeconds: number
  /** For which it had work to do and nothing left of its quota, summed over processors. */
  throttledSeconds: number
  /** What cannot be dropped. */
  memoryBytes: number
  /** Page cache charged to it. */
  cacheBytes: number
  /** Of that, what was used more than once. */
  activeCacheBytes: number
  /** Read in again after it had been dropped for want of room, be it of room on the machine. */
  refaultedBytesTotal: number
  /** What its processes have read of files, be it from the cache. Undefined until somebody counts, and from then on a number. */
  readBytesTotal: number | undefined
}

/** What has to be kept from one reading to the next. */
export type Readings = { usage: Usage; atMs: number; missedBytes: number; past: readonly Mark[] }

type Mark = { atMs: number; missedBytes: number; readBytes: number | undefined }

/** Neon looks at the working set of the last five minutes. */
const cacheWindowMs = 300_000
/** Often enough for a window to move smoothly, seldom enough to keep little. */
const markEveryMs = 15_000

/** Of its memory, with less than this in use a compute had room for what was dropped, and a larger one would not have kept it either. */
const fullFrom = 0.8

/** `load` is undefined after the first reading, which says nothing of it yet. `sizeBytes`: the memory that the compute may use. */
export function loadSince(
  before: Readings | undefined,
  usage: Usage,
  { atMs, sizeBytes }: { atMs: number; sizeBytes: number },
): { load: Load | undefined; readings: Readings } {
  const missedBytes = (before?.missedBytes ?? 0) + (before ? missedSince(before.usage, usage, sizeBytes) : 0)
  const readings = { usage, atMs, missedBytes, past: marksWith(before?.past ?? [], { usage, missedBytes, atMs }) }
  const seconds = before ? (atMs - before.atMs) / 1000 : 0
  if (!before || seconds <= 0) return { load: undefined, readings: before ?? readings }
  const grown = (of: (usage: Usage) => number): number => Math.max(0, of(usage) - of(before.usage))
  const cpus = (grown((each) => each.cpuSeconds) + grown((each) => each.throttledSeconds)) / seconds
  return { load: { cpus, memoryBytes: usage.memoryBytes, cacheBytes: workingSet(readings) }, readings }
}

/** A machine that is short of memory drops pages of all computes: that makes none of them want to be larger. */
function missedSince(before: Usage, usage: Usage, sizeBytes: number): number {
  const isFull = [before, usage].some((each) => each.memoryBytes + each.cacheBytes >= sizeBytes * fullFrom)
  return isFull ? Math.max(0, usage.refaultedBytesTotal - before.refaultedBytesTotal) : 0
}

/**
 * The kernel calls a page active that was used twice, and goes on to do so until it needs the room. What was not even read in five minutes was
 * not used in them, so what was read bounds the rest, once it has been counted for so long.
 */
function workingSet({ usage, missedBytes, past: [first], atMs }: Readings): number {
  const wanted = usage.activeCacheBytes + missedBytes - (first?.missedBytes ?? missedBytes)
  const counted = first?.readBytes !== undefined && atMs - first.atMs >= cacheWindowMs ? first.readBytes : undefined
  if (counted === undefined || usage.readBytesTotal === undefined) return wanted
  return Math.min(wanted, Math.max(0, usage.readBytesTotal - counted))
}

/** The first one is the youngest that is as old as the window, so that the window is covered. */
function marksWith(past: readonly Mark[], { usage, missedBytes, atMs }: Omit<Readings, 'past'>): readonly Mark[] {
  const last = past.at(-1)
  if (last && atMs - last.atMs < markEveryMs) return past
  const marks = [...past, { atMs, missedBytes, readBytes: usage.readBytesTotal }]
  const covering = marks.findLastIndex((mark) => atMs - mark.atMs >= cacheWindowMs)
  return covering > 0 ? marks.slice(covering) : marks
}
