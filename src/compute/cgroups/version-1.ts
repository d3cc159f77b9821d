// Version 1: a hierarchy for each of cpu, cpuacct, memory and pids, some of them perhaps in one place. Every group is made in all of them.
//
// It has one limit of memory, at which a process is killed. That is set to the memory of the largest size a compute may get; what it keeps in
// its cache beyond the size it has is taken from it by lowering the limit for as long as that takes, which the kernel refuses
// where it would take more than cache.

import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { makeGroup, readNumber, readText, removeGroup, write, writeUnless } from './files.ts'
import { burstUs, periodUs, weightPerProcessor, type GroupTree, type GroupUsage } from './group-tree.ts'
import { parseCounts, parseMemory, parsePids } from './readings.ts'

/** Folders of the group that holds all. */
export type Version1Folders = { cpu: string; cpuacct: string; memory: string; pids: string | undefined }

/** The kernel takes any number beyond what it can count for none. */
const unlimitedBytes = 2 ** 60
/** What the kernel gives a process that is in no group. */
const sharesOfAProcess = 1024
const mostShares = 262_144

export class Version1 implements GroupTree {
  readonly version = 1
  readonly #folders: Version1Folders
  readonly #all: readonly string[]

  private constructor(folders: Version1Folders) {
    this.#folders = folders
    const { cpu, cpuacct, pids, memory } = folders
    // Memory last: what a process has begun that is in its group of memory is in the others too.
    this.#all = [...new Set([cpu, cpuacct, pids, memory].filter((each) => each !== undefined))]
  }

  /** Makes the group that holds all. Throws where that may not be. */
  static async open(folders: Version1Folders): Promise<Version1> {
    const tree = new Version1(folders)
    for (const folder of tree.#all) await makeGroup(folder)
    const shares = sharesOfAProcess * weightPerProcessor * availableParallelism()
    await write(join(folders.cpu, 'cpu.shares'), Math.min(mostShares, shares))
    return tree
  }

  get place(): string {
    return this.#folders.memory
  }

  async names(): Promise<string[]> {
    const found = new Set<string>()
    for (const folder of this.#all)
      for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) found.add(entry.name)
    return [...found]
  }

  async make(name: string): Promise<void> {
    for (const folder of this.#all) await makeGroup(join(folder, name))
  }

  async remove(name: string): Promise<boolean> {
    let isGone = true
    for (const folder of this.#all) isGone = (await removeGroup(join(folder, name))) && isGone
    return isGone
  }

  async close(): Promise<void> {
    for (const folder of this.#all) await removeGroup(folder)
  }

  entrances(name: string): readonly string[] {
    return this.#all.map((folder) => join(folder, name, 'tasks'))
  }

  async admit(name: string, pid: number): Promise<void> {
    for (const folder of this.#all) await writeUnless(join(folder, name, 'cgroup.procs'), pid, 'ESRCH')
  }

  processes(name: string): number[] {
    return parsePids(readText(join(this.#folders.memory, name, 'cgroup.procs')))
  }

  async limitProcesses(name: string, most: number): Promise<void> {
    if (this.#folders.pids) await write(join(this.#folders.pids, name, 'pids.max'), most)
  }

  async limitCpu(name: string, cpus: number | undefined): Promise<void> {
    const file = (what: string): string => join(this.#folders.cpu, name, `cpu.cfs_${what}_us`)
    // A burst above the quota is refused, so it goes first and comes last. Kernels before 5.14 know none.
    await writeUnless(file('burst'), 0, 'ENOENT', 'EACCES')
    const quotaUs = cpus === undefined ? -1 : Math.round(cpus * periodUs)
    await write(file('period'), periodUs)
    // More than the group above may have: then that is the limit.
    if (!(await writeUnless(file('quota'), quotaUs, 'EINVAL'))) return await write(file('quota'), -1)
    if (quotaUs > 0) await writeUnless(file('burst'), burstUs(quotaUs), 'ENOENT', 'EACCES', 'EINVAL')
  }

  cpuLimit(name: string): number | undefined {
    const quotaUs = readNumber(join(this.#folders.cpu, name, 'cpu.cfs_quota_us'))
    const period = readNumber(join(this.#folders.cpu, name, 'cpu.cfs_period_us'))
    return quotaUs === undefined || period === undefined || quotaUs <= 0 ? undefined : quotaUs / period
  }

  async limitMemory(name: string, limit: { bytes: number; mostBytes: number } | undefined): Promise<void> {
    const file = join(this.#folders.memory, name, 'memory.limit_in_bytes')
    if (!limit) return void (await writeUnless(file, -1, 'EBUSY'))
    const inUse = readNumber(join(this.#folders.memory, name, 'memory.usage_in_bytes')) ?? 0
    if (limit.bytes < limit.mostBytes && inUse > limit.bytes) await writeUnless(file, limit.bytes, 'EBUSY', 'EINTR')
    await writeUnless(file, limit.mostBytes, 'EBUSY', 'EINTR')
  }

  memoryLimit(name: string): number | undefined {
    const bytes = readNumber(join(this.#folders.memory, name, 'memory.limit_in_bytes'))
    return bytes === undefined || bytes >= unlimitedBytes ? undefined : bytes
  }

  cpuSeconds(name: string): number | undefined {
    const nanoseconds = readNumber(join(this.#folders.cpuacct, name, 'cpuacct.usage'))
    return nanoseconds === undefined ? undefined : nanoseconds / 1e9
  }

  usage(name: string): GroupUsage | undefined {
    const cpuSeconds = this.cpuSeconds(name)
    const cpuStat = readText(join(this.#folders.cpu, name, 'cpu.stat'))
    const memoryStat = readText(join(this.#folders.memory, name, 'memory.stat'))
    const inUse = readNumber(join(this.#folders.memory, name, 'memory.usage_in_bytes'))
    if (cpuSeconds === undefined || cpuStat === undefined || memoryStat === undefined || inUse === undefined)
      return undefined
    return { cpuSeconds, ...parseCpuStat(cpuStat), ...parseMemory(memoryStat, 'cache', inUse) }
  }
}

/** Linux: Documentation/scheduler/sched-bwc.rst. In nanoseconds, summed over processors. */
export function parseCpuStat(text: string): Pick<GroupUsage, 'throttledSeconds'> {
  return { throttledSeconds: (parseCounts(text).get('throttled_time') ?? 0) / 1e9 }
}
