// Copies by snapshot of a btrfs subvolume: one moment of the whole folder, in milliseconds whatever its size.
//
// Every folder this driver makes is a subvolume, since only those can be snapshotted; renaming one keeps it one. What a copy is to
// leave out is removed from the snapshot, and files change owner afterwards (some 30 ms for a template). An ordinary user may
// make subvolumes but, as most systems are mounted, delete them only once they are empty.

import { chmod, chown, lstat, mkdir, readdir, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../lib/run.ts'
import { AppError } from '../model/errors.ts'
import type { StorageDriver } from './driver.ts'
import { removeFolder } from './folder-removal.ts'
import { syncFolderTree } from './folder-sync.ts'
import { logicalBytes } from './folder-usage.ts'

const commandTimeoutMs = 5 * 60_000
const btrfs = (...args: string[]): Promise<{ stdout: string }> =>
  run('btrfs', args, { timeoutMs: commandTimeoutMs, env: { LC_ALL: 'C' } })

export function createBtrfsDriver(): StorageDriver {
  return {
    name: 'btrfs',
    copyOnWrite: true,
    atomic: true,
    async create(folder, owner) {
      await btrfs('subvolume', 'create', folder)
      await chmod(folder, 0o700)
      if (owner) await chown(folder, owner.uid, owner.gid)
    },
    async clone(from, to, { owner, exclude }) {
      // btrfs would put the snapshot inside a folder that is there already.
      if (await isThere(to)) throw new AppError('storage_failed', 'the place of a copy is taken')
      await btrfs('subvolume', 'snapshot', from, to)
      await leaveOut(to, exclude)
      const { uid, gid } = await lstat(to)
      if (owner && (uid !== owner.uid || gid !== owner.gid)) {
        await run('chown', ['-hR', `${owner.uid}:${owner.gid}`, to], { timeoutMs: commandTimeoutMs })
      }
    },
    async remove(folder) {
      if (!(await isThere(folder))) return
      try {
        await btrfs('subvolume', 'delete', folder)
      } catch {
        await removeFolder(folder)
      }
    },
    async usage(folder) {
      const { stdout } = await btrfs('filesystem', 'du', '-s', '--raw', folder)
      const [total, exclusive] = /^ *(\d+) +(\d+) +/m.exec(stdout)?.slice(1).map(Number) ?? []
      if (total !== undefined && exclusive !== undefined) return { logicalBytes: total, ownBytes: exclusive }
      const bytes = await logicalBytes(folder)
      return { logicalBytes: bytes, ownBytes: bytes }
    },
    sync: (folder) => syncFolderTree(folder, 'btrfs', undefined),
  }
}

async function leaveOut(folder: string, exclude: readonly string[]): Promise<void> {
  const real = await realpath(folder)
  for (const path of exclude) {
    const excluded = join(real, path)
    const parent = dirname(excluded)
    // The files are a tenant's: a folder that has become a symlink must not lead the removal out of the copy.
    const found = await realpath(parent).catch(() => undefined)
    if (found === undefined) continue
    if (found !== parent)
      throw new AppError('storage_failed', 'a symlink is where a copy should have a folder', { cause: path })
    if (!path.endsWith('/')) {
      await removeFolder(excluded)
      continue
    }
    const stats = await lstat(excluded).catch(() => undefined)
    if (!stats) continue
    if (!stats.isDirectory()) {
      await removeFolder(excluded.replace(/\/$/, ''))
      await mkdir(excluded, { mode: 0o700 })
      continue
    }
    for (const name of await readdir(excluded)) await removeFolder(join(excluded, name))
  }
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
}
