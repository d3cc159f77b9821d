// What our processes, and all that they start, are bound to for good: limits that every child inherits, set where a process is born, so that
// the start of a compute pays nothing for them.

import { readFile } from 'node:fs/promises'
import { run } from '../lib/run.ts'

/** As `child_process.fork` takes it: the program, and what stands before the script. */
export type ForkCommand = { execPath: string; execArgv: string[] }

const tryTimeoutMs = 10_000

/**
 * No privileges beyond those that are given: no setuid program and no file with capabilities is worth anything to them. No core dumps, which
 * hold what memory held. As root, no user but root has more processes than half of what the machine can have, so that one project never
 * takes the last one. What the machine has no program for is left out.
 */
export async function findBounds(isRoot: boolean): Promise<(nodeOptions: readonly string[]) => ForkCommand> {
  const wrappers: string[][] = []
  if (process.platform === 'linux') {
    const processes = isRoot ? await halfOfAllProcesses() : undefined
    const limits = ['--core=0', ...(processes === undefined ? [] : [`--nproc=${processes}`])]
    for (const wrapper of [
      ['setpriv', '--no-new-privs'],
      ['prlimit', ...limits],
    ]) {
      if (await works(wrapper)) wrappers.push(wrapper)
    }
  }
  const [program, ...more] = [...wrappers.flat(), process.execPath]
  return (nodeOptions) => ({ execPath: program ?? process.execPath, execArgv: [...more, ...nodeOptions] })
}

/** linux: kernel.pid_max counts threads. */
async function halfOfAllProcesses(): Promise<number | undefined> {
  const [pids, threads] = await Promise.all(
    ['pid_max', 'threads-max'].map(async (name) => Number(await readFile(`/proc/sys/kernel/${name}`, 'utf8'))),
  ).catch(() => [])
  if (pids === undefined || threads === undefined || !Number.isInteger(pids + threads)) return undefined
  return Math.floor(Math.min(pids, threads) / 2)
}

const works = ([program = '', ...args]: readonly string[]): Promise<boolean> =>
  run(program, [...args, 'true'], { timeoutMs: tryTimeoutMs }).then(
    () => true,
    () => false,
  )
