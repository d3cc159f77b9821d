// `storage.json` in the home folder: which kind of storage its data was made with, so that a later start finds the data again.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, writeDurably } from '../lib/durable-file.ts'
import { AppError } from '../model/errors.ts'
import { isPoolThere } from './pool.ts'

export const usableKinds = ['btrfs', 'reflink', 'pool', 'copy'] as const
export type StorageKind = (typeof usableKinds)[number]
export type StorageRecord = { kind: StorageKind; why: string }

const recordOf = (home: string): string => join(home, 'storage.json')
/** Where timelines are when they are not in a pool. */
export const plainRoot = (home: string): string => join(home, 'storage')

/** Undefined where nothing has been recorded, or where nothing would be lost by choosing anew. */
export async function readBindingRecord(home: string): Promise<StorageRecord | undefined> {
  const text = await readIfThere(recordOf(home))
  const record = text === undefined ? undefined : parseRecord(text)
  if (await isPoolThere(home))
    return record?.kind === 'pool' ? record : { kind: 'pool', why: 'the home folder has a pool' }
  if (!record || record.kind === 'pool') return undefined
  for (const folder of ['timelines', 'templates']) {
    const names = await readdir(join(plainRoot(home), folder)).catch(() => [])
    if (names.length > 0) return record
  }
  return undefined
}

export async function writeRecord(home: string, record: StorageRecord): Promise<void> {
  const text = `${JSON.stringify(record)}\n`
  if ((await readIfThere(recordOf(home))) !== text) await writeDurably(recordOf(home), text)
}

function parseRecord(text: string): StorageRecord {
  try {
    const { kind, why } = JSON.parse(text) as Partial<Record<string, unknown>>
    const known = usableKinds.find((usable) => usable === kind)
    if (known && typeof why === 'string') return { kind: known, why }
  } catch (cause) {
    throw unreadable(cause)
  }
  throw unreadable(text.slice(0, 200))
}

const unreadable = (cause: unknown): AppError =>
  new AppError(
    'config_invalid',
    'storage.json in PGROVE_HOME cannot be read; set PGROVE_STORAGE to what the data was made with and remove the file',
    { cause },
  )
