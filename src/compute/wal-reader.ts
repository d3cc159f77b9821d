// Reads the write-ahead log as Postgres writes it: where records begin and end, and when transactions committed.
//
// That is what a point in the past is resolved with. Records are walked by their lengths and checked by their back links; what they
// do to pages is Postgres' business. Sources: src/include/access/xlogrecord.h, xlog_internal.h and xact.h, the same in majors 14 to 18.

import { AppError } from '../model/errors.ts'
import type { Lsn } from '../model/lsn.ts'

export const walPageBytes = 8192
const shortHeader = 24
const longHeader = 40
const recordHeader = 24
/** Longer than any record Postgres writes (XLogRecordMaxSize, 1020 MB): what claims more is no record. */
const longestRecord = 1020 * 1024 * 1024

const firstIsContrecord = 0x0001
const hasLongHeader = 0x0002
const firstIsOverwriteContrecord = 0x0008

/** RM_XACT_ID, and what of `xl_info` tells its records apart. */
const transactionRmid = 1
const transactionOpMask = 0x70
const commitOps: ReadonlySet<number> = new Set([0x00, 0x30])
const abortOps: ReadonlySet<number> = new Set([0x20, 0x40])

const dataShort = 255
const dataLong = 254
const dataOrigin = 253
const dataToplevelXid = 252

/** 2000-01-01 in microseconds since 1970. */
const postgresEpochMicros = 946_684_800_000_000n

/** Where the segments are. Undefined where the segment is not there. */
export type WalSource = {
  segmentBytes: number
  segment(index: number): Promise<Buffer | undefined>
}

export type WalRecord = {
  lsn: Lsn
  /** Where the next record may begin: aligned, and perhaps on a page boundary. */
  end: Lsn
  /** When the transaction committed or aborted, in microseconds since 1970; undefined for every other record. */
  endedAtMicros: bigint | undefined
}

type Page = { bytes: Buffer; offset: number; start: number }

/** A segment that has to be loaded before the walk can go on. */
class Missing {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

type Step = { end: number; previous: number; endedAtMicros: bigint | undefined; overwritten: boolean }

/**
 * Walks records from a place where one may begin. Ends at the first that is not wholly before `limit`, or is none. Loading a segment is
 * the only thing that is waited for: a log has thousands of records a megabyte.
 */
export class WalReader {
  readonly #source: WalSource
  readonly #limit: number
  /** Undefined: known not to be there. */
  readonly #held = new Map<number, Buffer | undefined>()
  /** The first commit or abort that begins in a segment, as far as it was asked for. */
  readonly #firstEnds = new Map<number, bigint | undefined>()

  constructor(source: WalSource, limit: Lsn) {
    this.#source = source
    this.#limit = Number(limit)
  }

  /** The first record that begins at or after `from`; undefined where there is none before the limit. */
  async firstRecordFrom(from: Lsn): Promise<WalRecord | undefined> {
    let found: WalRecord | undefined
    await this.walk(await this.#boundaryBefore(Number(from)), (record) => {
      if (record.lsn < from) return true
      found = record
      return false
    })
    return found
  }

  /** The end of the last record that ends at or before `until`; undefined where no record does. */
  async lastEndUntil(until: Lsn): Promise<Lsn | undefined> {
    const boundary = await this.#boundaryBefore(Number(until))
    // Where a record begins another has ended, though the one that begins there may be too long to end before `until`.
    let end: Lsn | undefined = boundary <= until ? boundary : undefined
    await this.walk(boundary, (record) => {
      if (record.end > until) return false
      end = record.end
      return true
    })
    return end
  }

  /**
   * The first commit or abort at or after a moment, from a record boundary on. Segments whose first commit lies before the moment are
   * skipped by bisection, so a clock that was set back in between may hide an earlier one.
   */
  async firstEndedFrom(from: Lsn, micros: bigint): Promise<WalRecord | undefined> {
    return (await this.#endsAround(from, micros)).first
  }

  /**
   * Behind the last commit or abort before a moment, or `from`; undefined where none comes at or after the moment. Not before the first
   * that comes then: what DROP DATABASE does to files and catalog it does ahead of its commit, for good.
   */
  async placeBefore(from: Lsn, micros: bigint): Promise<Lsn | undefined> {
    const { first, lastEnd } = await this.#endsAround(from, micros)
    return first && (lastEnd ?? from)
  }

  async #endsAround(from: Lsn, micros: bigint): Promise<{ first: WalRecord | undefined; lastEnd: Lsn | undefined }> {
    const size = this.#source.segmentBytes
    let [low, high] = [Math.floor(Number(from) / size), Math.floor((this.#limit - 1) / size)]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      // Without a commit in it, a segment says what the next one says that has any.
      let probe = middle
      let first: bigint | undefined
      while (probe < high && (first = await this.#firstEndOf(probe)) === undefined) probe++
      if (first !== undefined && first < micros) low = probe
      else high = middle
    }
    const start = low * size > Number(from) ? ((await this.#firstBoundaryOf(low * size)) ?? Number(from)) : Number(from)
    let first: WalRecord | undefined
    let lastEnd: Lsn | undefined
    await this.walk(lsnOf(start), (record) => {
      if (record.endedAtMicros === undefined) return true
      if (record.endedAtMicros < micros) {
        lastEnd = record.end
        return true
      }
      first = record
      return false
    })
    return { first, lastEnd }
  }

  /** Visits records until `visit` says false or the log ends. */
  async walk(from: Lsn, visit: (record: WalRecord) => boolean): Promise<void> {
    let at = Number(from)
    let previous: number | undefined
    for (;;) {
      const page = this.#page(at)
      if (page instanceof Missing) {
        await this.#load(page.index, Math.floor(at / this.#source.segmentBytes))
        continue
      }
      if (!page) return
      if (at === page.start) at += headerBytes(page)
      const step = this.#record(at, page)
      if (step instanceof Missing) {
        await this.#load(step.index, Math.floor(at / this.#source.segmentBytes))
        continue
      }
      if (step === undefined || step.end > this.#limit) return
      if (step.overwritten) {
        at = step.end
        previous = undefined
        continue
      }
      if (previous !== undefined && step.previous !== previous) return
      previous = at
      if (!visit({ lsn: lsnOf(at), end: lsnOf(step.end), endedAtMicros: step.endedAtMicros })) return
      at = step.end
    }
  }

  async #firstEndOf(index: number): Promise<bigint | undefined> {
    if (this.#firstEnds.has(index)) return this.#firstEnds.get(index)
    const size = this.#source.segmentBytes
    const boundary = await this.#firstBoundaryOf(index * size)
    let found: bigint | undefined
    if (boundary !== undefined) {
      await this.walk(lsnOf(boundary), (record) => {
        found = record.lsn < (index + 1) * size ? record.endedAtMicros : undefined
        return found === undefined && record.lsn < (index + 1) * size
      })
    }
    this.#firstEnds.set(index, found)
    return found
  }

  /** The last record boundary that a page header tells of, before or at a place. */
  async #boundaryBefore(at: number): Promise<Lsn> {
    const size = this.#source.segmentBytes
    for (let start = at - (at % size); start >= 0; start -= size) {
      const first = await this.#firstBoundaryOf(start)
      if (first !== undefined && first <= at) return lsnOf(first)
      if (!(await this.#load(start / size - 1, start / size))) {
        // Nothing before it is there: from the first record that is.
        if (first !== undefined) return lsnOf(first)
        break
      }
    }
    throw new AppError('storage_failed', 'the write-ahead log of this point is not there')
  }

  /** Where the first record of a segment begins, which a long record may push far into it, or out of it. */
  async #firstBoundaryOf(segmentStart: number): Promise<number | undefined> {
    const index = segmentStart / this.#source.segmentBytes
    await this.#load(index, index)
    const end = segmentStart + this.#source.segmentBytes
    for (let start = segmentStart; start < end; start += walPageBytes) {
      const page = this.#page(start)
      if (!page || page instanceof Missing) return undefined
      const header = headerBytes(page)
      if ((page.bytes.readUInt16LE(page.offset + 2) & firstIsContrecord) === 0) return start
      const rest = align(page.bytes.readUInt32LE(page.offset + 16))
      if (rest < walPageBytes - header) return start + header + rest
      if (rest === walPageBytes - header) return start + walPageBytes
    }
    return undefined
  }

  #record(at: number, page: Page): Step | Missing | undefined {
    const inPage = walPageBytes - (at - page.start)
    const from = page.offset + (at - page.start)
    const length = page.bytes.readUInt32LE(from)
    if (length < recordHeader || length > longestRecord) return undefined
    if (length <= inPage) return parse(page.bytes.subarray(from, from + length), at + align(length))
    // Of a long record that is no transaction's the header is all that is read.
    const pieces = [page.bytes.subarray(from, from + inPage)]
    let gathered = inPage
    let wanted = recordHeader
    if (inPage >= recordHeader && page.bytes[from + 17] === transactionRmid) wanted = length
    let rest = length - inPage
    for (let start = page.start + walPageBytes; ; start += walPageBytes) {
      const next = this.#page(start)
      if (!next || next instanceof Missing) return next
      const info = next.bytes.readUInt16LE(next.offset + 2)
      if ((info & firstIsOverwriteContrecord) !== 0) {
        // A crash cut the record off, and the log goes on here without it.
        return { end: start, previous: 0, endedAtMicros: undefined, overwritten: true }
      }
      if ((info & firstIsContrecord) === 0 || next.bytes.readUInt32LE(next.offset + 16) !== rest) return undefined
      const header = headerBytes(next)
      const part = Math.min(rest, walPageBytes - header)
      if (gathered < wanted) {
        const body = next.offset + header
        pieces.push(next.bytes.subarray(body, body + part))
        gathered += part
        if (wanted === recordHeader && Buffer.concat(pieces)[17] === transactionRmid) wanted = length
      }
      rest -= part
      if (rest === 0) return parse(Buffer.concat(pieces), align(start + header + part))
    }
  }

  #page(at: number): Page | Missing | undefined {
    const size = this.#source.segmentBytes
    const start = at - (at % walPageBytes)
    if (start >= this.#limit) return undefined
    const index = Math.floor(start / size)
    const bytes = this.#held.get(index)
    if (!bytes) return this.#held.has(index) ? undefined : new Missing(index)
    const offset = start - index * size
    // A page that was not written yet still tells of another place, where the file is an old one used again, or of none.
    if (Number(bytes.readBigUInt64LE(offset + 8)) !== start) return undefined
    return { bytes, offset, start }
  }

  /** Those before `from` are let go: a walk does not come back to them. */
  async #load(index: number, from: number): Promise<Buffer | undefined> {
    if (index < 0) return undefined
    if (!this.#held.has(index)) {
      for (const held of this.#held.keys()) if (held < from || held > index + 1) this.#held.delete(held)
      const bytes = await this.#source.segment(index)
      this.#held.set(index, bytes?.length === this.#source.segmentBytes ? bytes : undefined)
    }
    return this.#held.get(index)
  }
}

function parse(bytes: Buffer, end: number): Step {
  const op = (bytes[16] ?? 0) & transactionOpMask
  const ends = bytes[17] === transactionRmid && (commitOps.has(op) || abortOps.has(op))
  return {
    end,
    previous: Number(bytes.readBigUInt64LE(8)),
    endedAtMicros: ends ? endTime(bytes) : undefined,
    overwritten: false,
  }
}

function headerBytes({ bytes, offset }: Page): number {
  return (bytes.readUInt16LE(offset + 2) & hasLongHeader) === 0 ? shortHeader : longHeader
}

/** `xact_time` opens the main data, which is the last part of a record. */
function endTime(record: Buffer): bigint | undefined {
  let at = recordHeader
  for (;;) {
    const id = record[at]
    if (id === dataOrigin) at += 3
    else if (id === dataToplevelXid) at += 5
    else if (id === dataShort || id === dataLong) {
      const length = id === dataShort ? (record[at + 1] ?? 0) : record.readUInt32LE(at + 1)
      return record.readBigInt64LE(record.length - length) + postgresEpochMicros
    } else return undefined
  }
}

const align = (value: number): number => Math.ceil(value / 8) * 8
const lsnOf = (value: number): Lsn => BigInt(value) as Lsn
