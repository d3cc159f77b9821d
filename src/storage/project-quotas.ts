// Hard limits of folders: project quotas of XFS, where the kernel has them and the file system is mounted with them.
//
// A folder is given a project of its own while it is empty, and everything made in it belongs to that. It is a limit of what the folder
// shows: blocks that it shares with others count in full, as they do for whoever pays for the data. At the limit a write is answered as on
// a full disk. Tried on Linux 6.1: clones into such a folder and renames of the whole folder work; a file of elsewhere cannot be renamed
// into it (EXDEV), which nobody here does.

import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { run } from '../lib/run.ts'
import { fileSystemKind } from './file-system.ts'

const commandTimeoutMs = 60_000
const env = { LC_ALL: 'C' }

export class ProjectQuotas {
  readonly #mount: string
  #next: number

  private constructor(mount: string, next: number) {
    this.#mount = mount
    this.#next = next
  }

  /** Undefined where there are none: another file system, a kernel without, a mount without `prjquota`, no xfs_quota, not root. */
  static async find(root: string): Promise<ProjectQuotas | undefined> {
    if (process.getuid?.() !== 0) return undefined
    try {
      if ((await fileSystemKind(root)) !== 'xfs') return undefined
      const mount = await mountPointOf(root)
      const state = await quota(mount, 'state -p')
      if (!/Accounting: ON/.test(state) || !/Enforcement: ON/.test(state)) return undefined
      // Only projects that own something or are limited are reported, and no other number is in use.
      const used = [...(await quota(mount, 'report -p -n -N -b')).matchAll(/^#(\d+)\s/gm)].map(([, id]) => Number(id))
      return new ProjectQuotas(mount, Math.max(0, ...used) + 1)
    } catch {
      return undefined
    }
  }

  /** For an empty folder, before anything is put into it. */
  readonly adopt = async (folder: string): Promise<void> => {
    const id = this.#next++
    await run('xfs_io', ['-c', `chproj ${id}`, '-c', 'chattr +P', folder], { env, timeoutMs: commandTimeoutMs })
  }

  /** Undefined takes the limit away. False: the folder was made without a project and cannot be limited. */
  async limit(folder: string, bytes: number | undefined): Promise<boolean> {
    const id = await projectOf(folder)
    if (id === 0) return false
    await quota(this.#mount, `limit -p bhard=${bytes === undefined ? 0 : Math.ceil(bytes / 1024)}k ${id}`)
    return true
  }
}

async function projectOf(folder: string): Promise<number> {
  const { stdout } = await run('xfs_io', ['-r', '-c', 'lsproj', folder], { env, timeoutMs: commandTimeoutMs })
  return Number(/projid = (\d+)/.exec(stdout)?.[1] ?? 0)
}

const quota = async (mount: string, command: string): Promise<string> =>
  (await run('xfs_quota', ['-x', '-c', command, mount], { env, timeoutMs: commandTimeoutMs })).stdout

async function mountPointOf(folder: string): Promise<string> {
  const { dev } = await stat(folder)
  let at = folder
  while (dirname(at) !== at && (await stat(dirname(at))).dev === dev) at = dirname(at)
  return at
}
