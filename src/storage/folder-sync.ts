// Makes the files of one folder durable without paying for the neighbours' unwritten data.
//
// `syncfs` writes out the whole file system at once: 10-13 ms on a quiet pool, 290 beside 1.2 GB of somebody else's. An fsync
// of each of 1,300 files takes 90-200 ms, neighbours or not, since each flushes the device's cache even where nothing is dirty.
// - Little waits to be written on this machine: `syncfs`. Always on btrfs, where fsyncs of many files hinder each other (4 s).
// - XFS with a `CloneMark` (a reflink writes the source's pages out first, so right after a clone no data is dirty): only files
//   changed since then are written out (66 ms for 40 files beside those 1.2 GB), and one fsync of a new file forces the log.
//   XFS makes metadata durable in the order in which it was changed, so that fsync covers every inode of the clone.
// - All else, and whenever the mark cannot be trusted: each file and folder.

import { open, readFile, rm, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../lib/run.ts'
import { isAppError } from '../model/errors.ts'
import type { FileSystemKind } from './file-system.ts'
import { filesUnder } from './tree-plan.ts'

/** A moment at which all data in a folder had reached the disk, on the file system's clock and on one that is never set. */
export type CloneMark = { fileSystemMs: number; monotonicMs: number }

// How far the two clocks may drift apart before the mark is not believed (a file's change time comes in ticks of up to 10 ms).
const clockToleranceMs = 15
const parallel = 8
/** Written out in some 50 ms by a slow disk. */
const littleBytes = 16 * 1024 * 1024
const syncTimeoutMs = 10 * 60_000

export async function syncFolderTree(folder: string, kind: FileSystemKind, mark: CloneMark | undefined): Promise<void> {
  if (kind === 'btrfs' || (await unwrittenBytes()) <= littleBytes) {
    if (await syncFileSystem(folder)) return
  }
  if (kind === 'xfs' && mark && (await syncChangedSince(folder, mark))) return
  await syncEach(folder)
}

/** What any file system of this machine has yet to write, as far as the system tells. */
async function unwrittenBytes(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '')
  const dirty = /^Dirty: +(\d+) kB$/m.exec(text)?.[1]
  const writeback = /^Writeback: +(\d+) kB$/m.exec(text)?.[1]
  return dirty === undefined || writeback === undefined ? Infinity : (Number(dirty) + Number(writeback)) * 1024
}

/** False where the program cannot do it. */
async function syncFileSystem(folder: string): Promise<boolean> {
  try {
    await run('sync', ['-f', folder], { env: { LC_ALL: 'C' }, timeoutMs: syncTimeoutMs })
    return true
  } catch (error) {
    // The kernel reports a failed write once: an fsync after this one might know nothing of it.
    if (isAppError(error) && String(error.cause).includes('error syncing')) throw error
    return false
  }
}

/**
 * Makes a short-lived file beside the folder and asks the file system when that was. `durable`: on XFS, all metadata changed
 * before it is on the disk afterwards.
 */
export async function markNow(folder: string, durable: boolean): Promise<CloneMark> {
  const path = join(dirname(folder), `.mark-${crypto.randomUUID()}`)
  const file = await open(path, 'wx', 0o600)
  try {
    await rm(path, { force: true })
    if (durable) await file.sync()
    return { fileSystemMs: (await file.stat()).ctimeMs, monotonicMs: performance.now() }
  } finally {
    await file.close()
  }
}

/** For XFS. False when it could not be done this way. */
export async function syncChangedSince(folder: string, mark: CloneMark): Promise<boolean> {
  const now = await markNow(folder, false)
  const drift = now.fileSystemMs - mark.fileSystemMs - (now.monotonicMs - mark.monotonicMs)
  if (Math.abs(drift) > clockToleranceMs) return false
  const changedAfter = ((mark.fileSystemMs - clockToleranceMs) / 1000).toFixed(3)
  let changed: string[]
  try {
    const args = ['.', '-type', 'f', '-newerct', `@${changedAfter}`, '-print0']
    const { stdout } = await run('find', args, {
      cwd: folder,
      env: { LC_ALL: 'C' },
      timeoutMs: syncTimeoutMs,
      tolerate: (stderr) =>
        stderr.split('\n').every((line) => line === '' || line.endsWith(': No such file or directory')),
    })
    changed = stdout.split('\0').filter((path) => path !== '')
  } catch {
    // A find that lacks these options; syncing each file reports what else may be wrong.
    return false
  }
  await syncPaths(folder, changed, (file) => file.datasync())
  await markNow(folder, true)
  return true
}

async function syncEach(folder: string): Promise<void> {
  const { files, folders } = await filesUnder(folder)
  await syncPaths(folder, [...files, ...folders], (file) => file.sync())
}

async function syncPaths(
  folder: string,
  paths: readonly string[],
  sync: (file: FileHandle) => Promise<void>,
): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const file = await openIfThere(join(folder, path))
      if (!file) continue
      try {
        await sync(file)
      } finally {
        await file.close()
      }
    }
  }
  await Promise.all(Array.from({ length: parallel }, work))
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    // A name that is no UTF-8 is not there under the name we have; skipping that one would leave it out.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !path.includes('\uFFFD')) return undefined
    throw error
  }
}
