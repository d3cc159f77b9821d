// How large a compute has to be. Pure: what was read of it goes in, a size and its reason come out.
//
// The size asked for is the largest of three needs, each with room to spare: CPU load / 0.9, memory / 0.75 and the working set of the cache /
// 0.75, in units of 1 CPU and 4 GiB, in steps of 0.25 and within the endpoint's limits. A compute becomes larger at once. It becomes smaller
// when a smaller size would have been enough for `settleSeconds` on end, and then as small as the largest that was asked for in that time.

import { bytesInCu } from './compute.ts'

/** Of an endpoint. */
export type ScalingLimits = { minCu: number; maxCu: number }

/** Which of the needs, or which of the limits, made the size what it is. */
export type SizeReason = 'cpu' | 'memory' | 'cache' | 'minimum' | 'maximum'

export type Size = { cu: number; reason: SizeReason }

/** `smaller`: the largest size that was asked for since a smaller one than this is enough. */
export type HeldSize = Size & { smaller?: { size: Size; sinceMs: number } | undefined }

/** What a compute needs at the moment. */
export type Load = {
  /** Processors it used, and would have used had its size allowed it. */
  cpus: number
  /** What cannot be dropped: its processes' memory and what they share. */
  memoryBytes: number
  /** Working set of its page cache over the last five minutes. */
  cacheBytes: number
}

/** Without a figure for it, a compute that was used by fits and starts would change its size with each of them. */
export const settleSeconds = 60
export const stepCu = 0.25

/** How much of a size may be in use before a larger one is asked for. */
const targets = { cpu: 0.9, memory: 0.75, cache: 0.75 } as const

const needs: Readonly<Record<keyof typeof targets, (load: Load) => number>> = {
  cpu: ({ cpus }) => cpus / targets.cpu,
  memory: ({ memoryBytes }) => memoryBytes / bytesInCu / targets.memory,
  cache: ({ cacheBytes }) => cacheBytes / bytesInCu / targets.cache,
}

/** What divisions leave behind the last digit must not cost a step. */
const inSteps = (cu: number): number => Math.ceil(cu / stepCu - 1e-9) * stepCu

/** The size that a load asks for, whatever the compute has now. */
export function wantedSize(load: Load, { minCu, maxCu }: ScalingLimits): Size {
  let size: Size = { cu: 0, reason: 'cpu' }
  for (const reason of ['cpu', 'memory', 'cache'] as const) {
    const cu = inSteps(Math.max(0, needs[reason](load)))
    if (cu > size.cu) size = { cu, reason }
  }
  if (size.cu <= minCu) return { cu: minCu, reason: 'minimum' }
  return size.cu > maxCu ? { cu: maxCu, reason: 'maximum' } : size
}

/** A size that was right before the limits were changed. */
export function withinLimits(held: HeldSize, { minCu, maxCu }: ScalingLimits): HeldSize {
  if (held.cu > maxCu) return { cu: maxCu, reason: 'maximum' }
  if (held.cu < minCu) return { cu: minCu, reason: 'minimum' }
  return held
}

/** The size that follows on the one a compute has. */
export function nextSize(
  before: HeldSize,
  load: Load,
  limits: ScalingLimits,
  { nowMs, settleMs }: { nowMs: number; settleMs: number },
): HeldSize {
  const held = withinLimits(before, limits)
  const wanted = wantedSize(load, limits)
  if (wanted.cu >= held.cu) return wanted
  const since = held.smaller?.sinceMs ?? nowMs
  const largest = held.smaller && held.smaller.size.cu >= wanted.cu ? held.smaller.size : wanted
  if (nowMs - since >= settleMs) return largest
  return { cu: held.cu, reason: held.reason, smaller: { size: largest, sinceMs: since } }
}
