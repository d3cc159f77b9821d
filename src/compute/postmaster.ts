// One Postgres process on one data directory.
//
// Outlives us: it is started in a session of its own, so a crash of pgrove drops no database, and on boot `adopt` recognises it.
// We never delete postmaster.pid: that races a starting postgres and can put two on one directory. Where the file is stale and
// its pid now belongs to a stranger (likely after a reboot: a project's computes share one uid), Postgres is told that it need not mind that pid.

import { spawn, type ChildProcess } from 'node:child_process'
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere } from '../lib/durable-file.ts'
import { failpoint } from '../lib/failpoint.ts'
import type { Owner, StopMode } from '../model/compute.ts'
import type { Launch } from './confinement.ts'
import { backendsDieFirst } from './out-of-memory.ts'
import { AppError } from '../model/errors.ts'
import { identify, isAlive, poll, processesIn, sendSignal, workingFolder, type ProcessIdentity } from './process.ts'
import { openServerLog, serverLogSize, serverLogTail } from './server-log.ts'

export type StartOptions = {
  binDir: string
  dataDir: string
  confFile: string
  logFile: string
  owner: Owner | undefined
  timeoutMs: number
  launch(wanted: Launch): Promise<Launch>
  /** Before it is ready. */
  spawned(pid: number): Promise<void>
}

const signals: Record<StopMode, NodeJS.Signals> = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' }

/** What each stop may take before a harder one follows. A fast stop writes a checkpoint. */
const patienceMs: Record<StopMode, number> = { smart: 30_000, fast: 60_000, immediate: 10_000 }
const harder: Record<StopMode, StopMode | 'kill'> = { smart: 'fast', fast: 'immediate', immediate: 'kill' }

const readinessStepMs = 2
const exitStepMs = 5
const adoptedStepMs = 500
const orphanPatienceMs = 5000

export class Postmaster {
  readonly pid: number
  readonly startedAt: Date
  /** Changes with every start and with nothing else. */
  readonly generation: string
  readonly dataDir: string
  readonly #identity: ProcessIdentity
  readonly #child: ChildProcess | undefined
  readonly #end = Promise.withResolvers<void>()
  #hasExited = false

  private constructor(dataDir: string, identity: ProcessIdentity, child: ChildProcess | undefined) {
    this.dataDir = dataDir
    this.pid = identity.pid
    this.startedAt = identity.startedAt
    this.generation = `${identity.pid}-${identity.started}`.replaceAll(/[^\w-]/g, '')
    this.#identity = identity
    this.#child = child
    void (child ? exitOf(child) : this.#disappearance()).then(() => this.#ended())
  }

  /** Resolves when clients can connect. Throws `compute_start_failed` with the server's last words as its cause. */
  static async start(options: StartOptions): Promise<Postmaster> {
    const { dataDir, logFile } = options
    const launching = options.launch({
      program: join(options.binDir, 'postgres'),
      args: ['-D', dataDir, '-c', `config_file=${options.confFile}`],
      ...options.owner,
    })
    const looking = Promise.all([prepareLockFile(dataDir), serverLogSize(logFile)])
    // Both end before a failure is passed on: what was got for a launch is given back then.
    await Promise.allSettled([launching, looking])
    const [strangersPid, logStart] = await looking
    const log = await openServerLog(logFile)
    const spawnedAt = Date.now()
    let child: ChildProcess
    try {
      const { program, args, ...user } = await launching
      child = spawn(program, args, {
        cwd: dataDir,
        detached: true,
        env: environment(strangersPid),
        stdio: ['ignore', log.fd, log.fd],
        ...user,
      })
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve)
        child.once('error', reject)
      })
    } catch (cause) {
      throw new AppError('compute_start_failed', 'postgres could not be started', { cause })
    } finally {
      await log.close()
    }
    const failed = async (message: string): Promise<AppError> =>
      new AppError('compute_start_failed', message, { cause: await serverLogTail(logFile, logStart) })
    try {
      if (child.pid !== undefined) await options.spawned(child.pid)
      await failpoint('compute.start.spawned')
      const identity = await waitUntilReady(child, dataDir, spawnedAt, options.timeoutMs)
      if (identity === 'exited')
        throw await failed(
          `postgres ended with ${child.signalCode ?? `exit status ${child.exitCode}`} before it was ready`,
        )
      if (identity === 'timed_out') throw await failed(`postgres was not ready after ${options.timeoutMs / 1000} s`)
      child.unref()
      await failpoint('compute.start.ready')
      return new Postmaster(dataDir, identity, child)
    } catch (error) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await exitOf(child)
      }
      throw error
    }
  }

  /**
   * The postmaster that runs on a data directory, whoever started it; undefined where none does. One that is still starting is waited
   * for, one that is stopping is let go.
   */
  static async adopt(dataDir: string, timeoutMs: number): Promise<Postmaster | undefined> {
    const lock = await readLockFile(dataDir)
    if (!lock || !(await runsIn(lock.pid, dataDir))) return undefined
    const identity = await identify(lock.pid)
    if (!identity) return undefined
    const outcome = await poll(
      async () => {
        if ((await identify(lock.pid))?.started !== identity.started) return 'gone'
        return (await readLockFile(dataDir))?.status === 'ready' ? 'ready' : undefined
      },
      {
        everyMs: exitStepMs,
        timeoutMs,
        timedOut: () =>
          new AppError(
            'compute_start_failed',
            `process ${lock.pid}, found running, is not ready after ${timeoutMs / 1000} s`,
          ),
      },
    )
    return outcome === 'ready' ? new Postmaster(dataDir, identity, undefined) : undefined
  }

  get exited(): Promise<void> {
    return this.#end.promise
  }

  get hasExited(): boolean {
    return this.#hasExited
  }

  /** Asks the system, which knows of an end before we are told. */
  async isRunning(): Promise<boolean> {
    if (this.#hasExited) return false
    if ((await identify(this.pid))?.started === this.#identity.started) return true
    this.#ended()
    return false
  }

  reload(): void {
    sendSignal(this.pid, 'SIGHUP')
  }

  /** Goes from one mode to the next harder one where the process does not end in time. Returns when it has. */
  async stop(mode: StopMode): Promise<void> {
    for (let next: StopMode | 'kill' = mode; ; next = harder[next]) {
      if (this.#hasExited) return
      sendSignal(this.pid, next === 'kill' ? 'SIGKILL' : signals[next])
      await failpoint('compute.stop.signalled')
      const patience = next === 'kill' ? orphanPatienceMs : patienceMs[next]
      if (await this.#exitsWithin(patience)) return
      if (next === 'kill')
        throw new AppError('compute_stop_failed', `process ${this.pid} does not end, not even when killed`)
    }
  }

  async #exitsWithin(ms: number): Promise<boolean> {
    const done = new AbortController()
    const gone = poll(async () => (await this.#isGone()) || undefined, {
      everyMs: exitStepMs,
      timeoutMs: ms,
      signal: done.signal,
      timedOut: () => new AppError('compute_stop_failed', 'still running'),
    })
    try {
      await Promise.race([this.#end.promise, gone])
      return true
    } catch {
      return false
    } finally {
      done.abort()
      await gone.catch(() => {})
      if (await this.#isGone()) this.#ended()
    }
  }

  #ended(): void {
    this.#hasExited = true
    this.#end.resolve()
  }

  async #isGone(): Promise<boolean> {
    if (this.#hasExited) return true
    if (this.#child) return this.#child.exitCode !== null || this.#child.signalCode !== null
    return (await identify(this.pid))?.started !== this.#identity.started
  }

  async #disappearance(): Promise<void> {
    while (!(await this.#isGone())) {
      await new Promise<void>((resolve) => {
        setTimeout(resolve, adoptedStepMs).unref()
      })
    }
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
  })
}

/**
 * Nothing of ours reaches a tenant through the environment, and libpq inside the server (dblink, postgres_fdw) finds neither our
 * password file nor a service file nor certificates.
 */
function environment(strangersPid: number | undefined): Record<string, string> {
  return {
    PATH: '/usr/bin:/bin',
    LC_ALL: 'C',
    TZ: 'UTC',
    HOME: '/nonexistent',
    PGPASSFILE: '/nonexistent',
    PGSERVICEFILE: '/nonexistent',
    PGSYSCONFDIR: '/nonexistent',
    ...backendsDieFirst,
    // postgres: src/backend/utils/init/miscinit.c, CreateLockFile: the pid named here is no rival for the data directory.
    ...(strangersPid === undefined ? {} : { PG_GRANDPARENT_PID: String(strangersPid) }),
  }
}

type LockFile = { pid: number; startedAtSeconds: number; status: string }

async function readLockFile(dataDir: string): Promise<LockFile | undefined> {
  const lines = (await readIfThere(join(dataDir, 'postmaster.pid')))?.split('\n')
  const pid = Number(lines?.[0])
  if (!lines || !Number.isInteger(pid) || pid <= 0) return undefined
  return { pid, startedAtSeconds: Number(lines[2]), status: lines[7]?.trim() ?? '' }
}

/**
 * A lock file before a start means that the last one did not end well. Its children may outlive a killed postmaster for a moment, and
 * Postgres rightly refuses to start beside them: they are waited for, then killed. Returns a pid in the file that is a stranger's.
 */
async function prepareLockFile(dataDir: string): Promise<number | undefined> {
  const lock = await readLockFile(dataDir)
  if (!lock) return undefined
  if (await runsIn(lock.pid, dataDir)) {
    throw new AppError('compute_start_failed', `process ${lock.pid} already runs on this data directory`)
  }
  const gone = async (): Promise<true | undefined> => ((await processesIn(dataDir)).length === 0 ? true : undefined)
  const limits = {
    everyMs: 20,
    timedOut: () => new AppError('compute_start_failed', 'processes of an earlier run do not end'),
  }
  await poll(gone, { ...limits, timeoutMs: orphanPatienceMs }).catch(async () => {
    for (const pid of await processesIn(dataDir)) sendSignal(pid, 'SIGKILL')
    await poll(gone, { ...limits, timeoutMs: orphanPatienceMs })
  })
  return isAlive(lock.pid) ? lock.pid : undefined
}

async function runsIn(pid: number, dataDir: string): Promise<boolean> {
  if (!isAlive(pid)) return false
  return (await workingFolder(pid)) === (await realpath(dataDir).catch(() => dataDir))
}

/** Readiness races exit, so that an early end is seen at once. */
async function waitUntilReady(
  child: ChildProcess,
  dataDir: string,
  spawnedAt: number,
  timeoutMs: number,
): Promise<ProcessIdentity | 'exited' | 'timed_out'> {
  const { pid } = child
  if (pid === undefined) return 'exited'
  const file = join(dataDir, 'postmaster.pid')
  const outcome = await poll(
    async () => {
      if (child.exitCode !== null || child.signalCode !== null) return 'exited'
      const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
      // A file of an earlier run may carry the same pid; the start time tells them apart.
      const ours = Number(lines[0]) === pid && (Number(lines[2]) + 2) * 1000 >= spawnedAt
      return ours && lines[7]?.trim() === 'ready' ? 'ready' : undefined
    },
    { everyMs: readinessStepMs, timeoutMs, timedOut: () => new AppError('compute_start_failed', 'not ready in time') },
  ).catch(() => 'timed_out' as const)
  if (outcome !== 'ready') return outcome
  return (await identify(pid)) ?? 'exited'
}
