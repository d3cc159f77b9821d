// Copying the data directory of a running Postgres so that the copy starts as if it had crashed at the end of the copying.
//
// A copy made file by file shows no one moment. In backup mode Postgres logs whole pages, and a label in the copy says from where
// the log is to be replayed; with the segments up to the end of the backup beside it, plain crash recovery makes it whole, on the same Postgres timeline.

import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { run } from '../lib/run.ts'
import type { Owner } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { parseLsn, type Lsn } from '../model/lsn.ts'
import { readControlFile, walSegmentName, walSegmentNames } from './data-dir.ts'
import { serverMajor, sqlState } from './roles.ts'

export type Backup = {
  label: string
  tablespaceMap: string
  startLsn: Lsn
  stopLsn: Lsn
  /** Without each of these the copy cannot start. */
  walSegments: string[]
}

/**
 * What no copy takes over, whether its parent runs or not: the parent's process, its slots (they would hold back the log for nobody),
 * and what Postgres makes anew at every start. The log is placed by `finishBackup` or `finishStoppedCopy`.
 */
export const cloneExclusions: readonly string[] = [
  'postmaster.pid',
  'postmaster.opts',
  'pg_wal/',
  'pg_replslot/',
  'pg_dynshmem/',
  'pg_notify/',
  'pg_serial/',
  'pg_snapshots/',
  'pg_stat_tmp/',
  'pg_subtrans/',
  'base/pgsql_tmp',
  'backup_label',
  'backup_label.old',
  'tablespace_map',
  'tablespace_map.old',
]

export type RunningBackup = {
  /** The log that the copy needs is held back for as long as the client is connected, so `finishBackup` comes before its end. */
  stop(): Promise<Backup>
}

/** From here until `stop`, what is copied can be made whole. A backup that is never stopped ends with the session. */
export async function startBackup(client: pg.Client): Promise<RunningBackup> {
  const older = (await serverMajor(client)) < 15
  await holdBackWal(client)
  const start = older
    ? `pg_start_backup('pgrove', fast => true, exclusive => false)`
    : `pg_backup_start('pgrove', fast => true)`
  const { rows: started } = await client.query<{ lsn: string }>(`SELECT ${start}::text AS lsn`)
  return {
    async stop() {
      const call = older
        ? 'pg_stop_backup(exclusive => false, wait_for_archive => false)'
        : 'pg_backup_stop(wait_for_archive => false)'
      const { rows } = await client.query<{ lsn: string; labelfile: string; spcmapfile: string }>(
        `SELECT lsn::text, labelfile, spcmapfile FROM ${call}`,
      )
      const stopped = rows[0]
      const startLsn = parseLsn(started[0]?.lsn ?? '')
      const stopLsn = parseLsn(stopped?.lsn ?? '')
      const tli = Number(/^START TIMELINE: (\d+)$/m.exec(stopped?.labelfile ?? '')?.[1])
      if (!stopped || startLsn === undefined || stopLsn === undefined || !(tli > 0)) {
        throw new AppError('internal', 'postgres did not say where its backup begins and ends')
      }
      return {
        label: stopped.labelfile,
        tablespaceMap: stopped.spcmapfile,
        startLsn,
        stopLsn,
        walSegments: walSegmentNames(tli, startLsn, stopLsn),
      }
    },
  }
}

/** Runs `copy` in backup mode. Where it fails, the backup is ended and the error passed on. */
export async function backupInto(client: pg.Client, copy: () => Promise<void>): Promise<Backup> {
  const backup = await startBackup(client)
  try {
    await copy()
  } catch (error) {
    // What went wrong first is the news.
    await backup.stop().catch(() => {})
    throw error
  }
  return await backup.stop()
}

/** Makes a copy of a running parent startable. May be repeated. */
export async function finishBackup(
  copyDir: string,
  parentDir: string,
  backup: Backup,
  owner: Owner | undefined,
): Promise<void> {
  await finishSnapshot(copyDir, owner)
  await placeSegments(copyDir, parentDir, backup.walSegments, owner)
  await place(join(copyDir, 'backup_label'), backup.label, owner)
  if (backup.tablespaceMap.trim() !== '') await place(join(copyDir, 'tablespace_map'), backup.tablespaceMap, owner)
}

/** Makes a copy of a cleanly stopped parent startable: of the log it needs the segment with the last checkpoint. May be repeated. */
export async function finishStoppedCopy(copyDir: string, parentDir: string, owner: Owner | undefined): Promise<void> {
  const control = await readControlFile(copyDir)
  if (control.state !== 'shut_down') {
    throw new AppError(
      'storage_failed',
      `the data directory that was copied is ${control.state.replaceAll('_', ' ')}, not cleanly shut down`,
    )
  }
  await finishSnapshot(copyDir, owner)
  await placeSegments(copyDir, parentDir, [walSegmentName(control.tli, control.checkpointLsn)], owner)
}

/**
 * An atomic snapshot carries all, also what a copy leaves out; it needs no label, but must forget whose it was. In a copy made with
 * `cloneExclusions` there is nothing to do, and that is all that is looked for.
 */
export async function finishSnapshot(copyDir: string, owner: Owner | undefined): Promise<void> {
  const surplus: string[] = []
  const missing: string[] = []
  await Promise.all(
    cloneExclusions.map(async (name) => {
      const path = join(copyDir, name)
      if (!name.endsWith('/')) {
        if (await isThere(path)) surplus.push(path)
        return
      }
      const children = await childrenOf(path)
      if (!children) missing.push(path)
      else if (name !== 'pg_wal/') surplus.push(...children)
    }),
  )
  if (surplus.length > 0) await runAs(owner, 'rm', ['-rf', '--', ...surplus])
  if (missing.length > 0) await runAs(owner, 'mkdir', ['-p', '-m', '700', '--', ...missing])
}

/** A tenant may have taken every slot. Then only a checkpoint during the backup could remove what is needed, and `finishBackup` notices. */
async function holdBackWal(client: pg.Client): Promise<void> {
  try {
    await client.query(`SELECT pg_create_physical_replication_slot('pgrove_backup_' || pg_backend_pid(), true, true)`)
  } catch (error) {
    // configuration_limit_exceeded: no slot is free. duplicate_object: this session has its slot already.
    if (!['53400', '42710'].includes(sqlState(error) ?? '')) throw error
  }
}

async function placeSegments(
  copyDir: string,
  parentDir: string,
  segments: readonly string[],
  owner: Owner | undefined,
): Promise<void> {
  const folder = join(copyDir, 'pg_wal')
  const old = (await childrenOf(folder)) ?? []
  if (old.length > 0) await runAs(owner, 'rm', ['-rf', '--', ...old])
  const sources = segments.map((segment) => join(parentDir, 'pg_wal', segment))
  await runAs(owner, 'cp', ['-f', '--', ...sources, folder]).catch((cause: unknown) => {
    throw new AppError('storage_failed', 'a segment of the write-ahead log is gone, which the copy needs', { cause })
  })
}

async function place(path: string, content: string, owner: Owner | undefined): Promise<void> {
  await runAs(owner, 'tee', ['--', path], content)
}

/** Whoever owns a data directory may have put links into it: nothing is written there but by programs that have no more rights than he. */
async function runAs(
  owner: Owner | undefined,
  program: string,
  args: readonly string[],
  input?: string,
): Promise<void> {
  await run(program, args, { owner, timeoutMs: fileCommandTimeoutMs, ...(input === undefined ? {} : { input }) })
}

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  )

async function childrenOf(folder: string): Promise<string[] | undefined> {
  try {
    return (await readdir(folder)).map((name) => join(folder, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const fileCommandTimeoutMs = 60_000
