// The providers that can be signed in with: where they are, what they are asked for, and how their answers are read. One table; the
// operator may move a provider's endpoints (tests do), a tenant never can.

import type { OauthProviderId } from '../../model/auth.ts'
import { toMicrosoftTenant } from '../../model/microsoft-tenant.ts'
import type { OauthEndpoints, TargetOauthProvider } from '../../model/auth-target.ts'
import { AppError } from '../../model/errors.ts'
import { credentialsOf } from './development-clients.ts'
import { githubProfile, microsoftProfile, standardProfile, type Claims, type OauthProfile } from './profile.ts'

export type OauthProvider = {
  id: OauthProviderId
  name: string
  clientId: string
  clientSecret: string
  endpoints: Endpoints
  /** Claims come from a signed token, or from what the endpoints answer. */
  identity: 'id_token' | 'github'
  scopes: readonly string[]
  authorizationParameters: Readonly<Record<string, string>>
  /** Whether this token may come from there: the issuer depends on the token where there are many directories. */
  isIssuer(issuer: string, claims: Claims): boolean
  /** Also of what `userinfo` says, where the token leaves out the address. */
  toProfile(claims: Claims, emails: unknown): OauthProfile | undefined
  /** Tokens to the operator's own client are not for tenants: they are used and forgotten. */
  keepsTokens: boolean
}

/** Without an issuer there are no id tokens. */
type Endpoints = Omit<OauthEndpoints, 'issuer' | 'jwksUrl'> & {
  issuer: string | undefined
  jwksUrl: string | undefined
}

type Entry = Pick<OauthProvider, 'name' | 'identity' | 'scopes' | 'authorizationParameters' | 'toProfile'> & {
  endpoints(tenant: string): Endpoints
}

const openid = ['openid', 'email', 'profile']

const entries: Record<OauthProviderId, Entry> = {
  google: {
    name: 'Google',
    identity: 'id_token',
    scopes: openid,
    // A refresh token comes with the first consent only, and only if asked for.
    authorizationParameters: { access_type: 'offline' },
    toProfile: standardProfile,
    endpoints: () => ({
      issuer: 'https://accounts.google.com',
      authorizationUrl: 'https://accounts.google.com/o/oauth2/v2/auth',
      tokenUrl: 'https://oauth2.googleapis.com/token',
      userinfoUrl: 'https://openidconnect.googleapis.com/v1/userinfo',
      jwksUrl: 'https://www.googleapis.com/oauth2/v3/certs',
    }),
  },
  github: {
    name: 'GitHub',
    identity: 'github',
    scopes: ['read:user', 'user:email'],
    authorizationParameters: {},
    toProfile: githubProfile,
    endpoints: () => ({
      issuer: undefined,
      authorizationUrl: 'https://github.com/login/oauth/authorize',
      tokenUrl: 'https://github.com/login/oauth/access_token',
      userinfoUrl: 'https://api.github.com/user',
      jwksUrl: undefined,
    }),
  },
  microsoft: {
    name: 'Microsoft',
    identity: 'id_token',
    scopes: [...openid, 'offline_access'],
    authorizationParameters: {},
    toProfile: microsoftProfile,
    endpoints: (tenant) => ({
      issuer: `https://login.microsoftonline.com/${tenant}/v2.0`,
      authorizationUrl: `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/authorize`,
      tokenUrl: `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`,
      userinfoUrl: 'https://graph.microsoft.com/oidc/userinfo',
      jwksUrl: `https://login.microsoftonline.com/${tenant}/discovery/v2.0/keys`,
    }),
  },
  // Issuer and key set are the vendor's published ones, not tried against it.
  vercel: {
    name: 'Vercel',
    identity: 'id_token',
    scopes: openid,
    authorizationParameters: {},
    toProfile: standardProfile,
    endpoints: () => ({
      issuer: 'https://vercel.com',
      authorizationUrl: 'https://vercel.com/oauth/authorize',
      tokenUrl: 'https://api.vercel.com/login/oauth/token',
      userinfoUrl: 'https://api.vercel.com/login/oauth/userinfo',
      jwksUrl: 'https://vercel.com/.well-known/jwks',
    }),
  },
}

export const nameOf = (id: OauthProviderId): string => entries[id].name

/** Who signs in with it: the callback is the provider's way back to us. */
export type ProviderUse = { integrationId: string; callbackUrl: string; developmentUrl: string | undefined }

/** What a provider is for one integration. Throws `unavailable` where it is only there in development, and development is off. */
export function resolveProvider(provider: TargetOauthProvider, where: ProviderUse): OauthProvider {
  const entry = entries[provider.id]
  if (provider.isDevelopment) return developmentProvider(provider.id, entry.name, where)
  const tenant = toMicrosoftTenant(provider.microsoftTenantId)
  const { name, identity, scopes, authorizationParameters, toProfile } = entry
  const endpoints = { ...entry.endpoints(tenant), ...provider.endpoints }
  const isDirectoryOpen = provider.id === 'microsoft' && provider.endpoints?.issuer === undefined
  return {
    id: provider.id,
    name,
    identity,
    scopes,
    authorizationParameters,
    toProfile,
    endpoints,
    clientId: provider.clientId,
    clientSecret: provider.clientSecret,
    isIssuer: isDirectoryOpen
      ? (issuer, claims) => isMicrosoftIssuer(tenant, issuer, claims)
      : (issuer) =>
          issuer === endpoints.issuer || (provider.id === 'google' && `https://${issuer}` === endpoints.issuer),
    keepsTokens: provider.type === 'standard',
  }
}

const guid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Every directory is an issuer of its own, named by `tid`. */
function isMicrosoftIssuer(tenant: string, issuer: string, claims: Claims): boolean {
  const tid = claims['tid']
  if (typeof tid !== 'string' || !guid.test(tid)) return false
  if (issuer !== `https://login.microsoftonline.com/${tid}/v2.0`) return false
  return !guid.test(tenant) || tid === tenant
}

function developmentProvider(id: OauthProviderId, name: string, where: ProviderUse): OauthProvider {
  if (where.developmentUrl === undefined)
    throw new AppError(
      'unavailable',
      `there are no credentials for ${name}, and the development identity provider is off`,
    )
  const url = `${where.developmentUrl}/${id}`
  return {
    id,
    name,
    identity: 'id_token',
    scopes: openid,
    authorizationParameters: {},
    keepsTokens: true,
    ...credentialsOf(where),
    endpoints: {
      issuer: url,
      authorizationUrl: `${url}/authorize`,
      tokenUrl: `${url}/token`,
      userinfoUrl: `${url}/userinfo`,
      jwksUrl: `${where.developmentUrl}/jwks`,
    },
    isIssuer: (issuer) => issuer === url,
    toProfile: standardProfile,
  }
}
