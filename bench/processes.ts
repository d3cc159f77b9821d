// Memory and CPU time of processes, as Linux tells them.

import { readFile } from 'node:fs/promises'
import { processesBelow } from '../src/compute/process.ts'
import { childrenOf } from '../test/support/node-pids.ts'

/** `USER_HZ`. */
const ticksPerSecond = 100

/** The edge with the workers that it may have. */
export async function withChildren(pid: number): Promise<number[]> {
  return [pid, ...(await childrenOf(pid))]
}

export type Memory = { pssMb: number; rssMb: number }

/** PSS counts a page that several processes share once over all of them, RSS once for each. */
export async function memoryOf(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0)
  return { pssMb: kilobytes('Pss') / 1024, rssMb: kilobytes('Rss') / 1024 }
}

export async function memoryOfAll(pids: readonly number[]): Promise<Memory> {
  const each = await Promise.all(pids.map(memoryOf))
  return each.reduce((sum, one) => ({ pssMb: sum.pssMb + one.pssMb, rssMb: sum.rssMb + one.rssMb }), {
    pssMb: 0,
    rssMb: 0,
  })
}

/** User and system time since the process began. */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond
}

export async function cpuSecondsOfAll(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(pids.map(cpuSeconds))
  return each.reduce((sum, one) => sum + one, 0)
}

/** Postgres processes of tenants and of the warm pool, which work in their data directories. */
export async function computePids(storageRoot: string): Promise<number[]> {
  return await processesBelow(`${storageRoot}/timelines`)
}

export async function availableMb(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8')
  return Number(/^MemAvailable: +(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024
}
