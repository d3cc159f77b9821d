// What calls to the control plane take (camelCase, shape already checked against the contract), and what they give where that is more than
// one resource.

import type { CreditGrant } from '../model/billing.ts'
import type { Branch } from '../model/branch.ts'
import type { User } from '../model/caller.ts'
import type { ComputeState } from '../model/compute.ts'
import type { Database } from '../model/database.ts'
import type { Endpoint, EndpointType } from '../model/endpoint.ts'
import type { PlatformEvent } from '../model/event.ts'
import type { Figures, Granularity, Timeframe } from '../model/consumption.ts'
import type { OrganizationId, ProjectId, UserId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import type { Organization } from '../model/organization.ts'
import type { Project, ProjectSettings } from '../model/project.ts'
import type { Role } from '../model/role.ts'
import type { SchemaTable } from '../model/schema-table.ts'
import type { PeriodUsage, ProjectStorage, Usage } from '../model/usage.ts'
import type { SizeStatus } from './sizes.ts'

/** An endpoint with what its compute does at the moment. */
export type EndpointStatus = {
  endpoint: Endpoint
  compute: ComputeState
  /** `active` or `idle` while an operation is on its way there. */
  pendingState: 'active' | 'idle' | undefined
  /** Only while it runs. */
  size?: SizeStatus | undefined
}

export type ConnectionDetails = {
  uri: string
  database: string
  role: string
  /** Empty where the project does not store passwords. */
  password: string
  host: string
  poolerHost: string
}

export type RoleWithPassword = { role: Role; password: string | undefined }

export type EndpointSettingsInput = {
  autoscalingLimitMinCu?: number | undefined
  autoscalingLimitMaxCu?: number | undefined
  suspendTimeoutSeconds?: number | undefined
  pgSettings?: Record<string, unknown> | undefined
  preloadLibraries?: { useDefaults?: boolean | undefined; enabledLibraries?: string[] | undefined } | undefined
}

export type CreateProjectInput = {
  name?: string | undefined
  orgId?: string | undefined
  regionId?: string | undefined
  pgVersion?: number | undefined
  storePasswords?: boolean | undefined
  historyRetentionSeconds?: number | undefined
  endpointDefaults?: EndpointSettingsInput | undefined
  settings?: ProjectSettings | undefined
  branch?:
    | {
        name?: string | undefined
        roleName?: string | undefined
        databaseName?: string | undefined
        annotation?: Record<string, string> | undefined
      }
    | undefined
  /** The User-Agent of the request: becomes `creation_source`. */
  creationSource: string
}

export type CreatedProject = {
  project: Project
  branch: Branch
  endpoints: EndpointStatus[]
  roles: RoleWithPassword[]
  databases: Database[]
  operations: Operation[]
  connections: ConnectionDetails[]
}

export type ListProjectsQuery = {
  cursor?: string | undefined
  limit: number
  search?: string | undefined
  orgId?: string | undefined
  recoverable: boolean
}

export type ProjectPage = {
  projects: { project: Project; orgName: string; lastActiveAt: Date | undefined }[]
  /** Of the current period, by project; none for one that used nothing. */
  usage: ReadonlyMap<string, Usage>
  /** The last project's id, undefined on an empty page. */
  cursor: string | undefined
}

export type UpdateProjectInput = {
  name?: string | undefined
  settings?: ProjectSettings | undefined
  endpointDefaults?: EndpointSettingsInput | undefined
  historyRetentionSeconds?: number | undefined
}

export type ProjectDetails = {
  project: Project
  owner: User
  lastActiveAt: Date | undefined
  /** Of its organization. */
  plan: string
  branchesLimit: number
  consumption: ProjectConsumption
}

/** Of the current period. */
export type ProjectConsumption = {
  projectId: ProjectId
  usage: PeriodUsage
  storage: ProjectStorage
  /** Data and what going back in time takes, over the period until now. */
  storageByteHours: number
}

/** Rounded down to the granularity, `to` is not part of it. */
export type HistoryQuery = { from: Date; to: Date; granularity: Granularity; orgId?: string | undefined }

/** A calendar month, with every timeframe of it that was asked for. `end`: of past ones only. */
export type BilledPeriod = {
  /** A UUID. */
  id: string
  plan: string
  start: Date
  end: Date | undefined
  samples: { timeframe: Timeframe; figures: Figures }[]
}

export type CreateBranchInput = {
  parentId?: string | undefined
  name?: string | undefined
  parentLsn?: string | undefined
  parentTimestamp?: string | undefined
  protected?: boolean | undefined
  archived?: boolean | undefined
  initSource?: string | undefined
  expiresAt?: string | undefined
  annotation?: Record<string, string> | undefined
  endpoints: (EndpointSettingsInput & { type: EndpointType })[]
  creationSource: string
}

export type CreatedBranch = {
  branch: Branch
  endpoints: EndpointStatus[]
  roles: Role[]
  databases: Database[]
  operations: Operation[]
  /** Only where an endpoint was asked for and the parent has exactly one role and one database. */
  connections: ConnectionDetails[] | undefined
}

export type BranchSort = 'name' | 'created_at' | 'updated_at'

export type ListBranchesQuery = {
  search?: string | undefined
  sortBy: BranchSort
  descending: boolean
  limit: number
  /** The last row of the page before: its id and the text of the value it was sorted by. */
  after?: { branchId: string; value: string } | undefined
  includeDeleted: boolean
}

export type BranchPage = {
  branches: Branch[]
  creators: ReadonlyMap<string, User>
  /** Of the current period, by branch; none for one that used nothing. */
  usage: ReadonlyMap<string, Usage>
  next: { branchId: string; value: string } | undefined
}

/** `expiresAt`: null clears. */
export type UpdateBranchInput = {
  name?: string | undefined
  protected?: boolean | undefined
  expiresAt?: string | null | undefined
}

export type CreateSnapshotInput = {
  name?: string | undefined
  /** At most one of the two; neither is the head. */
  lsn?: string | undefined
  timestamp?: string | undefined
  expiresAt?: string | undefined
  metadata?: Record<string, unknown> | undefined
}

/** `expiresAt`: null clears. `metadata` replaces what is there. */
export type UpdateSnapshotInput = {
  name?: string | undefined
  expiresAt?: string | null | undefined
  metadata?: Record<string, unknown> | undefined
}

export type RestoreSnapshotInput = {
  name?: string | undefined
  targetBranchId?: string | undefined
  finalize: boolean
  creationSource: string
}

export type RestoreBranchInput = {
  sourceBranchId: string
  /** At most one of the two; neither is the head of another branch. */
  lsn?: string | undefined
  timestamp?: string | undefined
  preserveUnderName?: string | undefined
}

export type BranchOperations = { branch: Branch; operations: Operation[] }
export type EndpointOperations = { endpoint: EndpointStatus; operations: Operation[] }
export type RoleOperations = { role: Role; password: string | undefined; operations: Operation[] }
export type DatabaseOperations = { database: Database; operations: Operation[] }

export type CreateEndpointInput = EndpointSettingsInput & {
  branchId: string
  type: EndpointType
  regionId?: string | undefined
  name?: string | undefined
  disabled?: boolean | undefined
  creationSource: string
}

export type UpdateEndpointInput = EndpointSettingsInput & {
  branchId?: string | undefined
  name?: string | undefined
  disabled?: boolean | undefined
}

export type TransferInput = { destinationOrgId: string; projectIds: readonly string[] }

export type UserWithDefault = { user: User; organization: Organization | undefined }

/** `amount`: a decimal text. */
export type CreditInput = { amount: string; note?: string | undefined; grantedBy: UserId | undefined }

/** `remaining`: after all that was used so far. `grants`: the newest ones first. */
export type CreditAccount = { orgId: OrganizationId; currency: string; remaining: bigint; grants: CreditGrant[] }

/** As it is written in `PGROVE_RATE_LIMIT`. */
export type RateLimitOf = { text: string; isDefault: boolean }

/** A stored first answer to a request that carried an Idempotency-Key. */
export type StoredAnswer = { status: number; body: string }

export type PreloadLibrary = {
  name: string
  description: string
  isDefault: boolean
  isExperimental: boolean
  version: string
}

/** A place in the past of a branch; its head where neither is given. */
export type PointInput = { lsn?: string | undefined; timestamp?: string | undefined }

/** `next`: what the page after it begins before. */
export type EventPage = { events: PlatformEvent[]; next: number | undefined }
export type EventQuery = { limit: number; before: number | undefined }

export type Schema = { kind: 'sql'; sql: string } | { kind: 'tables'; tables: SchemaTable[] }
