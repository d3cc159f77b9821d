// Makes a copy of a data directory stand at a point of its write-ahead log.
//
// The copy gets the log from where it is to be replayed up to the point, cut off there, and a label that says where to begin: plain crash
// recovery then replays exactly that and nothing else can happen. No recovery target is involved, so there is none that could be
// missed, no promotion, and the Postgres timeline stays the same however often branches are made of branches.
//
// The copy may be of a running server, made without its help: between two checkpoints Postgres logs the whole of every page at its
// first change (full_page_writes, which nobody can turn off here), so replaying from a checkpoint that was complete before the
// copying began makes every page whole again, once the log up to the end of the copying is replayed.

import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../lib/run.ts'
import type { Owner } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import type { ReplayStart } from '../model/image.ts'
import { formatLsn, type Lsn } from '../model/lsn.ts'
import { readControlFile, walSegmentBytes, walSegmentName, walSegmentNames } from './data-dir.ts'
import { findSegments } from './wal-files.ts'
import { walPageBytes } from './wal-reader.ts'

/**
 * What no copy takes over: the process of its source, its slots (they would hold back the log for nobody), its log, which is placed, and
 * what Postgres makes anew at every start.
 */
export const copyExclusions: readonly string[] = [
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

/** To be asked before the copying begins. Throws `unavailable` while the server recovers. */
export async function replayStartOf(dataDir: string): Promise<ReplayStart> {
  const { checkpointLsn, redoLsn, tli, state } = await readControlFile(dataDir)
  if (state !== 'shut_down' && state !== 'in_production') {
    throw new AppError('unavailable', `the data directory is ${state.replaceAll('_', ' ')}`)
  }
  return { checkpointLsn, redoLsn, tli }
}

/** Completes a copy that was made with `copyExclusions`. May be repeated. Throws `storage_failed` where the log has a gap. */
export async function placePoint(
  copyDir: string,
  start: ReplayStart,
  point: { lsn: Lsn; walFolders: readonly string[] },
  owner: Owner | undefined,
): Promise<void> {
  await removeSurplus(copyDir, owner)
  const names = walSegmentNames(start.tli, start.redoLsn, point.lsn)
  const paths = await findSegments(point.walFolders, names)
  const last = names.at(-1)
  const lastPath = paths.pop()
  if (last === undefined || lastPath === undefined) throw new AppError('internal', 'a point has no log at all')
  // A point at the very end of a segment keeps all of it.
  const kept = Number(point.lsn % BigInt(walSegmentBytes)) || walSegmentBytes
  await run('sh', ['-c', placeScript, 'sh', String(kept), String(walSegmentBytes), lastPath, last, ...paths], {
    cwd: copyDir,
    owner,
    input: label(start),
    timeoutMs: 600_000,
  })
}

/** As the owner: whoever owns a data directory may have put links into it. What is behind the point becomes zeros. */
const placeScript = `set -e
umask 077
kept=$1 size=$2 last=$3 name=$4
shift 4
rm -rf pg_wal
mkdir pg_wal
if [ $# -gt 0 ]; then cp "$@" pg_wal/; fi
{ head -c "$kept" "$last"; cat /dev/zero; } 2>/dev/null | head -c "$size" > "pg_wal/$name"
cat > backup_label`

/** Without `streamed`, which would make Postgres look for the end of a base backup in the log. */
function label({ redoLsn, checkpointLsn, tli }: ReplayStart): string {
  return [
    `START WAL LOCATION: ${formatLsn(redoLsn)} (file ${walSegmentName(tli, redoLsn)})`,
    `CHECKPOINT LOCATION: ${formatLsn(checkpointLsn)}`,
    'BACKUP METHOD: image',
    'BACKUP FROM: primary',
    'START TIME: 2000-01-01 00:00:00 GMT',
    'LABEL: pgrove',
    `START TIMELINE: ${tli}`,
    '',
  ].join('\n')
}

/**
 * After the first start of a placed copy: did Postgres replay up to the point, no further and no less? The checkpoint that ends recovery
 * is the first thing it writes, so it lies where the replay ended.
 */
export async function assertReplayedTo(dataDir: string, lsn: Lsn): Promise<void> {
  const { checkpointLsn } = await readControlFile(dataDir)
  if (checkpointLsn === afterPageHeader(lsn)) return
  throw new AppError(
    'storage_failed',
    `recovery ended at ${formatLsn(checkpointLsn)}, and not at ${formatLsn(afterPageHeader(lsn))} as it should have`,
  )
}

/** From its next start on it only reads. It must be cleanly stopped. */
export async function makeStandby(dataDir: string, owner: Owner | undefined): Promise<void> {
  await run('touch', ['standby.signal'], { cwd: dataDir, owner, timeoutMs: 60_000 })
}

/** Where the record begins that would begin here: a place on a page boundary is taken by the page's header. */
export function afterPageHeader(lsn: Lsn): Lsn {
  if (lsn % BigInt(walSegmentBytes) === 0n) return (lsn + 40n) as Lsn
  if (lsn % BigInt(walPageBytes) === 0n) return (lsn + 24n) as Lsn
  return lsn
}

/** An atomic snapshot carries also what a copy leaves out. In a copy made with `copyExclusions` there is nothing to do. */
async function removeSurplus(copyDir: string, owner: Owner | undefined): Promise<void> {
  const surplus: string[] = []
  const missing: string[] = []
  await Promise.all(
    copyExclusions.map(async (name) => {
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
  if (surplus.length > 0) await run('rm', ['-rf', '--', ...surplus], { owner, timeoutMs: 60_000 })
  if (missing.length > 0) await run('mkdir', ['-p', '-m', '700', '--', ...missing], { owner, timeoutMs: 60_000 })
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
