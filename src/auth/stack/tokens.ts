// Access tokens of this surface, and the sessions behind them. A token says all that its readers elsewhere need for ten minutes; here,
// the session is looked up each time, so that whoever signed out is out at once.

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type { AuthTarget } from '../../model/auth-target.ts'
import type { Queries } from '../database.ts'
import { createSession, findSessionById, type SignedIn } from '../store/sessions.ts'
import { findUser, type StoredUser } from '../store/users.ts'
import { signToken, verifyToken } from '../tokens.ts'
import { known } from './errors.ts'
import { isUuid } from './fields.ts'
import { restriction } from './views.ts'

export const accessTokenSeconds = 600
const yearMs = 365 * 86_400_000

export const issuerOf = (target: Pick<AuthTarget, 'stackUrl' | 'integrationId'>): string =>
  `${target.stackUrl}/projects/${target.integrationId}`

type Target = Pick<AuthTarget, 'stackUrl' | 'integrationId' | 'signingKeys' | 'secret'>

/** `role` is always this: what a user may do in an app is not ours to say. */
export async function signAccessToken(target: Target, user: StoredUser, sessionId: string): Promise<string> {
  return await signToken(
    target,
    {
      sub: user.id,
      iss: issuerOf(target),
      aud: target.integrationId,
      project_id: target.integrationId,
      branch_id: 'main',
      refresh_token_id: sessionId,
      role: 'authenticated',
      name: user.name,
      email: user.email,
      email_verified: user.emailVerified,
      selected_team_id: user.selectedTeamId,
      signed_up_at: Math.floor(user.createdAt.getTime() / 1000),
      is_anonymous: false,
      ...restriction(user),
      requires_totp_mfa: false,
    },
    accessTokenSeconds,
  )
}

/** Throws what makes a client renew the token where it can be renewed. */
export async function readAccessToken(target: Target, queries: Queries, token: string): Promise<SignedIn> {
  const claims = await verifyToken(target, token, { issuer: issuerOf(target), audience: target.integrationId })
  if (!claims) throw refusalOf(target, token)
  const { sub, refresh_token_id: sessionId } = claims as JWTPayload & { refresh_token_id?: unknown }
  if (typeof sub !== 'string' || typeof sessionId !== 'string' || !isUuid(sub) || !isUuid(sessionId)) throw unparsable()
  const signedIn = await findSessionById(queries, sessionId, sub)
  if (!signedIn) throw expired()
  return signedIn
}

/** The words alone are taken from a token that is not believed. */
function refusalOf(target: Target, token: string): Error {
  let claims: { exp?: unknown; aud?: unknown }
  try {
    claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as typeof claims
  } catch {
    return unparsable()
  }
  if (typeof claims !== 'object' || claims === null) return unparsable()
  if (typeof claims.aud === 'string' && claims.aud !== target.integrationId)
    return known('INVALID_PROJECT_FOR_ACCESS_TOKEN', 'the access token is another project’s', {
      expected_project_id: target.integrationId,
      actual_project_id: claims.aud.slice(0, 64),
    })
  const expiresAt = typeof claims.exp === 'number' ? claims.exp * 1000 : undefined
  return expiresAt !== undefined && expiresAt < Date.now() ? expired(expiresAt) : unparsable()
}

const unparsable = (): Error => known('UNPARSABLE_ACCESS_TOKEN', 'this is no access token of this project')

const expired = (at?: number): Error =>
  known('ACCESS_TOKEN_EXPIRED', 'the access token has expired, or its session has ended', {
    expired_at_millis: at ?? null,
  })

/**
 * A session's token as it lies in the table is worth nothing here: roles of the tenant's may read that, and the other surface shows it to
 * scripts of the app's pages.
 */
export function refreshTokenOf({ secret }: Pick<AuthTarget, 'secret'>, sessionToken: string): string {
  return `${sessionToken}.${createHmac('sha256', secret).update(`refresh token ${sessionToken}`).digest('base64url')}`
}

/** Undefined for what is no refresh token of this integration's. */
export function sessionTokenOf(target: Pick<AuthTarget, 'secret'>, refreshToken: string): string | undefined {
  const [sessionToken = ''] = refreshToken.split('.', 1)
  const [given, wanted] = [Buffer.from(refreshToken), Buffer.from(refreshTokenOf(target, sessionToken))]
  return given.length === wanted.length && timingSafeEqual(given, wanted) ? sessionToken : undefined
}

export type IssuedTokens = { accessToken: string; refreshToken: string; userId: string; sessionId: string }

/** Begins a session and signs its first token: what every way of signing in ends with. In the transaction that found the user. */
export async function issueTokens(
  target: Target,
  queries: Queries,
  session: {
    userId: string
    clientAddress: string
    userAgent: string | null
    lifeMs?: number
    isImpersonation?: boolean
  },
): Promise<IssuedTokens> {
  const { id, token } = await createSession(queries, { lifeMs: yearMs, ...session })
  const user = await findUser(queries, session.userId)
  if (!user) throw new Error('the user of a new session has no row')
  return {
    accessToken: await signAccessToken(target, user, id),
    refreshToken: refreshTokenOf(target, token),
    userId: user.id,
    sessionId: id,
  }
}

export const tokensView = (tokens: IssuedTokens): Record<string, unknown> => ({
  access_token: tokens.accessToken,
  refresh_token: tokens.refreshToken,
  user_id: tokens.userId,
})
