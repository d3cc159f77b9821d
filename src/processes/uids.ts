// Which uids pgrove takes for itself when it is root. Postgres never runs as root, and no two projects share a uid.

import { readFile } from 'node:fs/promises'
import type { Owner } from '../model/compute.ts'

export type UidRange = { first: number; size: number }

/** Far above what people, services and containers use, and within a signed 32-bit number. */
const preferred: UidRange = { first: 2_000_000_000, size: 140_000_000 }
/** Inside a user namespace that maps 65,536 uids only. */
const small: UidRange = { first: 30_000, size: 30_000 }

/** The uids that this process can give to files: all of them, or what its user namespace maps. */
export async function findUidRange(): Promise<UidRange> {
  const map = await readFile('/proc/self/uid_map', 'utf8').catch(() => '')
  const mapped = map
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((fields) => fields.length === 3)
  const covers = ({ first, size }: UidRange): boolean =>
    mapped.some(([start = 0, , length = 0]) => start <= first && first + size <= start + length)
  return mapped.length === 0 || covers(preferred) ? preferred : small
}

/** Offsets 0 to 15 are pgrove's own; projects come after. */
export const edgeOffset = 0
export const controlDatabaseOffset = 1
export const templateOffset = 2

export function ownerAt(range: UidRange, offset: number): Owner {
  const uid = range.first + (offset % range.size)
  return { uid, gid: uid }
}
