import type { PgMajor } from './compute.ts'
import type { OrganizationId, ProjectId } from './ids.ts'

/** Settings that new endpoints of a project start with. */
export type EndpointDefaults = {
  autoscalingLimitMinCu: number
  autoscalingLimitMaxCu: number
  suspendTimeoutSeconds: number
  pgSettings: Record<string, string>
}

/** Kept as the API shapes it: pgrove interprets few of these fields, and what was set has to read back the same. */
export type ProjectSettings = Record<string, unknown>

export type Project = {
  id: ProjectId
  orgId: OrganizationId
  name: string
  regionId: string
  pgMajor: PgMajor
  storePasswords: boolean
  historyRetentionSeconds: number
  endpointDefaults: EndpointDefaults
  settings: ProjectSettings
  creationSource: string
  createdAt: Date
  updatedAt: Date
  /** Soft deletion: recoverable until `deletedAt` plus the recovery window. */
  deletedAt: Date | undefined
  /** Set in the same moment the background begins to remove the rest; from then on nothing can be recovered. */
  purgingAt: Date | undefined
}

export const longestHistoryRetentionSeconds = 2_592_000

/** A project shared with whoever has this address, in lower case. */
export type ProjectPermission = {
  id: string
  projectId: ProjectId
  grantedToEmail: string
  grantedAt: Date
  revokedAt: Date | undefined
}
