// What an organization may have, and the refusals of what goes beyond. What was there before a limit was lowered stays.

import { AppError } from '../model/errors.ts'
import type { OrganizationId } from '../model/ids.ts'
import { effectiveLimits, type OrganizationLimits } from '../model/plan.ts'
import type { Sql } from '../store/database.ts'
import { getPlan } from '../store/organization-limits.ts'

/** What holds at this moment: the plan's values and the operator's. Throws `not_found`. */
export async function organizationLimits(sql: Sql, orgId: OrganizationId): Promise<OrganizationLimits> {
  const found = await getPlan(sql, orgId)
  if (!found) throw new AppError('not_found', 'organization not found')
  return effectiveLimits(found.plan, found.overrides)
}
