// Who may do what. One table says what each operation of the API asks for, the other what each role is given; `may` brings them
// together, and nothing else decides. What a caller may not even see does not exist for him (404); what he sees and may not do is
// refused with the role that it takes (403).

import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'

/**
 * What an operation asks for. `project:*` and `organization:*` are asked of the project or organization that the path names (of the
 * project in the body where the path names none); the others of the caller himself.
 */
export const requirements = [
  /** A valid key. */
  'anyone',
  /** A person's own key. */
  'personal',
  /** The key of a person who runs this installation. */
  'operator',
  'projects:list',
  'projects:create',
  'organization:read',
  'organization:admin',
  /** Moving projects to another organization: an admin in person. */
  'organization:transfer',
  /** All but what shows a secret. */
  'project:read',
  /** Changes, and whatever shows a password: with it, one can change everything. */
  'project:write',
  /** What it may use: whoever was only handed the project does not choose that. */
  'project:limit',
  'project:delete',
  'project:share',
] as const

export type Requirement = (typeof requirements)[number]

/** What somebody is to an organization, to a project, or to the installation. */
export const roles = [
  /** Nobody in particular: the resource is not his to see. */
  'stranger',
  /** A project was shared with him. */
  'collaborator',
  'viewer',
  'editor',
  'member',
  'admin',
  /** An organization's own key, in its organization. */
  'organization_key',
  /** A key for one project, in that project. */
  'project_key',
  /** Any person. */
  'user',
  'operator',
] as const

export type Role = (typeof roles)[number]

const reading: readonly Requirement[] = ['organization:read', 'projects:list', 'project:read']
const working: readonly Requirement[] = [...reading, 'projects:create', 'project:write', 'project:limit']
const managing: readonly Requirement[] = [...working, 'organization:admin', 'project:delete', 'project:share']

const grants: Readonly<Record<Role, readonly Requirement[]>> = {
  stranger: ['anyone'],
  collaborator: ['anyone', 'project:read', 'project:write'],
  viewer: ['anyone', ...reading],
  editor: ['anyone', ...working],
  member: ['anyone', ...working],
  admin: ['anyone', ...managing, 'organization:transfer'],
  organization_key: ['anyone', ...managing],
  project_key: ['anyone', 'project:read', 'project:write'],
  user: ['anyone', 'personal', 'projects:list', 'projects:create'],
  operator: ['anyone', 'personal', 'projects:list', 'projects:create', 'operator'],
}

export function may(role: Role, requirement: Requirement): boolean {
  return grants[role].includes(requirement)
}

/** The roles that a member of an organization can have. `collaborator` is none of them: projects are shared one by one. */
export const memberRoles = ['admin', 'member', 'editor', 'viewer'] as const
export type MemberRole = (typeof memberRoles)[number]

export const isMemberRole = (text: string): text is MemberRole => memberRoles.some((role) => role === text)

/** Where a requirement is asked: of whom `roleIn` has to be found. */
export type Scope = 'caller' | 'organization' | 'project'

export function scopeOf(requirement: Requirement): Scope {
  if (requirement.startsWith('project:')) return 'project'
  return requirement.startsWith('organization:') ? 'organization' : 'caller'
}

const neededRoles: Readonly<Record<Requirement, string>> = {
  anyone: 'a valid API key',
  personal: 'a personal API key',
  operator: "an operator's personal API key",
  'projects:list': 'a personal or an organization API key',
  'projects:create': 'the role member, editor or admin in the organization',
  'organization:read': 'membership in the organization',
  'organization:admin': 'the role admin in the organization',
  'organization:transfer': 'the personal API key of an admin of the organization',
  'project:read': 'access to the project',
  'project:write': "the role member, editor or admin in the project's organization, or the project shared with you",
  'project:limit':
    "the role member, editor or admin in the project's organization: quotas are not for who was handed the project",
  'project:delete': "the role admin in the project's organization",
  'project:share': "the role admin in the project's organization",
}

/** Neon's tools know a project's key by these words: "project-scoped", "outside the project". */
const projectKeyRefusal =
  'this is a project-scoped API key: what is asked for lies outside the project that it was made for'

const invisible: Readonly<Record<Scope, string>> = {
  caller: 'not found',
  organization: 'organization not found',
  project: 'project not found',
}

/** For somebody who does not have what it takes: what he cannot see is not there. */
export function refusal(caller: Caller, role: Role, requirement: Requirement): AppError {
  const scope = scopeOf(requirement)
  if (role === 'stranger' && scope !== 'caller') {
    const hint = caller.kind === 'project' ? ` (${projectKeyRefusal})` : ''
    return new AppError('not_found', `${invisible[scope]}${hint}`)
  }
  const hint = role === 'project_key' && scope !== 'project' ? ` (${projectKeyRefusal})` : ''
  return new AppError('forbidden', `this needs ${neededRoles[requirement]}; the API key has ${described(role)}${hint}`)
}

function described(role: Role): string {
  switch (role) {
    case 'organization_key':
      return "an organization's rights"
    case 'project_key':
      return "a member's rights in one project"
    case 'user':
    case 'operator':
    case 'stranger':
      return "a user's rights"
    case 'collaborator':
      return 'the rights that come with a shared project'
    case 'admin':
    case 'member':
    case 'editor':
    case 'viewer':
      return `the role ${role}`
  }
}

/** What each operation asks for. Whatever shows a password or a secret asks for `project:write`, though it only reads. */
export const operationRequirements = {
  // Project
  getProjectAdvisorSecurityIssues: 'project:read',
  listProjects: 'projects:list',
  createProject: 'projects:create',
  listSharedProjects: 'projects:list',
  getProject: 'project:read',
  updateProject: 'project:write',
  deleteProject: 'project:delete',
  recoverProject: 'project:delete',
  listProjectPermissions: 'project:share',
  grantPermissionToProject: 'project:share',
  revokePermissionFromProject: 'project:share',
  getAvailablePreloadLibraries: 'project:read',
  createProjectTransferRequest: 'project:share',
  acceptProjectTransferRequest: 'personal',
  getProjectJWKS: 'project:read',
  addProjectJWKS: 'project:write',
  deleteProjectJWKS: 'project:write',
  getConnectionURI: 'project:write',
  listProjectVPCEndpoints: 'project:read',
  assignProjectVPCEndpoint: 'project:write',
  deleteProjectVPCEndpoint: 'project:write',
  // API Key
  listApiKeys: 'personal',
  createApiKey: 'personal',
  revokeApiKey: 'personal',
  // Operation
  getProjectOperation: 'project:read',
  listProjectOperations: 'project:read',
  // DataAPI
  getProjectBranchDataAPI: 'project:read',
  createProjectBranchDataAPI: 'project:write',
  updateProjectBranchDataAPI: 'project:write',
  deleteProjectBranchDataAPI: 'project:write',
  // Auth (legacy)
  createNeonAuthIntegration: 'project:write',
  listNeonAuthRedirectURIWhitelistDomains: 'project:read',
  addNeonAuthDomainToRedirectURIWhitelist: 'project:write',
  deleteNeonAuthDomainFromRedirectURIWhitelist: 'project:write',
  createNeonAuthProviderSDKKeys: 'project:write',
  createNeonAuthNewUser: 'project:write',
  deleteNeonAuthUser: 'project:write',
  transferNeonAuthProviderProject: 'project:share',
  listNeonAuthIntegrations: 'project:read',
  listNeonAuthOauthProviders: 'project:read',
  addNeonAuthOauthProvider: 'project:write',
  updateNeonAuthOauthProvider: 'project:write',
  deleteNeonAuthOauthProvider: 'project:write',
  getNeonAuthEmailServer: 'project:read',
  updateNeonAuthEmailServer: 'project:write',
  deleteNeonAuthIntegration: 'project:write',
  // Auth
  getNeonAuth: 'project:read',
  createNeonAuth: 'project:write',
  disableNeonAuth: 'project:write',
  listBranchNeonAuthTrustedDomains: 'project:read',
  addBranchNeonAuthTrustedDomain: 'project:write',
  deleteBranchNeonAuthTrustedDomain: 'project:write',
  createBranchNeonAuthNewUser: 'project:write',
  deleteBranchNeonAuthUser: 'project:write',
  updateNeonAuthUserRole: 'project:write',
  listBranchNeonAuthOauthProviders: 'project:read',
  addBranchNeonAuthOauthProvider: 'project:write',
  updateBranchNeonAuthOauthProvider: 'project:write',
  deleteBranchNeonAuthOauthProvider: 'project:write',
  sendNeonAuthTestEmail: 'project:write',
  getNeonAuthEmailAndPasswordConfig: 'project:read',
  updateNeonAuthEmailAndPasswordConfig: 'project:write',
  getNeonAuthEmailProvider: 'project:read',
  updateNeonAuthEmailProvider: 'project:write',
  getNeonAuthAllowLocalhost: 'project:read',
  updateNeonAuthAllowLocalhost: 'project:write',
  getNeonAuthPluginConfigs: 'project:read',
  updateNeonAuthOrganizationPlugin: 'project:write',
  updateNeonAuthConfig: 'project:write',
  updateNeonAuthMagicLinkPlugin: 'project:write',
  getNeonAuthPhoneNumberPlugin: 'project:read',
  updateNeonAuthPhoneNumberPlugin: 'project:write',
  getNeonAuthWebhookConfig: 'project:read',
  updateNeonAuthWebhookConfig: 'project:write',
  // Branch
  listProjectBranches: 'project:read',
  createProjectBranch: 'project:write',
  createProjectBranchAnonymized: 'project:write',
  countProjectBranches: 'project:read',
  getProjectBranch: 'project:read',
  updateProjectBranch: 'project:write',
  deleteProjectBranch: 'project:write',
  restoreProjectBranch: 'project:write',
  getProjectBranchSchema: 'project:read',
  getProjectBranchSchemaComparison: 'project:read',
  getMaskingRules: 'project:read',
  updateMaskingRules: 'project:write',
  getAnonymizedBranchStatus: 'project:read',
  startAnonymization: 'project:write',
  setDefaultProjectBranch: 'project:write',
  recoverProjectBranch: 'project:write',
  finalizeRestoreBranch: 'project:write',
  listProjectBranchEndpoints: 'project:read',
  listProjectBranchDatabases: 'project:read',
  createProjectBranchDatabase: 'project:write',
  getProjectBranchDatabase: 'project:read',
  updateProjectBranchDatabase: 'project:write',
  deleteProjectBranchDatabase: 'project:write',
  listProjectBranchRoles: 'project:read',
  createProjectBranchRole: 'project:write',
  getProjectBranchRole: 'project:read',
  deleteProjectBranchRole: 'project:write',
  getProjectBranchRolePassword: 'project:write',
  resetProjectBranchRolePassword: 'project:write',
  // Endpoint
  listProjectEndpoints: 'project:read',
  createProjectEndpoint: 'project:write',
  getProjectEndpoint: 'project:read',
  updateProjectEndpoint: 'project:write',
  deleteProjectEndpoint: 'project:write',
  startProjectEndpoint: 'project:write',
  suspendProjectEndpoint: 'project:write',
  restartProjectEndpoint: 'project:write',
  // Consumption
  getConsumptionHistoryPerProject: 'projects:list',
  getConsumptionHistoryPerProjectV2: 'projects:list',
  getConsumptionHistoryPerBranchV2: 'projects:list',
  // Organizations
  getOrganization: 'organization:read',
  listOrgApiKeys: 'organization:read',
  createOrgApiKey: 'organization:read',
  revokeOrgApiKey: 'organization:read',
  getOrganizationSpendingLimit: 'organization:read',
  setOrganizationSpendingLimit: 'organization:admin',
  deleteOrganizationSpendingLimit: 'organization:admin',
  getOrganizationMembers: 'organization:read',
  getOrganizationMember: 'organization:read',
  updateOrganizationMember: 'organization:admin',
  removeOrganizationMember: 'organization:admin',
  getOrganizationInvitations: 'organization:read',
  createOrganizationInvitations: 'organization:admin',
  transferProjectsFromOrgToOrg: 'organization:transfer',
  listOrganizationVPCEndpointsAllRegions: 'organization:read',
  listOrganizationVPCEndpoints: 'organization:read',
  getOrganizationVPCEndpointDetails: 'organization:read',
  assignOrganizationVPCEndpoint: 'organization:admin',
  deleteOrganizationVPCEndpoint: 'organization:admin',
  // Region
  getActiveRegions: 'anyone',
  // Users
  getCurrentUserInfo: 'personal',
  getCurrentUserOrganizations: 'personal',
  transferProjectsFromUserToOrg: 'personal',
  getAuthDetails: 'anyone',
  // Snapshot
  createSnapshot: 'project:write',
  listSnapshots: 'project:read',
  updateSnapshot: 'project:write',
  deleteSnapshot: 'project:write',
  restoreSnapshot: 'project:write',
  getSnapshotSchedule: 'project:read',
  setSnapshotSchedule: 'project:write',
  // Buckets
  listProjectBranchBuckets: 'project:read',
  createProjectBranchBucket: 'project:write',
  deleteProjectBranchBucket: 'project:write',
  listProjectBranchBucketObjects: 'project:read',
  deleteProjectBranchBucketObject: 'project:write',
  getProjectBranchBucketObject: 'project:read',
  deleteProjectBranchBucketObjectsByPrefix: 'project:write',
  presignProjectBranchBucketObject: 'project:write',
  // Storage
  getProjectBranchStorage: 'project:read',
  // AI Gateway
  getProjectBranchAiGateway: 'project:read',
  // Credentials
  listCredentials: 'project:read',
  createCredential: 'project:write',
  revokeCredential: 'project:write',
  // Functions
  listProjectBranchFunctions: 'project:read',
  getProjectBranchFunction: 'project:read',
  updateProjectBranchFunction: 'project:write',
  deleteProjectBranchFunction: 'project:write',
  createProjectBranchFunctionDeployment: 'project:write',
  // Of our own
  getOrganizationLimits: 'operator',
  updateOrganizationLimits: 'operator',
  withdrawProjectTransferRequests: 'project:share',
  updateCurrentUser: 'personal',
  createUser: 'operator',
  createOrganization: 'operator',
  listOwnInvitations: 'personal',
  acceptInvitation: 'personal',
  withdrawOrganizationInvitation: 'organization:admin',
  listAuditLog: 'organization:admin',
  getProjectConsumption: 'project:read',
  // Links and codes in these mails sign people in.
  listAuthMailbox: 'project:write',
  emptyAuthMailbox: 'project:write',
  listProjectEvents: 'project:read',
  listOrganizationEvents: 'organization:read',
  setOrganizationWebhook: 'organization:admin',
  getOrganizationWebhook: 'organization:admin',
  deleteOrganizationWebhook: 'organization:admin',
  getProjectCost: 'project:read',
  getOrganizationCost: 'organization:read',
  getOrganizationCredits: 'operator',
  grantOrganizationCredit: 'operator',
  getOrganizationRateLimit: 'operator',
  updateOrganizationRateLimit: 'operator',
  getUserRateLimit: 'operator',
  updateUserRateLimit: 'operator',
} as const satisfies Readonly<Record<string, Requirement>>
