// Where all homes of one test run lie. What a test leaves there is named and removed at the end of the run; what a run leaves that was killed, by
// the next one.

import { chmod, mkdtemp, readdir, readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { destroyHome } from './server.ts'

const memory = '/dev/shm'
const roomInMemory = 6 * 1024 ** 3

export type RunFolder = AsyncDisposable & { path: string }

export async function openRunFolder(): Promise<RunFolder> {
  const place = await placeForHomes()
  for (const name of await readdir(place)) {
    const [, pid] = /^pgrove-tests-(\d+)-/.exec(name) ?? []
    if (pid !== undefined && !isAlive(Number(pid))) await remove(join(place, name))
  }
  const path = await mkdtemp(join(place, `pgrove-tests-${process.pid}-`))
  await chmod(path, 0o1777)
  return {
    path,
    async [Symbol.asyncDispose]() {
      const left = await remove(path)
      if (left.length > 0) process.stdout.write(`\nleft behind, and removed:\n  ${left.join('\n  ')}\n`)
    },
  }
}

/**
 * Every home is made, synced and thrown away, and half of a first start is waits for the disk. What a power cut leaves is asked of file
 * systems that the tests make themselves, wherever their images lie.
 */
async function placeForHomes(): Promise<string> {
  const wished = process.env['TMPDIR']
  if (wished !== undefined) return wished
  try {
    const options = (await readFile('/proc/mounts', 'utf8'))
      .split('\n')
      .findLast((line) => line.split(' ')[1] === memory)
      ?.split(' ')[3]
      ?.split(',')
    const { bavail, bsize } = await statfs(memory)
    const isUsable = options?.includes('rw') && !options.includes('noexec') && bavail * bsize >= roomInMemory
    return isUsable ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

async function remove(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries) if (entry.isDirectory()) await destroyHome(join(folder, entry.name))
  await rm(folder, { recursive: true, force: true })
  return entries.map(({ name }) => name)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
