// Copies a planned tree with nothing but Node, for systems without GNU cp (macOS, Alpine). On APFS copyFile clones.
//
// As root it is the weaker way: paths are followed by name, so a source that a tenant's process could rearrange while we read
// should not be copied like this. Linux distributions with GNU coreutils never come here.

import { constants } from 'node:fs'
import { copyFile, lchown, lstat, mkdir, readdir, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Owner } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import type { Sharing, TreePlan } from './tree-plan.ts'

const parallel = 8

/** The plan's folders must be there already. Sockets, pipes and devices are left out. */
export async function copyPortably(
  from: string,
  to: string,
  plan: TreePlan,
  sharing: Sharing,
  owner: Owner | undefined,
): Promise<void> {
  const files: string[] = []
  const visit = async (path: string): Promise<void> => {
    const stats = await ifThere(lstat(join(from, path)))
    if (!stats) return
    if (stats.isFile()) {
      files.push(path)
    } else if (stats.isSymbolicLink()) {
      const target = await ifThere(readlink(join(from, path)))
      if (target === undefined) return
      await symlink(target, join(to, path))
      await own(join(to, path), stats)
    } else if (stats.isDirectory()) {
      await mkdir(join(to, path), { mode: stats.mode & 0o777 })
      await own(join(to, path), stats)
      for (const name of (await ifThere(readdir(join(from, path)))) ?? []) await visit(`${path}/${name}`)
    }
  }
  const own = async (path: string, keep: Owner): Promise<void> => {
    if (process.getuid?.() === 0) await lchown(path, owner?.uid ?? keep.uid, owner?.gid ?? keep.gid)
  }
  for (const { folder, names } of plan.batches) {
    for (const name of names) await visit(folder === '' ? name : `${folder}/${name}`)
  }
  const mode = constants.COPYFILE_EXCL | (sharing === 'shared' ? constants.COPYFILE_FICLONE_FORCE : 0)
  let next = 0
  const work = async (): Promise<void> => {
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      const source = join(from, file)
      try {
        const keep = await lstat(source)
        await copyFile(source, join(to, file), mode)
        await own(join(to, file), keep)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOENT' && !(await ifThere(lstat(source)))) continue
        if (code === 'ENOSPC')
          throw new AppError('disk_full', 'the disk that holds the databases is full', { cause: error })
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: parallel }, work))
}

async function ifThere<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
