// A compute: the running thing behind an endpoint. Desired (`ComputeSpec`) and observed (`ComputeState`) are two types,
// and everything that acts is a step from one towards the other.

import type { TimelineId } from './ids.ts'

export type PgMajor = 14 | 15 | 16 | 17 | 18
export const pgMajors: readonly PgMajor[] = [14, 15, 16, 17, 18]
export const defaultPgMajor: PgMajor = 17

export function isPgMajor(value: unknown): value is PgMajor {
  return pgMajors.some((major) => major === value)
}

/** What a compute should be. Complete: starting needs nothing but this and the data directory. */
export type ComputeSpec = {
  timelineId: TimelineId
  pgMajor: PgMajor
  /** The autoscaling minimum: max_connections and shared_buffers cannot change while Postgres runs. 1 CU = 1 CPU and 4 GiB. */
  minCu: number
  /** The endpoint's own `pg_settings`, already checked against the allow-list. */
  pgSettings: Readonly<Record<string, string>>
  preloadLibraries: readonly string[]
  logicalReplication: boolean
  /** May open connections to the outside. Only where computes have networks of their own does it make a difference. */
  outbound: boolean
  /** Transactions are read-only unless they say otherwise: the branch has reached its size. Absent: no. */
  readOnly?: boolean | undefined
  /** Numeric uid and gid of the processes and files; undefined when pgrove itself is not root. */
  owner: Owner | undefined
  /** Names the secret that the service role's password is derived from. A branch inherits its parent's. */
  serviceKeyId: string
}

export type Owner = { uid: number; gid: number }

export type StopMode = 'smart' | 'fast' | 'immediate'

export type ComputeState =
  | { kind: 'stopped' }
  | { kind: 'starting'; since: Date }
  | { kind: 'running'; since: Date; pid: number; socketDir: string }
  | { kind: 'stopping'; since: Date; mode: StopMode }
  | { kind: 'failed'; since: Date; message: string }

/** What the Neon API calls it (`EndpointState`). The only place that decides. */
export function endpointState(compute: ComputeState): 'init' | 'active' | 'idle' {
  switch (compute.kind) {
    case 'starting':
      return 'init'
    case 'running':
      return 'active'
    case 'stopping':
    case 'stopped':
    case 'failed':
      return 'idle'
  }
}

/** Why a compute has not been suspended. Neon does not say; people ask. */
export type AwakeReason =
  | { kind: 'starting' }
  | { kind: 'suspend_disabled' }
  | { kind: 'recent_activity'; idleSeconds: number; suspendsInSeconds: number }
  | { kind: 'active_queries'; count: number }
  | { kind: 'open_transactions'; count: number }
  | { kind: 'replication'; count: number }
  | { kind: 'autovacuum'; count: number }
  /** Sessions at rest with state that would be lost: temporary tables, `LISTEN`, `SET` … */
  | { kind: 'session_state'; count: number }
  | { kind: 'operation'; action: string }

export type ComputeSize = { maxConnections: number; sharedBuffersMb: number; memoryMb: number }

/** 1 CU = 1 CPU and 4 GiB. */
export const bytesInCu = 4 * 2 ** 30

/** Neon's documented table of connections by size is floor(419.65 × CU), 4000 at most; 0.25 CU has 104. */
export function computeSize(cu: number): ComputeSize {
  const memoryMb = Math.round(cu * 4096)
  return {
    maxConnections: Math.min(4000, Math.floor(419.65 * cu)),
    sharedBuffersMb: Math.max(128, Math.min(8192, Math.round(memoryMb / 8))),
    memoryMb,
  }
}

/** The class that started slots of the warm pool are made in. */
export const smallestCu = 0.25
/** The seed's range. */
export const largestCu = 8
export const defaultSuspendTimeoutSeconds = 300
export const longestSuspendTimeoutSeconds = 604_800
