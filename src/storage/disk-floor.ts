// Watches that a little space stays free, so that running databases can go on writing when creations have to stop.

import { SingleFlight } from '../lib/single-flight.ts'
import { AppError } from '../model/errors.ts'
import { freeBytesOf } from './file-system.ts'
import { inMb, type Pool } from './pool.ts'

export type FreeBytes = { hostBytes: number; storageBytes: number }

/** How long one look is good for. Creations in between take a few MB each, which the floor covers. */
const lookLastsMs = 200

export class DiskFloor {
  readonly #home: string
  readonly #root: string
  readonly #floorBytes: number
  readonly #pool: Pool | undefined
  readonly #looks = new SingleFlight<void>()
  #goodUntil = 0

  constructor(home: string, root: string, floorBytes: number, pool: Pool | undefined) {
    this.#home = home
    this.#root = root
    this.#floorBytes = floorBytes
    this.#pool = pool
  }

  async freeBytes(): Promise<FreeBytes> {
    const [hostBytes, storageBytes] = await Promise.all([freeBytesOf(this.#home), freeBytesOf(this.#root)])
    return { hostBytes, storageBytes }
  }

  async assertRoom(): Promise<void> {
    if (performance.now() < this.#goodUntil) return
    await this.#looks.run('look', () => this.#look())
  }

  async #look(): Promise<void> {
    await this.#pool?.ensureRoom()
    const { hostBytes, storageBytes } = await this.freeBytes()
    if (hostBytes < this.#floorBytes) throw this.#full('the disk under PGROVE_HOME', hostBytes)
    if (storageBytes < this.#floorBytes) {
      throw this.#full('the pool, which cannot grow for lack of space on the disk under PGROVE_HOME,', storageBytes)
    }
    this.#goodUntil = performance.now() + lookLastsMs
  }

  #full(what: string, free: number): AppError {
    return new AppError(
      'disk_full',
      `${what} has ${inMb(free)} free, and ${inMb(this.#floorBytes)} must stay free: nothing new is made until branches or projects are deleted or space is made on that disk`,
    )
  }
}
