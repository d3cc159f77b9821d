// Signing in with a provider, as the browser goes through it: from the app to the provider (`authorize`), and back (`callback`) to the app
// with a code, which the app's client turns into a session (`oauth-token.ts`).
//
// Who begins is known by what only he has: the verifier to his challenge, without which a code is worth nothing, and, where the browser
// itself was sent here, a cookie. The way back names the integration, since a provider sends nobody's headers along.

import { randomBytes } from 'node:crypto'
import { errorChain, isAppError } from '../../model/errors.ts'
import type { TargetOauthProvider } from '../../model/auth-target.ts'
import type { AuthInstance, AuthRequest } from '../instance.ts'
import { assertAnswersFor, authorizationUrl, exchangeCode, newSecrets, profileOf } from '../oauth/flow.ts'
import { findOrCreateUser, type Arrival, type Linked } from '../oauth/linking.ts'
import { resolveProvider, type OauthProvider } from '../oauth/providers.ts'
import { sealTokens } from '../oauth/sealed-tokens.ts'
import { isTrustedRedirect } from '../redirects.ts'
import { findOauthAccount } from '../store/oauth-accounts.ts'
import { putGrant, putState, takeState, type OauthGrant, type OauthState } from '../store/oauth-states.ts'
import { findSessionById } from '../store/sessions.ts'
import { drainUserEvents } from '../store/user-events.ts'
import { askBeforeCreate } from '../webhooks.ts'
import type { StackServices } from './call.ts'
import { hasKey } from './callers.ts'
import { known, plain, schemaError, StackError } from './errors.ts'
import { isUuid } from './fields.ts'
import { jsonReply } from './replies.ts'
import { readAccessToken } from './tokens.ts'

const cookieSeconds = 600

/** `GET /auth/oauth/authorize/{provider}`: its client is named in the query, as it is a link that browsers follow. */
export async function authorize(services: StackServices, given: AuthRequest, providerId: string): Promise<Response> {
  const query = queryOf(given)
  const instance = await clientOf(services, query.get('client_id'), query.get('client_secret'))
  const { target, database, limits } = instance
  limits.take(target.integrationId, 'write', given.clientAddress)
  const described = providerOf(instance, providerId)
  const scopes = (query.get('provider_scope') ?? '').split(/[\s,]+/).filter(Boolean)
  if (scopes.length > 0 && described.type === 'shared' && !described.isDevelopment)
    throw known(
      'OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS',
      'more scopes need credentials of your own for this provider',
    )
  if (scopes.join(' ').length > 2048) throw schemaError('provider_scope is too long')
  const isJson = (query.get('stack_response_mode') ?? query.get('hexclave_response_mode')) === 'json'
  const asked = readAuthorization(instance, query)
  const link = query.get('type') === 'link' ? await linkOf(instance, query.get('token')) : undefined
  const state = `${target.integrationId}.${randomBytes(32).toString('base64url')}`
  const secrets = newSecrets()
  const provider = resolve(instance, described)
  const location = authorizationUrl(provider, {
    ...secrets,
    state,
    callbackUrl: callbackUrl(instance, described.id),
    extraScopes: scopes,
  })
  await putState(database, state, { ...asked, ...secrets, provider: described.id, scopes, link, hasCookie: !isJson })
  if (isJson) return jsonReply(200, { location: location.href })
  return redirect(302, location.href, setCookie(instance, state, cookieSeconds))
}

/** `GET /auth/oauth/callback/{provider}`, and what some providers post instead. */
export async function callback(services: StackServices, given: AuthRequest, providerId: string): Promise<Response> {
  // Posted from the provider's page, it comes without the browser's cookies; asked for anew, it comes with them.
  if (given.request.method === 'POST') return await asGet(given)
  const query = queryOf(given)
  const state = query.get('state') ?? ''
  const [integrationId = ''] = state.split('.')
  const instance =
    isUuid(integrationId) && state.length < 128
      ? await services.findInstance({ kind: 'project', id: integrationId })
      : undefined
  if (!instance || instance.target.provider === 'better_auth') throw unknownState()
  instance.limits.take(instance.target.integrationId, 'write', given.clientAddress)
  const begun = await takeState(instance.database, state)
  if (begun?.provider !== providerId) throw unknownState()
  if (begun.hasCookie && !hasCookie(given.request.headers, state)) throw unknownState()
  // Domains may have been taken off the list meanwhile.
  const redirectUri = isTrustedRedirect(instance.target, begun.redirectUri)
  if (!redirectUri) throw notWhitelisted()
  const cleared = setCookie(instance, state, 0)
  try {
    const grant = await arrive(instance, begun, query, given)
    if (grant.isNewUser) await tellOfNewUser(services, instance)
    redirectUri.searchParams.set('code', await putGrant(instance.database, grant))
    redirectUri.searchParams.set('state', begun.state)
    return redirect(303, redirectUri.href, cleared)
  } catch (error) {
    const refusal = toRefusal(error)
    if (refusal === undefined) throw error
    services.logger.info(
      { integration: integrationId, provider: providerId, cause: errorChain(error) },
      'sign-in with a provider refused',
    )
    const back =
      begun.errorRedirectUrl === undefined ? undefined : isTrustedRedirect(instance.target, begun.errorRedirectUrl)
    return redirect(303, withError(back ?? redirectUri, begun.state, refusal), cleared)
  }
}

/** Also of the token route, which is given the same two. */
export async function clientOf(
  services: StackServices,
  id: string | null,
  secret: string | null,
): Promise<AuthInstance> {
  const refusal = known(
    'INVALID_OAUTH_CLIENT_ID_OR_SECRET',
    'client_id is the id of the project, client_secret its publishable client key',
    {
      client_id: id?.slice(0, 64) ?? null,
    },
  )
  if (id === null || secret === null || !isUuid(id)) throw refusal
  const instance = await services.findInstance({ kind: 'project', id: id.toLowerCase() })
  if (!instance || instance.target.provider === 'better_auth') throw refusal
  if (!hasKey(instance.target, 'publishable', secret)) throw refusal
  return instance
}

export function providerOf({ target }: AuthInstance, id: string): TargetOauthProvider {
  const provider = target.oauthProviders.find((one) => one.id === id)
  if (!provider) throw known('OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED', 'this provider is not enabled for the project')
  return provider
}

export function resolve(instance: AuthInstance, described: TargetOauthProvider): OauthProvider {
  return resolveProvider(described, {
    integrationId: instance.target.integrationId,
    callbackUrl: callbackUrl(instance, described.id),
    developmentUrl: instance.developmentProvider,
  })
}

const callbackUrl = ({ target }: AuthInstance, provider: string): string =>
  `${target.stackUrl}/auth/oauth/callback/${provider}`

type Asked = Pick<
  OauthState,
  'redirectUri' | 'state' | 'codeChallenge' | 'errorRedirectUrl' | 'afterCallbackRedirectUrl'
>

function readAuthorization({ target }: AuthInstance, query: URLSearchParams): Asked {
  const only = (name: string, value: string): void => {
    if ((query.get(name) ?? value) !== value) throw schemaError(`${name} must be ${value}`)
  }
  only('response_type', 'code')
  only('grant_type', 'authorization_code')
  if (query.get('code_challenge_method') !== 'S256') throw schemaError('code_challenge_method must be S256')
  const type = query.get('type') ?? 'authenticate'
  if (type !== 'authenticate' && type !== 'link') throw schemaError("type must be 'authenticate' or 'link'")
  const codeChallenge = query.get('code_challenge') ?? ''
  if (!/^[A-Za-z0-9_-]{43}$/.test(codeChallenge)) throw schemaError('code_challenge must be a SHA-256 in base64url')
  const state = query.get('state') ?? ''
  // oxlint-disable-next-line no-control-regex -- these are what is refused
  if (state === '' || state.length > 1024 || /[\u0000-\u001f]/.test(state))
    throw schemaError('state must be 1 to 1024 characters long')
  const trusted = (name: string): string | undefined => {
    const value = query.get(name)
    if (value === null || value === '') return undefined
    const url = isTrustedRedirect(target, value)
    if (!url) throw notWhitelisted()
    return withoutFragment(url)
  }
  const redirectUri = trusted('redirect_uri')
  if (redirectUri === undefined) throw schemaError('redirect_uri is required')
  return {
    redirectUri,
    state,
    codeChallenge,
    errorRedirectUrl: trusted('error_redirect_url'),
    afterCallbackRedirectUrl: trusted('after_callback_redirect_url'),
  }
}

async function linkOf({ target, database }: AuthInstance, token: string | null): Promise<OauthState['link']> {
  if (token === null)
    throw known('USER_AUTHENTICATION_REQUIRED', 'who connects an account has to be signed in: token is missing')
  const { user, session } = await readAccessToken(target, database, token)
  return { userId: user.id, sessionId: session.id }
}

/** Somebody is back from the provider. Throws what he is told. */
async function arrive(
  instance: AuthInstance,
  begun: OauthState,
  query: URLSearchParams,
  given: AuthRequest,
): Promise<OauthGrant> {
  const { target, database } = instance
  const provider = resolve(instance, providerOf(instance, begun.provider))
  assertAnswersFor(provider, query.get('iss') ?? undefined)
  const code = query.get('code')
  if (query.has('error') || code === null || code === '' || code.length > 4096)
    throw known('OAUTH_PROVIDER_ACCESS_DENIED', `${provider.name} did not let you sign in`)
  const tokens = await exchangeCode(provider, {
    code,
    codeVerifier: begun.codeVerifier,
    callbackUrl: callbackUrl(instance, provider.id),
    extraScopes: begun.scopes,
  })
  const arrival: Arrival = {
    providerId: provider.id,
    profile: await profileOf(provider, tokens, begun.nonce),
    tokens: sealTokens(target.secret, provider.keepsTokens, tokens),
  }
  const { redirectUri, codeChallenge, afterCallbackRedirectUrl, link } = begun
  const back = { redirectUri, codeChallenge, afterCallbackRedirectUrl }
  if (link) {
    if (!(await findSessionById(database, link.sessionId, link.userId))) throw unknownState()
    const account = await findOauthAccount(database, provider.id, arrival.profile.subject)
    if (account && account.userId !== link.userId) throw accountOfAnother()
    return { ...back, userId: link.userId, isNewUser: false, connects: { sessionId: link.sessionId, arrival } }
  }
  const linked = await findOrCreateUser(database, arrival, () => askForUser(instance, arrival, given))
  const { userId, isNew } = assertLinked(linked, arrival)
  return { ...back, userId, isNewUser: isNew, connects: undefined }
}

/** The app's own server, where it wants to be asked. */
async function askForUser(
  { target }: AuthInstance,
  { providerId, profile }: Arrival,
  given: AuthRequest,
): Promise<void> {
  const { email, emailVerified, name } = profile
  const origin = { ipAddress: given.clientAddress, userAgent: given.request.headers.get('user-agent') ?? undefined }
  await askBeforeCreate(target, { email, name, email_verified: emailVerified }, providerId, origin)
}

export function assertLinked(linked: Linked, { profile }: Arrival): Extract<Linked, { kind: 'user' }> {
  switch (linked.kind) {
    case 'user':
      return linked
    case 'address_taken':
      throw known('CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE', addressTaken, {
        type: 'email',
        contact_channel_value: profile.email ?? null,
        would_work_if_email_was_verified: profile.emailVerified,
      })
    case 'account_of_another':
      throw accountOfAnother()
    case 'banned':
      throw plain(403, 'this user may not sign in')
    case 'gone':
      throw known('USER_NOT_FOUND', 'user not found')
  }
}

const addressTaken =
  'this e-mail address is somebody’s who signs in another way; sign in that way, verify the address, and then this one will do as well'

export const accountOfAnother = (): Error =>
  known('OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER', 'this account is connected to another user already')

const notWhitelisted = (): Error =>
  known('REDIRECT_URL_NOT_WHITELISTED', 'this address is not below one of the project’s trusted domains')

const unknownState = (): Error =>
  known(
    'OUTER_OAUTH_TIMEOUT',
    'this sign-in took too long, was finished before, or was begun in another browser: begin again',
  )

/** What the user is told. What is ours to mend goes to the log, and nowhere else. */
function toRefusal(error: unknown): StackError | undefined {
  if (error instanceof StackError) return error
  if (!isAppError(error)) return undefined
  if (error.code === 'forbidden') return known('SIGN_UP_REJECTED', error.message)
  if (error.code === 'unauthorized') return known('OAUTH_PROVIDER_ACCESS_DENIED', error.message)
  return error.isCallersFault || error.code === 'unavailable' ? plain(503, error.message) : undefined
}

function withError(url: URL, state: string, refusal: StackError): string {
  const error = refusal.code === 'OAUTH_PROVIDER_ACCESS_DENIED' ? 'access_denied' : 'server_error'
  for (const [name, value] of Object.entries({
    errorCode: refusal.code ?? 'OAUTH_FAILED',
    message: refusal.message,
    details: JSON.stringify(refusal.details ?? {}),
    error,
    error_description: refusal.message,
    state,
  }))
    url.searchParams.set(name, value)
  return url.href
}

async function tellOfNewUser({ logger }: StackServices, instance: AuthInstance): Promise<void> {
  const { integrationId } = instance.target
  try {
    await drainUserEvents(instance.database, instance.controlPlane, integrationId)
  } catch (error) {
    // The next one takes it along.
    logger.warn({ integration: integrationId, cause: errorChain(error) }, 'new users not told of yet')
  }
}

function queryOf(given: AuthRequest): URLSearchParams {
  const query = new URL(given.path, 'http://surface.invalid').searchParams
  for (const value of query.values()) {
    if (value.includes('\0') || !value.isWellFormed()) throw schemaError('the query contains what is no text')
  }
  return query
}

async function asGet(given: AuthRequest): Promise<Response> {
  const form = new URLSearchParams(await given.request.text())
  const kept = new URLSearchParams()
  for (const name of ['code', 'state', 'error', 'iss']) {
    const value = form.get(name)
    if (value !== null) kept.set(name, value)
  }
  return redirect(303, `?${kept.toString()}`)
}

function withoutFragment(url: URL): string {
  const plainUrl = new URL(url)
  plainUrl.hash = ''
  return plainUrl.href
}

const cookieOf = (state: string): string => `stack-oauth-inner-${state}`

const hasCookie = (headers: Headers, state: string): boolean =>
  (headers.get('cookie') ?? '').split(';').some((part) => part.trim() === `${cookieOf(state)}=true`)

function setCookie({ target }: AuthInstance, state: string, seconds: number): string {
  const url = new URL(target.stackUrl)
  const secure = url.protocol === 'https:' ? '; Secure' : ''
  return `${cookieOf(state)}=true; Path=${url.pathname}/auth/oauth/callback; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`
}

function redirect(status: 302 | 303, location: string, cookie?: string): Response {
  return new Response(null, {
    status,
    headers: {
      location,
      'cache-control': 'no-store',
      // Codes are in the address.
      'referrer-policy': 'no-referrer',
      ...(cookie !== undefined && { 'set-cookie': cookie }),
    },
  })
}
