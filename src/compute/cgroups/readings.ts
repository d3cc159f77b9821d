// What files of control groups say, as far as both versions say it in the same way. Pure.

import type { GroupUsage } from './group-tree.ts'

/** Lines of `name value`, as in `cpu.stat` and `memory.stat`. */
export function parseCounts(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [name, value] = line.split(' ')
    if (name && value !== undefined) counts.set(name, Number(value))
  }
  return counts
}

/** `cgroup.procs`. */
export function parsePids(text: string | undefined): number[] {
  return (text ?? '').split('\n').filter(Boolean).map(Number)
}

/** On every processor that the embedded Postgres is made for; some kernels for arm64 have larger pages, and then the figure is too small. */
const pageBytes = 4096

/** `stat` is `memory.stat`, `cacheName` the line of it that counts the page cache, in which both versions count shared memory. What was missed is in pages. */
export function parseMemory(
  stat: string,
  cacheName: 'cache' | 'file',
  inUse: number,
): Omit<GroupUsage, 'cpuSeconds' | 'throttledSeconds'> {
  const counts = parseCounts(stat)
  const count = (name: string): number => counts.get(name) ?? 0
  const cacheBytes = Math.max(0, count(cacheName) - count('shmem'))
  return {
    cacheBytes,
    memoryBytes: Math.max(0, inUse - cacheBytes),
    activeCacheBytes: count('active_file'),
    refaultedBytesTotal: count('workingset_refault_file') * pageBytes,
  }
}
