// A postmaster's output: one file, opened by us and written by Postgres, kept small.
//
// Postgres holds the file open for as long as it runs, so it is never renamed away from under it: what is old is copied out and the
// file is cut, which a writer in append mode does not notice. A few lines written in between may be lost; a disk filled by a tenant
// who makes the server talk would be worse.

import { constants } from 'node:fs'
import { copyFile, open, stat, truncate, type FileHandle } from 'node:fs/promises'

const longestBytes = 2 * 1024 * 1024
const tailBytes = 8192

export async function openServerLog(path: string): Promise<FileHandle> {
  await trimServerLog(path)
  return await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600)
}

/** Moves what is there to `<path>.1` when it has grown too long. */
export async function trimServerLog(path: string): Promise<void> {
  const size = await serverLogSize(path)
  if (size <= longestBytes) return
  if (size <= longestBytes * 4) await copyFile(path, `${path}.1`)
  await truncate(path, 0)
}

export async function serverLogSize(path: string): Promise<number> {
  return await stat(path).then(
    (info) => info.size,
    () => 0,
  )
}

/** The end of what was written after the given position. */
export async function serverLogTail(path: string, from: number): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return ''
  try {
    const { size } = await file.stat()
    const start = Math.max(from <= size ? from : 0, size - tailBytes)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size - start), 0, size - start, start)
    return buffer.toString('utf8', 0, bytesRead).trim()
  } finally {
    await file.close()
  }
}
