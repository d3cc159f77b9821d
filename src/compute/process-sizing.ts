// Sizes where there are no control groups: figures only, from what each process says of itself. Nothing says what of the page cache is whose.

import { readFileSync } from 'node:fs'
import type { Usage } from '../model/load.ts'
import type { TimelineId } from '../model/ids.ts'
import type { GivenSize, Sizing } from './sizing.ts'

/** `USER_HZ`, which the kernel keeps at 100 for programs whatever its own clock does. */
const ticksPerSecond = 100
const pageBytes = 4096

export class ProcessSizing implements Sizing {
  readonly enforced = false

  async resize(_id: TimelineId, _size: GivenSize): Promise<void> {}

  async lift(_id: TimelineId): Promise<void> {}

  sizeOf(_id: TimelineId): undefined {
    return undefined
  }

  usage(_id: TimelineId, pid: number): Usage | undefined {
    // A child that ends leaves its time with its parent, so nothing of it is lost.
    const processes = [pid, ...childrenOf(pid)]
    let [ticks, own, shared] = [0, 0, 0]
    for (const each of processes) {
      const [stat, memory] = [read(each, 'stat'), read(each, 'statm')]
      if (stat === undefined || memory === undefined) continue
      ticks += ticksIn(stat)
      const [, resident = 0, mapped = 0] = memory.split(' ').map(Number)
      own += resident - mapped
      // What they share is the same for all of them.
      shared = Math.max(shared, mapped)
    }
    if (ticks === 0 && own === 0) return undefined
    return {
      cpuSeconds: ticks / ticksPerSecond,
      throttledSeconds: 0,
      memoryBytes: (own + shared) * pageBytes,
      cacheBytes: 0,
      activeCacheBytes: 0,
      refaultedBytesTotal: 0,
      readBytesTotal: undefined,
    }
  }
}

function read(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    // It has ended, or this system has no such files.
    return undefined
  }
}

const childrenOf = (pid: number): number[] =>
  (read(pid, `task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number)

/** Its own time and that of the children it has outlived. The second field is the program's name in brackets and may hold anything. */
function ticksIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
}
