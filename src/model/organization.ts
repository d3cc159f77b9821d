import type { OrganizationId } from './ids.ts'
import type { LimitOverrides } from './plan.ts'

export type Organization = {
  id: OrganizationId
  name: string
  handle: string
  plan: string
  /** What an operator gave it instead of the plan's values. */
  limits: LimitOverrides
  createdAt: Date
  updatedAt: Date
}
