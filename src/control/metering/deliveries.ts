// Brings what was counted into the control database, exactly once each.
//
// A delivery has a number and is one transaction, so one whose outcome is not known is sent again. While the database is away they wait
// in memory and in a file on this machine, from which the next control process sends what a crash left.

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readIfThere, writeDurably } from '../../lib/durable-file.ts'
import { failpoint } from '../../lib/failpoint.ts'
import type { Logger } from '../../lib/logger.ts'
import { errorChain, isAppError } from '../../model/errors.ts'
import { formatLsn, parseLsn, type Lsn } from '../../model/lsn.ts'
import type { RunningSince, UsageDelivery } from '../../model/usage.ts'
import type { Store } from '../../store/database.ts'
import { noteAlive, takeDelivery, takeOverUsage } from '../../store/usage.ts'
import { joined, type UsageContent } from './ledger.ts'

const nothing: UsageContent = { intervals: [], bytes: [], started: [], stopped: [], logs: [], edges: [], branches: [] }

export type DeliveriesOptions = { folder: string; store: Store; cell: string; run: string; logger: Logger }

export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #path: string
  /** In order. The first may have been sent, and may have arrived. */
  readonly #waiting: UsageDelivery[] = []
  #number = 0
  #hasFile = false

  constructor(options: DeliveriesOptions) {
    this.#options = options
    this.#path = join(options.folder, 'waiting-usage.json')
  }

  /** Sends what an earlier process left, and takes its place. Throws `control_database_unavailable`. */
  async open(): Promise<{ aliveAt: number; running: RunningSince[] }> {
    const { folder, store, cell, run, logger } = this.#options
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const left = parseWaiting(await readIfThere(this.#path))
    for (const delivery of left?.deliveries ?? []) await takeDelivery(store, cell, left?.run ?? '', delivery)
    await failpoint('usage.resent')
    if (left) logger.info({ deliveries: left.deliveries.length }, 'usage counted while the database was away is stored')
    await rm(this.#path, { force: true })
    return await takeOverUsage(store, cell, run)
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** False where it has to wait. `content` undefined: nothing but a sign of life, which need not survive. Never rejects. */
  async send(content: UsageContent | undefined, aliveAt: number): Promise<boolean> {
    const { store, cell, run, logger } = this.#options
    if (content) this.#put(content)
    const newest = this.#waiting.at(-1)
    if (newest && newest !== this.#waiting[0]) newest.aliveAt = aliveAt
    try {
      if (!newest) await noteAlive(store, cell, run, aliveAt)
      for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
        await takeDelivery(store, cell, run, first)
        await failpoint('usage.delivered')
        this.#waiting.shift()
      }
      if (this.#hasFile) await rm(this.#path, { force: true })
      this.#hasFile = false
      return true
    } catch (error) {
      if (!isAppError(error, 'control_database_unavailable')) {
        logger.warn({ cause: errorChain(error) }, 'usage could not be stored; it is kept and sent again')
      }
      await this.#write(aliveAt)
      return false
    }
  }

  #put(content: UsageContent): void {
    const last = this.#waiting.at(-1)
    // The first may have arrived, so it stays as it is.
    if (last && this.#waiting.length > 1) Object.assign(last, joined(last, content))
    else this.#waiting.push({ ...content, number: ++this.#number, aliveAt: Date.now() })
  }

  async #write(aliveAt: number): Promise<void> {
    // A sign of life is all that a database that is away misses of a compute that goes on.
    if (this.#waiting.length < 2) this.#put(nothing)
    const newest = this.#waiting.at(-1)
    if (newest && newest !== this.#waiting[0]) newest.aliveAt = aliveAt
    try {
      await writeDurably(this.#path, JSON.stringify({ run: this.#options.run, deliveries: this.#waiting }, lsnAsText))
      this.#hasFile = true
      await failpoint('usage.waiting')
    } catch (error) {
      this.#options.logger.warn({ cause: errorChain(error) }, 'usage that waits for the database is in memory only')
    }
  }
}

const lsnAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? formatLsn(value as Lsn) : value

/** Undefined where there is no such file, or none that can be read: a crash leaves the old one or the new one. */
function parseWaiting(text: string | undefined): { run: string; deliveries: UsageDelivery[] } | undefined {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text, (key, value: unknown) =>
      key === 'lsn' && typeof value === 'string' ? parseLsn(value) : value,
    ) as { run: string; deliveries: UsageDelivery[] }
  } catch {
    return undefined
  }
}
