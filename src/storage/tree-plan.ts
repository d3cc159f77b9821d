// What of a folder is copied and what is not, worked out before anything is copied.
//
// A plan opens only the folders that an exclusion lies in; everything else is named whole, so that one program can copy it
// without being told of single files. Made from a live folder: what vanishes while we look was not there.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** `shared`: blocks are shared or the copy fails. */
export type Sharing = 'shared' | 'separate'

export type TreePlan = {
  /** Folders to make, relative to the source, parents first; the first is the folder itself (''). */
  folders: string[]
  /** Entries to copy whole, by the folder that they are in. */
  batches: { folder: string; names: string[] }[]
}

/** `exclude` as in `CloneOptions`: paths relative to the source, a trailing slash keeps the folder without its contents. */
export async function planTree(source: string, exclude: readonly string[]): Promise<TreePlan> {
  const emptied = new Set(exclude.filter((path) => path.endsWith('/')).map((path) => path.slice(0, -1)))
  const skipped = new Set(exclude.filter((path) => !path.endsWith('/')))
  const plan: TreePlan = { folders: [], batches: [] }
  const open = async (folder: string): Promise<void> => {
    plan.folders.push(folder)
    const whole: string[] = []
    for (const name of await namesIn(join(source, folder), folder === '')) {
      const path = folder === '' ? name : `${folder}/${name}`
      if (skipped.has(path)) continue
      if (emptied.has(path)) plan.folders.push(path)
      else if (exclude.some((excluded) => excluded.startsWith(`${path}/`))) await open(path)
      else whole.push(name)
    }
    if (whole.length > 0) plan.batches.push({ folder, names: whole })
  }
  await open('')
  return plan
}

async function namesIn(folder: string, required: boolean): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (!required && (error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** What is in a folder, by path relative to it; nothing is followed. A batch's part of it when names are given. */
export async function filesUnder(
  folder: string,
  names?: readonly string[],
): Promise<{ files: string[]; folders: string[] }> {
  const files: string[] = []
  const folders: string[] = []
  const visit = async (path: string): Promise<void> => {
    folders.push(path)
    const entries = await readdir(join(folder, path), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && path !== '') return []
      throw error
    })
    for (const entry of entries) {
      if (path === '' && names && !names.includes(entry.name)) continue
      const below = path === '' ? entry.name : `${path}/${entry.name}`
      if (entry.isDirectory()) await visit(below)
      else if (entry.isFile()) files.push(below)
    }
  }
  await visit('')
  return { files, folders }
}
