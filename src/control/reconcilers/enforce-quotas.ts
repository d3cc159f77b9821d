// Compares what projects use with their quotas, and does what follows. Safe to run at any time, any number of times.
//
// Only projects at work are looked at: what sleeps uses nothing but its size, which does not grow by itself. While the control database is
// away it goes on with the quotas that were read last: that nobody can write down a verdict is no reason to let a tenant run on.

import { errorChain, isAppError } from '../../model/errors.ts'
import type { ProjectId } from '../../model/ids.ts'
import { listOverPeriods, listQuotaRows, type QuotaRow } from '../../store/quotas.ts'
import type { ControlContext } from '../context.ts'
import { reviewProject, reviewRunning, reviewWhileAway } from '../quotas/review.ts'

const atOnce = 8

export class QuotaEnforcement {
  readonly #control: ControlContext
  /** Of the round before. */
  #known = new Map<ProjectId, QuotaRow>()

  constructor(control: ControlContext) {
    this.#control = control
  }

  async enforce(): Promise<{ examined: number }> {
    const { pastReads, computes, store } = this.#control
    const projects = new Set<ProjectId>(pastReads.projects())
    for (const { projectId } of computes.serving().values()) projects.add(projectId)
    if (projects.size === 0) return { examined: 0 }
    try {
      const rows = await listQuotaRows(store, [...projects])
      this.#known = new Map(rows.map((row) => [row.projectId, row]))
      await eachOf(this.#control, rows, (row) => reviewRunning(this.#control, row))
      return { examined: rows.length }
    } catch (error) {
      if (!isAppError(error, 'control_database_unavailable')) throw error
      const rows = [...this.#known.values()].filter(({ projectId }) => projects.has(projectId))
      await eachOf(this.#control, rows, (row) => reviewWhileAway(this.#control, row))
      return { examined: rows.length }
    }
  }
}

/** A new period has begun for them. They may have been woken at once; this is for those who only listen. */
export async function forgiveOverPeriods(control: ControlContext): Promise<void> {
  await eachOf(control, await listOverPeriods(control.store, control.cell), (id) => reviewProject(control, id))
}

async function eachOf<T>(control: ControlContext, all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < all.length; i += atOnce) {
    const outcomes = await Promise.allSettled(all.slice(i, i + atOnce).map(work))
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled' || isAppError(outcome.reason, 'control_database_unavailable')) continue
      control.logger.warn({ cause: errorChain(outcome.reason) }, 'a quota could not be looked at')
    }
  }
}
