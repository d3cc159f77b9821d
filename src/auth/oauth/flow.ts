// The provider's half of a sign-in: where the browser is sent, what comes back, and whom it names. Both surfaces go through here.

import { createHash, randomBytes } from 'node:crypto'
import { AppError } from '../../model/errors.ts'
import { verifyIdToken } from './id-token.ts'
import { isClaims, type OauthProfile } from './profile.ts'
import { askProvider, claimsFrom } from './provider-requests.ts'
import type { OauthProvider } from './providers.ts'

export type ProviderTokens = {
  accessToken: string
  refreshToken: string | undefined
  idToken: string | undefined
  expiresAt: Date | undefined
  /** As granted, or as asked for where the provider does not say. */
  scopes: readonly string[]
}

/** What we keep to ourselves of a sign-in, until the provider sends its user back. */
export type Secrets = { codeVerifier: string; nonce: string }

export function newSecrets(): Secrets {
  return { codeVerifier: randomBytes(32).toString('base64url'), nonce: randomBytes(16).toString('base64url') }
}

export function challengeOf(codeVerifier: string): string {
  return createHash('sha256').update(codeVerifier).digest('base64url')
}

export function authorizationUrl(
  provider: OauthProvider,
  request: {
    state: string
    codeVerifier: string
    nonce: string | undefined
    callbackUrl: string
    extraScopes?: readonly string[]
    loginHint?: string | undefined
  },
): URL {
  const url = new URL(provider.endpoints.authorizationUrl)
  for (const [name, value] of Object.entries({
    ...provider.authorizationParameters,
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: request.callbackUrl,
    scope: [...new Set([...provider.scopes, ...(request.extraScopes ?? [])])].join(' '),
    state: request.state,
    code_challenge: challengeOf(request.codeVerifier),
    code_challenge_method: 'S256',
    ...(request.loginHint !== undefined && { login_hint: request.loginHint }),
    ...(provider.identity === 'id_token' && request.nonce !== undefined && { nonce: request.nonce }),
  }))
    url.searchParams.set(name, value)
  return url
}

/** Of answers that name who they are from (RFC 9207). Microsoft's issuers differ by user; there the token says it. */
export function assertAnswersFor(provider: OauthProvider, iss: string | undefined): void {
  if (iss === undefined || provider.endpoints.issuer === undefined || provider.id === 'microsoft') return
  if (!provider.isIssuer(iss, {})) throw new AppError('unauthorized', `this is not an answer of ${provider.name}`)
}

export async function exchangeCode(
  provider: OauthProvider,
  answer: { code: string; codeVerifier: string; callbackUrl: string; extraScopes?: readonly string[] },
): Promise<ProviderTokens> {
  const grant = {
    grant_type: 'authorization_code',
    code: answer.code,
    code_verifier: answer.codeVerifier,
    redirect_uri: answer.callbackUrl,
  }
  return await askForTokens(provider, grant, answer.extraScopes)
}

/** The old refresh token stays good where the provider gives no new one. */
export async function refreshTokens(provider: OauthProvider, refreshToken: string): Promise<ProviderTokens> {
  const tokens = await askForTokens(provider, { grant_type: 'refresh_token', refresh_token: refreshToken })
  return { ...tokens, refreshToken: tokens.refreshToken ?? refreshToken }
}

/** Whom the tokens of a sign-in name. Throws `unauthorized` where they do not name anybody for certain. */
export async function profileOf(provider: OauthProvider, tokens: ProviderTokens, nonce: string): Promise<OauthProfile> {
  if (provider.identity === 'github') return await readProfile(provider, tokens.accessToken)
  if (tokens.idToken === undefined) throw new AppError('unauthorized', `${provider.name} did not say who is signing in`)
  const claims = await verifyIdToken(provider, tokens.idToken, nonce)
  if (claims['email'] !== undefined) return certain(provider, provider.toProfile(claims, undefined))
  const more = await claimsFrom(provider.name, provider.endpoints.userinfoUrl, tokens.accessToken)
  // The token is what is signed: what is said beside it has to be about the same person.
  if (more['sub'] !== claims['sub']) throw new AppError('unauthorized', `${provider.name} speaks of two people`)
  // An address and what is said about it come from one place.
  const { email, email_verified } = more
  return certain(
    provider,
    provider.toProfile({ ...more, ...claims, email, email_verified, xms_edov: false }, undefined),
  )
}

/** Whom an access token names: for one that we were given by the provider itself before. */
export async function readProfile(provider: OauthProvider, accessToken: string): Promise<OauthProfile> {
  const claims = await claimsFrom(provider.name, provider.endpoints.userinfoUrl, accessToken)
  if (provider.identity !== 'github') return certain(provider, provider.toProfile(claims, undefined))
  const emails = await askProvider(provider.name, `${provider.endpoints.userinfoUrl}/emails`, { accessToken })
  return certain(provider, provider.toProfile(claims, emails.ok ? emails.body : undefined))
}

function certain(provider: OauthProvider, profile: OauthProfile | undefined): OauthProfile {
  if (profile === undefined) throw new AppError('unauthorized', `${provider.name} did not say who is signing in`)
  return profile
}

async function askForTokens(
  provider: OauthProvider,
  grant: Record<string, string>,
  extraScopes: readonly string[] = [],
): Promise<ProviderTokens> {
  const body = new URLSearchParams({ ...grant, client_id: provider.clientId, client_secret: provider.clientSecret })
  const { ok, body: answer } = await askProvider(provider.name, provider.endpoints.tokenUrl, { body })
  // Some say no with a 200.
  if (!ok || !isClaims(answer) || answer['error'] !== undefined || typeof answer['access_token'] !== 'string')
    throw new AppError('unauthorized', `${provider.name} did not accept the sign-in`)
  const lasts = Number(answer['expires_in'])
  const scope = typeof answer['scope'] === 'string' ? answer['scope'].split(/[\s,]+/).filter(Boolean) : []
  return {
    accessToken: answer['access_token'],
    refreshToken: textOf(answer['refresh_token']),
    idToken: textOf(answer['id_token']),
    expiresAt: lasts > 0 && lasts < 1e9 ? new Date(Date.now() + lasts * 1000) : undefined,
    scopes: scope.length > 0 ? scope : [...provider.scopes, ...extraScopes],
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
