// The folder that holds everything pgrove writes: its layout, its checks, its lock, and the keys in it.
//
//   credentials.json   the first API key (0600)        master.key   encrypts secrets at rest (0600)
//   tls/               certificates                     postgres/    runtime trees, one a major
//   control/           the embedded control database    computes/    specs and logs
//   run/               sockets                          (and what `storage/` keeps: timelines, templates, the pool)

import { randomBytes } from 'node:crypto'
import { access, chmod, constants, link, lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createHash } from 'node:crypto'
import { readIfThere, writeDurably } from './lib/durable-file.ts'
import { AppError } from './model/errors.ts'
import type { ServiceName } from './model/service-routes.ts'
import { identify, type ProcessIdentity } from './compute/process.ts'

export type Home = {
  root: string
  credentials: string
  masterKey: string
  cell: string
  uids: string
  tls: string
  postgres: string
  controlDatabase: string
  computes: string
  assignments: string
  journal: string
  contractCache: string
  run: string
  lock: string
  log: string
}

/** A Unix socket's path has room for 107 bytes, of which a compute's folder and socket name take about 30. */
const longestRunPath = 70

export function homeAt(root: string): Home {
  const inHome = join(root, 'run')
  const hash = createHash('sha256').update(root).digest('hex').slice(0, 12)
  return {
    root,
    credentials: join(root, 'credentials.json'),
    masterKey: join(root, 'master.key'),
    cell: join(root, 'cell'),
    uids: join(root, 'uids.json'),
    tls: join(root, 'tls'),
    postgres: join(root, 'postgres'),
    controlDatabase: join(root, 'control'),
    computes: join(root, 'computes'),
    assignments: join(root, 'assignments'),
    journal: join(root, 'journal'),
    contractCache: join(root, 'cache'),
    run: Buffer.byteLength(inHome) <= longestRunPath ? inHome : join(tmpdir(), `pgrove-${hash}`),
    lock: join(root, 'pgrove.lock'),
    log: join(root, 'pgrove.log'),
  }
}

export const controlSocket = (home: Home): string => join(home.run, 'control.sock')
export const apiSocket = (home: Home): string => join(home.run, 'api.sock')
/** Where a service answers, and where control answers it. */
export const serviceSocket = (home: Home, service: ServiceName): string => join(home.run, `${service}.sock`)
export const serviceControlSocket = (home: Home, service: ServiceName): string =>
  join(home.run, `${service}-control.sock`)
export const adminSocket = (home: Home): string => join(home.run, 'admin.sock')

/** Makes the folder if need be and checks that it can be used. Throws `config_invalid`. */
export async function openHome(root: string, isRoot: boolean): Promise<Home> {
  try {
    await mkdir(root, { recursive: true, mode: isRoot ? 0o755 : 0o700 })
    await access(root, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new AppError(
      'config_invalid',
      `the home folder ${root} cannot be written; make it writable for this user or set PGROVE_HOME to a folder that is`,
      { cause },
    )
  }
  if (isRoot) await assertTraversable(root)
  const home = homeAt(root)
  await mkdir(home.run, { recursive: true, mode: isRoot ? 0o711 : 0o700 })
  await assertOwn(home.run)
  await chmod(home.run, isRoot ? 0o711 : 0o700)
  return home
}

/** The folder of sockets may lie in the machine's temporary folder, where anybody could have made it first and put sockets of his own there. */
async function assertOwn(folder: string): Promise<void> {
  const found = await lstat(folder)
  if (found.isDirectory() && found.uid === (process.getuid?.() ?? found.uid)) return
  throw new AppError('config_invalid', `${folder}, where pgrove keeps its sockets, belongs to somebody else; remove it`)
}

/** As root, Postgres runs under uids of its own, which have to reach their files. */
async function assertTraversable(root: string): Promise<void> {
  for (let folder = root; ; folder = dirname(folder)) {
    const { mode, uid } = await stat(folder)
    if ((mode & 0o001) === 0) {
      if (folder === root && uid === 0) {
        await chmod(folder, (mode & 0o777) | 0o111)
      } else {
        throw new AppError(
          'config_invalid',
          `the home folder ${root} lies below ${folder}, which other users cannot enter, and as root pgrove runs Postgres under users of its own; set PGROVE_HOME to a folder outside it, such as /var/lib/pgrove`,
        )
      }
    }
    if (dirname(folder) === folder) return
  }
}

/** One pgrove a home. The lock names its holder by pid and start time, so one left by a crash does not keep anybody out. */
export async function lockHome(home: Home): Promise<void> {
  const draft = `${home.lock}.${process.pid}.draft`
  await rm(draft, { force: true })
  await writeFile(draft, JSON.stringify(await identify(process.pid)), { mode: 0o600 })
  try {
    await takeLock(home.root, home.lock, draft)
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * A link is made complete or not at all, and by one of several at once. A dead holder's lock is replaced only by whoever holds the lock
 * beside it: of two who found it dead, the slower one would otherwise replace the faster one's.
 */
async function takeLock(root: string, lock: string, draft: string): Promise<void> {
  for (;;) {
    try {
      return await link(draft, lock)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    await assertNobodyHolds(root, lock)
    const right = `${lock}.next`
    await takeLock(root, right, draft)
    try {
      await assertNobodyHolds(root, lock)
      await rm(lock, { force: true })
    } finally {
      await rm(right, { force: true })
    }
  }
}

async function assertNobodyHolds(root: string, lock: string): Promise<void> {
  const holder = await holderOf(lock)
  if (!holder) return
  throw new AppError(
    'home_in_use',
    `pgrove is running on ${root} already (process ${holder.pid}); stop it first, or set PGROVE_HOME to another folder`,
  )
}

/** What `writeDurably` was killed over: the holder of the lock is the only one who writes here, so nobody needs these. */
export async function removeDrafts(home: Home): Promise<void> {
  for (const name of await readdir(home.root)) {
    if (/\.\d+\.[0-9a-f]{8}\.draft$/.test(name)) await rm(join(home.root, name), { force: true })
  }
}

/** Undefined where nobody alive holds it. */
export async function lockHolder(home: Home): Promise<ProcessIdentity | undefined> {
  return await holderOf(home.lock)
}

async function holderOf(lock: string): Promise<ProcessIdentity | undefined> {
  const text = await readIfThere(lock)
  if (!text) return undefined
  let noted: ProcessIdentity
  try {
    noted = JSON.parse(text) as ProcessIdentity
  } catch {
    return undefined
  }
  const now = await identify(noted.pid).catch(() => undefined)
  return now && now.started === noted.started ? noted : undefined
}

/** Names this engine in a control database that several may share. */
export async function loadCell(home: Home): Promise<string> {
  const stored = (await readIfThere(home.cell))?.trim()
  if (stored) return stored
  const cell = `cell-${randomBytes(6).toString('hex')}`
  await writeDurably(home.cell, `${cell}\n`)
  return cell
}

/** The configured key, or the one in the home folder, made if there is none. */
export async function loadMasterKey(home: Home, configured: string | undefined): Promise<Buffer> {
  if (configured !== undefined) return createHash('sha256').update(configured).digest()
  const stored = await readIfThere(home.masterKey)
  if (stored !== undefined) {
    const key = Buffer.from(stored.trim(), 'hex')
    if (key.length !== 32) {
      throw new AppError(
        'master_key_wrong',
        `${home.masterKey} does not hold a master key; put the right file back from your backup`,
      )
    }
    return key
  }
  if ((await readIfThere(home.cell)) !== undefined) {
    throw new AppError(
      'master_key_wrong',
      `${home.masterKey} is missing, and what ${home.root} holds cannot be read without it; put the file back from your backup, or set PGROVE_MASTER_KEY if the key was given there. Nothing was changed`,
    )
  }
  const key = randomBytes(32)
  await writeDurably(home.masterKey, `${key.toString('hex')}\n`)
  return key
}

/** The first user's API key: configured, or made once and kept. `isNew`: nobody has seen it yet. */
export async function loadApiKey(
  home: Home,
  configured: string | undefined,
  make: () => string,
): Promise<{ key: string; isNew: boolean }> {
  if (configured !== undefined) return { key: configured, isNew: false }
  const stored = await readIfThere(home.credentials)
  if (stored !== undefined) {
    try {
      const { api_key: key } = JSON.parse(stored) as { api_key?: unknown }
      if (typeof key === 'string' && key !== '') return { key, isNew: false }
    } catch (cause) {
      throw new AppError('config_invalid', `${home.credentials} cannot be read; delete it and a new API key is made`, {
        cause,
      })
    }
  }
  const key = make()
  await writeDurably(home.credentials, `${JSON.stringify({ api_key: key }, null, 2)}\n`)
  return { key, isNew: true }
}
