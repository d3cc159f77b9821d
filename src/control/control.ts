// What the control plane offers to the surfaces above it, one group of functions a resource.
//
// Params go in (camelCase, shape already checked against the contract), model values come out; what the API makes of them is
// `api/`'s business. Every function throws AppError; rules are enforced here and nowhere above.

import type { Branch } from '../model/branch.ts'
import type { AuditEntry, AuditRecord } from '../model/audit.ts'
import type { ApiKey, Caller, Creator, User } from '../model/caller.ts'
import type { AwakeReason } from '../model/compute.ts'
import type { Database } from '../model/database.ts'
import type { AppError } from '../model/errors.ts'
import type { BranchId, OrganizationId, ProjectId } from '../model/ids.ts'
import type { Jwks } from '../model/jwks.ts'
import type { Operation } from '../model/operation.ts'
import type { Invitation, Member, Organization } from '../model/organization.ts'
import type { Project, ProjectPermission } from '../model/project.ts'
import type { Region } from '../model/region.ts'
import type { Role } from '../model/role.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { SnapshotScheduleItem } from '../model/snapshot-schedule.ts'
import type { Usage } from '../model/usage.ts'
import type { Webhook } from '../model/webhook.ts'
import type { TransferRequest } from '../model/transfer-request.ts'
import type { OrganizationPlan } from '../model/plan.ts'
import type { Place } from './access.ts'
import type { AuthControl } from './auth/auth-control.ts'
import type { AuthMailboxControl } from './auth/mailbox.ts'
import type { DataApiControl } from './data-api/data-api-control.ts'
import type { OrganizationBill, ProjectBill } from './billing/bills.ts'
import type { Requirement } from './authorization.ts'
import type { LimitChange } from './organization-limits.ts'
import type {
  BilledPeriod,
  BranchOperations,
  BranchPage,
  CreateBranchInput,
  CreateEndpointInput,
  CreateProjectInput,
  CreateSnapshotInput,
  CreatedBranch,
  CreatedProject,
  CreditAccount,
  CreditInput,
  DatabaseOperations,
  EndpointOperations,
  EndpointStatus,
  EventPage,
  EventQuery,
  HistoryQuery,
  ListBranchesQuery,
  ListProjectsQuery,
  PointInput,
  PreloadLibrary,
  ProjectConsumption,
  ProjectDetails,
  ProjectPage,
  RateLimitOf,
  RestoreBranchInput,
  RestoreSnapshotInput,
  RoleOperations,
  Schema,
  StoredAnswer,
  TransferInput,
  UpdateBranchInput,
  UpdateEndpointInput,
  UpdateProjectInput,
  UpdateSnapshotInput,
  UserWithDefault,
} from './params.ts'

export interface Control {
  /** Throws `unauthorized`. */
  authenticate(key: string, from: string): Promise<Caller>
  addresses: {
    /** First label is the endpoint id. */
    endpointHost(endpointId: string): string
    poolerHost(endpointId: string): string
    /** The endpoint host without its first label. */
    proxyHost: string
  }
  /** How long what was deleted can be recovered. */
  recoveryWindowSeconds: number
  projects: {
    create(caller: Caller, input: CreateProjectInput): Promise<CreatedProject>
    list(caller: Caller, query: ListProjectsQuery): Promise<ProjectPage>
    /** Those of other organizations that are shared with the caller. */
    listShared(caller: Caller, query: Pick<ListProjectsQuery, 'cursor' | 'limit' | 'search'>): Promise<ProjectPage>
    get(caller: Caller, projectId: string): Promise<ProjectDetails>
    update(
      caller: Caller,
      projectId: string,
      input: UpdateProjectInput,
    ): Promise<{ project: Project; operations: Operation[] }>
    delete(caller: Caller, projectId: string): Promise<Project>
    recover(caller: Caller, projectId: string): Promise<{ project: Project; branches: Branch[] }>
    preloadLibraries(caller: Caller, projectId: string): Promise<PreloadLibrary[]>
  }
  branches: {
    create(caller: Caller, projectId: string, input: CreateBranchInput): Promise<CreatedBranch>
    list(caller: Caller, projectId: string, query: ListBranchesQuery): Promise<BranchPage>
    count(caller: Caller, projectId: string, search: string | undefined): Promise<number>
    get(
      caller: Caller,
      projectId: string,
      branchId: string,
    ): Promise<{ branch: Branch; creator: User | undefined; usage: Usage }>
    update(caller: Caller, projectId: string, branchId: string, input: UpdateBranchInput): Promise<BranchOperations>
    setDefault(caller: Caller, projectId: string, branchId: string): Promise<BranchOperations>
    /** Undefined where there is no such branch, or no longer (204), as the contract has it for each resource of a project. */
    delete(
      caller: Caller,
      projectId: string,
      branchId: string,
      options: { hard: boolean },
    ): Promise<BranchOperations | undefined>
    recover(
      caller: Caller,
      projectId: string,
      branchId: string,
    ): Promise<{ branch: Branch; endpoints: EndpointStatus[] }>
    endpoints(caller: Caller, projectId: string, branchId: string): Promise<EndpointStatus[]>
    /** Same branch, same endpoints, other data. */
    restore(caller: Caller, projectId: string, branchId: string, input: RestoreBranchInput): Promise<BranchOperations>
    /** A branch that was restored from a snapshot takes the place of its target. `name`: what the replaced branch is called from then on. */
    finalizeRestore(
      caller: Caller,
      projectId: string,
      branchId: string,
      input: { name?: string | undefined },
    ): Promise<{ operations: Operation[] }>
    snapshotSchedule(caller: Caller, projectId: string, branchId: string): Promise<SnapshotScheduleItem[]>
    setSnapshotSchedule(
      caller: Caller,
      projectId: string,
      branchId: string,
      schedule: SnapshotScheduleItem[],
    ): Promise<void>
  }
  snapshots: {
    create(
      caller: Caller,
      projectId: string,
      branchId: string,
      input: CreateSnapshotInput,
    ): Promise<{ snapshot: Snapshot; operations: Operation[] }>
    /** Newest first. */
    list(caller: Caller, projectId: string): Promise<Snapshot[]>
    update(caller: Caller, projectId: string, snapshotId: string, input: UpdateSnapshotInput): Promise<Snapshot>
    delete(caller: Caller, projectId: string, snapshotId: string): Promise<{ operations: Operation[] }>
    restore(
      caller: Caller,
      projectId: string,
      snapshotId: string,
      input: RestoreSnapshotInput,
    ): Promise<{ branch: Branch; endpoints: EndpointStatus[]; operations: Operation[] }>
  }
  consumption: {
    project(caller: Caller, projectId: string): Promise<ProjectConsumption>
    /** Projects made last come first, deleted ones too. Throws `not_acceptable` for a stretch that is not told, `forbidden` for the plan. */
    projectHistory(
      caller: Caller,
      query: HistoryQuery & {
        version: 1 | 2
        projectIds: readonly string[] | undefined
        /** The last project of the page before. */
        after: string | undefined
        limit: number
      },
    ): Promise<{ projects: { projectId: ProjectId; periods: BilledPeriod[] }[]; cursor: string | undefined }>
    /** In the order of their ids. */
    branchHistory(
      caller: Caller,
      query: HistoryQuery & {
        projectIds: readonly string[]
        branchIds: readonly string[] | undefined
        after: { projectId: string; branchId: string } | undefined
        limit: number
      },
    ): Promise<{
      branches: { projectId: ProjectId; branchId: BranchId; periods: BilledPeriod[] }[]
      last: { projectId: ProjectId; branchId: BranchId } | undefined
    }>
  }
  endpoints: {
    create(caller: Caller, projectId: string, input: CreateEndpointInput): Promise<EndpointOperations>
    list(caller: Caller, projectId: string): Promise<EndpointStatus[]>
    get(
      caller: Caller,
      projectId: string,
      endpointId: string,
    ): Promise<EndpointStatus & { awakeReasons: AwakeReason[] }>
    update(
      caller: Caller,
      projectId: string,
      endpointId: string,
      input: UpdateEndpointInput,
    ): Promise<EndpointOperations>
    delete(caller: Caller, projectId: string, endpointId: string): Promise<EndpointOperations | undefined>
    start(caller: Caller, projectId: string, endpointId: string): Promise<EndpointOperations>
    suspend(caller: Caller, projectId: string, endpointId: string): Promise<EndpointOperations>
    restart(caller: Caller, projectId: string, endpointId: string): Promise<EndpointOperations>
  }
  roles: {
    list(caller: Caller, projectId: string, branchId: string): Promise<Role[]>
    get(caller: Caller, projectId: string, branchId: string, name: string): Promise<Role>
    create(
      caller: Caller,
      projectId: string,
      branchId: string,
      input: { name: string; noLogin: boolean },
    ): Promise<RoleOperations>
    delete(caller: Caller, projectId: string, branchId: string, name: string): Promise<RoleOperations | undefined>
    revealPassword(caller: Caller, projectId: string, branchId: string, name: string): Promise<string>
    resetPassword(caller: Caller, projectId: string, branchId: string, name: string): Promise<RoleOperations>
  }
  databases: {
    list(caller: Caller, projectId: string, branchId: string): Promise<Database[]>
    get(caller: Caller, projectId: string, branchId: string, name: string): Promise<Database>
    create(
      caller: Caller,
      projectId: string,
      branchId: string,
      input: { name: string; ownerName: string },
    ): Promise<DatabaseOperations>
    update(
      caller: Caller,
      projectId: string,
      branchId: string,
      name: string,
      input: { name?: string | undefined; ownerName?: string | undefined },
    ): Promise<DatabaseOperations>
    delete(caller: Caller, projectId: string, branchId: string, name: string): Promise<DatabaseOperations | undefined>
  }
  operations: {
    /** Newest first; `before` is the creation time and id of the last row of the page before. */
    list(
      caller: Caller,
      projectId: string,
      query: { limit: number; before?: { createdAt: string; id: string } | undefined },
    ): Promise<{ operations: Operation[]; cursor: { createdAt: string; id: string } | undefined }>
    get(caller: Caller, projectId: string, operationId: string): Promise<Operation>
  }
  schemas: {
    get(
      caller: Caller,
      projectId: string,
      branchId: string,
      query: PointInput & { databaseName: string; format?: string | undefined },
    ): Promise<Schema>
    /** A unified diff from the base to the branch; empty where they are equal. The base is the parent where none is named. */
    compare(
      caller: Caller,
      projectId: string,
      branchId: string,
      query: PointInput & { databaseName: string; baseBranchId?: string | undefined; base: PointInput },
    ): Promise<string>
  }
  connectionUris: {
    get(
      caller: Caller,
      query: {
        projectId: string
        branchId?: string | undefined
        endpointId?: string | undefined
        databaseName: string
        roleName: string
        pooled: boolean
      },
    ): Promise<string>
  }
  /** What the caller is where this is asked, and the refusal where that is not enough. */
  authorize(
    caller: Caller,
    requirement: Requirement,
    place: Place,
  ): Promise<{ orgId: OrganizationId | undefined; refusal: AppError | undefined }>
  apiKeys: {
    list(caller: Caller): Promise<{ keys: ApiKey[]; user: User }>
    create(caller: Caller, name: string): Promise<{ key: ApiKey; secret: string }>
    revoke(caller: Caller, keyId: number): Promise<{ key: ApiKey; user: User }>
    /** The organization's own and those of its projects. */
    listForOrganization(caller: Caller, orgId: string): Promise<{ key: ApiKey; creator: Creator }[]>
    /** With a project: a key for that one alone. */
    createForOrganization(
      caller: Caller,
      orgId: string,
      input: { name: string; projectId?: string | undefined },
    ): Promise<{ key: ApiKey; secret: string }>
    revokeForOrganization(caller: Caller, orgId: string, keyId: number): Promise<ApiKey>
  }
  users: {
    /** `organization`: where he creates projects without naming one; undefined where he is a member of none. */
    me(caller: Caller): Promise<UserWithDefault>
    update(caller: Caller, input: { defaultOrgId?: string | undefined }): Promise<UserWithDefault>
    create(input: { email: string; name?: string | undefined }): Promise<{ user: User; key: ApiKey; secret: string }>
  }
  organizations: {
    list(caller: Caller): Promise<Organization[]>
    get(caller: Caller, orgId: string): Promise<Organization>
    members(caller: Caller, orgId: string): Promise<(Member & { user: User })[]>
    member(caller: Caller, orgId: string, memberId: string): Promise<Member>
    /** Keys that he made there end where they would give more than the new role. */
    updateMember(caller: Caller, orgId: string, memberId: string, role: string): Promise<Member>
    removeMember(caller: Caller, orgId: string, memberId: string): Promise<void>
    /** `adminEmail`: of the user who is its admin, where that is not the caller. */
    create(
      caller: Caller,
      input: { name: string; plan: string; adminEmail?: string | undefined },
    ): Promise<Organization>
  }
  invitations: {
    list(caller: Caller, orgId: string): Promise<Invitation[]>
    create(caller: Caller, orgId: string, invitations: { email: string; role: string }[]): Promise<Invitation[]>
    withdraw(caller: Caller, orgId: string, invitationId: string): Promise<void>
    /** Those that the caller may accept. */
    listOwn(caller: Caller): Promise<{ invitation: Invitation; orgName: string }[]>
    accept(caller: Caller, invitationId: string): Promise<{ organization: Organization; member: Member }>
  }
  permissions: {
    list(caller: Caller, projectId: string): Promise<ProjectPermission[]>
    grant(caller: Caller, projectId: string, email: string): Promise<ProjectPermission>
    revoke(caller: Caller, projectId: string, permissionId: string): Promise<ProjectPermission>
  }
  audit: {
    /** Keeps it for the next write; never fails and never waits. */
    record(entry: AuditRecord): void
    /** Newest first; `before`: the id of the last entry of the page before. */
    list(
      caller: Caller,
      orgId: string,
      query: { limit: number; before?: number | undefined },
    ): Promise<{ entries: AuditEntry[]; next: number | undefined }>
  }
  /** All or nothing, without an interruption; throw `not_acceptable` where the destination would have too many projects. */
  transfers: {
    betweenOrganizations(caller: Caller, sourceOrgId: string, input: TransferInput): Promise<void>
    fromDefaultOrganization(caller: Caller, input: TransferInput): Promise<void>
    createRequest(caller: Caller, projectId: string, ttlSeconds?: number): Promise<TransferRequest>
    /** Into the caller's default organization where none is named. */
    acceptRequest(caller: Caller, projectId: string, requestId: string, orgId: string | undefined): Promise<void>
    /** Returns how many there were. */
    withdrawRequests(caller: Caller, projectId: string): Promise<number>
  }
  /** What organizations may have; for operators. */
  organizationLimits: {
    get(caller: Caller, orgId: string): Promise<OrganizationPlan>
    /** Holds from the next thing that somebody asks for. */
    change(caller: Caller, orgId: string, wanted: LimitChange): Promise<OrganizationPlan>
  }
  /** For paths that leave out their project. Throw `not_found` for what the caller may not see. */
  aliases: {
    projectOfBranch(caller: Caller, branchId: string): Promise<ProjectId>
    projectOfSnapshot(caller: Caller, snapshotId: string): Promise<ProjectId>
  }
  /** What usage costs. `period`: a month such as `2026-11`; the current one where none is named. */
  costs: {
    ofProject(caller: Caller, projectId: string, period: string | undefined): Promise<ProjectBill>
    /** `projects`: how many of those that cost most are named. */
    ofOrganization(
      caller: Caller,
      orgId: string,
      query: { period: string | undefined; projects: number },
    ): Promise<OrganizationBill>
    /** These two are for operators. */
    credits(orgId: string): Promise<CreditAccount>
    grantCredit(orgId: string, input: CreditInput): Promise<CreditAccount>
    /** In cents; undefined where there is none. */
    spendingLimit(caller: Caller, orgId: string): Promise<number | undefined>
    setSpendingLimit(caller: Caller, orgId: string, cents: number): Promise<number>
    deleteSpendingLimit(caller: Caller, orgId: string): Promise<void>
  }
  /** Which account a caller's requests count against, and how many it may make. */
  rateLimits: {
    /** Counts one. Throws `rate_limited`. */
    take(caller: Caller, operationId: string): Promise<void>
    /** What `take` would throw, as far as that is known without asking anybody. */
    refusal(caller: Caller, operationId: string): AppError | undefined
    /** Throw `not_found`. */
    get(kind: 'user' | 'organization', id: string): Promise<RateLimitOf>
    /** Undefined: as everybody's. Throws `bad_request`. */
    set(kind: 'user' | 'organization', id: string, text: string | undefined): Promise<RateLimitOf>
  }
  regions: {
    list(): Promise<{ regions: readonly Region[]; defaultRegionId: string }>
  }
  jwks: {
    list(caller: Caller, projectId: string): Promise<Jwks[]>
    add(
      caller: Caller,
      projectId: string,
      input: {
        url: string
        providerName: string
        branchId?: string | undefined
        audience: string | undefined
        roleNames: string[] | undefined
      },
    ): Promise<Jwks>
    delete(caller: Caller, projectId: string, jwksId: string): Promise<Jwks>
  }
  metrics: {
    /** As Prometheus reads it; for operators. */
    read(caller: Caller): Promise<{ contentType: string; text: string }>
  }
  events: {
    /** Newest first, and since it belongs to its organization; of deleted projects too. */
    ofProject(caller: Caller, projectId: string, query: EventQuery): Promise<EventPage>
    ofOrganization(caller: Caller, orgId: string, query: EventQuery): Promise<EventPage>
  }
  webhooks: {
    /** Replaces what was there. `secret`: is told this once. */
    put(caller: Caller, orgId: string, input: { url: string }): Promise<{ webhook: Webhook; secret: string }>
    get(caller: Caller, orgId: string): Promise<Webhook>
    delete(caller: Caller, orgId: string): Promise<void>
  }
  /** Sign-in for the apps of tenants. */
  auth: AuthControl
  /** Mails of those apps that no server took. */
  authMailbox: AuthMailboxControl
  dataApi: DataApiControl
  idempotency: {
    /**
     * Claims the key for this caller. `replay`: the request was answered before; `busy`: it is being answered now; `new`: go on, then
     * `finish`. Throws `unprocessable` when the key was used for another request.
     */
    begin(
      caller: Caller,
      key: string,
      fingerprint: string,
    ): Promise<{ kind: 'new' } | { kind: 'busy' } | { kind: 'replay'; answer: StoredAnswer }>
    /** Stores the answer, or frees the key where nothing was done (`undefined`). */
    finish(caller: Caller, key: string, answer: StoredAnswer | undefined): Promise<void>
  }
}
