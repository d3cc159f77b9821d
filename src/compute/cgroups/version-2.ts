// Version 2: one hierarchy. A compute's cache is kept within its size by `memory.high`, and a process is killed at `memory.max`, which is the
// memory of the largest size it may get.

import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { AppError } from '../../model/errors.ts'
import { makeGroup, readNumber, readText, removeGroup, write, writeUnless } from './files.ts'
import { burstUs, periodUs, weightPerProcessor, type GroupTree, type GroupUsage } from './group-tree.ts'
import { parseCounts, parseMemory, parsePids } from './readings.ts'

/** What the kernel gives a group that nobody has weighed. */
const weightOfAGroup = 100
const mostWeight = 10_000
/** Without these two a size is nothing. */
const needed = ['cpu', 'memory']

export class Version2 implements GroupTree {
  readonly version = 2
  readonly #folder: string
  readonly #hasPids: boolean

  private constructor(folder: string, hasPids: boolean) {
    this.#folder = folder
    this.#hasPids = hasPids
  }

  /** Makes the group that holds all, in `base`. Throws where that may not be; then nothing is left of it. */
  static async open(base: string, name: string): Promise<Version2> {
    const folder = join(base, name)
    await handOut(base)
    await makeGroup(folder)
    try {
      await handOut(folder)
      const handed = controllersIn(join(folder, 'cgroup.subtree_control'))
      const weight = weightOfAGroup * weightPerProcessor * availableParallelism()
      await write(join(folder, 'cpu.weight'), Math.min(mostWeight, weight))
      return new Version2(folder, handed.includes('pids'))
    } catch (error) {
      await removeGroup(folder)
      throw error
    }
  }

  get place(): string {
    return this.#folder
  }

  async names(): Promise<string[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  }

  async make(name: string): Promise<void> {
    await makeGroup(join(this.#folder, name))
  }

  async remove(name: string): Promise<boolean> {
    return await removeGroup(join(this.#folder, name))
  }

  async close(): Promise<void> {
    await removeGroup(this.#folder)
  }

  /** Only threads go in without the wait here, and a compute is a whole process. */
  entrances(): readonly string[] {
    return []
  }

  async admit(name: string, pid: number): Promise<void> {
    await writeUnless(join(this.#folder, name, 'cgroup.procs'), pid, 'ESRCH')
  }

  processes(name: string): number[] {
    return parsePids(readText(join(this.#folder, name, 'cgroup.procs')))
  }

  async limitProcesses(name: string, most: number): Promise<void> {
    if (this.#hasPids) await write(join(this.#folder, name, 'pids.max'), most)
  }

  async limitCpu(name: string, cpus: number | undefined): Promise<void> {
    const file = (what: string): string => join(this.#folder, name, `cpu.max${what}`)
    // A burst above the quota is refused, so it goes first and comes last. Kernels before 5.14 know none.
    await writeUnless(file('.burst'), 0, 'ENOENT', 'EACCES')
    if (cpus === undefined) return await write(file(''), `max ${periodUs}`)
    const quotaUs = Math.round(cpus * periodUs)
    await write(file(''), `${quotaUs} ${periodUs}`)
    await writeUnless(file('.burst'), burstUs(quotaUs), 'ENOENT', 'EACCES', 'EINVAL')
  }

  cpuLimit(name: string): number | undefined {
    return parseCpuMax(readText(join(this.#folder, name, 'cpu.max')))
  }

  async limitMemory(name: string, limit: { bytes: number; mostBytes: number } | undefined): Promise<void> {
    const file = (what: string): string => join(this.#folder, name, `memory.${what}`)
    // The one at which nobody is killed first: by the time the other is set, what can go has gone.
    await write(file('high'), limit && limit.bytes < limit.mostBytes ? limit.bytes : 'max')
    await write(file('max'), limit ? limit.mostBytes : 'max')
  }

  memoryLimit(name: string): number | undefined {
    return readNumber(join(this.#folder, name, 'memory.max'))
  }

  cpuSeconds(name: string): number | undefined {
    const text = readText(join(this.#folder, name, 'cpu.stat'))
    return text === undefined ? undefined : parseCpuStat(text).cpuSeconds
  }

  usage(name: string): GroupUsage | undefined {
    const cpuStat = readText(join(this.#folder, name, 'cpu.stat'))
    const memoryStat = readText(join(this.#folder, name, 'memory.stat'))
    const inUse = readNumber(join(this.#folder, name, 'memory.current'))
    if (cpuStat === undefined || memoryStat === undefined || inUse === undefined) return undefined
    return { ...parseCpuStat(cpuStat), ...parseMemory(memoryStat, 'file', inUse) }
  }
}

const controllersIn = (file: string): string[] => (readText(file) ?? '').split(/\s+/).filter(Boolean)

/** Groups below this one get the controllers we need, and pids where there is that. */
async function handOut(folder: string): Promise<void> {
  const there = controllersIn(join(folder, 'cgroup.controllers'))
  const missing = needed.filter((name) => !there.includes(name))
  if (missing.length > 0)
    throw new AppError('not_implemented', `control groups at ${folder} have no ${missing.join(' and no ')}`)
  const file = join(folder, 'cgroup.subtree_control')
  const handed = controllersIn(file)
  for (const name of [...needed, 'pids'])
    if (there.includes(name) && !handed.includes(name)) await write(file, `+${name}`)
}

/** Linux: Documentation/admin-guide/cgroup-v2.rst. Microseconds. */
export function parseCpuStat(text: string): Pick<GroupUsage, 'cpuSeconds' | 'throttledSeconds'> {
  const counts = parseCounts(text)
  return {
    cpuSeconds: (counts.get('usage_usec') ?? 0) / 1e6,
    throttledSeconds: (counts.get('throttled_usec') ?? 0) / 1e6,
  }
}

export function parseCpuMax(text: string | undefined): number | undefined {
  const [quota, period] = (text ?? '').trim().split(' ').map(Number)
  return quota === undefined || period === undefined || !Number.isFinite(quota / period) ? undefined : quota / period
}
