// Timelines, templates, images and log segments on disk: what control uses of storage.
//
//   <root>/timelines/<id>    a data directory, complete or not there
//   <root>/templates/<name>  what timelines are first cloned from
//   <root>/images/<id>       a copy of a data directory that never changes, complete or not there
//   <root>/wal/<id>          log segments: of a timeline, what has left its data directory; of a snapshot, what it is replayed from
//   <root>/drafts/…          being made; whatever is here after a crash is thrown away
//   <root>/trash/…           being removed
//
// Making ends with a rename into place and removing begins with one out of it, so each call may be repeated after a crash at any
// point. Which timelines ought to exist is not known here: that is in the control database.

import { chmod, chown, mkdir, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../lib/durable-file.ts'
import { failpoint } from '../lib/failpoint.ts'
import { KeyedLock } from '../lib/keyed-lock.ts'
import type { Logger } from '../lib/logger.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Owner } from '../model/compute.ts'
import { AppError, errorChain } from '../model/errors.ts'
import { isTimelineId, type ImageId, type TimelineId } from '../model/ids.ts'
import { chooseStorage, type ChosenStorage, type WantedStorage } from './choose.ts'
import { DiskFloor, type FreeBytes } from './disk-floor.ts'
import type { DriverName, FolderUsage } from './driver.ts'
import { ProjectQuotas } from './project-quotas.ts'

export type StorageDescription = {
  driver: DriverName
  /** Timelines live in a pool file, not in the home folder's own file system. */
  pooled: boolean
  copyOnWrite: boolean
  atomic: boolean
  /** Whether a timeline can be kept from growing: `setHardLimit`. */
  hardLimits: boolean
  why: string
  root: string
}

export type OpenStorageOptions = {
  home: string
  wanted: WantedStorage
  floorBytes: number
  logger: Logger
  poolStepBytes?: number
  poolInitialBytes?: number
}

export type CloneTimelineOptions = {
  owner: Owner | undefined
  exclude?: readonly string[]
  /** Completes the draft before it is renamed into place. */
  finish?: (draft: string) => Promise<void>
  /** The timeline is durable when the call returns; without it, it is complete after a crash of pgrove but not of the machine. */
  sync?: boolean
}

const gibibyte = 1024 ** 3
const folders = ['timelines', 'templates', 'images', 'wal', 'drafts', 'trash'] as const
/** Whose folders are made whole by a rename, and begin to go by one. */
type Kind = 'timelines' | 'images' | 'wal'

/** Chooses a driver, or follows the one the home has, and makes its folders. Mounts the pool where there is one. */
export async function openStorage(options: OpenStorageOptions): Promise<Storage> {
  const { home, wanted, floorBytes, logger } = options
  await mkdir(home, { recursive: true, mode: 0o711 })
  const chosen = await chooseStorage(wanted, {
    home,
    floorBytes,
    logger,
    stepBytes: options.poolStepBytes ?? 2 * gibibyte,
    initialBytes: options.poolInitialBytes ?? 2 * gibibyte,
  })
  // Computes run under uids of their own, which have to pass but not to look.
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700
  for (const folder of [chosen.root, ...folders.map((name) => join(chosen.root, name))]) {
    await mkdir(folder, { recursive: true, mode })
    await chmod(folder, mode)
  }
  return new Storage(chosen, home, floorBytes, logger, await ProjectQuotas.find(chosen.root))
}

export class Storage {
  readonly description: StorageDescription
  readonly #chosen: ChosenStorage
  readonly #floor: DiskFloor
  readonly #logger: Logger
  readonly #quotas: ProjectQuotas | undefined
  readonly #locks = new KeyedLock()
  readonly #templates = new SingleFlight<string>()
  readonly #removals = new SingleFlight<void>()
  readonly #activeDrafts = new Set<string>()
  #closing = false

  constructor(
    chosen: ChosenStorage,
    home: string,
    floorBytes: number,
    logger: Logger,
    quotas: ProjectQuotas | undefined,
  ) {
    const { driver, pool, root, why } = chosen
    const { name, copyOnWrite, atomic } = driver
    const hardLimits = quotas !== undefined
    this.description = { driver: name, pooled: pool !== undefined, copyOnWrite, atomic, hardLimits, why, root }
    this.#chosen = chosen
    this.#floor = new DiskFloor(home, root, floorBytes, pool)
    this.#logger = logger
    this.#quotas = quotas
  }

  timelineDir(id: TimelineId): string {
    return this.#place('timelines', id)
  }

  imageDir(id: ImageId): string {
    return this.#place('images', id)
  }

  /** There or not: `ensureWalDir` makes it. */
  walDir(id: string): string {
    return this.#place('wal', id)
  }

  templateDir(name: string): string {
    if (!/^[a-z0-9][a-z0-9_.-]*$/.test(name)) throw new AppError('internal', 'that is no template name')
    return join(this.#chosen.root, 'templates', name)
  }

  /** `fill` makes the template in a draft folder; it is durable and complete, or not there. */
  ensureTemplate(name: string, owner: Owner | undefined, fill: (draft: string) => Promise<void>): Promise<string> {
    const place = this.templateDir(name)
    return this.#templates.run(name, async () => {
      if (await isThere(place)) return place
      await this.#inDraft(`template-${name}`, async (draft) => {
        await this.#chosen.driver.create(draft, owner)
        await fill(draft)
        await this.#chosen.driver.sync(draft)
        await rename(draft, place)
        await this.#syncFolders('templates')
      })
      return place
    })
  }

  async hasTimeline(id: TimelineId): Promise<boolean> {
    return await isThere(this.timelineDir(id))
  }

  /** Already there is done: the copy is not made again. */
  async cloneTimeline(
    id: TimelineId,
    from: { template: string } | { timeline: TimelineId } | { image: ImageId },
    options: CloneTimelineOptions,
  ): Promise<string> {
    const source =
      'template' in from
        ? this.templateDir(from.template)
        : 'image' in from
          ? this.imageDir(from.image)
          : this.timelineDir(from.timeline)
    return await this.#clone('timelines', id, source, options)
  }

  /** As `cloneTimeline`. A timeline that is written to meanwhile is copied as it changes: what makes it whole is its log. */
  async cloneImage(id: ImageId, from: TimelineId, options: CloneTimelineOptions): Promise<string> {
    return await this.#clone('images', id, this.timelineDir(from), options)
  }

  /** Only its owner gets in. */
  async ensureWalDir(id: string, owner: Owner | undefined): Promise<string> {
    const place = this.walDir(id)
    await mkdir(place, { recursive: true, mode: 0o700 })
    if (owner) await chown(place, owner.uid, owner.gid)
    await this.#syncFolders('wal')
    return place
  }

  /** Returns once the timeline is out of the way, which lasts; its files go in the background. */
  async destroyTimeline(id: TimelineId): Promise<void> {
    await this.#destroy('timelines', id)
  }

  async destroyImage(id: ImageId): Promise<void> {
    await this.#destroy('images', id)
  }

  async destroyWal(id: string): Promise<void> {
    await this.#destroy('wal', id)
  }

  /** Removes what was destroyed and the drafts that nobody works on; the first thing to do after a start. */
  async emptyTrash(): Promise<void> {
    // A flight that is already on its way may have listed the trash before the caller's folder was in it.
    await this.#removals.run('trash', async () => {})
    await this.#removals.run('trash', () => this.#emptyTrash())
  }

  async listTimelines(): Promise<TimelineId[]> {
    return (await this.#list('timelines')) as TimelineId[]
  }

  async listImages(): Promise<ImageId[]> {
    return (await this.#list('images')) as ImageId[]
  }

  async listWal(): Promise<string[]> {
    return await this.#list('wal')
  }

  /** Makes all that is in the timeline durable, and the timeline's place. */
  async syncTimeline(id: TimelineId): Promise<void> {
    await this.#chosen.driver.sync(this.timelineDir(id))
    await this.#syncFolders('timelines')
  }

  async usage(id: TimelineId): Promise<FolderUsage> {
    return await this.#chosen.driver.usage(this.timelineDir(id))
  }

  /**
   * What the timeline's folder may hold at most, its log included; undefined: anything. Beyond it writes fail as on a full disk: statements
   * that would make data larger with an error, a server without room for its log by ending, until the limit is raised. False where the file
   * system cannot, or could not when the timeline was made.
   */
  async setHardLimit(id: TimelineId, bytes: number | undefined): Promise<boolean> {
    return (await this.#quotas?.limit(this.timelineDir(id), bytes)) ?? false
  }

  async imageUsage(id: ImageId): Promise<FolderUsage> {
    return await this.#chosen.driver.usage(this.imageDir(id))
  }

  async freeBytes(): Promise<FreeBytes> {
    return await this.#floor.freeBytes()
  }

  /** Throws `disk_full` when the host or, after growing it, the pool has less free than the floor. Cheap: asked at each creation. */
  async assertRoom(): Promise<void> {
    await this.#floor.assertRoom()
  }

  /** Grows the pool when it runs low, for databases that fill it without anything being created. To be called every few seconds. */
  async ensureRoom(): Promise<void> {
    await this.#chosen.pool?.ensureRoom()
  }

  /** Ends background work. A pool stays mounted for the databases that outlive us, unless asked otherwise. */
  async close(options: { unmount?: boolean } = {}): Promise<void> {
    this.#closing = true
    await this.#removals.run('trash', async () => {})
    if (options.unmount) await this.#chosen.pool?.unmount()
  }

  #place(kind: Kind, id: string): string {
    if (!isTimelineId(id)) throw new AppError('internal', `that is no id of ${kind}`)
    return join(this.#chosen.root, kind, id)
  }

  async #list(kind: Kind): Promise<string[]> {
    return (await readdir(join(this.#chosen.root, kind))).filter(isTimelineId)
  }

  async #clone(kind: Kind, id: string, source: string, options: CloneTimelineOptions): Promise<string> {
    const place = this.#place(kind, id)
    return await this.#locks.run(`${kind}/${id}`, 'clone', async () => {
      if (await isThere(place)) return place
      await this.#inDraft(id, async (draft) => {
        await this.#cloneWhole(source, draft, options, kind === 'timelines' ? this.#quotas?.adopt : undefined)
        await failpoint('storage.clone.draft')
        await options.finish?.(draft)
        if (options.sync) await this.#chosen.driver.sync(draft)
        await rename(draft, place)
        await failpoint('storage.clone.renamed')
        if (options.sync) await this.#syncFolders(kind)
      })
      return place
    })
  }

  async #destroy(kind: Kind, id: string): Promise<void> {
    const place = this.#place(kind, id)
    const trash = join(this.#chosen.root, 'trash', `${id}-${crypto.randomUUID()}`)
    await this.#locks.run(`${kind}/${id}`, 'destroy', async () => {
      const wasThere = await renameIfThere(place, trash)
      if (wasThere) await failpoint('storage.destroy.renamed')
      // A limit without a folder would be kept in the file system's books for ever.
      if (wasThere) await this.#quotas?.limit(trash, undefined).catch(() => false)
      // Also when it was not there: whoever renamed it may have died before this.
      await this.#syncFolders(kind, 'trash')
      if (wasThere) this.#startEmptyingTrash()
    })
  }

  async #cloneWhole(
    source: string,
    draft: string,
    { owner, exclude = [] }: CloneTimelineOptions,
    made: ((folder: string) => Promise<void>) | undefined,
  ): Promise<void> {
    const before = await inodeOf(source)
    if (before === undefined) throw new AppError('storage_failed', 'what was to be copied is not there')
    await this.#chosen.driver.clone(source, draft, { owner, exclude, made })
    // Drivers forgive files that vanish. A source that is being removed is renamed first, so one that is still in place was whole.
    if ((await inodeOf(source)) !== before) {
      throw new AppError('storage_failed', 'what was to be copied was removed meanwhile')
    }
  }

  async #inDraft(label: string, work: (draft: string) => Promise<void>): Promise<void> {
    // A name of its own: a cp that has outlived a killed pgrove may still be writing into the last attempt's.
    const name = `${label}-${crypto.randomUUID()}`
    const draft = join(this.#chosen.root, 'drafts', name)
    this.#activeDrafts.add(name)
    try {
      await work(draft)
    } catch (error) {
      await this.#removeQuietly(draft)
      throw error
    } finally {
      this.#activeDrafts.delete(name)
    }
  }

  #startEmptyingTrash(): void {
    void this.emptyTrash().catch((error: unknown) => {
      this.#logger.warn({ cause: errorChain(error) }, 'trash could not be emptied; the next removal tries again')
    })
  }

  async #emptyTrash(): Promise<void> {
    const { root, pool } = this.#chosen
    const drafts = (await readdir(join(root, 'drafts'))).filter((name) => !this.#isActiveDraft(name))
    for (const name of drafts) {
      if (!this.#closing && !this.#isActiveDraft(name)) await this.#removeQuietly(join(root, 'drafts', name))
    }
    for (const name of await readdir(join(root, 'trash'))) {
      if (!this.#closing) await this.#removeQuietly(join(root, 'trash', name))
    }
    if (this.#closing) return
    await pool?.giveBack().catch((error: unknown) => {
      this.#logger.warn({ cause: errorChain(error) }, 'free space of the pool could not be given back to the host')
    })
  }

  /** A draft, or what lies beside it under its name and an ending for as long as it is being made. */
  #isActiveDraft(name: string): boolean {
    return [...this.#activeDrafts].some((active) => name === active || name.startsWith(`${active}.`))
  }

  async #removeQuietly(folder: string): Promise<void> {
    try {
      await this.#chosen.driver.remove(folder)
    } catch (error) {
      this.#logger.warn({ cause: errorChain(error) }, 'a folder could not be removed; the next removal tries again')
    }
  }

  async #syncFolders(...names: (typeof folders)[number][]): Promise<void> {
    await Promise.all(names.map((name) => syncFolder(join(this.#chosen.root, name))))
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const isThere = async (path: string): Promise<boolean> => (await inodeOf(path)) !== undefined

async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
