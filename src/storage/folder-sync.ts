// Makes the files of one folder durable without paying for the neighbours' unwritten data.
//
// `syncfs` writes out the whole file system: 10 ms on a quiet XFS pool, 300-470 beside 1.2 GB of somebody else's. An fsync of each
// of 1,300 files takes 90-200 ms, neighbours or not, since each one flushes the device's cache even where nothing is dirty.
// - XFS with a `CloneMark` (a reflink writes the source's pages out first, so right after a clone no data is dirty): only files
//   changed since then are written out, and one fsync of a new file forces the log. XFS promises that metadata becomes durable in
//   the order in which it was changed, so that fsync covers every inode of the clone.
// - btrfs: fsyncs of many files hinder each other there (4 s, in parallel), so `syncfs`.
// - All else, and whenever the mark cannot be trusted: each file and folder.

import { open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../lib/run.ts'
import type { FileSystemKind } from './file-system.ts'
import { filesUnder } from './tree-plan.ts'

/** A moment at which all data in a folder had reached the disk, on the file system's clock and on one that is never set. */
export type CloneMark = { fileSystemMs: number; monotonicMs: number }

// How far the two clocks may drift apart before the mark is not believed (a file's change time comes in ticks of up to 10 ms).
const clockToleranceMs = 15
const parallel = 16
const syncTimeoutMs = 10 * 60_000

export async function syncFolderTree(folder: string, kind: FileSystemKind, mark: CloneMark | undefined): Promise<void> {
  switch (kind) {
    case 'btrfs':
      await run('sync', ['-f', folder], { timeoutMs: syncTimeoutMs })
      return
    case 'xfs':
      if (mark && (await syncChangedSince(folder, mark))) return
      await syncEach(folder)
      return
    case 'other':
      await syncEach(folder)
  }
}

/** Makes a short-lived file beside the folder and asks the file system when that was. `durable`: everything before it is, too (XFS). */
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

/** False when it could not be done this way. */
async function syncChangedSince(folder: string, mark: CloneMark): Promise<boolean> {
  const now = await markNow(folder, false)
  const drift = now.fileSystemMs - mark.fileSystemMs - (now.monotonicMs - mark.monotonicMs)
  if (Math.abs(drift) > clockToleranceMs) return false
  const since = ((mark.fileSystemMs - clockToleranceMs) / 1000).toFixed(3)
  try {
    await run('find', ['.', '-type', 'f', '-newerct', `@${since}`, '-exec', 'sync', '-d', '--', '{}', '+'], {
      cwd: folder,
      env: { LC_ALL: 'C' },
      timeoutMs: syncTimeoutMs,
      tolerate: (stderr) => stderr.split('\n').every((line) => line === '' || vanished.test(line)),
    })
  } catch {
    // A find or a sync that lacks these options; syncing each file reports what else may be wrong.
    return false
  }
  await markNow(folder, true)
  return true
}

const vanished = /^(find|sync): .*: No such file or directory$/

async function syncEach(folder: string): Promise<void> {
  const { files, folders } = await filesUnder(folder)
  const paths = [...files, ...folders]
  let next = 0
  const work = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) await syncOne(join(folder, path))
  }
  await stat(folder)
  await Promise.all(Array.from({ length: parallel }, work))
}

async function syncOne(path: string): Promise<void> {
  let file
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
