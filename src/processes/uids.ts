// Which uids pgrove takes for itself when it is root. Postgres never runs as root, and no two projects share a uid.

import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Home } from '../home.ts'
import { readIfThere, writeDurably } from '../lib/durable-file.ts'
import { AppError } from '../model/errors.ts'
import type { Owner } from '../model/compute.ts'
import type { ServiceName } from '../model/service-routes.ts'

export type UidRange = { first: number; size: number }

/**
 * Far above what people, services and containers use, and within a signed 32-bit number. Each home takes one of its parts, so that two
 * on one machine share no uid.
 */
const preferred: UidRange = { first: 2_000_000_000, size: 140_000_000 }
const partSize = 1_000_000
/** Inside a user namespace that maps 65,536 uids only. */
const small: UidRange = { first: 30_000, size: 30_000 }

/** The home's own uids, chosen once: of all there are, or of what this user namespace maps. */
export async function findUidRange(home: Home): Promise<UidRange> {
  const stored = await readIfThere(home.uids)
  if (stored !== undefined) {
    const { first, size } = JSON.parse(stored) as Partial<UidRange>
    if (Number.isInteger(first) && Number.isInteger(size)) return { first: first ?? 0, size: size ?? 0 }
    throw new AppError(
      'config_invalid',
      `${home.uids} cannot be read; it says which users own the databases, put it back from your backup`,
    )
  }
  const range = (await isMapped(preferred))
    ? { first: preferred.first + randomInt(preferred.size / partSize) * partSize, size: partSize }
    : small
  await writeDurably(home.uids, `${JSON.stringify(range)}\n`)
  return range
}

async function isMapped({ first, size }: UidRange): Promise<boolean> {
  const map = await readFile('/proc/self/uid_map', 'utf8').catch(() => '')
  const mapped = map
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((fields) => fields.length === 3)
  return (
    mapped.length === 0 || mapped.some(([start = 0, , length = 0]) => start <= first && first + size <= start + length)
  )
}

/** Offsets 0 to 15 are pgrove's own; projects come after. */
export const edgeOffset = 0
export const controlDatabaseOffset = 1
export const templateOffset = 2
export const serviceOffsets: Readonly<Record<ServiceName, number>> = { auth: 3, 'data-api': 4 }

export function ownerAt(range: UidRange, offset: number): Owner {
  const uid = range.first + (offset % range.size)
  return { uid, gid: uid }
}
