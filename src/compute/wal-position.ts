// How far a timeline's write-ahead log has been written, read from its segments: asks no Postgres, works while one runs, sleeps or has
// crashed, and costs a few small reads however much was written.
//
// Pages carry their own position (`xlp_pageaddr`), so what a recycled segment or page still holds of an older time is told apart, and
// the last page of a log that grows is found by bisection. Sources: src/include/access/xlog_internal.h and xlogrecord.h, the same in
// majors 14 to 18. What Postgres still has in memory is not seen: with `synchronous_commit` off that is a fraction of a second.

import { constants, open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lsn } from '../model/lsn.ts'
import { walSegmentBytes, walSegmentName } from './data-dir.ts'
import { walPageBytes } from './wal-reader.ts'

const pagesPerSegment = walSegmentBytes / walPageBytes
const shortHeader = 24
const longHeader = 40
const recordHeader = 24
const firstIsContrecord = 0x0001
const hasLongHeader = 0x0002

/**
 * The end of the last record on disk, at or after `from`; `from` where there is nothing behind it. `folders`: where the segments of
 * Postgres' timeline `tli` lie, the newest first.
 */
export async function writtenUntil(folders: readonly string[], tli: number, from: Lsn): Promise<Lsn> {
  const first = Math.floor(Number(from) / walSegmentBytes)
  if (!(await isWritten(folders, tli, first, 0))) return from
  const segment = await lastWhere(first, (index) => isWritten(folders, tli, index, 0))
  const pageOf = (index: number): Promise<boolean> =>
    index < pagesPerSegment ? isWritten(folders, tli, segment, index) : Promise.resolve(false)
  const page = await lastWhere(0, pageOf)
  const start = segment * walSegmentBytes + page * walPageBytes
  const bytes = await readAt(folders, tli, segment, page * walPageBytes, walPageBytes)
  const end = BigInt(start + (bytes ? endOfRecords(bytes) : 0))
  return (end > from ? end : from) as Lsn
}

/** The greatest index that passes, where `known` does and all from some index on do not. */
async function lastWhere(known: number, passes: (index: number) => Promise<boolean>): Promise<number> {
  let low = known
  let step = 1
  while (await passes(low + step)) {
    low += step
    step *= 2
  }
  let high = low + step
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await passes(middle)) low = middle
    else high = middle
  }
  return low
}

async function isWritten(folders: readonly string[], tli: number, segment: number, page: number): Promise<boolean> {
  const header = await readAt(folders, tli, segment, page * walPageBytes, shortHeader)
  if (!header) return false
  return header.readBigUInt64LE(8) === BigInt(segment) * BigInt(walSegmentBytes) + BigInt(page * walPageBytes)
}

/** Offset in a page behind its last record. Postgres clears a page before it fills it: where a length should be and is not, nothing follows. */
export function endOfRecords(page: Buffer): number {
  const info = page.readUInt16LE(2)
  const header = (info & hasLongHeader) === 0 ? shortHeader : longHeader
  const carried = (info & firstIsContrecord) === 0 ? 0 : aligned(page.readUInt32LE(16))
  let at = header + carried
  while (at + 4 <= page.length) {
    const length = page.readUInt32LE(at)
    if (length < recordHeader) return at
    at = aligned(at + length)
  }
  return page.length
}

const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8

async function readAt(
  folders: readonly string[],
  tli: number,
  segment: number,
  offset: number,
  length: number,
): Promise<Buffer | undefined> {
  const name = walSegmentName(tli, (BigInt(segment) * BigInt(walSegmentBytes)) as Lsn)
  for (const folder of folders) {
    const bytes = await readPart(join(folder, name), offset, length)
    if (bytes) return bytes
  }
  return undefined
}

/** What the folder's owner, a tenant, put there in place of a file is not followed. */
async function readPart(path: string, offset: number, length: number): Promise<Buffer | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO') return undefined
    throw error
  }
  try {
    const bytes = Buffer.alloc(length)
    const { bytesRead } = await file.read(bytes, 0, length, offset)
    return bytesRead === length ? bytes : undefined
  } finally {
    await file.close()
  }
}
