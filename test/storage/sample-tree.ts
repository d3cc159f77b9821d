// A folder with one of everything a data directory may hold, and a listing to compare folders by.

import { chmod, chown, lchown, lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Owner } from '../../src/model/compute.ts'

export async function fillSampleTree(folder: string, owner: Owner | undefined): Promise<void> {
  for (const [path, mode] of [
    ['base', 0o700],
    ['base/5', 0o750],
    ['pg_wal', 0o700],
    ['pg_wal/archive_status', 0o700],
    ['pg_replslot', 0o700],
    ['pg_replslot/slot', 0o700],
    ['empty', 0o700],
  ] as const) {
    await mkdir(join(folder, path))
    await chmod(join(folder, path), mode)
  }
  for (const [path, size, mode] of [
    ['PG_VERSION', 3, 0o600],
    ['postmaster.pid', 40, 0o600],
    ['base/5/1259', 81_920, 0o600],
    ['base/5/empty', 0, 0o600],
    ['base/5/group-readable', 8192, 0o640],
    ['base/5/big', 1_048_576, 0o600],
    ['pg_wal/000000010000000000000001', 1_048_576, 0o600],
    ['pg_wal/archive_status/done', 0, 0o600],
    ['pg_replslot/slot/state', 200, 0o600],
    ['-rf', 1, 0o600],
    ['a name with  spaces', 1, 0o600],
    ['line\nbreak', 1, 0o600],
    ['grün', 1, 0o600],
    ['.hidden', 1, 0o400],
  ] as const) {
    await writeFile(join(folder, path), Buffer.alloc(size, path))
    await chmod(join(folder, path), mode)
  }
  for (let i = 0; i < 50; i++)
    await writeFile(join(folder, 'base/5', `rel-${i}`), Buffer.alloc(8192, i), { mode: 0o600 })
  await symlink('PG_VERSION', join(folder, 'link'))
  await symlink('/nowhere/at/all', join(folder, 'base/dangling'))
  if (owner) await ownTree(folder, owner)
}

async function ownTree(folder: string, owner: Owner): Promise<void> {
  await chown(folder, owner.uid, owner.gid)
  for (const name of await readdir(folder, { recursive: true })) await lchown(join(folder, name), owner.uid, owner.gid)
}

/** One line for each entry: path, kind, mode, owner, content. */
export async function listTree(folder: string): Promise<string[]> {
  const lines: string[] = []
  for (const path of ['.', ...(await readdir(folder, { recursive: true }))].sort()) {
    const at = join(folder, path)
    const stats = await lstat(at)
    const content = stats.isSymbolicLink() ? `-> ${await readlink(at)}` : stats.isFile() ? await digest(at) : ''
    lines.push(`${path} ${(stats.mode & 0o170777).toString(8)} ${stats.uid}:${stats.gid} ${content}`)
  }
  return lines
}

const digest = async (path: string): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', await readFile(path))).toString('hex')
