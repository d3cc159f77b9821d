// A file inside the pool that holds blocks nobody may use, so that the host can have their space back.
//
// Punching holes into the image wherever the pool is free (`fstrim`) would leave the pool with free space that the host no longer
// stands behind: once something else fills the host, tenants' writes fail. So what is given back is first taken out of the
// pool's free space, as unwritten extents of this file, and only then punched out of the image; on the way back the image is
// allocated first. At every moment, also after a crash between two steps, all that the pool can hand out is allocated on the host.

import { open, stat } from 'node:fs/promises'
import { syncFile } from '../lib/durable-file.ts'
import { run } from '../lib/run.ts'
import { AppError } from '../model/errors.ts'

const commandTimeoutMs = 5 * 60_000
const sector = 512

export class Ballast {
  readonly #path: string
  readonly #image: string

  constructor(path: string, image: string) {
    this.#path = path
    this.#image = image
  }

  async bytes(): Promise<number> {
    const found = await stat(this.#path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    return found?.size ?? 0
  }

  /** Takes `bytes` out of the pool's free space and gives them to the host. */
  async inflate(bytes: number): Promise<void> {
    const before = await this.bytes()
    await run('fallocate', ['-o', String(before), '-l', String(bytes), this.#path], { timeoutMs: commandTimeoutMs })
    await syncFile(this.#path)
    for (const { start, length } of await this.#extents(0)) {
      await run('fallocate', ['--punch-hole', '-o', String(start), '-l', String(length), this.#image], {
        timeoutMs: commandTimeoutMs,
      })
    }
    await syncFile(this.#image)
  }

  /** Gives the last `bytes` back to the pool; the caller has made sure that the host has them. */
  async deflate(bytes: number): Promise<void> {
    const keep = Math.max(0, (await this.bytes()) - bytes)
    for (const { start, length } of await this.#extents(keep)) {
      await run('fallocate', ['-o', String(start), '-l', String(length), this.#image], { timeoutMs: commandTimeoutMs })
    }
    await syncFile(this.#image)
    await this.release(keep)
  }

  /** Cuts the file to `keep` bytes without touching the image: for blocks that are known to be allocated. */
  async release(keep: number): Promise<void> {
    if ((await this.bytes()) <= keep) return
    const file = await open(this.#path, 'r+')
    try {
      await file.truncate(keep)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /** Where in the image the file's blocks from `from` on lie, in bytes. */
  async #extents(from: number): Promise<{ start: number; length: number }[]> {
    const { stdout } = await run('xfs_io', ['-r', '-c', 'bmap -p', this.#path], { timeoutMs: commandTimeoutMs })
    return parseExtents(stdout, from)
  }
}

/** Lines as `0: [0..2047]: 96..2143`, in sectors of 512 bytes; only what lies at or after byte `from` of the file. */
export function parseExtents(bmap: string, from: number): { start: number; length: number }[] {
  const extents: { start: number; length: number }[] = []
  for (const [, first, last, block] of bmap.matchAll(/^\s*\d+: \[(\d+)\.\.(\d+)\]: (\d+)\.\.\d+/gm)) {
    const [firstByte, end] = [Number(first) * sector, (Number(last) + 1) * sector]
    const skip = Math.max(0, from - firstByte)
    const length = end - firstByte - skip
    if (length > 0) extents.push({ start: Number(block) * sector + skip, length })
  }
  if (extents.some(({ start, length }) => !Number.isSafeInteger(start) || !Number.isSafeInteger(length))) {
    throw new AppError('storage_failed', 'xfs_io said something unreadable', { cause: bmap.slice(0, 200) })
  }
  return extents
}
