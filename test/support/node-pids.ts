// The Node processes of a started pgrove, and what Linux says of them.

import { readdir, readFile } from 'node:fs/promises'
import type { TestServer } from './server.ts'

export type NodePids = { start: number; control: number; edge: number }

export async function nodePids({ pid: start }: Pick<TestServer, 'pid'>): Promise<NodePids> {
  const found = { start, control: 0, edge: 0 }
  for (const pid of await childrenOf(start)) {
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
    if (command.includes('control')) found.control = pid
    if (command.includes('edge')) found.edge = pid
  }
  return found
}

export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

export async function residentMb(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024
}

export async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}
