// What pgrove's own processes weigh where CPU is short. Every query passes through them, so whoever waits for them waits in vain for his compute
// to be given a processor.

import { readFile, writeFile } from 'node:fs/promises'

/** sched(7), autogroup: what a session's processes weigh together. At this they outweigh all computes on one processor (`weightPerProcessor`). */
const niceness = -10
const file = '/proc/self/autogroup'

/**
 * Puts the session that this process is in first; the call that it returns puts it back. Nothing where the kernel knows no such thing, this
 * process may not do it, or is in a control group of its own, whose weight its operator sets.
 */
export async function comeFirst(): Promise<() => Promise<void>> {
  const before = /nice (-?\d+)/.exec(await readFile(file, 'utf8').catch(() => ''))?.[1]
  if (before === undefined || Number(before) <= niceness) return async () => {}
  const isDone = await set(niceness)
  return async () => void (isDone && (await set(Number(before))))
}

const set = (nice: number): Promise<boolean> =>
  writeFile(file, String(nice)).then(
    () => true,
    () => false,
  )
