// Sign-in for the apps of tenants: what an integration is, and what may be set on one.
//
// An integration belongs to one branch and one of its databases. Its users, sessions and organizations are rows in that database
// (schema `neon_auth`) and go wherever the data goes; its keys, secrets and settings are rows of the control database and do not.

import type { AuthIntegrationId, BranchId, ProjectId } from './ids.ts'

/** Which surface is shown: `stack` Stack's and Better Auth's, `better_auth` the latter alone, `mock` as `stack`, and no mail or request ever leaves. */
export const authProviders = ['mock', 'stack', 'better_auth'] as const
export type AuthProvider = (typeof authProviders)[number]

export const oauthProviderIds = ['google', 'github', 'microsoft', 'vercel'] as const
export type OauthProviderId = (typeof oauthProviderIds)[number]

export type EmailAndPasswordSettings = {
  enabled: boolean
  verificationMethod: 'link' | 'otp'
  requireVerification: boolean
  autoSignInAfterVerification: boolean
  sendVerificationOnSignUp: boolean
  sendVerificationOnSignIn: boolean
  disableSignUp: boolean
}

export type AuthSettings = {
  emailAndPassword: EmailAndPasswordSettings
  organization: {
    enabled: boolean
    organizationLimit: number
    membershipLimit: number
    creatorRole: 'owner' | 'admin'
    sendInvitationEmail: boolean
  }
  magicLink: { enabled: boolean; expiresInMinutes: number; disableSignUp: boolean }
  phoneNumber: { enabled: boolean; otpExpiresInSeconds: number }
  allowLocalhost: boolean
  webhooks: {
    enabled: boolean
    url: string | undefined
    /** Whether the URL may lead into a private network: decided when it was set. */
    privateAllowed: boolean
    events: AuthEventType[]
    timeoutSeconds: number
  }
}

export const authEventTypes = [
  'user.before_create',
  'user.created',
  'send.otp',
  'send.magic_link',
  'organization.invitation.created',
  'organization.invitation.accepted',
  'phone_number.verified',
] as const
export type AuthEventType = (typeof authEventTypes)[number]

export type AuthIntegration = {
  /** Also what its clients know it by: `auth_provider_project_id`. */
  id: AuthIntegrationId
  projectId: ProjectId
  branchId: BranchId
  databaseName: string
  provider: AuthProvider
  ownedBy: 'user' | 'neon'
  transferStatus: 'initiated' | 'finished' | undefined
  /** In mails; undefined: the project's name. */
  name: string | undefined
  settings: AuthSettings
  createdAt: Date
  updatedAt: Date
}

export type OauthProvider = {
  id: OauthProviderId
  /** `shared`: the operator's credentials. */
  type: 'standard' | 'shared'
  clientId: string | undefined
  /** Sealed under the master key. */
  clientSecret: Uint8Array | undefined
  microsoftTenantId: string | undefined
  createdAt: Date
}

export type SmtpServer = {
  host: string
  port: number
  username: string
  password: string
  senderEmail: string
  senderName: string
  /** Whether the host may be a private one: decided when it was set. */
  privateAllowed: boolean
}

/** `shared`: the operator's server, or the development mailbox where he has none. */
export type EmailServer =
  | { type: 'shared'; senderEmail: string | undefined; senderName: string | undefined }
  | ({ type: 'standard' } & SmtpServer)

/** Neon's: schema and table that apps read users from. */
export const authSchema = 'neon_auth'
export const usersTable = 'users_sync'

/** What a new integration does until somebody says otherwise. */
export const defaultAuthSettings: AuthSettings = {
  emailAndPassword: {
    enabled: true,
    verificationMethod: 'link',
    requireVerification: false,
    autoSignInAfterVerification: true,
    sendVerificationOnSignUp: false,
    sendVerificationOnSignIn: false,
    disableSignUp: false,
  },
  organization: {
    enabled: true,
    organizationLimit: 10,
    membershipLimit: 100,
    creatorRole: 'owner',
    sendInvitationEmail: false,
  },
  magicLink: { enabled: false, expiresInMinutes: 5, disableSignUp: false },
  phoneNumber: { enabled: false, otpExpiresInSeconds: 300 },
  allowLocalhost: true,
  webhooks: { enabled: false, url: undefined, privateAllowed: false, events: [], timeoutSeconds: 5 },
}

/** Those that come with an integration, where the operator's credentials or a stand-in for them can be had. */
export function firstOauthProviders(provider: AuthProvider): readonly OauthProviderId[] {
  return provider === 'better_auth' ? ['google'] : ['google', 'github']
}

/** Better Auth's clients have no keys. */
export const hasSdkKeys = (provider: AuthProvider): boolean => provider !== 'better_auth'

/** What tokens of an integration may open: the role that they name, of these. */
export const authKeySetRoles = ['authenticated', 'anonymous'] as const

/** What a tenant may have set for his database is overruled as far as this role may, by every session of it. */
export const authSessionSettings: readonly string[] = [
  'role=none',
  `search_path=${authSchema}`,
  'local_preload_libraries=',
  'default_transaction_read_only=off',
  'default_transaction_deferrable=off',
  'default_transaction_isolation=read\\ committed',
  'idle_session_timeout=0',
  'exit_on_error=off',
  'synchronous_commit=on',
  'standard_conforming_strings=on',
  'client_min_messages=warning',
  'datestyle=ISO',
  'timezone=UTC',
  'bytea_output=hex',
]
