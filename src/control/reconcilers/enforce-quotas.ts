// Compares what projects use with their quotas, and does what follows. Safe to run at any time, any number of times.
//
// Only projects at work are looked at: what sleeps uses nothing but its size, which does not grow by itself. While the control database is
// away it goes on with the quotas that were read last: that nobody can write down a verdict is no reason to let a tenant run on.

import { errorChain, isAppError } from '../../model/errors.ts'
import type { BranchId, ProjectId, TimelineId } from '../../model/ids.ts'
import { listOverPeriods, listQuotaRows, type QuotaRow } from '../../store/quotas.ts'
import type { ControlContext } from '../context.ts'
import { review, reviewProject, reviewWhileAway } from '../quotas/review.ts'

const atOnce = 8
/** How much a branch holds is read from files: so often while there is traffic, while somebody may be at work without any, and in any case. */
const measureActiveMs = 2_000
const measureOpenMs = 5_000
const measureAnywayMs = 30_000
/** What is told of a size may be a few seconds old: only after this is it known what the last activity did to it. */
const settlesAfterMs = 7_000

export class QuotaEnforcement {
  readonly #control: ControlContext
  /** Of the round before. */
  #known = new Map<ProjectId, QuotaRow>()
  readonly #measuredAt = new Map<TimelineId, number>()

  constructor(control: ControlContext) {
    this.#control = control
  }

  async enforce(): Promise<{ examined: number }> {
    const { pastReads, store } = this.#control
    const looks = this.#looks()
    for (const projectId of pastReads.projects()) if (!looks.has(projectId)) looks.set(projectId, new Map())
    if (looks.size === 0) return { examined: 0 }
    try {
      const rows = await listQuotaRows(store, [...looks.keys()])
      this.#known = new Map(rows.map((row) => [row.projectId, row]))
      await eachOf(this.#control, rows, (row) => review(this.#control, row, looks.get(row.projectId) ?? new Map()))
      return { examined: rows.length }
    } catch (error) {
      if (!isAppError(error, 'control_database_unavailable')) throw error
      const rows = [...this.#known.values()].filter(({ projectId }) => looks.has(projectId))
      await eachOf(this.#control, rows, (row) => reviewWhileAway(this.#control, row))
      return { examined: rows.length }
    }
  }

  /** What runs, by project. */
  #looks(): Map<ProjectId, Map<BranchId, { timelineId: TimelineId; measure: boolean }>> {
    const now = Date.now()
    const serving = this.#control.computes.serving()
    for (const timelineId of this.#measuredAt.keys()) if (!serving.has(timelineId)) this.#measuredAt.delete(timelineId)
    const looks = new Map<ProjectId, Map<BranchId, { timelineId: TimelineId; measure: boolean }>>()
    for (const [timelineId, { projectId, branchId, lastActivityAt, openSessions }] of serving) {
      const at = this.#measuredAt.get(timelineId) ?? 0
      const quietMs = openSessions > 0 ? measureOpenMs : measureAnywayMs
      const measure = now - at >= (lastActivityAt + settlesAfterMs >= at ? measureActiveMs : quietMs)
      if (measure) this.#measuredAt.set(timelineId, now)
      const look = looks.get(projectId) ?? new Map()
      looks.set(projectId, look.set(branchId, { timelineId, measure }))
    }
    return looks
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
