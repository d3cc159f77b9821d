// The contract, from the cache where it can be had.
//
// The cache is a file a version of the package, its first line a digest of the rest: one that is cut short, altered or of an older
// shape is made anew. Nothing depends on its being there, or on its folder being usable.

import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, writeDurably } from '../../lib/durable-file.ts'
import type { Contract } from './operations.ts'
import { findUpstream, readUpstream } from './upstream.ts'

/** To be raised with every change of what `toContract` makes. */
const shape = 2

export async function loadContract(options: { cacheFolder: string }): Promise<Contract> {
  const upstream = await findUpstream()
  const path = join(options.cacheFolder, `contract-${upstream.version}-${shape}.json`)
  const cached = await readCache(path)
  if (cached) return cached
  const contract = await readUpstream(upstream)
  await writeCache(path, contract, options.cacheFolder)
  return contract
}

async function readCache(path: string): Promise<Contract | undefined> {
  const content = await readIfThere(path).catch(() => undefined)
  if (content === undefined) return undefined
  const end = content.indexOf('\n')
  const json = content.slice(end + 1)
  return content.slice(0, end) === digest(json) ? (JSON.parse(json) as Contract) : undefined
}

async function writeCache(path: string, contract: Contract, folder: string): Promise<void> {
  const json = JSON.stringify(contract)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeDurably(path, `${digest(json)}\n${json}`)
  } catch {
    // A full disk costs the next start a second, and must not cost this one.
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
