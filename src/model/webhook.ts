import type { OrganizationId } from './ids.ts'

/** Where an organization's events are sent. */
export type Webhook = {
  orgId: OrganizationId
  url: string
  /** Sealed with the master key. */
  secret: Uint8Array
  /** Whoever set it may name addresses of private networks. */
  privateAllowed: boolean
  createdAt: Date
  updatedAt: Date
  lastDeliveredAt: Date | undefined
  lastFailedAt: Date | undefined
  lastError: string | undefined
}

/** How long after the n-th failed attempt the next one is made, in seconds. */
const pauses = [5, 30, 120, 300, 900, 1800, 3600]

export function retryAfterSeconds(attempts: number): number {
  return pauses[Math.min(attempts, pauses.length) - 1] ?? 5
}

/** Then nobody is waiting for it any more. */
export const longestDeliverySeconds = 86_400
