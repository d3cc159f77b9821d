import type { OrganizationId, UserId } from './ids.ts'
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

export type Member = { id: string; userId: UserId; role: string; joinedAt: Date }

/** `email` in lower case: a user is found by it however he writes it. */
export type Invitation = {
  id: string
  orgId: OrganizationId
  email: string
  role: string
  invitedBy: UserId
  invitedAt: Date
}
