// `pgrove reset --yes`: removes everything below the home folder. Nothing of it can be had back.

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { homeAt, lockHolder } from '../home.ts'
import { removeCgroups } from '../compute/cgroups/open.ts'
import { killProcessesBelow } from '../compute/process.ts'
import { readIfThere } from '../lib/durable-file.ts'
import { AppError } from '../model/errors.ts'
import { unmountPool } from '../storage/pool.ts'
import type { Printer } from './printer.ts'

/** Files that only a home folder of ours has: a mistyped PGROVE_HOME must not empty somebody's documents. */
const marks = ['master.key', 'credentials.json', 'cell', 'control', 'postgres']

export async function reset(config: Config, printer: Printer, confirmed: boolean): Promise<void> {
  const home = homeAt(config.home)
  if (!confirmed) {
    throw new AppError(
      'bad_request',
      `this removes every database below ${home.root} for good; run \`pgrove reset --yes\` if that is what you want`,
    )
  }
  const holder = await lockHolder(home)
  if (holder)
    throw new AppError('home_in_use', `pgrove is running on ${home.root} (process ${holder.pid}); stop it first`)
  const names = await readdir(home.root).catch(() => [])
  if (names.length === 0) return printer.line(`${home.root} is empty already`)
  if (!names.some((name) => marks.includes(name))) {
    throw new AppError('bad_request', `${home.root} does not look like a home folder of pgrove; nothing was removed`)
  }
  printer.progress('stopping what still runs')
  await killProcessesBelow(home.root)
  await unmountPool(home.root)
  const cell = await readIfThere(home.cell)
  if (cell !== undefined) await removeCgroups(cell.trim())
  printer.progress('removing files')
  for (const name of names) await rm(join(home.root, name), { recursive: true, force: true })
  await rm(home.run, { recursive: true, force: true })
  printer.line(`${home.root} is empty`)
}
