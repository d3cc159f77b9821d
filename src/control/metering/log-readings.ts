// What was written: looks into the logs of timelines whose computes serve, and puts what is new into the ledger.

import { readControlFile } from '../../compute/data-dir.ts'
import { writtenUntil } from '../../compute/wal-position.ts'
import { within } from '../../lib/within.ts'
import { AppError, errorChain, isAppError } from '../../model/errors.ts'
import type { TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import type { RunningSince, UsagePlace } from '../../model/usage.ts'
import { listLogReadings } from '../../store/usage.ts'
import type { ControlContext } from '../context.ts'
import { walFoldersOf } from '../wal-head.ts'
import type { Ledger } from './ledger.ts'
import { LogPositions } from './log-positions.ts'

/** A log is looked at so often while its endpoint is in use, and so often in any case: some write without a client. */
const readActiveMs = 5_000
const readAnywayMs = 60_000
const readAtOnce = 8
const learnWithinMs = 500

export class LogReadings {
  readonly #context: () => ControlContext
  readonly #ledger: Ledger
  readonly positions: LogPositions

  constructor(context: () => ControlContext, ledger: Ledger) {
    this.#context = context
    this.#ledger = ledger
    this.positions = new LogPositions((timelineId, from) => this.#logEnd(timelineId, from))
  }

  /** All that the log has so far is not the tenant's. Never rejects. */
  async skip(timelineId: TimelineId): Promise<void> {
    const reading = await this.positions.skip(timelineId).catch(this.#noReading(timelineId))
    if (reading) this.#ledger.readLog(reading)
  }

  /** Those that are due. */
  async readDue(now: number): Promise<void> {
    await this.#learn()
    const due = [...this.#ledger.running()].filter(([timelineId]) => {
      const age = now - this.positions.readAt(timelineId)
      return age >= readAnywayMs || (age >= readActiveMs && this.#wasUsed(timelineId))
    })
    for (let at = 0; at < due.length; at += readAtOnce) {
      await Promise.all(due.slice(at, at + readAtOnce).map(([timelineId, place]) => this.read(timelineId, place)))
    }
  }

  /** For the last time, perhaps. Whoever stops a compute does not wait for a database that hangs: what is not read now is read when it wakes. */
  async readSoon(timelineId: TimelineId, place: UsagePlace | undefined): Promise<void> {
    await within(this.#learn(), learnWithinMs, () => new AppError('unavailable', 'not within its time')).catch(() => {})
    await this.read(timelineId, place)
  }

  async readIfUsed(timelineId: TimelineId, place: UsagePlace): Promise<void> {
    if (this.#wasUsed(timelineId)) await this.read(timelineId, place)
  }

  /** What computes that do not run any more have written since they were last looked at: nobody may ever wake them again. */
  async readLeft(computes: readonly RunningSince[]): Promise<void> {
    for (const { timelineId } of computes) this.positions.begin(timelineId)
    await this.#learn()
    for (let at = 0; at < computes.length; at += readAtOnce) {
      await Promise.all(computes.slice(at, at + readAtOnce).map((each) => this.read(each.timelineId, each)))
    }
  }

  /** Never rejects. */
  async read(timelineId: TimelineId, place: UsagePlace | undefined): Promise<void> {
    if (!place) return
    const reading = await this.positions.read(timelineId).catch(this.#noReading(timelineId))
    if (!reading) return
    this.#ledger.readLog(reading)
    if (reading.writtenBytes === 0) return
    this.#ledger.addBytes({ ...place, at: Date.now(), writtenBytes: reading.writtenBytes, transferBytes: 0 })
  }

  /** Since its log was last looked at. A session may write for long without a byte of traffic. */
  #wasUsed(timelineId: TimelineId): boolean {
    const serving = this.#context().computes.serving().get(timelineId)
    if (!serving) return false
    return serving.openSessions > 0 || serving.lastActivityAt >= this.positions.readAt(timelineId)
  }

  /** Never rejects: what is not known yet is asked again. */
  async #learn(): Promise<void> {
    const unknown = this.positions.unknown()
    if (unknown.length === 0) return
    try {
      const stored = await listLogReadings(this.#context().store, unknown)
      for (const reading of await this.positions.learn(unknown, stored)) this.#ledger.readLog(reading)
    } catch (error) {
      if (isAppError(error, 'control_database_unavailable')) return
      this.#context().logger.warn({ cause: errorChain(error) }, 'readings of logs could not be looked up')
    }
  }

  async #logEnd(timelineId: TimelineId, from: Lsn): Promise<Lsn | undefined> {
    const { storage } = this.#context()
    const { state, tli, checkpointLsn } = await readControlFile(storage.timelineDir(timelineId))
    if (state !== 'in_production' && state !== 'shutting_down' && state !== 'shut_down') return undefined
    const start = from > checkpointLsn ? from : checkpointLsn
    return await writtenUntil(walFoldersOf(storage, timelineId), tli, start)
  }

  readonly #noReading =
    (timelineId: TimelineId) =>
    (error: unknown): undefined => {
      // Of a timeline that has just been removed there is nothing to read.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      this.#context().logger.warn({ timeline: timelineId, cause: errorChain(error) }, 'a log could not be read')
    }
}
