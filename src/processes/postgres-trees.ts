// The Postgres majors of this machine, each with its runtime tree, made when it is first needed.

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defaultPreloadLibraries } from '../compute/extensions.ts'
import { chooseInstallations, findInstallations, systemBinDirs, type Installation } from '../compute/installation.ts'
import { findPgDump } from '../compute/pg-dump.ts'
import { ensureRuntimeTree, type RuntimeTree } from '../compute/runtime-tree.ts'
import type { Config } from '../config.ts'
import type { Home } from '../home.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { pgMajors, type Owner, type PgMajor } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'

/** `node_modules` beside this source tree, above it when pgrove is itself a dependency, and what `pgrove postgres add` fetched. */
export function packageRoots(home: Home): string[] {
  const here = fileURLToPath(new URL('../../', import.meta.url))
  return [
    join(here, 'node_modules'),
    join(here, '..'),
    ...pgMajors.map((major) => join(home.postgres, 'packages', String(major), 'node_modules')),
  ]
}

export async function listInstallations(home: Home, config: Config): Promise<Installation[]> {
  return await findInstallations({
    packageRoots: packageRoots(home),
    overrides: config.postgresOverrides,
    path: process.env['PATH'] ?? '',
  })
}

export class PostgresTrees {
  readonly #home: Home
  readonly #chosen: ReadonlyMap<PgMajor, Installation>
  readonly #trees = new Map<PgMajor, RuntimeTree>()
  readonly #defaultLibraries = new Map<PgMajor, readonly string[]>()
  readonly #flights = new SingleFlight<RuntimeTree>()
  readonly #pgDumps = new Map<PgMajor, Promise<string | undefined>>()

  constructor(home: Home, installations: readonly Installation[]) {
    this.#home = home
    this.#chosen = chooseInstallations(installations)
  }

  get majors(): PgMajor[] {
    return [...this.#chosen.keys()].toSorted((a, b) => a - b)
  }

  /** What computes preload unless their project does without: as far as this major has it. */
  defaultLibraries(major: PgMajor): readonly string[] {
    const known = this.#defaultLibraries.get(major)
    if (known) return known
    const libDir = this.#chosen.get(major)?.libDir
    const suffix = process.platform === 'darwin' ? 'dylib' : 'so'
    const there = defaultPreloadLibraries.filter((name) => libDir && existsSync(join(libDir, `${name}.${suffix}`)))
    this.#defaultLibraries.set(major, there)
    return there
  }

  /** Our own copy first, since every owner may enter it; a client package brings the program without a server. */
  async pgDump(major: PgMajor, owner: Owner | undefined): Promise<string | undefined> {
    const known = this.#pgDumps.get(major)
    if (known) return await known
    const path = process.env['PATH'] ?? ''
    const search = (async () => {
      const { binDir } = await this.tree(major)
      const binDirs = [
        binDir,
        ...(await systemBinDirs({ path })),
        ...path.split(delimiter).filter((each) => each !== ''),
      ]
      return await findPgDump(major, binDirs, owner)
    })()
    this.#pgDumps.set(major, search)
    search.catch(() => this.#pgDumps.delete(major))
    return await search
  }

  /** Throws `postgres_missing`. */
  async tree(major: PgMajor): Promise<RuntimeTree> {
    const known = this.#trees.get(major)
    if (known) return known
    const installation = this.#chosen.get(major)
    if (!installation) {
      throw new AppError(
        'postgres_missing',
        `Postgres ${major} is not installed; run \`pgrove postgres add ${major}\`, install it on the machine, or point PGROVE_PG_${major} at its bin folder`,
      )
    }
    return await this.#flights.run(String(major), async () => {
      const tree = await ensureRuntimeTree(installation, join(this.#home.postgres, String(major)))
      this.#trees.set(major, tree)
      return tree
    })
  }
}
