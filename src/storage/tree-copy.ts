// Copies a folder, sharing blocks or not, fast enough to be on the way to a new database.
//
// A Postgres template is some 1,300 files, so the cost is per file. GNU cp, run under the uid that is to own the copy, makes them
// about as fast as the file system can (45-50 ms on XFS; Node's own copyFile with lchown takes 65-90 and keeps the event loop busy)
// and no chown is needed afterwards. It is also the safe way: the source may belong to a tenant, and a program that runs as that
// tenant cannot be led by a planted symlink to what the tenant may not read. A source of another owner (a template) is read with
// CAP_DAC_READ_SEARCH and nothing more. umask 0 keeps modes as they are without asking cp for ACLs, which costs 8 ms more.
// Whoever is to own the copy must be able to reach its folder.
//
// The source may be a live data directory: what vanishes between listing and copying is not an error, what is replaced meanwhile
// is copied again, and anything else is.

import { chmod, chown, lstat, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run, type RunOptions } from '../lib/run.ts'
import type { Owner } from '../model/compute.ts'
import { AppError, isAppError } from '../model/errors.ts'
import type { CloneOptions } from './driver.ts'
import { copyPortably } from './portable-copy.ts'
import { filesUnder, planTree, type Sharing, type TreePlan } from './tree-plan.ts'

const copyTimeoutMs = 30 * 60_000
/** Names on one command line; far below the kernel's limit whatever their length. */
const namesPerCommand = 4000
/** Somebody who replaces a file between two looks more often than this in a row is not a Postgres. */
const replacementRounds = 20

export async function copyTree(from: string, to: string, sharing: Sharing, options: CloneOptions): Promise<void> {
  const plan = await planTree(from, options.exclude)
  await makeFolders(from, to, plan, options)
  if (!(await hasGnuCp())) {
    await copyPortably(from, to, plan, sharing, options.owner)
    return
  }
  const copier = await chooseCopier(from, options.owner)
  for (const { folder, names } of plan.batches) {
    for (let at = 0; at < names.length; at += namesPerCommand) {
      await copyBatch(join(from, folder), join(to, folder), names.slice(at, at + namesPerCommand), sharing, copier)
    }
  }
  if (copier.chownAfter) {
    const { uid, gid } = copier.chownAfter
    await run('chown', ['-hR', `${uid}:${gid}`, to], { timeoutMs: copyTimeoutMs })
  }
}

async function makeFolders(
  from: string,
  to: string,
  plan: TreePlan,
  { owner, made }: Pick<CloneOptions, 'owner' | 'made'>,
): Promise<void> {
  for (const folder of plan.folders) {
    const path = join(to, folder)
    const source = await lstat(join(from, folder))
    const { uid, gid } = source
    const mode = source.isDirectory() ? source.mode & 0o777 : 0o700
    await mkdir(path, { mode })
    await chmod(path, mode)
    if (isRoot()) await chown(path, owner?.uid ?? uid, owner?.gid ?? gid)
    if (folder === '') await made?.(path)
  }
}

/** How cp is run so that the copy has the right owner. */
type Copier = {
  prefix: readonly string[]
  flags: readonly string[]
  runAs: Owner | undefined
  chownAfter: Owner | undefined
}

async function chooseCopier(from: string, owner: Owner | undefined): Promise<Copier> {
  const plain: Copier = { prefix: [], flags: [], runAs: undefined, chownAfter: undefined }
  if (!isRoot()) return plain
  if (!owner) return { ...plain, flags: ['--preserve=ownership'] }
  const source = await lstat(from)
  if (source.uid === owner.uid) return { ...plain, runAs: owner }
  if (await canReadAsAnother()) return { ...plain, prefix: ['setpriv', ...readingFlags(owner)] }
  return { ...plain, chownAfter: owner }
}

async function copyBatch(from: string, to: string, names: string[], sharing: Sharing, copier: Copier): Promise<void> {
  const flags = ['-rP', sharing === 'shared' ? '--reflink=always' : '--reflink=never', ...copier.flags]
  const copy = async (paths: readonly string[], more: readonly string[]): Promise<{ somethingVanished: boolean }> => {
    const judge = new VanishedJudge()
    const command = [...copier.prefix, 'cp', ...flags, ...more, '-t', to, '--', ...paths.map((path) => `./${path}`)]
    await runCopy(command, { cwd: from, owner: copier.runAs, tolerate: judge.tolerate })
    return { somethingVanished: judge.tolerated }
  }
  if (!(await copy(names, [])).somethingVanished) return
  let missing = await missingFiles(from, to, names)
  for (let round = 0; missing.length > 0; round++) {
    if (round === replacementRounds) {
      throw new AppError('storage_failed', 'a file was replaced each time it was copied', { cause: missing[0] })
    }
    for (let at = 0; at < missing.length; at += namesPerCommand) {
      await copy(missing.slice(at, at + namesPerCommand), ['--parents'])
    }
    // Only what was there all along: files that were made meanwhile are no part of the copy, and would keep us here for ever.
    const still = new Set(await missingFiles(from, to, names))
    missing = missing.filter((path) => still.has(path))
  }
}

async function runCopy(command: string[], options: RunOptions): Promise<void> {
  try {
    await run('sh', ['-c', 'umask 0; exec "$@"', 'sh', ...command], {
      ...options,
      env: { LC_ALL: 'C' },
      timeoutMs: copyTimeoutMs,
    })
  } catch (error) {
    if (isAppError(error, 'command_failed') && String(error.cause).includes('No space left on device')) {
      throw new AppError('disk_full', 'the disk that holds the databases is full', { cause: error })
    }
    throw error
  }
}

/** Accepts a stderr in which cp complains of nothing but source files that went away under it. */
class VanishedJudge {
  tolerated = false
  readonly tolerate = (stderr: string): boolean => {
    const complaints = stderr.split('\n').filter((line) => line !== '')
    this.tolerated = complaints.length > 0 && complaints.every((line) => vanished.test(line))
    return this.tolerated
  }
}

// Sources are named relative to the working directory, the copy by an absolute path: only a source may be missing.
const vanished =
  /^cp: ([a-z ]+ ['"]\.\/.*: No such file or directory|skipping file .*, as it was replaced while being copied)$/

async function missingFiles(from: string, to: string, names: string[]): Promise<string[]> {
  const [source, copy] = await Promise.all([filesUnder(from, names), filesUnder(to, names)])
  const copied = new Set(copy.files)
  return source.files.filter((file) => !copied.has(file))
}

const isRoot = (): boolean => process.getuid?.() === 0

const succeeds = (program: string, args: string[]): Promise<boolean> =>
  run(program, args, { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  )

let gnuCp: Promise<boolean> | undefined
function hasGnuCp(): Promise<boolean> {
  gnuCp ??= run('cp', ['--version'], { timeoutMs: 10_000 }).then(
    ({ stdout }) => stdout.includes('GNU coreutils'),
    () => false,
  )
  return gnuCp
}

let readAsAnother: Promise<boolean> | undefined
function canReadAsAnother(): Promise<boolean> {
  readAsAnother ??= succeeds('setpriv', [...readingFlags({ uid: 65534, gid: 65534 }), 'true'])
  return readAsAnother
}

function readingFlags({ uid, gid }: Owner): string[] {
  const only = '-all,+dac_read_search'
  const identity = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--no-new-privs']
  return [...identity, '--inh-caps', only, '--ambient-caps', only, '--bounding-set', only]
}
