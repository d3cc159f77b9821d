// A pool: one file in the home folder, formatted XFS and loop-mounted, where the home's own file system cannot share blocks.
//
//   $HOME/pool.img   the image     $HOME/pool/   where it is mounted     $HOME/pool/ballast   see ballast.ts
//
// Promises
// - All that the pool can hand out is allocated on the host. The image is allocated before XFS is told of it, never below the host's
//   floor; what goes back to the host is first taken away from XFS (ballast.ts) and never by `fstrim`, which would leave XFS with
//   free space that nothing stands behind: a sparse image over a full host loses writes under every tenant. Should somebody else
//   have punched holes, `ensureRoom` fills them again or says that it cannot.
// - Opening may be repeated from wherever a crash left it: half-made image (thrown away), image without device, device without
//   mount, mount without us (adopted), image larger than its XFS (grown into).
// - Nothing in it can be executed, be a device or be setuid.

import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFile, syncFolder } from '../lib/durable-file.ts'
import type { Logger } from '../lib/logger.ts'
import { run } from '../lib/run.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { AppError } from '../model/errors.ts'
import { Ballast } from './ballast.ts'
import { freeBytesOf } from './file-system.ts'
import { attachLoopDevice, detachLoopDevice, findLoopDevice, mountedAt, refreshLoopDevice } from './loop-device.ts'

export type PoolOptions = {
  home: string
  /** Stays free on the host, and in the pool while the host allows. */
  floorBytes: number
  initialBytes: number
  stepBytes: number
  logger: Logger
}

const mebibyte = 1024 * 1024
const gibibyte = 1024 * mebibyte
const commandTimeoutMs = 5 * 60_000
/** Growing by less than this is not worth an XFS allocation group. */
const smallestGrowth = 64 * mebibyte

const imageOf = (home: string): string => join(home, 'pool.img')
export const poolRoot = (home: string): string => join(home, 'pool')

export async function isPoolThere(home: string): Promise<boolean> {
  return (await sizesOf(imageOf(home))) !== undefined
}

/** Makes the pool or finds it, whatever state it is in. A pool that cannot be made leaves nothing behind. */
export async function openPool(options: PoolOptions): Promise<Pool> {
  const { home } = options
  const image = imageOf(home)
  const isNew = !(await isPoolThere(home))
  if (isNew) await makeImage(image, options)
  try {
    await mountImage(image, poolRoot(home))
  } catch (error) {
    if (isNew) await rm(image, { force: true })
    throw error
  }
  const pool = new Pool(options)
  await pool.growIntoImage()
  return pool
}

async function makeImage(image: string, { home, floorBytes, initialBytes }: PoolOptions): Promise<void> {
  const free = await freeBytesOf(home)
  if (free - initialBytes < floorBytes) {
    throw new AppError(
      'disk_full',
      `the disk under PGROVE_HOME has ${inMb(free)} free; a pool needs ${inMb(initialBytes)} beside ${inMb(floorBytes)} that stay free`,
    )
  }
  const draft = `${image}.draft`
  await rm(draft, { force: true })
  try {
    await (await open(draft, 'wx', 0o600)).close()
    await run('fallocate', ['-l', String(initialBytes), draft], { timeoutMs: commandTimeoutMs })
    // XFS keeps the size of its allocation groups when it grows: groups cut for a small start would be hundreds in a large pool.
    const groups = initialBytes >= 2 * gibibyte ? ['-d', 'agsize=1g'] : []
    await run('mkfs.xfs', ['-q', '-K', '-m', 'reflink=1', ...groups, draft], { timeoutMs: commandTimeoutMs })
    // What mkfs may have punched out.
    await run('fallocate', ['-l', String(initialBytes), draft], { timeoutMs: commandTimeoutMs })
    await syncFile(draft)
    await rename(draft, image)
    await syncFolder(home)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

async function mountImage(image: string, root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 })
  const mounted = await mountedAt(root)
  if (mounted !== undefined) {
    if (mounted === (await findLoopDevice(image))) return
    throw new AppError('config_invalid', `something else (${mounted}) is mounted where the pool belongs; unmount it`)
  }
  const device = await attachLoopDevice(image)
  try {
    const flags = 'noatime,nodev,nosuid,noexec,logbsize=256k'
    const mount = (options: string): Promise<unknown> =>
      run('mount', ['-t', 'xfs', '-o', options, device, root], { timeoutMs: commandTimeoutMs })
    // For hard limits (project-quotas.ts); a kernel may have been built without them.
    await mount(`${flags},prjquota`).catch(() => mount(flags))
  } catch (cause) {
    await detachLoopDevice(image).catch(() => {})
    throw new AppError('storage_failed', 'the pool could not be mounted', { cause })
  }
  // Every compute's uid has to pass.
  await chmod(root, 0o711)
}

export class Pool {
  readonly root: string
  readonly #image: string
  readonly #options: PoolOptions
  readonly #ballast: Ballast
  readonly #flights = new SingleFlight<void>()

  constructor(options: PoolOptions) {
    this.#options = options
    this.#image = imageOf(options.home)
    this.root = poolRoot(options.home)
    this.#ballast = new Ballast(join(this.root, 'ballast'), this.#image)
  }

  /** Grows the pool while its free space is low and the host can afford it. Throws `disk_full` when holes cannot be filled. */
  async ensureRoom(): Promise<void> {
    await this.#flights.run('size', () => this.#ensureRoom())
  }

  /** Returns what is free in plenty to the host. */
  async giveBack(): Promise<void> {
    await this.ensureRoom()
    await this.#flights.run('size', () => this.#giveBack())
  }

  /** XFS takes up whatever the image has; nothing to do is fine. */
  async growIntoImage(): Promise<void> {
    const device = await findLoopDevice(this.#image)
    if (!device) throw new AppError('storage_failed', 'the pool has lost its loop device')
    await refreshLoopDevice(device)
    await run('xfs_growfs', ['-d', this.root], { timeoutMs: commandTimeoutMs })
  }

  async unmount(): Promise<void> {
    await unmountPool(this.#options.home)
  }

  /** Below this the pool grows: early, so that running databases do not meet its end between two looks. */
  get #low(): number {
    return this.#options.floorBytes + this.#options.stepBytes / 2
  }

  async #ensureRoom(): Promise<void> {
    await this.#fillHoles()
    for (let free = await freeBytesOf(this.root); free < this.#low;) {
      if (!(await this.#growByOneStep())) return
      const now = await freeBytesOf(this.root)
      if (now <= free) return
      free = now
    }
  }

  async #growByOneStep(): Promise<boolean> {
    const { stepBytes } = this.#options
    const affordable = Math.floor((await this.#hostRoom()) / mebibyte) * mebibyte
    const amount = Math.min(stepBytes, affordable)
    if (amount < Math.min(stepBytes, smallestGrowth)) return false
    const ballast = await this.#ballast.bytes()
    if (ballast > 0) {
      await this.#ballast.deflate(Math.min(amount, ballast))
    } else {
      const { size } = await this.#imageSizes()
      await run('fallocate', ['-o', String(size), '-l', String(amount), this.#image], { timeoutMs: commandTimeoutMs })
      await syncFile(this.#image)
      await this.growIntoImage()
    }
    this.#options.logger.info({ bytes: amount }, 'pool grown')
    return true
  }

  async #fillHoles(): Promise<void> {
    const { size, allocated } = await this.#imageSizes()
    const missing = size - allocated - (await this.#ballast.bytes())
    if (missing <= 0) return
    if ((await this.#hostRoom()) < size - allocated) {
      throw new AppError(
        'disk_full',
        `${inMb(missing)} of the pool's image are not backed by the disk under PGROVE_HOME any more; free at least as much there`,
      )
    }
    this.#options.logger.warn({ bytes: missing }, 'filling holes that something punched into the pool image')
    await run('fallocate', ['-l', String(size), this.#image], { timeoutMs: commandTimeoutMs })
    await this.#ballast.release(0)
  }

  async #giveBack(): Promise<void> {
    const { stepBytes, logger } = this.#options
    const spare = (await freeBytesOf(this.root)) - this.#low - 2 * stepBytes
    const bytes = Math.floor(spare / stepBytes) * stepBytes
    if (bytes <= 0) return
    await this.#ballast.inflate(bytes)
    logger.info({ bytes }, 'free space of the pool given back to the host')
  }

  async #hostRoom(): Promise<number> {
    return (await freeBytesOf(this.#options.home)) - this.#options.floorBytes
  }

  async #imageSizes(): Promise<{ size: number; allocated: number }> {
    const sizes = await sizesOf(this.#image)
    if (!sizes) throw new AppError('storage_failed', 'the pool image is gone from PGROVE_HOME')
    return sizes
  }
}

/** Unmounts the pool of a home and lets go of its device; not mounted is fine. */
export async function unmountPool(home: string): Promise<void> {
  if (!(await isPoolThere(home))) return
  const root = poolRoot(home)
  await mkdir(root, { recursive: true, mode: 0o700 })
  if ((await mountedAt(root)) !== undefined) {
    try {
      await run('umount', [root], { timeoutMs: commandTimeoutMs })
    } catch (cause) {
      throw new AppError('storage_failed', 'the pool is still in use; stop the databases in it first', { cause })
    }
  }
  await detachLoopDevice(imageOf(home))
}

async function sizesOf(path: string): Promise<{ size: number; allocated: number } | undefined> {
  try {
    const { size, blocks } = await stat(path)
    return { size, allocated: blocks * 512 }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export const inMb = (bytes: number): string => `${Math.max(0, Math.floor(bytes / mebibyte))} MB`
