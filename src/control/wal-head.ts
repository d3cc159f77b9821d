// How far a branch's log reaches, and what keeps hold of it.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { readControlFile } from '../compute/data-dir.ts'
import { afterPageHeader, replayStartOf } from '../compute/placement.ts'
import { hasSubscriptions } from '../compute/subscriptions.ts'
import { walSource } from '../compute/wal-files.ts'
import { WalReader } from '../compute/wal-reader.ts'
import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { parseLsn, type Lsn } from '../model/lsn.ts'
import type { Timeline } from '../model/timeline.ts'
import type { Storage } from '../storage/timelines.ts'
import { setTimelineSubscriptions } from '../store/timelines.ts'
import { branchSpec, withClient } from './branch-compute.ts'
import type { ControlContext } from './context.ts'

export const pgWal = (storage: Storage, id: TimelineId): string => join(storage.timelineDir(id), 'pg_wal')

/** The newest first. */
export const walFoldersOf = (storage: Storage, id: TimelineId): string[] => [pgWal(storage, id), storage.walDir(id)]

/** Everything before it can be read and nothing after it was acknowledged when the call began: a record ends here. */
export async function headOf(control: ControlContext, branch: Branch, timeline: Timeline): Promise<Lsn> {
  using _lock = await control.branchLocks.acquire(branch.id, 'head of the log')
  if (control.supervisor.state(timeline.id).kind !== 'running') return await stoppedHead(control, branch, timeline)
  const flushed = await withClient(control, timeline.id, async (client) => {
    await noteSubscriptions(control, timeline.id, client)
    return await flushedLsn(client, (bytes) => control.metering.wroteOurselves(timeline.id, bytes))
  })
  const { tli } = await replayStartOf(control.storage.timelineDir(timeline.id))
  const end = await readerOf(control, timeline, tli, flushed).lastEndUntil(flushed)
  if (end === undefined) throw new AppError('storage_failed', 'the write-ahead log cannot be read')
  return end
}

/** To be called before a compute is put to sleep and before something is made of it: asleep, it cannot be asked. */
export async function noteSubscriptions(control: ControlContext, id: TimelineId, client: pg.Client): Promise<void> {
  if (await hasSubscriptions(client)) await setTimelineSubscriptions(control.store, id)
}

export function readerOf(control: ControlContext, timeline: Timeline, tli: number, limit: Lsn): WalReader {
  return new WalReader(walSource(walFoldersOf(control.storage, timeline.id), tli), limit)
}

/** What such a commit takes up in the log at most; more than that has been written by others at the same time. */
const mostOfOurs = 512n
/** A restore point and a commit (xl_restore_point, xl_xact_commit). */
const typicalOfOurs = 144n

/**
 * How far the log is on disk. What was acknowledged with synchronous_commit off waits in memory: a commit of our own takes it along to the
 * disk, and `wrote` is told how many bytes of log that was.
 */
export async function flushedLsn(client: pg.Client, wrote: (bytes: bigint) => void = () => {}): Promise<Lsn> {
  const look = async (): Promise<{ inserted: Lsn; flushed: Lsn }> => {
    const { rows } = await client.query<{ inserted: string; flushed: string }>(
      'select pg_current_wal_insert_lsn()::text as inserted, pg_current_wal_flush_lsn()::text as flushed',
    )
    return { inserted: lsnFrom(rows[0]?.inserted), flushed: lsnFrom(rows[0]?.flushed) }
  }
  const first = await look()
  if (first.inserted === afterPageHeader(first.flushed)) return first.flushed
  // Postgres waits for the disk only where a transaction has an id and wrote a record before its commit (RecordTransactionCommit).
  await client.query(
    `begin; set local synchronous_commit = on; set local log_min_messages = panic;
     select pg_current_xact_id(), pg_create_restore_point('pgrove'); commit`,
  )
  const last = await look()
  const ours = last.inserted - first.inserted
  wrote(ours < mostOfOurs ? ours : typicalOfOurs)
  return last.flushed
}

function lsnFrom(text: string | undefined): Lsn {
  const lsn = text === undefined ? undefined : parseLsn(text)
  if (lsn === undefined) throw new AppError('internal', 'postgres did not say where its log ends')
  return lsn
}

/** The end of the checkpoint that the shutdown wrote; one that crashed is made whole by Postgres first. */
async function stoppedHead(control: ControlContext, branch: Branch, timeline: Timeline): Promise<Lsn> {
  const dir = control.storage.timelineDir(timeline.id)
  if ((await readControlFile(dir)).state !== 'shut_down') {
    await control.supervisor.ensureRunning(await branchSpec(control, branch))
    await withClient(control, timeline.id, (client) => noteSubscriptions(control, timeline.id, client))
    await control.supervisor.ensureStopped(timeline.id, 'fast')
  }
  return await shutdownEnd(control, timeline)
}

async function shutdownEnd(control: ControlContext, timeline: Timeline): Promise<Lsn> {
  const { checkpointLsn, tli } = await readControlFile(control.storage.timelineDir(timeline.id))
  const limit = ((1n << 52n) - 1n) as Lsn
  const record = await readerOf(control, timeline, tli, limit).firstRecordFrom(checkpointLsn)
  if (record?.lsn !== checkpointLsn) throw new AppError('storage_failed', 'the last checkpoint is not in the log')
  return record.end
}

/** A copy that has just been made of the timeline is whole once it is replayed up to here. */
export async function wholeFrom(control: ControlContext, timeline: Timeline): Promise<Lsn> {
  if (control.supervisor.state(timeline.id).kind !== 'running') {
    const { state } = await readControlFile(control.storage.timelineDir(timeline.id))
    if (state !== 'shut_down') throw new AppError('unavailable', 'the compute came or went while it was copied')
    return await shutdownEnd(control, timeline)
  }
  return await withClient(control, timeline.id, async (client) => {
    const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    return lsnFrom(rows[0]?.lsn)
  })
}

/**
 * The oldest log that a replication slot still wants; `unknown` where that cannot be said now. One that is further behind than any slot may
 * be (`max_slot_wal_keep_size`) has lost its claim: Postgres itself does not see to that while nothing of the log goes.
 */
export async function slotsHoldFrom(control: ControlContext, timeline: Timeline): Promise<Lsn | undefined | 'unknown'> {
  const dir = control.storage.timelineDir(timeline.id)
  if (control.supervisor.state(timeline.id).kind !== 'running') {
    return (await readdir(join(dir, 'pg_replslot'))).length > 0 ? 'unknown' : undefined
  }
  return await withClient(control, timeline.id, async (client) => {
    const { rows } = await client.query<{ wanted: string | null; current: string; most: string }>(
      `select (select min(restart_lsn)::text from pg_replication_slots) as wanted, pg_current_wal_lsn()::text as current,
              pg_size_bytes(current_setting('max_slot_wal_keep_size'))::text as most`,
    )
    const [row] = rows
    if (!row || row.wanted === null) return undefined
    const furthest = lsnFrom(row.current) - BigInt(row.most)
    const wanted = lsnFrom(row.wanted)
    return wanted > furthest ? wanted : (furthest as Lsn)
  })
}
