// An integration's OAuth providers, in the form in which better-auth takes them: the same endpoints, checks and profiles as on the Stack
// surface (`oauth/`), served by its own routes `sign-in/social`, `link-social` and `callback/{provider}`.
//
// Tokens of providers never pass through better-auth in the clear, except from one call to the next: it stores what is sealed, and what
// it gives out to a token's owner is opened at the very end.

import type { BetterAuthOptions, BetterAuthPlugin } from 'better-auth'
import { APIError, createAuthMiddleware, getSessionFromCtx } from 'better-auth/api'
import { AppError, isAppError } from '../../model/errors.ts'
import type { TargetOauthProvider } from '../../model/auth-target.ts'
import type { AuthInstance } from '../instance.ts'
import {
  authorizationUrl,
  exchangeCode,
  profileOf,
  readProfile,
  refreshTokens,
  type ProviderTokens,
} from '../oauth/flow.ts'
import { isClaims, type OauthProfile } from '../oauth/profile.ts'
import { resolveProvider, type OauthProvider } from '../oauth/providers.ts'
import { openToken, sealToken } from '../oauth/sealed-tokens.ts'

/** Nobody is let into an account for an address that either side has not verified, and nobody locks himself out. */
export const accountOptions = {
  encryptOAuthTokens: false,
  accountLinking: {
    enabled: true,
    trustedProviders: [],
    requireLocalEmailVerified: true,
    allowDifferentEmails: false,
    allowUnlinkingAll: false,
    updateUserInfoOnLink: false,
  },
} satisfies NonNullable<BetterAuthOptions['account']>

export function socialProviders(instance: Pick<AuthInstance, 'target' | 'developmentProvider'>): BetterAuthPlugin {
  const { secret } = instance.target
  const providers = instance.target.oauthProviders.map((provider) => toSocialProvider(instance, provider))
  const givesTokens = new Set(['/get-access-token', '/refresh-token'])
  return {
    id: 'pgrove-social-providers',
    init: () => ({ context: { socialProviders: providers } }),
    hooks: {
      before: [{ matcher: ({ path }) => path === '/link-social', handler: createAuthMiddleware(assertVerified) }],
      after: [
        {
          matcher: ({ path }) => path !== undefined && givesTokens.has(path),
          handler: createAuthMiddleware(async (context) => {
            const answer = context.context.returned
            if (!isClaims(answer)) return
            const { accessToken, refreshToken } = answer as { accessToken?: string; refreshToken?: string }
            const opened = {
              accessToken: openToken(secret, accessToken),
              refreshToken: openToken(secret, refreshToken),
            }
            return context.json({ ...answer, idToken: undefined, ...opened })
          }),
        },
      ],
    },
  }
}

/**
 * A connection is only made where the provider has verified the very address of who asks for it. If ours did not have to be verified as
 * well, one could sign up with another's address, begin here, and have its owner follow the link: into an account that is not his.
 */
async function assertVerified(context: Parameters<typeof getSessionFromCtx>[0]): Promise<void> {
  const session = await getSessionFromCtx(context)
  if (session && !session.user.emailVerified)
    throw new APIError('FORBIDDEN', { code: 'EMAIL_NOT_VERIFIED', message: 'Email not verified' })
}

/** What our half of an exchange hands on to the other half, within one request; better-auth stores nothing of it. */
type Exchanged = { tokens: ProviderTokens; provider: OauthProvider }

function toSocialProvider(
  instance: Pick<AuthInstance, 'target' | 'developmentProvider'>,
  described: TargetOauthProvider,
) {
  const { secret, integrationId, baseUrl } = instance.target
  const callbackUrl = `${baseUrl}/callback/${described.id}`
  const where = { integrationId, callbackUrl, developmentUrl: instance.developmentProvider }
  const resolve = (): OauthProvider => resolveProvider(described, where)
  // Microsoft's differ by user: there the token says it.
  const isAsked = described.id !== 'microsoft' && !described.isDevelopment
  const issuer = isAsked ? resolve().endpoints.issuer : undefined

  const sealed = (provider: OauthProvider, tokens: ProviderTokens) => ({
    tokenType: 'Bearer',
    scopes: [...tokens.scopes],
    accessTokenExpiresAt: tokens.expiresAt,
    ...(provider.keepsTokens && {
      accessToken: sealToken(secret, tokens.accessToken),
      refreshToken: tokens.refreshToken === undefined ? undefined : sealToken(secret, tokens.refreshToken),
    }),
  })
  const user = ({ email, emailVerified, name, image }: OauthProfile) => ({ email, emailVerified, name, image })
  const openOr = (token: string | undefined): string => {
    const opened = openToken(secret, token)
    if (opened === undefined) throw new AppError('unauthorized', 'sign in with the provider again')
    return opened
  }

  return {
    id: described.id,
    name: described.id,
    // Of every provider with id tokens: what is signed has to answer this very sign-in.
    requiresIdTokenNonce: true,
    ...(issuer !== undefined && { issuer }),
    accountSubject: ({ profile }: { profile: object }) => (profile as OauthProfile).subject,
    createAuthorizationURL: (data: {
      state: string
      codeVerifier: string
      idTokenNonce?: string | undefined
      scopes?: string[] | undefined
      loginHint?: string | undefined
    }): URL =>
      authorizationUrl(resolve(), {
        state: data.state,
        codeVerifier: data.codeVerifier,
        nonce: data.idTokenNonce,
        callbackUrl,
        extraScopes: described.type === 'standard' ? (data.scopes ?? []) : [],
        loginHint: data.loginHint,
      }),
    validateAuthorizationCode: async (data: { code: string; codeVerifier?: string | undefined }) => {
      const provider = resolve()
      const answer = { code: data.code, codeVerifier: data.codeVerifier ?? '', callbackUrl }
      const tokens = await exchangeCode(provider, answer)
      const exchanged: Exchanged = { tokens, provider }
      return { ...sealed(provider, tokens), raw: { exchanged } }
    },
    getUserInfo: async (given: {
      accessToken?: string | undefined
      expectedIdTokenNonce?: string | undefined
      raw?: Record<string, unknown> | undefined
    }) => {
      const exchanged = given.raw?.['exchanged'] as Exchanged | undefined
      try {
        const profile = exchanged
          ? await profileOf(exchanged.provider, exchanged.tokens, given.expectedIdTokenNonce ?? '')
          : await readProfile(resolve(), openOr(given.accessToken))
        return { user: user(profile), data: profile }
      } catch (error) {
        // Its routes have an answer for nobody, and none for an error.
        if (isAppError(error)) return null
        throw error
      }
    },
    refreshAccessToken: async (refreshToken: string) => {
      const provider = resolve()
      return sealed(provider, await refreshTokens(provider, openOr(refreshToken)))
    },
  }
}
