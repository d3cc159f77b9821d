// What the Data API's process needs to know and to have done. `control/` satisfies it over the RPC, tests pass a fake.

import type { DataApiTarget, DataApiTargetName } from '../../model/data-api-target.ts'
import type { WokenDatabase } from '../../model/woken-database.ts'

/** Of one endpoint; bytes since the process began. */
export type EndpointActivity = {
  endpointId: string
  lastActivityAt: number
  bytesToClient: number
  bytesFromClient: number
}

export interface DataApiControlPlane {
  /** Undefined where it is not enabled, or its branch is gone. */
  findTarget(name: DataApiTargetName): Promise<DataApiTarget | undefined>
  /** Starts the compute if need be and waits until it answers. Throws what a connect would hear: `endpoint_disabled`, `quota_exceeded`, `compute_start_failed`, `unavailable` … */
  wake(dataApiId: string): Promise<WokenDatabase>
  /** `run` names this start of the process. A report may be repeated. */
  reportActivity(activity: readonly EndpointActivity[], run: string): Promise<void>
}

/** What is held is no longer true, of whatever one of these names; of everything, where none is named. */
export type TargetChanged = {
  dataApiId?: string | undefined
  endpointId?: string | undefined
  branchId?: string | undefined
  projectId?: string | undefined
  /** `address`: only where its compute answers. */
  what: 'address' | 'all'
}

/** Each method takes one listener. */
export interface DataApiControlPlaneEvents {
  /** Control goes on when it returns, or after a bounded time. */
  onTargetChanged(listener: (changed: TargetChanged) => void): void
}
