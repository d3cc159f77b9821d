// Asks a folder what its file system can do, by trying.

import { constants } from 'node:fs'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../lib/run.ts'
import { createBtrfsDriver } from './btrfs.ts'
import { fileSystemKind } from './file-system.ts'

export async function canReflink(folder: string): Promise<boolean> {
  return await inProbeFolder(folder, async (probe) => {
    // One block at least: some file systems "clone" what is empty.
    await writeFile(join(probe, 'a'), Buffer.alloc(8192, 1))
    return await copyFile(join(probe, 'a'), join(probe, 'b'), constants.COPYFILE_FICLONE_FORCE).then(
      () => true,
      () => false,
    )
  })
}

export async function canSnapshotSubvolumes(folder: string): Promise<boolean> {
  if ((await fileSystemKind(folder)) !== 'btrfs') return false
  return await inProbeFolder(folder, async (probe) => {
    const driver = createBtrfsDriver()
    const [a, b] = [join(probe, 'a'), join(probe, 'b')]
    try {
      await driver.create(a, undefined)
      await driver.clone(a, b, { owner: undefined, exclude: [] })
      return true
    } catch {
      return false
    } finally {
      await driver.remove(b)
      await driver.remove(a)
    }
  })
}

/** Why no pool can be made here, or undefined. Whether loop devices work is seen when it is mounted. */
export async function poolObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'Linux'
  if (process.getuid?.() !== 0) return 'pgrove to run as root'
  const missing: string[] = []
  for (const [program, source] of [
    ['mkfs.xfs', 'xfsprogs'],
    ['xfs_growfs', 'xfsprogs'],
    ['losetup', 'util-linux'],
    ['fallocate', 'util-linux'],
  ] as const) {
    // Starting it at all is the question, not what it says.
    const there = await run(program, ['-V'], { timeoutMs: 10_000, tolerate: () => true }).then(
      () => true,
      (error: Error) => !/could not be started/.test(error.message),
    )
    if (!there) missing.push(`${program} (install ${source})`)
  }
  return missing.length === 0 ? undefined : missing.join(' and ')
}

async function inProbeFolder<T>(folder: string, ask: (probe: string) => Promise<T>): Promise<T> {
  const probe = await mkdtemp(join(folder, '.probe-'))
  try {
    return await ask(probe)
  } finally {
    await rm(probe, { recursive: true, force: true })
  }
}
