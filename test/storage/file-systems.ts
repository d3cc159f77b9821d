// File systems made for one test run: an image in a temp folder, loop-mounted. Taken down when disposed, when the process ends
// in any way it can notice, and by the next run where it could not.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { obstacleWithout } from '../support/programs.ts'

export type TestFolder = AsyncDisposable & { folder: string }
export type LoopFileSystem = 'xfs' | 'btrfs'

const prefix = 'pgrove-storage-'
const live = new Set<string>()

const makers: Record<LoopFileSystem, { program: string; args: string[]; mb: number }> = {
  xfs: { program: 'mkfs.xfs', args: ['-q', '-m', 'reflink=1'], mb: 512 },
  btrfs: { program: 'mkfs.btrfs', args: ['-q'], mb: 512 },
}

/** Why a file system of this kind cannot be made here, or undefined. */
export function obstacleTo(kind: LoopFileSystem): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux'
  return obstacleWithout(makers[kind].program)
}

/** A folder on whatever the temp folder is on. */
export function plainFolder(): TestFolder {
  const base = makeBase()
  return { folder: base, [Symbol.asyncDispose]: () => Promise.resolve(takeDown(base)) }
}

export type MountedFolder = TestFolder & {
  /** The same file system as a machine would find it that lost power now: what the device has been given, and no more. */
  afterPowerCut(): TestFolder
}

export function mountedFolder(kind: LoopFileSystem, options: { mb?: number } = {}): MountedFolder {
  const base = makeBase()
  const { program, args, mb } = makers[kind]
  const [image, folder] = [join(base, 'image'), join(base, 'mounted')]
  try {
    writeFileSync(image, '', { mode: 0o600 })
    truncateSync(image, (options.mb ?? mb) * 1024 * 1024)
    execFileSync(program, [...args, image], { stdio: 'pipe' })
    mkdirSync(folder)
    execFileSync('mount', ['-t', kind, '-o', 'loop,noatime', image, folder], { stdio: 'pipe' })
    chmodSync(folder, 0o711)
  } catch (error) {
    takeDown(base)
    throw error
  }
  return {
    folder,
    [Symbol.asyncDispose]: () => Promise.resolve(takeDown(base)),
    afterPowerCut: () => mountCopy(kind, image),
  }
}

function mountCopy(kind: LoopFileSystem, image: string): TestFolder {
  const base = makeBase()
  const folder = join(base, 'mounted')
  try {
    execFileSync('cp', ['--sparse=always', image, join(base, 'image')])
    mkdirSync(folder)
    const flags = kind === 'xfs' ? 'loop,nouuid' : 'loop'
    execFileSync('mount', ['-t', kind, '-o', flags, join(base, 'image'), folder], { stdio: 'pipe' })
  } catch (error) {
    takeDown(base)
    throw error
  }
  return { folder, [Symbol.asyncDispose]: () => Promise.resolve(takeDown(base)) }
}

function makeBase(): string {
  sweep()
  const base = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`))
  chmodSync(base, 0o711)
  if (live.size === 0) process.once('exit', () => live.forEach(takeDown))
  live.add(base)
  return base
}

/** Unmounts everything under a folder, frees the loop devices of files in it, and removes it. */
export function takeDown(base: string): void {
  for (const mount of mountsUnder(base).toReversed()) spawnSync('umount', [mount])
  for (const mount of mountsUnder(base).toReversed()) spawnSync('umount', ['-l', mount])
  for (const device of loopDevicesUnder(base)) spawnSync('losetup', ['-d', device])
  rmSync(base, { recursive: true, force: true })
  live.delete(base)
}

export function mountsUnder(base: string): string[] {
  if (process.platform !== 'linux') return []
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
  return mounts.filter((mount) => mount.startsWith(`${base}/`))
}

export function loopDevicesUnder(base: string): string[] {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return []
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .filter((name) => backingFile(name).startsWith(`${base}/`))
    .map((name) => `/dev/${name}`)
}

function backingFile(device: string): string {
  try {
    return readFileSync(`/sys/block/${device}/loop/backing_file`, 'utf8')
  } catch {
    return ''
  }
}

/** What a run left behind that was killed. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && Number(pid) !== process.pid && !isAlive(Number(pid))) takeDown(join(tmpdir(), name))
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
