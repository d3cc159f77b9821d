// Which process is which. A pid alone proves nothing, since pids come round again: identity is the pid, when it started, and the
// folder it works in, which for every Postgres process is its data directory.

import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { run } from '../lib/run.ts'
import { AppError } from '../model/errors.ts'

export type ProcessIdentity = {
  pid: number
  /** Opaque; another process with this pid has another. */
  started: string
  startedAt: Date
}

const onLinux = process.platform === 'linux'
/** `USER_HZ`, which the kernel keeps at 100 for programs whatever its own clock does. */
const ticksPerSecond = 100

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** One that has ended meanwhile, as a postmaster's children do with it, needs no signal. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Undefined when it is gone, or dead and only waiting to be noticed. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  if (!isAlive(pid)) return undefined
  return onLinux ? await identifyByProc(pid) : await identifyByPs(pid)
}

export async function workingFolder(pid: number): Promise<string | undefined> {
  if (onLinux) return await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
  const { stdout } = await run('lsof', ['-a', '-p', String(pid), '-d', 'cwd', '-Fn'], { timeoutMs: 10_000 }).catch(
    () => ({ stdout: '' }),
  )
  return stdout
    .split('\n')
    .find((line) => line.startsWith('n'))
    ?.slice(1)
}

/** Pids of the processes that work in a folder. Nothing where the system has no cheap way to say. */
export async function processesIn(folder: string): Promise<number[]> {
  return await processesWhere(folder, (found, wanted) => found === wanted)
}

/** As `processesIn`, for the folder and everything below it. */
export async function processesBelow(folder: string): Promise<number[]> {
  return await processesWhere(folder, (found, wanted) => found === wanted || found.startsWith(`${wanted}/`))
}

async function processesWhere(folder: string, matches: (found: string, wanted: string) => boolean): Promise<number[]> {
  if (!onLinux) return []
  const wanted = await realpath(folder).catch(() => folder)
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')))
  return pids.filter((_, index) => matches(folders[index] ?? '', wanted)).map(Number)
}

/**
 * Ends what works in a folder or below it, and returns when it has let go of its files. Told to quit first: a postmaster that is killed
 * leaves its segment of shared memory behind, and without its directory nobody ever finds that again.
 */
export async function killProcessesBelow(folder: string): Promise<void> {
  const patience = performance.now() + quitTimeoutMs
  await poll(
    async () => {
      const pids = await processesBelow(folder)
      const signal = performance.now() < patience ? 'SIGQUIT' : 'SIGKILL'
      for (const pid of pids) sendSignal(pid, signal)
      return pids.length === 0 || undefined
    },
    {
      everyMs: 20,
      timeoutMs: killTimeoutMs,
      timedOut: () => new AppError('unavailable', `processes below ${folder} do not end, not even when killed`),
    },
  )
}

const killTimeoutMs = 10_000
const quitTimeoutMs = 2000

/** Asks again and again until the answer is defined; throws when time is up. Short steps, since most of what we wait for takes milliseconds. */
export async function poll<T>(
  ask: () => Promise<T | undefined> | T | undefined,
  options: { everyMs: number; timeoutMs: number; timedOut: () => AppError; signal?: AbortSignal },
): Promise<T> {
  const end = performance.now() + options.timeoutMs
  for (;;) {
    options.signal?.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() >= end) throw options.timedOut()
    await delay(options.everyMs)
  }
}

async function identifyByProc(pid: number): Promise<ProcessIdentity | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  // The second field is the program's name in brackets and may hold anything, brackets too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, ticks] = [fields[0], fields[19]]
  if (state === 'Z' || state === 'X' || ticks === undefined) return undefined
  return {
    pid,
    started: ticks,
    startedAt: new Date((await bootSeconds()) * 1000 + (Number(ticks) / ticksPerSecond) * 1000),
  }
}

async function identifyByPs(pid: number): Promise<ProcessIdentity | undefined> {
  const { stdout } = await run('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
    env: { LC_ALL: 'C' },
    timeoutMs: 10_000,
  }).catch(() => ({
    stdout: '',
  }))
  const [, state, started] = /^\s*(\S+)\s+(.+?)\s*$/.exec(stdout) ?? []
  if (state === undefined || started === undefined || state.startsWith('Z')) return undefined
  return { pid, started, startedAt: new Date(started) }
}

let boot: Promise<number> | undefined

function bootSeconds(): Promise<number> {
  boot ??= readFile('/proc/stat', 'utf8').then((text) => Number(/^btime (\d+)$/m.exec(text)?.[1] ?? 0))
  return boot
}

/** Private memory of a process and its children, and the memory they share, once. */
export async function residentBytes(pid: number | undefined): Promise<number | undefined> {
  if (!onLinux || pid === undefined) return undefined
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  let own = 0
  let shared = 0
  for (const each of [String(pid), ...children.split(' ').filter((part) => part !== '')]) {
    const [, resident = 0, mapped = 0] = (await readFile(`/proc/${each}/statm`, 'utf8').catch(() => ''))
      .split(' ')
      .map(Number)
    own += resident - mapped
    shared = Math.max(shared, mapped)
  }
  return (own + shared) * 4096
}
