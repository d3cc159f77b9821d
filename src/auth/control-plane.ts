// What the auth process needs to know and to have done. `control/` satisfies it over the RPC, tests pass a fake.

import type { AuthEventType } from '../model/auth.ts'
import type { AuthMail, AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import type { WokenDatabase } from '../model/woken-database.ts'

export type AuthEvent = {
  /** A UUID; an event may be told twice. */
  id: string
  type: AuthEventType
  /** What the webhook is sent beside the envelope: `user`, `event_data`. */
  body: Readonly<Record<string, unknown>>
  at: number
}

export interface AuthControlPlane {
  /** Undefined where there is no such integration, or its branch is gone. */
  findTarget(name: AuthTargetName): Promise<AuthTarget | undefined>
  /** Starts the compute if need be and waits until it answers. Throws what a connect would hear: `endpoint_disabled`, `quota_exceeded`, `compute_start_failed`, `unavailable` … */
  wake(integrationId: string): Promise<WokenDatabase>
  /** Returns when the mail is stored; it is sent later, and again if that fails. */
  sendMail(integrationId: string, mail: AuthMail): Promise<void>
  /** Returns when the events are stored; the webhook hears of them later. Those that it did not ask for are dropped. */
  recordEvents(integrationId: string, events: readonly AuthEvent[]): Promise<void>
}

/** What is held is no longer true: of one integration, of those of one endpoint, or, where neither is named, of all. */
export type TargetChanged = {
  integrationId?: string | undefined
  endpointId?: string | undefined
  /** `address`: only where its compute answers. */
  what: 'address' | 'all'
}

/** Each method takes one listener. */
export interface AuthControlPlaneEvents {
  /** Control goes on when it returns, or after a bounded time. */
  onTargetChanged(listener: (changed: TargetChanged) => void): void
}
