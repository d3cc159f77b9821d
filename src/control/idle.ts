// May a compute be suspended? Decided from what was seen, without side effects.

import { defaultSuspendTimeoutSeconds, type AwakeReason } from '../model/compute.ts'

export type Backends = {
  activeQueries: number
  openTransactions: number
  walsenders: number
  subscriptionWorkers: number
  autovacuumWorkers: number
}

/** -1 never; 0 is the default; otherwise seconds. */
export function suspendTimeoutMs(suspendTimeoutSeconds: number): number {
  if (suspendTimeoutSeconds < 0) return Number.POSITIVE_INFINITY
  return (suspendTimeoutSeconds || defaultSuspendTimeoutSeconds) * 1000
}

/** Before anybody looks into Postgres: is it quiet for long enough to be worth the look? */
export function isQuiet(now: number, lastActivityAt: number, suspendTimeoutSeconds: number): boolean {
  return now - lastActivityAt >= suspendTimeoutMs(suspendTimeoutSeconds)
}

/** How often sessions that are held are looked at again: each look is a few statements in each of them. */
const askHeldEveryMs = 5_000

/** When the proxy is to be asked whether it can do without the compute, and what it is told of sessions with state. */
export function parkingPlan(input: {
  now: number
  lastActivityAt: number
  held: { askedAt: number } | undefined
  heldSessionMs: number
}): { asks: boolean; endHeld: boolean } {
  const endHeld = input.now - input.lastActivityAt >= input.heldSessionMs
  return { asks: endHeld || !input.held || input.now - input.held.askedAt >= askHeldEveryMs, endHeld }
}

/** Empty: nothing keeps it awake. `backends` is undefined where nobody looked, because it was not quiet. */
export function awakeReasons(input: {
  now: number
  lastActivityAt: number
  suspendTimeoutSeconds: number
  backends: Backends | undefined
  /** Sessions at rest with state that would be lost. */
  heldSessions?: number
}): AwakeReason[] {
  const reasons: AwakeReason[] = []
  const { backends } = input
  if (input.suspendTimeoutSeconds < 0) reasons.push({ kind: 'suspend_disabled' })
  if (backends && backends.activeQueries > 0) reasons.push({ kind: 'active_queries', count: backends.activeQueries })
  if (backends && backends.openTransactions > 0)
    reasons.push({ kind: 'open_transactions', count: backends.openTransactions })
  const replication = (backends?.walsenders ?? 0) + (backends?.subscriptionWorkers ?? 0)
  if (replication > 0) reasons.push({ kind: 'replication', count: replication })
  if (backends && backends.autovacuumWorkers > 0)
    reasons.push({ kind: 'autovacuum', count: backends.autovacuumWorkers })
  const { heldSessions = 0 } = input
  if (heldSessions > 0) reasons.push({ kind: 'session_state', count: heldSessions })
  const remainingMs = suspendTimeoutMs(input.suspendTimeoutSeconds) - (input.now - input.lastActivityAt)
  if (input.suspendTimeoutSeconds >= 0 && remainingMs > 0) {
    reasons.push({
      kind: 'recent_activity',
      idleSeconds: Math.max(0, Math.floor((input.now - input.lastActivityAt) / 1000)),
      suspendsInSeconds: Math.ceil(remainingMs / 1000),
    })
  }
  return reasons
}
