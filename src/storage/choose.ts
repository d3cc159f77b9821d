// Decides which kind of storage a home folder gets, and says why in a sentence that `start` and `doctor` print.
//
// A home that holds data keeps its kind: `auto` follows it, and another one asked for by name is refused, because it would look
// for the data elsewhere.

import { errorChain, AppError, isAppError } from '../model/errors.ts'
import { createBtrfsDriver } from './btrfs.ts'
import { createCopyDriver } from './copy.ts'
import type { StorageDriver } from './driver.ts'
import { openPool, type Pool, type PoolOptions } from './pool.ts'
import { canReflink, canSnapshotSubvolumes, poolObstacle } from './probe.ts'
import { createReflinkDriver } from './reflink.ts'
import { plainRoot, readBindingRecord, writeRecord, type StorageKind } from './storage-record.ts'
import { refuseZfs } from './zfs.ts'

export type WantedStorage = 'auto' | 'zfs' | StorageKind

export type ChosenStorage = {
  kind: StorageKind
  driver: StorageDriver
  pool: Pool | undefined
  root: string
  why: string
}

export async function chooseStorage(wanted: WantedStorage, options: PoolOptions): Promise<ChosenStorage> {
  if (wanted === 'zfs') refuseZfs()
  const { home } = options
  const held = await readBindingRecord(home)
  if (held && wanted !== 'auto' && wanted !== held.kind) {
    throw new AppError(
      'config_invalid',
      `the data in PGROVE_HOME was made with ${held.kind} storage: start with PGROVE_STORAGE=${held.kind} or auto, or choose another PGROVE_HOME for ${wanted}`,
    )
  }
  const chosen = held
    ? { ...(await openKind(held.kind, options)), why: held.why }
    : wanted === 'auto'
      ? await openBest(options)
      : await openKind(wanted, options)
  await writeRecord(home, { kind: chosen.kind, why: chosen.why })
  return chosen
}

async function openBest(options: PoolOptions): Promise<ChosenStorage> {
  const { home } = options
  if (await canSnapshotSubvolumes(home)) {
    return plain('btrfs', home, 'the home folder is on btrfs, so copies are snapshots of subvolumes')
  }
  if (await canReflink(home)) {
    return plain('reflink', home, 'the file system of the home folder can share blocks between files')
  }
  const cannotShare = 'the file system of the home folder cannot share blocks between files'
  const obstacle = await poolObstacle()
  const onlyCopies = (missing: string): ChosenStorage =>
    plain('copy', home, `${cannotShare}, and a pool needs ${missing}: every branch takes its full size and time`)
  if (obstacle !== undefined) return onlyCopies(obstacle)
  try {
    return inPool(await openPool(options), `${cannotShare}, so databases live in a pool file with XFS in it`)
  } catch (error) {
    if (isAppError(error, 'disk_full') || isAppError(error, 'config_invalid')) throw error
    options.logger.warn({ cause: errorChain(error) }, 'no pool can be made here')
    return onlyCopies('loop devices that can be mounted')
  }
}

async function openKind(kind: StorageKind, options: PoolOptions): Promise<ChosenStorage> {
  const needed = await missingFor[kind](options.home)
  if (needed !== undefined) {
    throw new AppError(
      'config_invalid',
      `${kind} storage does not work here, it needs ${needed}. PGROVE_STORAGE=auto picks what does`,
    )
  }
  const why = `PGROVE_STORAGE says ${kind}`
  return kind === 'pool' ? inPool(await openPool(options), why) : plain(kind, options.home, why)
}

/** What a kind needs and does not have here, or undefined. */
const missingFor: Record<StorageKind, (home: string) => Promise<string | undefined>> = {
  btrfs: async (home) =>
    (await canSnapshotSubvolumes(home))
      ? undefined
      : 'PGROVE_HOME to be on btrfs and the btrfs command (install btrfs-progs)',
  reflink: async (home) =>
    (await canReflink(home))
      ? undefined
      : 'PGROVE_HOME to be on a file system that can share blocks between files (XFS, btrfs, APFS)',
  pool: poolObstacle,
  copy: () => Promise.resolve(undefined),
}

const plain = (kind: 'btrfs' | 'reflink' | 'copy', home: string, why: string): ChosenStorage => ({
  kind,
  driver: drivers[kind](),
  pool: undefined,
  root: plainRoot(home),
  why,
})

const drivers = { btrfs: createBtrfsDriver, reflink: createReflinkDriver, copy: createCopyDriver }

const inPool = (pool: Pool, why: string): ChosenStorage => ({
  kind: 'pool',
  driver: createReflinkDriver(),
  pool,
  root: pool.root,
  why,
})
