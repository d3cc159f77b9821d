// Whether a compute may be had: the one place that refuses connects and starts for what a project has used up.
//
// It goes by what is stored with the project and the branch, which came with the row that a wake reads anyway, or with the assignment file
// while the control database is away. So a refusal costs nothing more, and holds in both cases.

import type { AppError } from '../model/errors.ts'
import { exceededUsage, type SizeStanding, type UsageStanding } from '../model/quota.ts'
import type { Sql } from '../store/database.ts'
import type { EndpointTarget } from '../store/endpoints.ts'
import { getStandings } from '../store/quotas.ts'
import type { ControlContext } from './context.ts'
import { sizeExceeded, usageExceeded } from './quotas/refusals.ts'

/** What is known of an endpoint's project and branch; `EndpointTarget` and `Assignment` both say it. */
export type Standings = {
  usageStandings: readonly UsageStanding[] | undefined
  sizeStanding: SizeStanding | undefined
}

/** Undefined where nothing is used up. */
export function refusalFor({ usageStandings, sizeStanding }: Standings, now = new Date()): AppError | undefined {
  const exceeded = exceededUsage(usageStandings, now)
  if (exceeded) return usageExceeded(exceeded)
  return sizeStanding?.level === 'blocked' ? sizeExceeded(sizeStanding) : undefined
}

/** Also where the compute runs already. Throws `quota_exceeded`. */
export function assertMayConnect(target: Standings): void {
  const refusal = refusalFor(target)
  if (refusal) throw refusal
}

/** For calls that need the branch's compute, or any of the project where no branch is named. Throws `quota_exceeded`. */
export async function assertMayUseCompute(sql: Sql, projectId: string, branchId?: string): Promise<void> {
  assertMayConnect(await getStandings(sql, projectId, branchId))
}

/**
 * Where it would have to be started. From here on it has a place among its organization's computes, by its endpoint's id or by a name of
 * its own, until somebody releases that. Throws `quota_exceeded`.
 */
export async function assertMayStart(control: ControlContext, target: EndpointTarget, name?: string): Promise<void> {
  assertMayConnect(target)
  if (target.place) await control.activeComputes.claim(target.endpointId, target.place, name)
}
