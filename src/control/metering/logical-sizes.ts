// How much the databases of running branches hold. Postgres goes over its files to say so, so it is asked only when something was
// written, and no more often than it has to be.

import { SingleFlight } from '../../lib/single-flight.ts'
import type { BranchId, TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import { setBranchLogicalSize } from '../../store/branches.ts'
import type { ControlContext } from '../context.ts'

const freshMs = 5_000
const askTimeoutMs = 2_000
/** A stored size may be this much off for a while: each other value is a row of its own in the levels. */
const storedForMs = 300_000
const worthStoring = 0.05

type Measured = { bytes: number; at: number; position: Lsn | undefined; storedBytes: number; storedAt: number }

export class LogicalSizes {
  readonly #context: () => ControlContext
  readonly #measured = new Map<TimelineId, Measured>()
  readonly #flights = new SingleFlight<number | undefined>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** `position`: how far the log is known to reach; where it has not grown, neither has the data. */
  async current(timelineId: TimelineId, branchId: BranchId, position: Lsn | undefined): Promise<number | undefined> {
    const known = this.#measured.get(timelineId)
    if (known && (known.position === position || Date.now() - known.at < freshMs)) return known.bytes
    return (await this.measure(timelineId, branchId, position)) ?? known?.bytes
  }

  measuredAt(timelineId: TimelineId): number {
    return this.#measured.get(timelineId)?.at ?? 0
  }

  isOutdated(timelineId: TimelineId, position: Lsn | undefined): boolean {
    return this.#measured.get(timelineId)?.position !== position
  }

  /** Undefined where Postgres does not say. Stored where the difference is worth it. */
  async measure(timelineId: TimelineId, branchId: BranchId, position: Lsn | undefined): Promise<number | undefined> {
    return await this.#flights.run(timelineId, async () => {
      const { sessions } = this.#context()
      const rows = await sessions
        .query<{ bytes: string }>(
          timelineId,
          {
            name: 'database_sizes',
            text: 'select sum(pg_database_size(oid))::text as bytes from pg_database',
            values: [],
          },
          askTimeoutMs,
        )
        .catch(() => [])
      const bytes = rows[0] && Number(rows[0].bytes)
      if (bytes === undefined) return undefined
      const at = Date.now()
      const { storedBytes = 0, storedAt = 0 } = this.#measured.get(timelineId) ?? {}
      const measured = { bytes, at, position, storedBytes, storedAt }
      this.#measured.set(timelineId, measured)
      await this.#store(branchId, measured)
      return bytes
    })
  }

  forget(timelineId: TimelineId): void {
    this.#measured.delete(timelineId)
  }

  async #store(branchId: BranchId, measured: Measured): Promise<void> {
    const { bytes, at, storedBytes, storedAt } = measured
    if (bytes === storedBytes) return
    if (Math.abs(bytes - storedBytes) < worthStoring * storedBytes && at - storedAt < storedForMs) return
    await setBranchLogicalSize(this.#context().store, branchId, bytes).then(
      () => Object.assign(measured, { storedBytes: bytes, storedAt: at }),
      () => {},
    )
  }
}
