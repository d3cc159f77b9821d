// What the auth process is told of one integration: all it needs to serve the integration's surfaces, secrets included. Kept in memory
// only, and forgotten when control says that it changed.

import type { AuthProvider, AuthSettings, OauthProviderId } from './auth.ts'

export type SigningKey = {
  kid: string
  /** Ed25519, as JSON Web Keys. */
  publicJwk: Readonly<Record<string, unknown>>
  privateJwk: Readonly<Record<string, unknown>>
  createdAt: number
}

export type TargetOauthProvider = {
  id: OauthProviderId
  type: 'standard' | 'shared'
  clientId: string
  clientSecret: string
  microsoftTenantId: string | undefined
  /** The development identity provider stands in for the real one. */
  isDevelopment: boolean
  /** The operator's, in place of the provider's well-known ones. */
  endpoints?: Readonly<Partial<OauthEndpoints>> | undefined
}

export type OauthEndpoints = {
  /** What its id tokens say as `iss`, and answers as `iss`. */
  issuer: string
  authorizationUrl: string
  tokenUrl: string
  userinfoUrl: string
  jwksUrl: string
}

export type AuthTarget = {
  integrationId: string
  /** Raised by every change of what stands here. */
  version: number
  provider: AuthProvider
  projectId: string
  projectName: string
  branchId: string
  /** The branch's read-write endpoint; its compute is woken under this name. */
  endpointId: string
  database: string
  /** Of the Better Auth surface, without a slash at its end: `http://…/<db>/auth`. */
  baseUrl: string
  /** Of the Stack surface: `http://…/api/v1`. */
  stackUrl: string
  /** In mails. */
  appName: string
  settings: AuthSettings
  /** As they were given: `https://app.example.com`, `https://*.preview.app`. */
  trustedDomains: readonly string[]
  oauthProviders: readonly TargetOauthProvider[]
  /** The newest signs; all verify. Never empty. */
  signingKeys: readonly SigningKey[]
  /** Of cookies and other things that only this integration reads: 256 bits. */
  secret: string
  /** Hex SHA-256 of keys that are not revoked, by kind. */
  keys: readonly { kind: 'publishable' | 'secret'; sha256: string }[]
}

/** How requests name an integration. */
export type AuthTargetName =
  | { kind: 'project'; id: string }
  /** Without a database: whatever is the branch's. */
  | { kind: 'endpoint'; endpointId: string; database?: string | undefined }

export const authMailKinds = [
  'verification_link',
  'verification_code',
  'password_reset',
  'magic_link',
  'sign_in_code',
  'invitation',
  'email_change',
  'test',
] as const

/** One mail, ready but for its sender. */
export type AuthMail = {
  kind: (typeof authMailKinds)[number]
  to: string
  subject: string
  text: string
  html: string
}
