// What lies in a data directory that we read or leave out ourselves, while Postgres is down or has told us where it stands.

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../model/errors.ts'
import type { Lsn } from '../model/lsn.ts'

export type ControlFile = {
  systemIdentifier: bigint
  state: ClusterState
  /** Where the newest checkpoint record begins; after a clean stop, the end of all that was written. */
  checkpointLsn: Lsn
  /** Recovery reads the log from here. */
  redoLsn: Lsn
  /** Postgres' own timeline. */
  tli: number
}

/** postgres: src/include/catalog/pg_control.h, `DBState`. */
const clusterStates = [
  'starting_up',
  'shut_down',
  'shut_down_in_recovery',
  'shutting_down',
  'in_crash_recovery',
  'in_archive_recovery',
  'in_production',
] as const
export type ClusterState = (typeof clusterStates)[number]

/** `PG_CONTROL_VERSION` of majors 14 to 18; the fields read here have the same places in all of them. */
const knownVersions = new Set([1300, 1700, 1800])

export async function readControlFile(dataDir: string): Promise<ControlFile> {
  const path = join(dataDir, 'global', 'pg_control')
  const bytes = Buffer.alloc(64)
  const file = await open(path, 'r')
  try {
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    const version = bytes.readUInt32LE(8)
    const state = clusterStates[bytes.readUInt32LE(16)]
    if (bytesRead < bytes.length || !knownVersions.has(version) || state === undefined) {
      throw new AppError('storage_failed', `${path} is not a control file of Postgres 14 to 18`)
    }
    return {
      systemIdentifier: bytes.readBigUInt64LE(0),
      state,
      checkpointLsn: bytes.readBigUInt64LE(32) as Lsn,
      redoLsn: bytes.readBigUInt64LE(40) as Lsn,
      tli: bytes.readUInt32LE(48),
    }
  } finally {
    await file.close()
  }
}

/** Every data directory that pgrove makes has segments of this size. */
export const walSegmentBytes = 1024 * 1024

export function walSegmentName(tli: number, lsn: Lsn): string {
  const segment = lsn / BigInt(walSegmentBytes)
  const perFile = 0x1_0000_0000n / BigInt(walSegmentBytes)
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, '0')
  return hex(BigInt(tli)) + hex(segment / perFile) + hex(segment % perFile)
}

/** Names of the segments that hold what was written from `start` up to `stop`. */
export function walSegmentNames(tli: number, start: Lsn, stop: Lsn): string[] {
  const names: string[] = []
  const size = BigInt(walSegmentBytes)
  // A stop exactly on a boundary needs nothing of the segment that begins there.
  const last = stop > start ? (stop - 1n) / size : start / size
  for (let segment = start / size; segment <= last; segment++) names.push(walSegmentName(tli, (segment * size) as Lsn))
  return names
}

/** Every file, then every folder: what is in the directory survives a power cut once this returns. */
export async function syncDataDir(dataDir: string): Promise<void> {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((each) => each.isFile() || each.isDirectory())
    .map((each) => join(each.parentPath, each.name))
  const queue = [...paths, dataDir]
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
        const file = await open(path, 'r')
        try {
          await file.sync()
        } finally {
          await file.close()
        }
      }
    }),
  )
}
