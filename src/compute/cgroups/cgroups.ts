// Control groups: one a compute, in which it is from its first moments to its last process, with limits of CPU, memory and processes.
//
// What is set lives in the kernel, so a compute that runs while pgrove does not keeps its size, and whoever adopts it can read that.
//
// A start runs at full speed: a quarter of a processor would make it three times as long. Limits of CPU and memory come with the first size,
// which the autoscaler gives within seconds of the first connection.

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { KeyedLock } from '../../lib/keyed-lock.ts'
import { bytesInCu, computeSize, type ComputeSpec } from '../../model/compute.ts'
import type { Usage } from '../../model/load.ts'
import { isTimelineId, type TimelineId } from '../../model/ids.ts'
import type { Confinement, Launch } from '../confinement.ts'
import type { GivenSize, Sizing } from '../sizing.ts'
import { ReadCount } from '../read-count.ts'
import type { GroupTree, GroupUsage } from './group-tree.ts'

/** What is known of a group beside what the kernel knows. */
type Group = {
  /** Undefined: full speed, or not known since an earlier process of pgrove set it. */
  given: GivenSize | undefined
  /** Of memory, as last set. */
  memory: MemoryLimit | undefined
  last: GroupUsage | undefined
  reads: ReadCount | undefined
}

type MemoryLimit = { bytes: number; mostBytes: number }

/** Lowering a limit makes what it is about give up cache. Where less than a tenth would be left for that, it waits. */
const fits = ({ memoryBytes }: GroupUsage, bytes: number): boolean => memoryBytes <= bytes * 0.9

/** Version 1 does not keep it from growing beyond its size. */
const overflows = ({ memoryBytes, cacheBytes }: GroupUsage, { bytes, mostBytes }: MemoryLimit): boolean =>
  bytes < mostBytes && memoryBytes + cacheBytes > bytes

const isSame = (one: MemoryLimit | undefined, other: MemoryLimit): boolean =>
  one?.bytes === other.bytes && one.mostBytes === other.mostBytes

/** Beside those of clients: Postgres' own, and workers that a project may ask for. */
const ownProcesses = 64
/** Of CPU, since it was last read: a compute that used less has hardly changed otherwise. */
const worthReadingSeconds = 0.02
/** A larger cache than this may be what makes a compute large, and then it has to be known how much of it is in use. */
const worthCountingBytes = 256 * 2 ** 20
/** A killed postmaster's children are gone a moment after it. */
const removalStepsMs = [0, 5, 20, 50, 100, 200] as const
const removalPauseMs = 1000

/**
 * Writes to as many files as its first argument says, which come next, and becomes the command after them. Memory's is the last, and none
 * is written to after one that refused: whoever is in the group of memory is in all, and `confine` sees to the others.
 */
const goIn =
  'n=$1; shift; goes=yes; while [ "$n" -gt 0 ]; do [ "$goes" ] && echo 0 > "$1" || goes=; shift; n=$((n - 1)); done; exec "$@"'

export class Cgroups implements Confinement, Sizing {
  readonly enforced = true
  readonly #tree: GroupTree
  readonly #groups = new Map<TimelineId, Group>()
  readonly #locks = new KeyedLock()
  /** Those that are about to be started, as opposed to found running. */
  readonly #launched = new Set<TimelineId>()
  readonly #removals = new Map<TimelineId, NodeJS.Timeout>()

  constructor(tree: GroupTree) {
    this.#tree = tree
  }

  get description(): string {
    return `version ${this.#tree.version}`
  }

  /** At boot, before anything is adopted: groups of computes that are gone go. */
  async tidy(): Promise<void> {
    for (const name of await this.#tree.names()) if (isTimelineId(name)) await this.#tree.remove(name)
  }

  /** After the last compute was stopped, or to let go of those that run on. */
  async close(): Promise<void> {
    for (const timer of this.#removals.values()) clearTimeout(timer)
    await this.tidy()
    await this.#tree.close()
  }

  async launch({ timelineId: id }: ComputeSpec, wanted: Launch): Promise<Launch> {
    this.#launched.add(id)
    this.#abandonRemoval(id)
    const entrances = this.#tree.entrances(id)
    // They are root's. Whoever is not, or goes in later, is put there by `confine`.
    if (entrances.length === 0 || wanted.uid !== undefined) return wanted
    await this.#locks.run(id, 'launch', () => this.#tree.make(id))
    const { program, args, ...user } = wanted
    return {
      program: '/bin/sh',
      args: ['-c', goIn, 'sh', String(entrances.length), ...entrances, program, ...args],
      ...user,
    }
  }

  async confine(spec: ComputeSpec, pid: number): Promise<void> {
    const { timelineId: id } = spec
    const starts = this.#launched.delete(id)
    this.#abandonRemoval(id)
    await this.#locks.run(id, 'confine', async () => {
      await this.#tree.make(id)
      // Before the limits: moving it makes the kernel wait for all processors, and it goes on with its start meanwhile.
      await this.#admitAll(id, pid)
      await this.#tree.limitProcesses(id, mostProcesses(spec))
      const given = this.#groups.get(id)?.given ?? (starts ? undefined : this.#rememberedSize(id))
      if (!given) {
        await this.#tree.limitCpu(id, undefined)
        await this.#tree.limitMemory(id, undefined)
      }
      this.#groups.set(id, { given, memory: undefined, last: undefined, reads: undefined })
    })
  }

  async release({ timelineId: id }: ComputeSpec): Promise<void> {
    this.#launched.delete(id)
    this.#groups.delete(id)
    for (const pauseMs of removalStepsMs) {
      await delay(pauseMs)
      if (await this.#removed(id)) return
    }
    this.#removeLater(id)
  }

  async resize(id: TimelineId, size: GivenSize): Promise<void> {
    const group = this.#groups.get(id)
    if (!group) return
    await this.#locks.run(id, 'resize', async () => {
      if (this.#groups.get(id) !== group) return
      if (group.given?.cu !== size.cu) await this.#tree.limitCpu(id, size.cu)
      await this.#fitMemory(id, group, size)
      group.given = size
    })
  }

  async lift(id: TimelineId): Promise<void> {
    const group = this.#groups.get(id)
    if (!group?.given) return
    await this.#locks.run(id, 'lift', async () => {
      if (this.#groups.get(id) !== group) return
      await this.#tree.limitCpu(id, undefined)
      group.given = undefined
    })
  }

  sizeOf(id: TimelineId): number | undefined {
    return this.#groups.get(id)?.given?.cu
  }

  usage(id: TimelineId, _pid: number): Usage | undefined {
    const group = this.#groups.get(id)
    if (!group) return undefined
    const { last } = group
    if (last) {
      const cpuSeconds = this.#tree.cpuSeconds(id)
      if (cpuSeconds === undefined) return undefined
      if (cpuSeconds - last.cpuSeconds < worthReadingSeconds)
        return { ...last, cpuSeconds, readBytesTotal: group.reads?.total }
    }
    group.last = this.#tree.usage(id)
    if (!group.last) return undefined
    if (group.last.activeCacheBytes > worthCountingBytes) group.reads ??= new ReadCount()
    group.reads?.count(this.#tree.processes(id))
    return { ...group.last, readBytesTotal: group.reads?.total }
  }

  /** Its children too: those that were born before it was in here are not, and all later ones are. */
  async #admitAll(id: TimelineId, pid: number): Promise<void> {
    if (!this.#tree.processes(id).includes(pid)) await this.#tree.admit(id, pid)
    const inside = new Set(this.#tree.processes(id))
    for (const child of await descendantsOf(pid)) if (!inside.has(child)) await this.#tree.admit(id, child)
  }

  #rememberedSize(id: TimelineId): GivenSize | undefined {
    const cu = this.#tree.cpuLimit(id)
    const mostBytes = this.#tree.memoryLimit(id)
    return cu === undefined ? undefined : { cu, mostCu: mostBytes === undefined ? cu : mostBytes / bytesInCu }
  }

  /** Asks the kernel anew before it changes anything: nobody is killed because a limit was lowered, so what does not fit yet keeps the one it has. */
  async #fitMemory(id: TimelineId, group: Group, { cu, mostCu }: GivenSize): Promise<void> {
    const wanted = { bytes: cu * bytesInCu, mostBytes: mostCu * bytesInCu }
    if (isSame(group.memory, wanted) && group.last && !overflows(group.last, wanted)) return
    const usage = this.#tree.usage(id)
    if (!usage) return
    const set = this.#tree.memoryLimit(id) ?? Infinity
    const mostBytes = wanted.mostBytes >= set || fits(usage, wanted.mostBytes) ? wanted.mostBytes : set
    if (mostBytes === Infinity) return
    const limit = { bytes: fits(usage, wanted.bytes) ? Math.min(wanted.bytes, mostBytes) : mostBytes, mostBytes }
    if (isSame(group.memory, limit) && !overflows(usage, limit)) return
    await this.#tree.limitMemory(id, limit)
    group.memory = limit
    group.last = undefined
  }

  /** Also true where it is needed again. */
  async #removed(id: TimelineId): Promise<boolean> {
    return await this.#locks.run(id, 'remove', async () => {
      const isNeeded = this.#groups.has(id) || this.#launched.has(id)
      return isNeeded || (await this.#tree.remove(id))
    })
  }

  /** A child that is busy outlives a killed postmaster for as long as it is. */
  #removeLater(id: TimelineId): void {
    const timer = setTimeout(() => {
      this.#removals.delete(id)
      this.#removed(id).then(
        (isDone) => isDone || this.#removeLater(id),
        () => {},
      )
    }, removalPauseMs).unref()
    this.#removals.set(id, timer)
  }

  #abandonRemoval(id: TimelineId): void {
    clearTimeout(this.#removals.get(id))
    this.#removals.delete(id)
  }
}

/** Clients', workers' and Postgres' own. It refuses clients long before the kernel refuses it a process. */
export function mostProcesses({ minCu, pgSettings }: ComputeSpec): number {
  const wished = ['max_worker_processes', 'max_wal_senders', 'autovacuum_max_workers']
  const workers = wished.map((name) => Number(pgSettings[name] ?? 0)).filter((count) => count > 0)
  const { maxConnections } = computeSize(minCu)
  return maxConnections + ownProcesses + workers.reduce((sum, count) => sum + count, 0)
}

async function descendantsOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const children = text.split(' ').filter(Boolean).map(Number)
  const all = await Promise.all(children.map(descendantsOf))
  return [...children, ...all.flat()]
}
