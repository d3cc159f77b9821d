// All computes of this machine: the one place that starts and stops Postgres for a timeline.
//
// One thing at a time happens to a timeline: starting, stopping, copying and destroying take its lock, which callers can also hold
// for longer work (`withTimeline`), so that a sleeping parent is not woken in the middle of being copied. What runs is never taken from
// memory alone: `adopt` finds it again after a crash, from the spec files and the data directories' own lock files.

import { isDeepStrictEqual } from 'node:util'
import type pg from 'pg'
import { failpoint } from '../lib/failpoint.ts'
import { KeyedLock, type Release } from '../lib/keyed-lock.ts'
import type { Logger } from '../lib/logger.ts'
import type { ComputeSpec, ComputeState, Owner, PgMajor, StopMode } from '../model/compute.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import type { Usage } from '../model/load.ts'
import { ComputeFiles } from './compute-files.ts'
import { unconfined, type Confinement } from './confinement.ts'
import { changedSettings, restartSettings } from './postgresql-conf.ts'
import { poll, residentBytes } from './process.ts'
import { Postmaster } from './postmaster.ts'
import type { RuntimeTree } from './runtime-tree.ts'
import { trimServerLog } from './server-log.ts'
import { connectAsService, type ServiceAddress } from './service-client.ts'
import type { GivenSize, Sizing } from './sizing.ts'

export type SupervisorOptions = {
  timelineDir: (id: TimelineId) => string
  runDir: string
  stateDir: string
  tree: (major: PgMajor) => Promise<RuntimeTree> | RuntimeTree
  servicePassword: (serviceKeyId: string) => string
  edgeGid: number | undefined
  /** The default; without it, Postgres removes log that it does not need itself. */
  keepsWal?: boolean
  logger: Logger
  /** The default is none. */
  confinement?: Confinement
  /** Without it, nothing is known of what a compute uses. */
  sizing?: Sizing | undefined
  /** Includes recovery after a crash. */
  startTimeoutMs?: number
  lockTimeoutMs?: number
}

export type RunningCompute = { pid: number; socketDir: string; generation: string; startedAt: Date }

/** What may be done to a timeline by whoever holds it. */
export type HeldTimeline = {
  ensureRunning(spec: ComputeSpec, options?: { fresh?: boolean }): Promise<RunningCompute>
  ensureStopped(mode: StopMode): Promise<void>
  forget(): Promise<void>
}

type Entry = {
  state: ComputeState
  spec: ComputeSpec
  postmaster: Postmaster | undefined
  /** Started without fsync and not made durable since. */
  fresh: boolean
  stopping: boolean
}

const logCheckMs = 5000
const reloadTimeoutMs = 10_000

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #files: ComputeFiles
  readonly #confinement: Confinement
  readonly #locks = new KeyedLock()
  readonly #entries = new Map<TimelineId, Entry>()
  readonly #exitListeners = new Set<(id: TimelineId, expected: boolean) => void>()
  #logWatch: NodeJS.Timeout | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#confinement = options.confinement ?? unconfined
    this.#files = new ComputeFiles(options)
  }

  /** At boot: recognises every postmaster that runs on a timeline with a spec file. */
  async adopt(): Promise<void> {
    await Promise.all((await this.#files.known()).map((id) => this.withTimeline(id, 'adopt', () => this.#adoptOne(id))))
  }

  state(id: TimelineId): ComputeState {
    return this.#entries.get(id)?.state ?? { kind: 'stopped' }
  }

  /** What answers now, without a wait; undefined unless it runs. */
  address(id: TimelineId): RunningCompute | undefined {
    const entry = this.#entries.get(id)
    return entry?.state.kind === 'running' && entry.postmaster ? this.#runningCompute(id, entry.postmaster) : undefined
  }

  /** As `address`, having asked the system: whoever was refused just now must not be sent back to the same dead process. */
  async answering(id: TimelineId): Promise<RunningCompute | undefined> {
    const running = this.address(id)
    return running && (await this.#entries.get(id)?.postmaster?.isRunning()) ? running : undefined
  }

  running(): TimelineId[] {
    return [...this.#entries].filter(([, entry]) => entry.postmaster).map(([id]) => id)
  }

  /** Holds the timeline for `work`. `held` does what the methods of the same names do, which would wait for ever in here. */
  async withTimeline<T>(id: TimelineId, holder: string, work: (held: HeldTimeline) => Promise<T>): Promise<T> {
    using _ = await this.#lock(id, holder)
    return await work({
      ensureRunning: (spec, options) => this.#start(spec, options?.fresh ?? false),
      ensureStopped: (mode) => this.#stop(id, mode),
      forget: () => this.#forget(id),
    })
  }

  /**
   * Returns when a client can connect; many callers share one start, and one that comes while it stops waits for that. `fresh`: a branch
   * nobody has been told of recovers without fsync, and must be made durable before anybody is.
   */
  async ensureRunning(spec: ComputeSpec, options: { fresh?: boolean } = {}): Promise<RunningCompute> {
    const settled =
      this.#entries.get(spec.timelineId)?.fresh === false && this.#locks.holderOf(spec.timelineId) === undefined
    const running = settled ? await this.answering(spec.timelineId) : undefined
    if (running) return running
    return await this.withTimeline(spec.timelineId, 'start', (held) => held.ensureRunning(spec, options))
  }

  async ensureStopped(id: TimelineId, mode: StopMode): Promise<void> {
    await this.withTimeline(id, `stop ${mode}`, (held) => held.ensureStopped(mode))
  }

  /**
   * After this returns, a fresh compute and all its data outlive a power cut. From the checkpoint on Postgres syncs what it writes itself,
   * and what was written before that is in the files that `syncFiles` syncs.
   */
  async makeDurable(id: TimelineId, syncFiles: () => Promise<void>): Promise<void> {
    await this.withTimeline(id, 'make durable', async () => {
      const saved = await this.#files.readSpec(id)
      if (!saved) throw new AppError('internal', `timeline ${id} has no compute to make durable`)
      if (!saved.fresh) return
      if (this.#entries.get(id)?.postmaster) {
        await this.#files.writeConf(saved.spec, this.#files.settings(saved.spec, true))
        this.#entries.get(id)?.postmaster?.reload()
        await failpoint('compute.reload.signalled')
        const client = await this.#clientWithFsync(id)
        try {
          await client.query('CHECKPOINT')
        } finally {
          await client.end()
        }
      }
      await syncFiles()
      await this.#files.writeDurable(saved.spec)
      const entry = this.#entries.get(id)
      if (entry) entry.fresh = false
    })
  }

  /** Stores the spec. What Postgres takes while it runs, it has when this returns; where a change needs a restart, none is made. */
  async reconfigure(wanted: ComputeSpec): Promise<'reloaded' | 'restart_needed'> {
    return await this.withTimeline(wanted.timelineId, 'reconfigure', async () => {
      const saved = await this.#files.readSpec(wanted.timelineId)
      const fresh = saved?.fresh ?? false
      const entry = this.#entries.get(wanted.timelineId)
      // Whoever runs stays in the network that it was started in, and its spec goes on to say which.
      const spec = entry?.postmaster ? { ...wanted, outbound: entry.spec.outbound } : wanted
      if (!isDeepStrictEqual(saved?.spec, spec)) await this.#files.writeSpec(spec, fresh)
      if (!entry?.postmaster) return 'reloaded'
      entry.spec = spec
      const settings = this.#files.settings(spec, !fresh)
      const changed = changedSettings(await this.#files.readConf(spec.timelineId), settings)
      if (changed.some((name) => restartSettings.has(name))) return 'restart_needed'
      if (changed.length > 0) await this.#reload(spec, settings)
      return 'reloaded'
    })
  }

  async readSpec(id: TimelineId): Promise<ComputeSpec | undefined> {
    return this.#entries.get(id)?.spec ?? (await this.#files.readSpec(id))?.spec
  }

  /** Removes all that is kept of a timeline outside its data directory. */
  async forget(id: TimelineId): Promise<void> {
    await this.withTimeline(id, 'forget', (held) => held.forget())
  }

  /** Connected as the service role; the caller ends it. */
  async client(id: TimelineId, database?: string): Promise<pg.Client> {
    return await connectAsService(this.service(id, database))
  }

  /** How the service role comes in, and as whom a program runs that does so by itself. */
  service(id: TimelineId, database?: string): ServiceAddress & { owner: Owner | undefined } {
    const entry = this.#entries.get(id)
    if (!entry?.postmaster) throw new AppError('unavailable', `the compute of timeline ${id} is not running`)
    return {
      major: entry.spec.pgMajor,
      socketDir: this.#files.socketDir(id),
      password: this.#options.servicePassword(entry.spec.serviceKeyId),
      owner: entry.spec.owner,
      ...(database === undefined ? {} : { database }),
    }
  }

  /** Calls back for every compute that ends; `expected` where we stopped it. */
  onExit(listener: (id: TimelineId, expected: boolean) => void): void {
    this.#exitListeners.add(listener)
  }

  /** Memory that only this compute holds, plus its shared memory once; undefined where the system cannot say. */
  async usage(id: TimelineId): Promise<{ residentBytes: number } | undefined> {
    const bytes = await residentBytes(this.#entries.get(id)?.postmaster?.pid)
    return bytes === undefined ? undefined : { residentBytes: bytes }
  }

  /** Whether a size bounds what a compute can use. */
  get enforcesSizes(): boolean {
    return this.#options.sizing?.enforced ?? false
  }

  /** To be repeated: a smaller size may only fit later. Nothing where it does not run. */
  async resize(id: TimelineId, size: GivenSize): Promise<void> {
    if (this.address(id)) await this.#options.sizing?.resize(id, size)
  }

  /** In CU, as an earlier process of pgrove gave it; undefined where it has none. */
  sizeOf(id: TimelineId): number | undefined {
    return this.#options.sizing?.sizeOf(id)
  }

  /** Undefined where it does not run, or the system does not say. */
  load(id: TimelineId): Usage | undefined {
    const running = this.address(id)
    return running && this.#options.sizing?.usage(id, running.pid)
  }

  async #start(spec: ComputeSpec, fresh: boolean): Promise<RunningCompute> {
    const id = spec.timelineId
    const saved = await this.#files.readSpec(id)
    if (saved?.fresh === true && !fresh) {
      throw new AppError('internal', `timeline ${id} was never made durable; make it anew`)
    }
    const running = this.#entries.get(id)?.postmaster
    if (running && (await running.isRunning())) return this.#runningCompute(id, running)
    const since = new Date()
    const entry: Entry = { state: { kind: 'starting', since }, spec, postmaster: undefined, fresh, stopping: false }
    this.#entries.set(id, entry)
    const { logger } = this.#options
    try {
      const tree = await this.#options.tree(spec.pgMajor)
      // All of them end before a failure is passed on: nothing writes any more once the lock is free.
      const written = await Promise.allSettled([
        this.#files.writeSpec(spec, fresh),
        this.#files.writeConf(spec, this.#files.settings(spec, !fresh)),
        this.#files.makeSocketDir(spec),
      ])
      for (const each of written) if (each.status === 'rejected') throw each.reason
      const postmaster = await Postmaster.start({
        binDir: tree.binDir,
        dataDir: this.#options.timelineDir(id),
        confFile: this.#files.confFile(id),
        logFile: this.#files.logFile(id),
        owner: spec.owner,
        timeoutMs: this.#options.startTimeoutMs ?? 120_000,
        launch: (wanted) => this.#confinement.launch(spec, wanted),
        spawned: (pid) => this.#confinement.confine(spec, pid),
      })
      this.#own(id, entry, postmaster)
      logger.debug({ timeline: id, process: postmaster.pid, ms: Date.now() - since.getTime() }, 'postgres started')
      return this.#runningCompute(id, postmaster)
    } catch (error) {
      await this.#release(spec)
      entry.state = {
        kind: 'failed',
        since: new Date(),
        message: error instanceof AppError ? error.message : 'the compute could not be started',
      }
      throw error
    }
  }

  async #stop(id: TimelineId, mode: StopMode): Promise<void> {
    const entry = this.#entries.get(id)
    const postmaster = entry?.postmaster
    if (!entry || !postmaster) {
      this.#entries.delete(id)
      return
    }
    const since = new Date()
    entry.stopping = true
    entry.state = { kind: 'stopping', since, mode }
    try {
      await this.#lift(id)
      await postmaster.stop(mode)
      await postmaster.exited
      await this.#release(entry.spec)
      this.#options.logger.info(
        { timeline: id, pid: postmaster.pid, ms: Date.now() - since.getTime() },
        'compute stopped',
      )
    } catch (error) {
      entry.stopping = false
      entry.state = {
        kind: 'running',
        since: postmaster.startedAt,
        pid: postmaster.pid,
        socketDir: this.#files.socketDir(id),
      }
      throw error
    }
  }

  async #forget(id: TimelineId): Promise<void> {
    if (this.#entries.get(id)?.postmaster) throw new AppError('internal', `timeline ${id} still has a running compute`)
    this.#entries.delete(id)
    await this.#files.forget(id)
  }

  async #adoptOne(id: TimelineId): Promise<void> {
    if (this.#entries.get(id)?.postmaster) return
    const saved = await this.#files.readSpec(id)
    if (!saved) return
    const { logger, startTimeoutMs } = this.#options
    try {
      const postmaster = await Postmaster.adopt(this.#options.timelineDir(id), startTimeoutMs ?? 120_000)
      if (!postmaster) return
      const entry: Entry = {
        state: { kind: 'stopped' },
        spec: saved.spec,
        postmaster: undefined,
        fresh: saved.fresh,
        stopping: false,
      }
      this.#entries.set(id, entry)
      await this.#confinement.confine(saved.spec, postmaster.pid)
      this.#own(id, entry, postmaster)
      logger.info({ timeline: id, pid: postmaster.pid }, 'compute adopted')
    } catch (error) {
      logger.error({ timeline: id, error: errorChain(error) }, 'a running compute could not be adopted')
    }
  }

  #own(id: TimelineId, entry: Entry, postmaster: Postmaster): void {
    entry.postmaster = postmaster
    entry.state = {
      kind: 'running',
      since: postmaster.startedAt,
      pid: postmaster.pid,
      socketDir: this.#files.socketDir(id),
    }
    void postmaster.exited.then(() => this.#ended(id, entry))
    this.#watchLogs()
  }

  /** Its last checkpoint is our work, and whoever wants to wake it again waits for that. Where it cannot be, it takes longer. */
  async #lift(id: TimelineId): Promise<void> {
    await this.#options.sizing
      ?.lift(id)
      .catch((error: unknown) =>
        this.#options.logger.warn(
          { timeline: id, cause: errorChain(error) },
          'a compute stops at the speed of its size',
        ),
      )
  }

  /** What it leaves behind can wait: the next start of the timeline, or of pgrove, takes it away. */
  async #release(spec: ComputeSpec): Promise<void> {
    await this.#confinement
      .release(spec)
      .catch((error: unknown) =>
        this.#options.logger.warn({ timeline: spec.timelineId, cause: errorChain(error) }, 'confinement stayed behind'),
      )
  }

  #ended(id: TimelineId, entry: Entry): void {
    const expected = entry.stopping
    entry.postmaster = undefined
    if (this.#entries.get(id) === entry) {
      if (expected) this.#entries.delete(id)
      else entry.state = { kind: 'failed', since: new Date(), message: 'the compute ended unexpectedly' }
    }
    if (!expected) {
      this.#options.logger.warn({ timeline: id }, 'compute ended unexpectedly')
      void this.#release(entry.spec)
    }
    for (const listener of this.#exitListeners) listener(id, expected)
  }

  /** A session that was begun with fsync on: by then the postmaster has told the checkpointer as well. */
  async #clientWithFsync(id: TimelineId): Promise<pg.Client> {
    return await poll(
      async () => {
        const client = await this.client(id)
        const { rows } = await client.query<{ fsync: string }>('SHOW fsync')
        if (rows[0]?.fsync === 'on') return client
        await client.end()
        return undefined
      },
      {
        everyMs: 1,
        timeoutMs: reloadTimeoutMs,
        timedOut: () => new AppError('internal', `postgres did not turn fsync on within ${reloadTimeoutMs / 1000} s`),
      },
    )
  }

  /** Returns once the postmaster has the settings, and with it every session that begins from now on. */
  async #reload(spec: ComputeSpec, settings: Readonly<Record<string, string>>): Promise<void> {
    const id = spec.timelineId
    const before = await this.#loadedAt(id)
    await this.#files.writeConf(spec, settings)
    this.#entries.get(id)?.postmaster?.reload()
    await failpoint('compute.reload.signalled')
    await poll(async () => ((await this.#loadedAt(id)) === before ? undefined : true), {
      everyMs: 2,
      timeoutMs: reloadTimeoutMs,
      timedOut: () =>
        new AppError('internal', `postgres did not read its configuration within ${reloadTimeoutMs / 1000} s`),
    })
  }

  async #loadedAt(id: TimelineId): Promise<string> {
    const client = await this.client(id)
    try {
      const { rows } = await client.query<{ at: string }>('SELECT pg_conf_load_time()::text AS at')
      return rows[0]?.at ?? ''
    } finally {
      await client.end()
    }
  }

  #runningCompute(id: TimelineId, { pid, generation, startedAt }: Postmaster): RunningCompute {
    return { pid, generation, startedAt, socketDir: this.#files.socketDir(id) }
  }

  async #lock(id: TimelineId, holder: string): Promise<Release> {
    const timeoutMs = this.#options.lockTimeoutMs ?? 180_000
    const release = await this.#locks.acquireWithin(id, holder, timeoutMs)
    if (release) return release
    throw new AppError(
      'unavailable',
      `timeline ${id} is still busy (${this.#locks.holderOf(id) ?? holder}) after ${timeoutMs / 1000} s`,
    )
  }

  /** One timer for all, and none while nothing runs. */
  #watchLogs(): void {
    this.#logWatch ??= setInterval(() => {
      const running = this.running()
      for (const id of running) {
        trimServerLog(this.#files.logFile(id)).catch((error: unknown) =>
          this.#options.logger.warn({ timeline: id, error: errorChain(error) }, 'a server log could not be trimmed'),
        )
      }
      if (running.length > 0) return
      clearInterval(this.#logWatch)
      this.#logWatch = undefined
    }, logCheckMs).unref()
  }
}
