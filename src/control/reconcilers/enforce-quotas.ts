// Compares what projects use with their quotas, and does what follows. Safe to run at any time, any number of times.
//
// Only projects at work are looked at: what sleeps uses nothing but its size, which does not grow by itself.

import { errorChain } from '../../model/errors.ts'
import type { ProjectId } from '../../model/ids.ts'
import { listOverPeriods, listQuotaRows } from '../../store/quotas.ts'
import type { ControlContext } from '../context.ts'
import { reviewProject, reviewRunning } from '../quotas/review.ts'

const atOnce = 8

export async function enforceQuotas(control: ControlContext): Promise<{ examined: number }> {
  const projects = new Set<ProjectId>(control.pastReads.projects())
  for (const { projectId } of control.computes.serving().values()) projects.add(projectId)
  if (projects.size === 0) return { examined: 0 }
  const rows = await listQuotaRows(control.store, [...projects])
  await eachOf(control, rows, (row) => reviewRunning(control, row))
  return { examined: rows.length }
}

/** A new period has begun for them. They may have been woken at once; this is for those who only listen. */
export async function forgiveOverPeriods(control: ControlContext): Promise<void> {
  await eachOf(control, await listOverPeriods(control.store, control.cell), (id) => reviewProject(control, id))
}

async function eachOf<T>(control: ControlContext, all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < all.length; i += atOnce) {
    const outcomes = await Promise.allSettled(all.slice(i, i + atOnce).map(work))
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        control.logger.warn({ cause: errorChain(outcome.reason) }, 'a quota could not be looked at')
      }
    }
  }
}
