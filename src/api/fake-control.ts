// A control plane without anything behind it, for tests of the API alone: every function answers with the same few resources, and a
// test replaces the functions it is about.

import type { Control } from '../control/control.ts'
import type { EndpointStatus, ProjectConsumption } from '../control/params.ts'
import type { Branch } from '../model/branch.ts'
import type { ApiKey, User } from '../model/caller.ts'
import type { Database } from '../model/database.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { AppError } from '../model/errors.ts'
import type {
  BranchId,
  ChainId,
  EndpointId,
  ImageId,
  OperationId,
  OrganizationId,
  ProjectId,
  SnapshotId,
  TimelineId,
  UserId,
} from '../model/ids.ts'
import type { Jwks } from '../model/jwks.ts'
import type { Lsn } from '../model/lsn.ts'
import type { Operation } from '../model/operation.ts'
import type { Invitation, Member, Organization } from '../model/organization.ts'
import type { OrganizationPlan } from '../model/plan.ts'
import type { Project, ProjectPermission } from '../model/project.ts'
import { defaultRegionId, regions } from '../model/region.ts'
import type { Role } from '../model/role.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { noUsage } from '../model/usage.ts'
import { fakeAuth } from './fake-auth.ts'
import { fakeDataApi } from './fake-data-api.ts'

export const validKey = 'napi_valid'

const then = new Date('2026-01-02T03:04:05.678Z')

export const user: User = {
  id: '5b2f6f7a-3f0c-4d6e-9a61-2d0b7f5d1c11' as UserId,
  email: 'somebody@example.com',
  name: 'Somebody',
  createdAt: then,
}

export const organization: Organization = {
  id: 'org-quiet-river-12345678' as OrganizationId,
  name: 'Somebody’s',
  handle: 'somebodys-org-quiet-river-12345678',
  plan: 'scale_v3',
  limits: {},
  createdAt: then,
  updatedAt: then,
}

const organizationPlan: OrganizationPlan = {
  id: organization.id,
  name: organization.name,
  plan: organization.plan,
  overrides: {},
  projects: 1,
}

const bill = {
  orgId: organization.id,
  period: { start: new Date('2026-01-01T00:00:00Z'), end: new Date('2026-02-01T00:00:00Z') },
  currency: 'USD',
  isFinal: false,
  cost: {
    lines: [
      { meter: 'compute' as const, quantity: 18_000_000_000n, included: 0n, price: 22_200_000n, amount: 111_000_000n },
    ],
    total: 111_000_000n,
  },
}

export const jwks: Jwks = {
  id: '0b2f6f7a-3f0c-4d6e-9a61-2d0b7f5d1c12',
  projectId: 'quiet-river-12345678' as ProjectId,
  branchId: undefined,
  url: 'https://example.com/.well-known/jwks.json',
  privateAllowed: false,
  providerName: 'Somebody',
  audience: undefined,
  roleNames: ['authenticated'],
  authIntegrationId: undefined,
  dataApiId: undefined,
  createdAt: then,
  updatedAt: then,
}

export const project: Project = {
  id: 'quiet-river-12345678' as ProjectId,
  orgId: organization.id,
  name: 'a project',
  regionId: defaultRegionId,
  pgMajor: 17,
  storePasswords: true,
  historyRetentionSeconds: 86_400,
  endpointDefaults: { autoscalingLimitMinCu: 0.25, autoscalingLimitMaxCu: 2, suspendTimeoutSeconds: 0, pgSettings: {} },
  settings: { quota: { active_time_seconds: 3600 } },
  creationSource: 'api',
  createdAt: then,
  updatedAt: then,
  deletedAt: undefined,
  purgingAt: undefined,
}

export const consumption: ProjectConsumption = {
  projectId: project.id,
  usage: { ...noUsage, periodStart: new Date('2026-01-01T00:00:00Z'), periodEnd: new Date('2026-02-01T00:00:00Z') },
  storage: { logicalBytes: 0, syntheticBytes: 0, historyBytes: 0, snapshotBytes: 0 },
  storageByteHours: 0,
}

export const rootBranch: Branch = {
  id: 'br-quiet-river-aaaa1111' as BranchId,
  projectId: project.id,
  timelineId: 'abcdefghijkl' as TimelineId,
  incomingTimelineId: undefined,
  name: 'main',
  parentId: undefined,
  parentLsn: undefined,
  parentTimestamp: undefined,
  state: 'ready',
  pendingState: undefined,
  stateChangedAt: then,
  isDefault: true,
  protected: false,
  logicalSizeBytes: undefined,
  historyBytes: undefined,
  annotation: {},
  creationSource: 'api',
  createdBy: user.id,
  createdAt: then,
  updatedAt: then,
  expiresAt: undefined,
  ttlIntervalSeconds: undefined,
  lastResetAt: undefined,
  initSource: 'parent-data',
  restoreStatus: undefined,
  restoredFrom: undefined,
  restoredAs: undefined,
  deletionMethod: undefined,
  deletedAt: undefined,
  purgingAt: undefined,
}

export const childBranch: Branch = {
  ...rootBranch,
  id: 'br-quiet-river-bbbb2222' as BranchId,
  name: 'dev',
  parentId: rootBranch.id,
  parentLsn: 0x1de2850n as Lsn,
  parentTimestamp: then,
  isDefault: false,
  logicalSizeBytes: 30_000_000,
  annotation: { ticket: 'A-1' },
}

export const snapshot: Snapshot = {
  id: 'snap-quiet-river-dddd4444' as SnapshotId,
  projectId: project.id,
  sourceBranchId: rootBranch.id,
  backingBranchId: 'br-quiet-river-eeee5555' as BranchId,
  state: 'ready',
  name: 'v1',
  manual: true,
  metadata: { revision: 'a1b2c3' },
  requestedLsn: undefined,
  requestedAt: undefined,
  imageId: 'mnopqrstuvwx' as ImageId,
  pointLsn: 0x1de2850n as Lsn,
  pointAt: then,
  pgMajor: 17,
  uidOffset: 0,
  serviceKeyId: 'abcdefghijkl',
  hasSubscriptions: false,
  roles: [],
  databases: [{ name: 'neondb', ownerName: 'neondb_owner' }],
  walId: 'yzabcdefghij',
  fullSizeBytes: 30_000_000,
  createdAt: then,
  expiresAt: undefined,
}

export const restoredBranch: Branch = {
  ...rootBranch,
  id: 'br-quiet-river-ffff6666' as BranchId,
  name: 'v1 restored',
  isDefault: false,
  parentLsn: snapshot.pointLsn,
  restoreStatus: 'restored',
  restoredFrom: snapshot.id,
  restoredAs: rootBranch.id,
}

export const endpoint: Endpoint = {
  id: 'ep-quiet-river-cccc3333' as EndpointId,
  projectId: project.id,
  branchId: rootBranch.id,
  regionId: defaultRegionId,
  name: undefined,
  type: 'read_write',
  autoscalingLimitMinCu: 0.25,
  autoscalingLimitMaxCu: 2,
  suspendTimeoutSeconds: 0,
  pgSettings: { work_mem: '8MB' },
  preloadLibraries: ['pg_stat_statements'],
  disabled: false,
  lastActiveAt: then,
  startedAt: then,
  suspendedAt: undefined,
  creationSource: 'api',
  createdAt: then,
  updatedAt: then,
  deletedAt: undefined,
}

export const endpointStatus: EndpointStatus = {
  endpoint,
  compute: { kind: 'starting', since: then },
  pendingState: 'active',
}

export const role: Role = {
  branchId: rootBranch.id,
  name: 'neondb_owner',
  authenticationMethod: 'password',
  protected: false,
  verifier: 'SCRAM-SHA-256$4096:…',
  encryptedPassword: new Uint8Array([1]),
  createdAt: then,
  updatedAt: then,
}

export const database: Database = {
  id: 1,
  branchId: rootBranch.id,
  name: 'neondb',
  ownerName: role.name,
  createdAt: then,
  updatedAt: then,
}

export const operation: Operation = {
  id: 'c1f3a2de-8f0c-4a4e-9a61-2d0b7f5d1c11' as OperationId,
  chainId: 'd1f3a2de-8f0c-4a4e-9a61-2d0b7f5d1c11' as ChainId,
  projectId: project.id,
  branchId: rootBranch.id,
  endpointId: endpoint.id,
  position: 0,
  action: 'start_compute',
  status: 'running',
  error: undefined,
  failuresCount: 0,
  retryAt: undefined,
  createdAt: then,
  updatedAt: then,
  startedAt: then,
  totalDurationMs: 12.4,
}

export const apiKey: ApiKey = {
  id: 7,
  kind: 'user',
  userId: user.id,
  orgId: undefined,
  projectId: undefined,
  name: 'a key',
  createdAt: then,
  lastUsedAt: undefined,
  lastUsedFrom: '',
  revokedAt: undefined,
}

export const member: Member = {
  id: 'e1f3a2de-8f0c-4a4e-9a61-2d0b7f5d1c11',
  userId: user.id,
  role: 'admin',
  joinedAt: then,
}

export const invitation: Invitation = {
  id: 'f1f3a2de-8f0c-4a4e-9a61-2d0b7f5d1c11',
  orgId: organization.id,
  email: 'invited@example.com',
  role: 'member',
  invitedBy: user.id,
  invitedAt: then,
}

export const permission: ProjectPermission = {
  id: 'a1f3a2de-8f0c-4a4e-9a61-2d0b7f5d1c11',
  projectId: project.id,
  grantedToEmail: 'friend@example.com',
  grantedAt: then,
  revokedAt: undefined,
}

const connection = {
  uri: 'postgresql://neondb_owner:secret@ep-quiet-river-cccc3333.localhost/neondb',
  database: database.name,
  role: role.name,
  password: 'secret',
  host: 'ep-quiet-river-cccc3333.localhost',
  poolerHost: 'ep-quiet-river-cccc3333-pooler.localhost',
}

const operations = [operation]
const roleOperations = { role, password: undefined, operations }
const databaseOperations = { database, operations }
const branchOperations = { branch: rootBranch, operations }
const endpointOperations = { endpoint: endpointStatus, operations }

type Replacements = { [Group in keyof Control]?: Partial<Control[Group]> }

export function fakeControl(replacements: Replacements = {}): Control {
  const control: Control = {
    async authenticate(key) {
      if (key !== validKey) throw new AppError('unauthorized', 'supplied credentials do not pass authentication')
      return { kind: 'user', userId: user.id, keyId: apiKey.id }
    },
    addresses: {
      endpointHost: (id) => `${id}.localhost`,
      poolerHost: (id) => `${id}-pooler.localhost`,
      proxyHost: 'localhost',
      ...replacements.addresses,
    },
    recoveryWindowSeconds: 7 * 86_400,
    projects: {
      create: async () => ({
        project,
        branch: { ...rootBranch, state: 'init', pendingState: 'ready' },
        endpoints: [endpointStatus],
        roles: [{ role, password: 'secret' }],
        databases: [database],
        operations,
        connections: [connection],
      }),
      list: async () => ({
        projects: [{ project, orgName: organization.name, lastActiveAt: then }],
        usage: new Map(),
        cursor: project.id,
      }),
      listShared: async () => ({ projects: [], usage: new Map(), cursor: undefined }),
      get: async () => ({
        project,
        owner: user,
        lastActiveAt: undefined,
        plan: 'scale_v3',
        branchesLimit: 5000,
        consumption,
      }),
      update: async () => ({ project, operations: [] }),
      delete: async () => project,
      recover: async () => ({ project, branches: [rootBranch] }),
      preloadLibraries: async () => [
        { name: 'pg_cron', description: 'jobs', isDefault: false, isExperimental: false, version: '1.6' },
      ],
      ...replacements.projects,
    },
    branches: {
      create: async () => ({
        branch: childBranch,
        endpoints: [endpointStatus],
        roles: [role],
        databases: [database],
        operations,
        connections: [connection],
      }),
      list: async () => ({
        branches: [rootBranch, childBranch],
        creators: new Map([[user.id, user]]),
        usage: new Map(),
        next: undefined,
      }),
      count: async () => 2,
      get: async () => ({ branch: rootBranch, creator: user, usage: noUsage }),
      update: async () => branchOperations,
      setDefault: async () => branchOperations,
      delete: async () => branchOperations,
      recover: async () => ({ branch: rootBranch, endpoints: [endpointStatus] }),
      endpoints: async () => [endpointStatus],
      restore: async () => branchOperations,
      finalizeRestore: async () => ({ operations }),
      snapshotSchedule: async () => [{ frequency: 'daily', hour: 3, retentionSeconds: 604_800 }],
      setSnapshotSchedule: async () => {},
      ...replacements.branches,
    },
    snapshots: {
      create: async () => ({ snapshot, operations }),
      list: async () => [snapshot],
      update: async () => snapshot,
      delete: async () => ({ operations }),
      restore: async () => ({ branch: restoredBranch, endpoints: [endpointStatus], operations }),
      ...replacements.snapshots,
    },
    endpoints: {
      create: async () => endpointOperations,
      list: async () => [endpointStatus],
      get: async () => ({
        ...endpointStatus,
        awakeReasons: [{ kind: 'recent_activity', idleSeconds: 1, suspendsInSeconds: 299 }],
      }),
      update: async () => endpointOperations,
      delete: async () => endpointOperations,
      start: async () => endpointOperations,
      suspend: async () => endpointOperations,
      restart: async () => endpointOperations,
      ...replacements.endpoints,
    },
    roles: {
      list: async () => [role],
      get: async () => role,
      create: async () => ({ ...roleOperations, password: 'secret' }),
      delete: async () => roleOperations,
      revealPassword: async () => 'secret',
      resetPassword: async () => ({ ...roleOperations, password: 'secret' }),
      ...replacements.roles,
    },
    databases: {
      list: async () => [database],
      get: async () => database,
      create: async () => databaseOperations,
      update: async () => databaseOperations,
      delete: async () => databaseOperations,
      ...replacements.databases,
    },
    operations: {
      list: async () => ({ operations, cursor: { createdAt: '2026-01-02T03:04:05.678901Z', id: operation.id } }),
      get: async () => operation,
      ...replacements.operations,
    },
    schemas: { get: async () => ({ kind: 'sql', sql: '' }), compare: async () => '', ...replacements.schemas },
    consumption: {
      project: async () => consumption,
      projectHistory: async () => ({ projects: [], cursor: undefined }),
      branchHistory: async () => ({ branches: [], last: undefined }),
      ...replacements.consumption,
    },
    connectionUris: { get: async () => connection.uri, ...replacements.connectionUris },
    authorize: async () => ({ orgId: organization.id, refusal: undefined }),
    apiKeys: {
      list: async () => ({ keys: [apiKey], user }),
      create: async () => ({ key: apiKey, secret: 'napi_new' }),
      revoke: async () => ({ key: apiKey, user }),
      listForOrganization: async () => [{ key: apiKey, creator: user }],
      createForOrganization: async () => ({ key: apiKey, secret: 'napi_new' }),
      revokeForOrganization: async () => apiKey,
      ...replacements.apiKeys,
    },
    users: {
      me: async () => ({ user, organization }),
      update: async () => ({ user, organization }),
      create: async () => ({ user, key: apiKey, secret: 'napi_new' }),
      ...replacements.users,
    },
    organizations: {
      list: async () => [organization],
      get: async () => organization,
      members: async () => [{ ...member, user }],
      member: async () => member,
      updateMember: async () => member,
      removeMember: async () => {},
      create: async () => organization,
      ...replacements.organizations,
    },
    invitations: {
      list: async () => [invitation],
      create: async () => [invitation],
      withdraw: async () => {},
      listOwn: async () => [{ invitation, orgName: organization.name }],
      accept: async () => ({ organization, member }),
      ...replacements.invitations,
    },
    permissions: {
      list: async () => [permission],
      grant: async () => permission,
      revoke: async () => ({ ...permission, revokedAt: then }),
      ...replacements.permissions,
    },
    audit: { record: () => {}, list: async () => ({ entries: [], next: undefined }), ...replacements.audit },
    aliases: {
      projectOfBranch: async () => project.id,
      projectOfSnapshot: async () => project.id,
      ...replacements.aliases,
    },
    transfers: {
      betweenOrganizations: async () => {},
      fromDefaultOrganization: async () => {},
      createRequest: async () => ({
        id: '7d7f1e9c-3f0c-4d6e-9a61-2d0b7f5d1c13',
        projectId: project.id,
        createdAt: then,
        expiresAt: then,
      }),
      acceptRequest: async () => {},
      withdrawRequests: async () => 1,
      ...replacements.transfers,
    },
    organizationLimits: {
      get: async () => organizationPlan,
      change: async () => organizationPlan,
      ...replacements.organizationLimits,
    },
    costs: {
      ofProject: async () => ({ ...bill, projectId: project.id }),
      ofOrganization: async () => ({
        ...bill,
        creditsUsed: 100_000_000n,
        creditsRemaining: 0n,
        due: 11_000_000n,
        projects: [{ projectId: project.id, total: 111_000_000n }],
      }),
      credits: async () => ({ orgId: organization.id, currency: 'USD', remaining: 0n, grants: [] }),
      grantCredit: async () => ({ orgId: organization.id, currency: 'USD', remaining: 0n, grants: [] }),
      spendingLimit: async () => 5000,
      setSpendingLimit: async () => 5000,
      deleteSpendingLimit: async () => {},
      ...replacements.costs,
    },
    rateLimits: {
      take: async () => {},
      refusal: () => undefined,
      get: async () => ({ text: '700/min,40/s', isDefault: true }),
      set: async (_kind, _id, text) => ({ text: text ?? '700/min,40/s', isDefault: text === undefined }),
      ...replacements.rateLimits,
    },
    regions: { list: async () => ({ regions, defaultRegionId }), ...replacements.regions },
    jwks: { list: async () => [jwks], add: async () => jwks, delete: async () => jwks },
    metrics: { read: async () => ({ contentType: 'text/plain', text: '' }) },
    events: {
      ofProject: async () => ({ events: [], next: undefined }),
      ofOrganization: async () => ({ events: [], next: undefined }),
    },
    webhooks: {
      put: () => Promise.reject(new AppError('not_found', 'no organization')),
      get: () => Promise.reject(new AppError('not_found', 'no organization')),
      delete: async () => {},
    },
    authMailbox: { list: async () => [], empty: async () => {} },
    auth: fakeAuth(then),
    dataApi: fakeDataApi(then),
    idempotency: fakeIdempotency(),
  }
  return control
}

function fakeIdempotency(): Control['idempotency'] {
  const claims = new Map<string, { fingerprint: string; answer: { status: number; body: string } | undefined }>()
  return {
    async begin(_, key, fingerprint) {
      const claim = claims.get(key)
      if (!claim) {
        claims.set(key, { fingerprint, answer: undefined })
        return { kind: 'new' }
      }
      if (claim.fingerprint !== fingerprint) throw new AppError('unprocessable', 'the key was used for another request')
      return claim.answer ? { kind: 'replay', answer: claim.answer } : { kind: 'busy' }
    },
    async finish(_, key, answer) {
      const claim = claims.get(key)
      if (answer && claim) claim.answer = answer
      else claims.delete(key)
    },
  }
}
