// Sessions: the caller's own, and for an app's server those of any user. Renewing an access token.

import {
  deleteSession,
  findSessionByToken,
  findSessionOwner,
  listSessions,
  noteUse,
  type SignedIn,
} from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import type { AuthInstance } from '../instance.ts'
import { found, isServer, page, reply, signedIn, userIdOf, type Call, type Reply, type Route } from './call.ts'
import { known, plain, schemaError } from './errors.ts'
import { flag, isUuid, text } from './fields.ts'
import { accessTokenSeconds, issueTokens, sessionTokenOf, signAccessToken, tokensView } from './tokens.ts'
import { assertNotBanned } from './passwords.ts'
import { sessionView } from './views.ts'

const dayMs = 86_400_000
const longestMs = 367 * dayMs

export const sessionRoutes: Route[] = [
  { method: 'POST', path: '/auth/sessions', access: 'server', handle: create },
  { method: 'GET', path: '/auth/sessions', access: 'client', handle: list },
  { method: 'POST', path: '/auth/sessions/current/refresh', access: 'client', kind: 'read', handle: refresh },
  { method: 'DELETE', path: '/auth/sessions/current', access: 'client', handle: signOut },
  { method: 'DELETE', path: '/auth/sessions/:session', access: 'client', handle: remove },
]

async function create(call: Call): Promise<Reply> {
  const { target, database } = call.instance
  const id = text(call.body, 'user_id')
  const lifeMs = call.body['expires_in_millis'] ?? 365 * dayMs
  const isImpersonation = flag(call.body, 'is_impersonation') ?? false
  if (typeof lifeMs !== 'number' || !Number.isInteger(lifeMs) || lifeMs < 1000 || lifeMs > longestMs)
    throw schemaError(`expires_in_millis must be a whole number from 1000 to ${longestMs}`)
  const tokens = await database.transaction(async (queries) => {
    const user = isUuid(id) ? await findUser(queries, id) : undefined
    if (!user) throw known('USER_ID_DOES_NOT_EXIST', 'there is no user with this id', { user_id: id.slice(0, 64) })
    assertNotBanned(user)
    const { clientAddress, userAgent } = call
    return await issueTokens(target, queries, { userId: user.id, lifeMs, isImpersonation, clientAddress, userAgent })
  })
  return reply(tokensView(tokens))
}

async function list(call: Call): Promise<Reply> {
  const { database } = call.instance
  const user = found(await findUser(database, userIdOf(call, call.query.get('user_id'))))
  const sessions = await listSessions(database, user.id)
  return page(sessions.map((session) => sessionView(session, call.signedIn?.session.id)))
}

async function remove(call: Call): Promise<undefined> {
  const { database } = call.instance
  const id = call.params['session']?.toLowerCase() ?? ''
  const owner = isUuid(id) ? await findSessionOwner(database, id) : undefined
  const isOurs = owner !== undefined && (isServer(call) || owner === signedIn(call).user.id)
  if (!isOurs) throw plain(404, 'there is no such session')
  if (!isServer(call) && id === call.signedIn?.session.id)
    throw known('CANNOT_DELETE_CURRENT_SESSION', 'this is the current session: sign out instead')
  await deleteSession(database, id)
  return undefined
}

async function signOut(call: Call): Promise<undefined> {
  const current = call.signedIn ?? (await findRefreshed(call.instance, call.refreshToken))
  if (!current) throw noSuchRefreshToken()
  await deleteSession(call.instance.database, current.session.id)
  return undefined
}

async function refresh(call: Call): Promise<Reply> {
  const { accessToken } = await renew(call, call.refreshToken)
  return reply({ access_token: accessToken })
}

/** The refresh token stays the same: a session is as long as it is, and its end is the end. */
export async function renew(
  call: Pick<Call, 'instance'>,
  token: string | undefined,
): Promise<{ accessToken: string; current: SignedIn }> {
  const { target, database } = call.instance
  const current = await findRefreshed(call.instance, token)
  if (!current) throw noSuchRefreshToken()
  await noteUse(database, current)
  return { accessToken: await signAccessToken(target, current.user, current.session.id), current }
}

async function findRefreshed({ target, database }: AuthInstance, token = ''): Promise<SignedIn | undefined> {
  const sessionToken = token.length > 512 ? undefined : sessionTokenOf(target, token)
  return sessionToken === undefined ? undefined : await findSessionByToken(database, sessionToken)
}

const noSuchRefreshToken = (): Error =>
  known('REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED', 'the session has ended, or there was none: sign in again')

/** `grant_type=refresh_token`. */
export async function refreshGrant(instance: AuthInstance, form: URLSearchParams): Promise<Record<string, unknown>> {
  const token = form.get('refresh_token') ?? ''
  const { accessToken } = await renew({ instance }, token)
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: accessTokenSeconds,
    refresh_token: token,
    scope: 'legacy',
    is_new_user: false,
    after_callback_redirect_url: null,
  }
}
