// Segments of a timeline's write-ahead log on disk: the newest in its `pg_wal`, older ones in its archive.

import { constants, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../lib/run.ts'
import type { Owner } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import type { Lsn } from '../model/lsn.ts'
import { walSegmentBytes, walSegmentName } from './data-dir.ts'
import type { WalSource } from './wal-reader.ts'

const segmentName = /^[0-9A-F]{24}$/

/** Reads from the first folder that has the segment. What a folder's owner put there in place of a file is not followed. */
export function walSource(folders: readonly string[], tli: number): WalSource {
  return {
    segmentBytes: walSegmentBytes,
    async segment(index) {
      const name = walSegmentName(tli, (BigInt(index) * BigInt(walSegmentBytes)) as Lsn)
      for (const folder of folders) {
        const bytes = await readSegment(join(folder, name))
        if (bytes) return bytes
      }
      return undefined
    },
  }
}

async function readSegment(path: string): Promise<Buffer | undefined> {
  let file
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const bytes = Buffer.allocUnsafe(walSegmentBytes)
    const { bytesRead } = await file.read(bytes, 0, walSegmentBytes, 0)
    return bytesRead === walSegmentBytes ? bytes : undefined
  } finally {
    await file.close()
  }
}

/** Names of the segments in a folder, oldest first. A folder that is not there has none. */
export async function listSegments(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => segmentName.test(name)).toSorted()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Those that hold nothing from a place of the log on. Of which of Postgres' timelines they are does not count. */
export async function segmentsBefore(folder: string, lsn: Lsn): Promise<string[]> {
  const place = (name: string): string => name.slice(8)
  const first = place(walSegmentName(1, lsn))
  return (await listSegments(folder)).filter((name) => place(name) < first)
}

/** Where each of the named segments lies. Throws `storage_failed` where one is nowhere. */
export async function findSegments(folders: readonly string[], names: readonly string[]): Promise<string[]> {
  const place = new Map<string, string>()
  for (const folder of folders) {
    for (const name of await listSegments(folder)) if (!place.has(name)) place.set(name, join(folder, name))
  }
  return names.map((name) => {
    const path = place.get(name)
    if (path === undefined) {
      throw new AppError('storage_failed', 'a segment of the write-ahead log is gone, which this point needs', {
        cause: name,
      })
    }
    return path
  })
}

/** Out of the data directory, as its owner; across file systems too, since a subvolume is one of its own. May be repeated. */
export async function moveSegments(
  from: string,
  to: string,
  names: readonly string[],
  owner: Owner | undefined,
): Promise<void> {
  for (let at = 0; at < names.length; at += namesPerCommand) {
    const paths = names.slice(at, at + namesPerCommand).map((name) => `./${name}`)
    await run('mv', ['-f', '--', ...paths, to], { cwd: from, owner, timeoutMs: 600_000 })
  }
}

/** Copies segments to where a snapshot keeps them. May be repeated. */
export async function copySegments(paths: readonly string[], to: string, owner: Owner | undefined): Promise<void> {
  for (let at = 0; at < paths.length; at += namesPerCommand) {
    await run('cp', ['-f', '--', ...paths.slice(at, at + namesPerCommand), to], { owner, timeoutMs: 600_000 })
  }
}

export async function removeSegments(
  folder: string,
  names: readonly string[],
  owner: Owner | undefined,
): Promise<void> {
  for (let at = 0; at < names.length; at += namesPerCommand) {
    const paths = names.slice(at, at + namesPerCommand).map((name) => `./${name}`)
    await run('rm', ['-f', '--', ...paths], { cwd: folder, owner, timeoutMs: 600_000 })
  }
}

const namesPerCommand = 1000
