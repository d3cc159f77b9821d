// Where groups may be made: which hierarchies of control groups are mounted, and at which place of each this process is. Pure.

import { join } from 'node:path'

export type Mount = {
  version: 1 | 2
  /** Of version 1; version 2 says in a file which it has. */
  controllers: readonly string[]
  /** Which group the mount shows as its top: not the machine's in a container. */
  root: string
  path: string
}

export type OwnGroup = { controllers: readonly string[]; path: string }

const controllersOfInterest = new Set(['cpu', 'cpuacct', 'memory', 'pids'])

/** From `/proc/self/mountinfo`; Linux: Documentation/filesystems/proc.rst, 3.5. */
export function parseMounts(mountinfo: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of mountinfo.split('\n')) {
    const [place = '', kind = ''] = line.split(' - ')
    const [, , , root, path] = place.split(' ')
    const [type, , options = ''] = kind.split(' ')
    if (root === undefined || path === undefined) continue
    const common = { root: unescape(root), path: unescape(path) }
    if (type === 'cgroup2') mounts.push({ version: 2, controllers: [], ...common })
    if (type === 'cgroup') {
      const controllers = options.split(',').filter((name) => controllersOfInterest.has(name))
      if (controllers.length > 0) mounts.push({ version: 1, controllers, ...common })
    }
  }
  return mounts
}

/** Blanks and the like are written as three octal digits. */
function unescape(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** From `/proc/self/cgroup`: `4:memory:/some/group`, and `0::/some/group` for version 2. */
export function parseOwnGroups(text: string): OwnGroup[] {
  return text.split('\n').flatMap((line) => {
    const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (names === undefined || path === undefined) return []
    return [{ controllers: names.split(',').filter(Boolean), path }]
  })
}

/** Folders in which groups of ours may lie, the best first: below our own group, so that what bounds that bounds them. */
export function basesIn(mount: Mount, own: readonly OwnGroup[]): string[] {
  const group = own.find(({ controllers }) =>
    mount.version === 2 ? controllers.length === 0 : controllers.some((name) => mount.controllers.includes(name)),
  )
  const below = group && pathBelow(mount.root, group.path)
  if (!below) return [mount.path]
  const folders = [join(mount.path, below)]
  // In version 2 a group with processes in it, as ours is, hands out nothing to groups below it: one further up has to do.
  if (mount.version === 2)
    for (let end = below.lastIndexOf('/'); end > 0; end = below.lastIndexOf('/', end - 1))
      folders.push(join(mount.path, below.slice(0, end)))
  return [...folders, mount.path]
}

/** `/a/b` below `/a` is `/b`; undefined for the root itself, and for what cannot be seen from there. */
function pathBelow(root: string, path: string): string | undefined {
  const base = root === '/' ? '' : root
  if (path.includes('/..') || !path.startsWith(`${base}/`)) return undefined
  const below = path.slice(base.length)
  return below === '/' ? undefined : below
}
