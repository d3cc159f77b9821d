// How much the processes of a compute have read of files, be it from the cache. The kernel counts it for each process and forgets it with it.

import { readFileSync } from 'node:fs'

export class ReadCount {
  #total = 0
  #byProcess: Map<number, number> | undefined

  /** Since it was counted first. */
  get total(): number {
    return this.#total
  }

  /** To be called every few seconds: what a process read that lived between two calls is not seen. */
  count(pids: readonly number[]): void {
    const now = new Map<number, number>()
    for (const pid of pids) {
      const bytes = bytesReadBy(pid)
      if (bytes !== undefined) now.set(pid, bytes)
    }
    const before = this.#byProcess
    if (before) for (const [pid, bytes] of now) this.#total += growth(before.get(pid), bytes)
    this.#byProcess = now
  }
}

/** One that is new, or has a number that was another's, has read all of it since. */
function growth(before: number | undefined, now: number): number {
  return before === undefined || now < before ? now : now - before
}

/** Linux: Documentation/filesystems/proc.rst, 3.3. Sockets are not among it. */
function bytesReadBy(pid: number): number | undefined {
  try {
    const bytes = /^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]
    return bytes === undefined ? undefined : Number(bytes)
  } catch {
    // It has ended.
    return undefined
  }
}
