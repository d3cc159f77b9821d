// From a code to a session: the end of a sign-in with a provider.
//
// A code is good for a minute and once, for the app that began (its verifier), at the address that it asked for. Who comes with one that
// was used has stolen it, or was stolen from: what was given for it is taken back.

import type { AuthInstance } from '../instance.ts'
import { challengeOf } from '../oauth/flow.ts'
import { connectToUser, repeatedOnConflict, type Arrival } from '../oauth/linking.ts'
import { lockGrant, markUsed } from '../store/oauth-states.ts'
import { deleteSession, findSessionById } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import { known, schemaError } from './errors.ts'
import { assertNotBanned } from './passwords.ts'
import { assertLinked } from './oauth.ts'
import { accessTokenSeconds, issueTokens, type IssuedTokens } from './tokens.ts'

export async function redeemCode(
  caller: { instance: AuthInstance; clientAddress: string; userAgent: string | null },
  form: URLSearchParams,
): Promise<Record<string, unknown>> {
  const { target, database } = caller.instance
  const [code, redirectUri, codeVerifier] = ['code', 'redirect_uri', 'code_verifier'].map((name) => form.get(name))
  if (code == null || redirectUri == null || codeVerifier == null)
    throw schemaError('code, redirect_uri and code_verifier are required')
  const redeemed = await repeatedOnConflict(() =>
    database.transaction(async (queries) => {
      const found = await lockGrant(queries, code)
      if (!found) return undefined
      const { grant } = found
      if (found.sessionId !== undefined) await deleteSession(queries, found.sessionId)
      if (found.sessionId !== undefined || !found.isLive) return undefined
      if (challengeOf(codeVerifier) !== grant.codeChallenge || sameUrl(redirectUri) !== grant.redirectUri) {
        // There is no second guess.
        await markUsed(queries, code, grant, noSession)
        return undefined
      }
      const user = await findUser(queries, grant.userId)
      if (!user) return undefined
      assertNotBanned(user)
      if (grant.connects) {
        if (!(await findSessionById(queries, grant.connects.sessionId, grant.userId))) return undefined
        const arrival = revived(grant.connects.arrival as Arrival)
        assertLinked(await connectToUser(queries, arrival, grant.userId), arrival)
      }
      const { clientAddress, userAgent } = caller
      const tokens = await issueTokens(target, queries, { userId: grant.userId, clientAddress, userAgent })
      await markUsed(queries, code, grant, tokens.sessionId)
      return { tokens, grant }
    }),
  )
  if (!redeemed)
    throw known('INVALID_AUTHORIZATION_CODE', 'this code is not valid, was used before, or belongs to another sign-in')
  const { isNewUser, afterCallbackRedirectUrl } = redeemed.grant
  return {
    ...tokenView(redeemed.tokens),
    scope: 'legacy',
    is_new_user: isNewUser,
    after_callback_redirect_url: afterCallbackRedirectUrl ?? null,
  }
}

const tokenView = (tokens: IssuedTokens): Record<string, unknown> => ({
  access_token: tokens.accessToken,
  token_type: 'Bearer',
  expires_in: accessTokenSeconds,
  refresh_token: tokens.refreshToken,
})

/** Of none: there is nothing to be taken back. */
const noSession = '00000000-0000-0000-0000-000000000000'

/** As it was kept: without what only the browser sees. */
function sameUrl(url: string): string | undefined {
  const parsed = URL.parse(url)
  if (!parsed) return undefined
  parsed.hash = ''
  return parsed.href
}

/** It has been JSON. */
function revived(arrival: Arrival): Arrival {
  const { expiresAt } = arrival.tokens
  return { ...arrival, tokens: { ...arrival.tokens, expiresAt: expiresAt === null ? null : new Date(expiresAt) } }
}
