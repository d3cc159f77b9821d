// How much space a folder takes, and how much of it would come back if it were removed.
//
// `ownBytes` comes from the extents' "shared" flag, asked of the file system for all files by one `filefrag`. What two copies
// share with each other but with nobody else counts as shared for both. Without filefrag, or on a file system that does not
// flag sharing, `ownBytes` is `logicalBytes`, which errs on the side of saying too much.

import { run } from '../lib/run.ts'
import type { FolderUsage } from './driver.ts'

const usageTimeoutMs = 5 * 60_000
const env = { LC_ALL: 'C' }
const vanishedOnly = (stderr: string): boolean =>
  stderr.split('\n').every((line) => line === '' || line.endsWith('No such file or directory'))

export async function logicalBytes(folder: string): Promise<number> {
  const { stdout } = await run('du', ['-sk', '--', folder], { env, timeoutMs: usageTimeoutMs, tolerate: vanishedOnly })
  return Number.parseInt(stdout, 10) * 1024
}

/** Undefined where the file system cannot be asked. */
export async function sharedBytes(folder: string): Promise<number | undefined> {
  try {
    const { stdout } = await run(
      'find',
      ['.', '-type', 'f', '-size', '+0', '-exec', 'filefrag', '-b1', '-v', '--', '{}', '+'],
      {
        cwd: folder,
        env,
        timeoutMs: usageTimeoutMs,
        tolerate: vanishedOnly,
      },
    )
    return sumShared(stdout)
  } catch {
    return undefined
  }
}

/** Lines as `   0:        0..    8191:   28672..   36863:   8192:   last,shared,eof`, in bytes. */
export function sumShared(filefrag: string): number {
  let sum = 0
  for (const [, length] of filefrag.matchAll(/^ *\d+: +\d+\.\. *\d+: +\d+\.\. *\d+: +(\d+):.*\bshared\b/gm))
    sum += Number(length)
  return sum
}

export async function usageByExtents(folder: string): Promise<FolderUsage> {
  const [logical, shared] = await Promise.all([logicalBytes(folder), sharedBytes(folder)])
  return { logicalBytes: logical, ownBytes: Math.max(0, logical - (shared ?? 0)) }
}
