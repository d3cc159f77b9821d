// Our own copy of a Postgres installation, which computes run from: `<dir>/<fingerprint>/…`.
//
// It exists because the original may lie where an unprivileged uid cannot go (a clone below /root), may lack its symbolic links
// (npm's install scripts may be off), and offers extensions that tenants must not have. Postgres finds its other folders relative
// to its binary, so the three keep their places towards each other. A tree never changes once it is there: another installation
// or another allow-list makes another tree beside it, and one that a process still runs from stays.

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { readIfThere, syncFolder } from '../lib/durable-file.ts'
import { AppError } from '../model/errors.ts'
import type { PgMajor } from '../model/compute.ts'
import { sessionJwtControl, sessionJwtExtension, sessionJwtScript } from './auth/pg-session-jwt.ts'
import { syncDataDir } from './data-dir.ts'
import { isAllowedExtension, preloadableLibraries, scriptAddition, trustedControl } from './extensions.ts'
import type { Installation } from './installation.ts'

export type RuntimeTree = {
  major: PgMajor
  version: string
  root: string
  binDir: string
  /** Allow-listed ones that are there. */
  extensions: string[]
  /** What an endpoint may put into `preload_libraries` with this tree. */
  preloadLibraries: string[]
}

/** Raised when what we make of an installation changes, so that trees are made anew. */
const recipe = 3
const stampFile = 'pgrove-tree.json'

type Stamp = Omit<RuntimeTree, 'root' | 'binDir'> & { binPath: string }

/** Makes the tree unless it is there. `dir` and what is above it must be traversable by the uids computes run under. */
export async function ensureRuntimeTree(installation: Installation, dir: string): Promise<RuntimeTree> {
  const root = join(dir, await fingerprint(installation))
  const there = await readTree(root)
  if (there) return there
  await mkdir(dir, { recursive: true })
  await chmod(dir, 0o755)
  const draft = join(dir, `draft-${crypto.randomUUID().slice(0, 8)}`)
  try {
    await build(installation, draft)
    // Else a power cut could leave the stamp and not what it vouches for.
    await syncDataDir(draft)
    await rename(draft, root).catch(async (error: unknown) => {
      // Somebody else made the same tree meanwhile.
      if (!(await readTree(root))) throw error
    })
    await syncFolder(dir)
  } catch (cause) {
    throw new AppError('internal', `the runtime tree of Postgres ${installation.version} could not be made in ${dir}`, {
      cause,
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  const made = await readTree(root)
  if (!made) throw new AppError('internal', `the runtime tree ${root} is incomplete; remove it and start again`)
  return made
}

/** Removes trees and drafts that nothing runs from. Only Linux can tell; elsewhere all stay. */
export async function removeUnusedTrees(dir: string, current: RuntimeTree): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const inUse = new Set<string>([current.root])
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
    if (program.startsWith(dir + sep)) inUse.add(join(dir, program.slice(dir.length + 1).split(sep)[0] ?? ''))
  }
  const removed: string[] = []
  for (const name of await readdir(dir)) {
    const path = join(dir, name)
    if (inUse.has(path)) continue
    await rm(path, { recursive: true, force: true })
    removed.push(path)
  }
  return removed
}

async function readTree(root: string): Promise<RuntimeTree | undefined> {
  const text = await readIfThere(join(root, stampFile))
  if (text === undefined) return undefined
  const { binPath, ...stamp } = JSON.parse(text) as Stamp
  return { ...stamp, root, binDir: join(root, binPath) }
}

async function build(installation: Installation, draft: string): Promise<void> {
  const { binDir, libDir, shareDir, ownLibDir, major } = installation
  const prefix = commonParent([binDir, libDir, shareDir])
  const at = (path: string): string => join(draft, relative(prefix, path))
  await placeFolder(binDir, at(binDir), copied)
  await placeFolder(ownLibDir ?? libDir, at(ownLibDir ?? libDir), linked, (name) => !buildOnly.test(name))
  if (ownLibDir !== undefined && !(libDir + sep).startsWith(ownLibDir + sep))
    await placeFolder(libDir, at(libDir), linked)
  // `LOAD` lets anybody load what is in here.
  await rm(join(at(libDir), 'plugins'), { recursive: true, force: true })
  await placeFolder(shareDir, at(shareDir), copied, (name) => !['man', 'contrib', 'doc'].includes(name))
  if (installation.symlinkList !== undefined) await hydrateSymlinks(installation.symlinkList, draft, prefix)
  const extensions = await prepareExtensions(join(at(shareDir), 'extension'), major)
  const libraries = new Set((await readdir(libDir)).map((name) => name.replace(/\.(so|dylib)$/, '')))
  const stamp: Stamp = {
    major,
    version: installation.version,
    binPath: relative(prefix, binDir),
    extensions,
    preloadLibraries: preloadableLibraries.filter((name) => libraries.has(name)),
  }
  await writeFile(join(draft, stampFile), `${JSON.stringify(stamp)}\n`)
  await chmod(join(draft, stampFile), 0o644)
  await openFolders(draft)
}

/** Whatever our umask is. */
async function openFolders(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(join(folder, entry.name))
  }
}

/** Static libraries and what extensions are built with. */
const buildOnly = /\.a$|^pgxs$|^pkgconfig$/

async function prepareExtensions(folder: string, major: PgMajor): Promise<string[]> {
  const kept: string[] = []
  const files = await readdir(folder)
  for (const file of files.filter((name) => name.endsWith('.control'))) {
    const path = join(folder, file)
    // `name.control` and `name--version.control`; an extension's own name never holds two hyphens.
    const name = file.slice(0, -'.control'.length).split('--')[0] ?? ''
    if (!isAllowedExtension(name, major)) {
      await rm(path)
      continue
    }
    if (file !== `${name}.control`) continue
    kept.push(name)
    await writeFile(path, trustedControl(await readFile(path, 'utf8')))
    const addition = scriptAddition(name)
    if (addition === undefined) continue
    for (const script of files.filter((each) => each.startsWith(`${name}--`) && each.endsWith('.sql'))) {
      await writeFile(join(folder, script), addition, { flag: 'a' })
    }
  }
  return [...new Set([...kept, await placeOurs(folder, major)])].sort()
}

/** The original is built for no installation that we know; where one has it all the same, ours stands in its place. */
async function placeOurs(folder: string, major: PgMajor): Promise<string> {
  const { name, version } = sessionJwtExtension
  for (const file of await readdir(folder)) if (file.startsWith(`${name}--`)) await rm(join(folder, file))
  const files = { [`${name}.control`]: sessionJwtControl, [`${name}--${version}.sql`]: sessionJwtScript(major) }
  for (const [file, text] of Object.entries(files)) {
    await writeFile(join(folder, file), text)
    await chmod(join(folder, file), 0o644)
  }
  return name
}

type Place = (from: string, to: string) => Promise<void>

const copied: Place = async (from, to) => {
  await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  await chmod(to, ((await stat(from)).mode & 0o100) === 0 ? 0o644 : 0o755)
}

/** A hard link shares the original's mode, so it will do only where everybody may read that. */
const linked: Place = async (from, to) => {
  const readable = ((await stat(from)).mode & 0o044) === 0o044
  if (readable) {
    const done = await link(from, to).then(
      () => true,
      () => false,
    )
    if (done) return
  }
  await copied(from, to)
}

async function placeFolder(
  from: string,
  to: string,
  place: Place,
  wanted: (name: string) => boolean = () => true,
): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) {
    if (!wanted(name)) continue
    const [source, target] = [join(from, name), join(to, name)]
    const info = await lstat(source)
    if (info.isSymbolicLink()) await placeSymlink(source, target, place)
    else if (info.isDirectory()) await placeFolder(source, target, place)
    else if (info.isFile()) await place(source, target)
  }
}

/** A link to a neighbour stays one; any other is replaced by what it points to, since that may not be in our tree. */
async function placeSymlink(source: string, target: string, place: Place): Promise<void> {
  const to = await readlink(source)
  if (!to.includes('/')) return await symlink(to, target)
  const real = resolve(dirname(source), to)
  const info = await stat(real).catch(() => undefined)
  if (info?.isDirectory()) await placeFolder(real, target, place)
  else if (info?.isFile()) await place(real, target)
}

/** The npm package carries its links as a list, because npm cannot carry links. */
async function hydrateSymlinks(list: string, draft: string, prefix: string): Promise<void> {
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[]
  const packageRoot = dirname(dirname(list))
  for (const { source, target } of links) {
    const place = join(draft, relative(prefix, join(packageRoot, target)))
    if (!place.startsWith(draft + sep) || basename(source) !== relative(dirname(target), source)) continue
    await symlink(basename(source), place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' && error.code !== 'ENOENT') throw error
    })
  }
}

/** Changes whenever a file of the installation, our allow-list or our recipe does. */
async function fingerprint(installation: Installation): Promise<string> {
  const ours = [sessionJwtControl, sessionJwtScript(installation.major)]
  const hash = createHash('sha256').update(JSON.stringify([recipe, ours, installation.version, installation.binDir]))
  for (const folder of [installation.binDir, installation.libDir, join(installation.shareDir, 'extension')]) {
    for (const name of (await readdir(folder)).sort()) {
      const info = await stat(join(folder, name)).catch(() => undefined)
      if (info?.isFile()) hash.update(`${name} ${info.size} ${Math.trunc(info.mtimeMs)}\n`)
      const extension = name.endsWith('.control') ? name.slice(0, -'.control'.length) : undefined
      if (extension === undefined) continue
      hash.update(`${isAllowedExtension(extension, installation.major)} ${scriptAddition(extension) ?? ''}\n`)
    }
  }
  return hash.digest('hex').slice(0, 12)
}

function commonParent(paths: readonly string[]): string {
  const [first = [], ...rest] = paths.map((path) => path.split(sep))
  let shared = first.length - 1
  for (const other of rest) {
    let same = 0
    while (same < shared && other[same] === first[same]) same++
    shared = same
  }
  const parent = first.slice(0, shared).join(sep)
  if (parent === '')
    throw new AppError('postgres_missing', `${paths.join(', ')} have nothing in common but the root folder`)
  return parent
}
