// A compute's files outside its data directory.
//
//   <stateDir>/<timeline>/spec.json         what it should be: enough to wake it, and to know it again, without the control database
//   <stateDir>/<timeline>/postgresql.conf   what the running postmaster was started with, or told since
//   <stateDir>/<timeline>/postgres.log      its output
//   <stateDir>/pg_hba.conf, pg_ident.conf   the same for all
//   <runDir>/<timeline>/.s.PGSQL.5432       its socket
//
// They belong to us; Postgres may read the configuration and nothing else. They are written so that a crash of pgrove leaves the old
// version or the new one. A power cut may lose the newest: the control database knows it all again, so no wake waits for a sync here.

import { chmod, chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, syncFile, syncFolder } from '../lib/durable-file.ts'
import { isPgMajor, type ComputeSpec } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { isTimelineId, type TimelineId } from '../model/ids.ts'
import { hbaConf, identConf, parseConf, renderConf, settingsFor } from './postgresql-conf.ts'
import { socketPort } from './postgres-service.ts'

/** `fresh`: started without fsync and not made durable since. */
export type SavedSpec = { spec: ComputeSpec; fresh: boolean }

/** Linux' `sun_path` less its closing zero. */
const longestSocketPath = process.platform === 'darwin' ? 103 : 107

type ComputeFilesOptions = {
  stateDir: string
  runDir: string
  edgeGid: number | undefined
  keepsWal?: boolean
}

export class ComputeFiles {
  readonly #options: ComputeFilesOptions
  #shared: Promise<void> | undefined

  constructor(options: ComputeFilesOptions) {
    this.#options = options
    const longest = join(options.runDir, 'x'.repeat(12), `.s.PGSQL.${socketPort}`)
    if (Buffer.byteLength(longest) > longestSocketPath) {
      throw new AppError(
        'config_invalid',
        `${options.runDir} is too long for sockets: with their names it may have ${longestSocketPath} bytes`,
      )
    }
  }

  socketDir(id: TimelineId): string {
    return join(this.#options.runDir, id)
  }

  confFile(id: TimelineId): string {
    return join(this.#folder(id), 'postgresql.conf')
  }

  logFile(id: TimelineId): string {
    return join(this.#folder(id), 'postgres.log')
  }

  /** Timelines that have files here. */
  async known(): Promise<TimelineId[]> {
    const names: string[] = await readdir(this.#options.stateDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    return names.filter((name) => isTimelineId(name))
  }

  async readSpec(id: TimelineId): Promise<SavedSpec | undefined> {
    const text = await readIfThere(join(this.#folder(id), 'spec.json'))
    if (text === undefined) return undefined
    try {
      const saved = JSON.parse(text) as SavedSpec
      if (saved.spec.timelineId !== id || !isPgMajor(saved.spec.pgMajor)) return undefined
      // JSON has no undefined, and an older pgrove knew nothing of outbound.
      const { owner, outbound = false } = saved.spec as Partial<ComputeSpec>
      return { ...saved, spec: { ...saved.spec, owner, outbound } }
    } catch {
      // Cut short by a power failure.
      return undefined
    }
  }

  /** That a compute is no longer fresh has to be as durable as its data: it would not be started again otherwise. */
  async writeDurable(spec: ComputeSpec): Promise<void> {
    await this.writeSpec(spec, false)
    await syncFile(join(this.#folder(spec.timelineId), 'spec.json'))
    await syncFolder(this.#folder(spec.timelineId))
  }

  async writeSpec(spec: ComputeSpec, fresh: boolean): Promise<void> {
    const saved: SavedSpec = { spec, fresh }
    const path = join(this.#folder(spec.timelineId), 'spec.json')
    const text = `${JSON.stringify(saved)}\n`
    if ((await readIfThere(path)) === text) return
    await this.#ensureFolder(spec)
    await replaceFile(path, text, 0o600, undefined)
  }

  settings(spec: ComputeSpec, fsync: boolean): Record<string, string> {
    return settingsFor(spec, {
      socketDir: this.socketDir(spec.timelineId),
      hbaFile: join(this.#options.stateDir, 'pg_hba.conf'),
      identFile: join(this.#options.stateDir, 'pg_ident.conf'),
      fsync,
      keepsWal: this.#options.keepsWal ?? true,
    })
  }

  async writeConf(spec: ComputeSpec, settings: Readonly<Record<string, string>>): Promise<void> {
    await this.#ensureShared()
    const path = this.confFile(spec.timelineId)
    const text = renderConf(settings)
    if ((await readIfThere(path)) === text) return
    await this.#ensureFolder(spec)
    const gid = spec.owner?.gid
    await replaceFile(path, text, gid === undefined ? 0o600 : 0o640, gid)
  }

  /** What the running postmaster goes by. */
  async readConf(id: TimelineId): Promise<Record<string, string>> {
    return parseConf((await readIfThere(this.confFile(id))) ?? '')
  }

  /** Anew for every start, so that nothing of an earlier process is left. The edge gets through by its group, tenants by no means. */
  async makeSocketDir(spec: ComputeSpec): Promise<string> {
    const path = this.socketDir(spec.timelineId)
    await mkdir(this.#options.runDir, { recursive: true, mode: 0o711 })
    await rm(path, { recursive: true, force: true })
    await mkdir(path, { mode: 0o700 })
    if (spec.owner) {
      await chown(path, spec.owner.uid, this.#options.edgeGid ?? spec.owner.gid)
      await chmod(path, 0o710)
    }
    return path
  }

  async forget(id: TimelineId): Promise<void> {
    await rm(this.socketDir(id), { recursive: true, force: true })
    await rm(this.#folder(id), { recursive: true, force: true })
  }

  #folder(id: TimelineId): string {
    if (!isTimelineId(id)) throw new AppError('internal', `${JSON.stringify(id)} is not a timeline id`)
    return join(this.#options.stateDir, id)
  }

  async #ensureFolder({ timelineId, owner }: ComputeSpec): Promise<void> {
    const path = this.#folder(timelineId)
    await mkdir(path, { recursive: true, mode: 0o700 })
    if (!owner) return
    await chown(path, 0, owner.gid)
    await chmod(path, 0o710)
  }

  #ensureShared(): Promise<void> {
    this.#shared ??= (async () => {
      const { stateDir } = this.#options
      await mkdir(stateDir, { recursive: true })
      await chmod(stateDir, 0o711)
      await replaceFile(join(stateDir, 'pg_hba.conf'), hbaConf, 0o644, undefined)
      await replaceFile(join(stateDir, 'pg_ident.conf'), identConf, 0o644, undefined)
    })()
    this.#shared.catch(() => (this.#shared = undefined))
    return this.#shared
  }
}

async function replaceFile(path: string, content: string, mode: number, gid: number | undefined): Promise<void> {
  const draft = `${path}.draft`
  await rm(draft, { force: true })
  await writeFile(draft, content, { mode: 0o600, flag: 'wx' })
  if (gid !== undefined) await chown(draft, 0, gid)
  await chmod(draft, mode)
  await rename(draft, path)
}
