import type { OrganizationId } from './ids.ts'
import type { OrganizationLimits } from './plan.ts'

/** What decides whether one more compute may run in its organization. */
export type StartPlace = {
  orgId: OrganizationId
  /** Of the default branch. */
  isDefault: boolean
  limits: Pick<OrganizationLimits, 'activeComputes' | 'defaultBranchesExempt'>
}
