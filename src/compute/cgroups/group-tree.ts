// The groups of one pgrove: one that holds all, and in it one a compute. What version 1 and version 2 have in common.

export type GroupUsage = {
  cpuSeconds: number
  throttledSeconds: number
  /** Processes' memory, what they share, and what the kernel keeps for them. */
  memoryBytes: number
  /** Page cache, shared memory not among it. */
  cacheBytes: number
  activeCacheBytes: number
  refaultedBytesTotal: number
}

/** Every method may be repeated. Those that read throw nothing where the group is gone. */
export type GroupTree = {
  readonly version: 1 | 2
  /** Where it lies, for people. */
  readonly place: string
  names(): Promise<string[]>
  make(name: string): Promise<void>
  /** False while processes are in it. */
  remove(name: string): Promise<boolean>
  /** Removes the group that holds all, unless there is one in it. */
  close(): Promise<void>
  /**
   * Files that a process of one thread writes 0 to and is inside. Whoever puts it there from outside makes the kernel wait for all
   * processors, and what it forks waits with it. None: it cannot go in by itself.
   */
  entrances(name: string): readonly string[]
  /** A process that has ended is none. */
  admit(name: string, pid: number): Promise<void>
  processes(name: string): number[]
  limitProcesses(name: string, most: number): Promise<void>
  /** Undefined: no limit. */
  limitCpu(name: string, cpus: number | undefined): Promise<void>
  cpuLimit(name: string): number | undefined
  /** `bytes`: what is there to stay within; `mostBytes`: beyond it a process is killed. Undefined: no limit. Waits until cache has gone that is too much. */
  limitMemory(name: string, limit: { bytes: number; mostBytes: number } | undefined): Promise<void>
  /** Undefined: none is set. */
  memoryLimit(name: string): number | undefined
  /** Costs next to nothing. */
  cpuSeconds(name: string): number | undefined
  usage(name: string): GroupUsage | undefined
}

/** Microseconds. The kernel's own default. */
export const periodUs = 100_000

/**
 * What all computes together weigh against anybody else on the machine, in what one process weighs for each processor. Within them each weighs the
 * same: its size bounds it anyway, and with weights by size whoever is small and asks now and then would wait for whoever is large and never rests.
 */
export const weightPerProcessor = 4

/** What a group may use at once of what it left over before: the start of a session is over before the period is. */
export const burstUs = (quotaUs: number): number => quotaUs
