// Finds a place where groups may be made, by making one: no file says beforehand what is allowed in a container.

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorChain } from '../../model/errors.ts'
import { Cgroups } from './cgroups.ts'
import { makeGroup, removeGroup } from './files.ts'
import type { GroupTree } from './group-tree.ts'
import { basesIn, parseMounts, parseOwnGroups, type Mount, type OwnGroup } from './mounts.ts'
import { Version1 } from './version-1.ts'
import { Version2 } from './version-2.ts'

/** What files of the system say. */
export type Places = { mounts: readonly Mount[]; own: readonly OwnGroup[] }

export type Opened = { groups: Cgroups } | { groups: undefined; why: string }

export const groupName = (cell: string): string => `pgrove-${cell}`

export async function readPlaces(): Promise<Places> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
  const [mountinfo, own] = await Promise.all([read('/proc/self/mountinfo'), read('/proc/self/cgroup')])
  return { mounts: parseMounts(mountinfo), own: parseOwnGroups(own) }
}

/** `cell` names the pgrove whose groups these are. Version 2 wins where both could do it. */
export async function openCgroups(cell: string, places?: Places): Promise<Opened> {
  const found = places ?? (await readPlaces())
  const name = groupName(cell)
  const obstacles: string[] = []
  for (const open of [openVersion2, openVersion1]) {
    const tree = await open(found, name, obstacles)
    if (tree) return { groups: new Cgroups(tree) }
  }
  return { groups: undefined, why: obstacles.at(-1) ?? 'there are no control groups with cpu and memory' }
}

/** For `doctor`: leaves nothing behind. */
export async function describeCgroups(): Promise<string> {
  const opened = await openCgroups(`probe-${process.pid}`)
  if (!opened.groups) return `${opened.why}: sizes are reported and not enforced`
  await opened.groups.close()
  return `${opened.groups.description}: CPU, memory and processes of each compute are bounded by its size`
}

/** Removes what a pgrove left that is not there any more, its processes neither. Gives the folders that could not be removed. */
export async function removeCgroups(cell: string): Promise<string[]> {
  const left: string[] = []
  for (const folder of await groupFolders(cell)) {
    for (const name of await namesIn(folder)) await removeGroup(join(folder, name))
    if (!(await removeGroup(folder))) left.push(folder)
  }
  return left
}

/** In every hierarchy in which there are some. */
export async function groupFolders(cell: string): Promise<string[]> {
  const { mounts, own } = await readPlaces()
  const folders = new Set(mounts.flatMap((mount) => basesIn(mount, own)).map((base) => join(base, groupName(cell))))
  return [...folders].filter((folder) => existsSync(folder))
}

const namesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name)

async function openVersion2(
  { mounts, own }: Places,
  name: string,
  obstacles: string[],
): Promise<GroupTree | undefined> {
  for (const base of mounts.filter(({ version }) => version === 2).flatMap((mount) => basesIn(mount, own))) {
    try {
      return await Version2.open(base, name)
    } catch (error) {
      obstacles.push(`control groups of version 2 cannot be used at ${base} (${errorChain(error)})`)
    }
  }
  return undefined
}

async function openVersion1(
  { mounts, own }: Places,
  name: string,
  obstacles: string[],
): Promise<GroupTree | undefined> {
  const folders: Partial<Record<string, string>> = {}
  for (const mount of mounts) {
    for (const controller of mount.controllers) {
      const base = await usableBase(basesIn(mount, own), name)
      if (base) folders[controller] = join(base, name)
      else obstacles.push(`control groups of version 1 cannot be made for ${controller} (${mount.path})`)
    }
  }
  const { cpu, cpuacct, memory, pids } = folders
  try {
    if (cpu && cpuacct && memory) return await Version1.open({ cpu, cpuacct, memory, pids })
  } catch (error) {
    obstacles.push(`control groups of version 1 cannot be used at ${cpu} (${errorChain(error)})`)
  }
  for (const folder of Object.values(folders)) if (folder) await removeGroup(folder)
  return undefined
}

/** The first in which a group can be made; it is made there. */
async function usableBase(bases: readonly string[], name: string): Promise<string | undefined> {
  for (const base of bases) {
    const isMade = await makeGroup(join(base, name)).then(
      () => true,
      () => false,
    )
    if (isMade) return base
  }
  return undefined
}
