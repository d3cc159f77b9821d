// The Better Auth surface of one integration, below `target.baseUrl`.
//
// What can be told from the target alone is told here: the key set, tokens of nobody, and that a request without credentials has no
// session. None of that wakes a compute or loads the library. Everything else passes the limits and then goes to the engine.

import type { AuthInstance, AuthRequest } from '../instance.ts'
import { publicKeySet, signToken } from '../tokens.ts'
import { corsHeaders, preflight } from './cors.ts'
import type { Engine } from './engine.ts'
import { clientAddressHeader, cookieNames, readCookie, verifierParameter } from './headers.ts'
import { guarded } from './guards.ts'
import { tokenLifeSeconds } from './lifetimes.ts'
import { referencePage } from './reference-page.ts'
import { refusal } from './refusals.ts'
import { withState } from './request-state.ts'
import { aliasOf, assertShallow, hasOnlyText, isForm, toEngineRequest } from './requests.ts'

const keySetPaths = new Set(['/.well-known/jwks.json', '/jwks', '/jwt'])

export async function handleBetterAuth(instance: AuthInstance, given: AuthRequest): Promise<Response> {
  const { request } = given
  const { target } = instance
  if (request.method === 'OPTIONS') return preflight(target, request)
  const url = new URL(given.path, 'http://surface.invalid')
  if (request.method === 'GET' && keySetPaths.has(url.pathname)) return keySet(instance)
  const response = await answer(instance, given, url).catch(refusal)
  return finished(response, corsHeaders(target, request))
}

async function answer(instance: AuthInstance, given: AuthRequest, url: URL): Promise<Response> {
  const { request } = given
  const { method } = request
  if (method === 'GET' && url.pathname === '/token/anonymous') return await anonymousToken(instance)
  if (method === 'GET' && url.pathname === '/reference') return referencePage(instance.target)
  if (method === 'GET' && url.pathname === '/get-session' && !hasCredentials(request.headers, url))
    return Response.json(null)
  const alias = aliasOf(method, url)
  const body = alias.body ?? (request.body === null ? undefined : await request.text())
  hasOnlyText(url, body)
  const call = {
    method: alias.method,
    url: alias.url,
    body,
    isForm: isForm(request.headers),
    clientAddress: given.clientAddress,
  }
  if (body !== undefined && !call.isForm) assertShallow(body)
  return await guarded(instance, call, () => ask(instance, toEngineRequest(instance.target, request, call)))
}

async function ask(instance: AuthInstance, request: Request): Promise<Response> {
  const engine = await engineOf(instance)
  const origin = {
    ipAddress: request.headers.get(clientAddressHeader) ?? undefined,
    userAgent: request.headers.get('user-agent') ?? undefined,
  }
  return await withState(origin, async (state) => {
    const outcome = await engine.handle(request).then(
      (response) => ({ response }),
      (error: unknown) => ({ error }),
    )
    if (state.hasNewUser) tellOfUsers(instance)
    if (state.failure) throw state.failure
    if ('error' in outcome) throw outcome.error
    if (outcome.response.status >= 500 && state.defect !== undefined) throw state.defect
    return outcome.response
  })
}

const engines = new WeakMap<AuthInstance, Promise<Engine>>()

function engineOf(instance: AuthInstance): Promise<Engine> {
  let engine = engines.get(instance)
  if (!engine) {
    engine = import('./engine.ts').then(({ createEngine }) => createEngine(instance))
    engines.set(instance, engine)
  }
  return engine
}

/** They wait in the tenant's database until control has them: nobody else has to wait for that. */
function tellOfUsers({ database, controlPlane, target }: AuthInstance): void {
  void import('../store/user-events.ts')
    .then(({ drainUserEvents }) => drainUserEvents(database, controlPlane, target.integrationId))
    // The next new user takes them along.
    .catch(() => {})
}

function keySet({ target }: AuthInstance): Response {
  return Response.json(publicKeySet(target), {
    headers: {
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=3600',
      'x-content-type-options': 'nosniff',
    },
  })
}

/** For those who are not signed in: it names nobody. */
async function anonymousToken({ target }: AuthInstance): Promise<Response> {
  const { origin } = new URL(target.baseUrl)
  const expiresAt = Math.floor(Date.now() / 1000) + tokenLifeSeconds
  const token = await signToken(target, { role: 'anonymous', iss: origin, aud: origin }, tokenLifeSeconds)
  return Response.json({ token, expires_at: expiresAt })
}

function hasCredentials(headers: Headers, url: URL): boolean {
  if (headers.has('authorization') || readCookie(headers, cookieNames.session) !== undefined) return true
  const isChallenged = [cookieNames.challenge, cookieNames.laterChallenge].some((name) => readCookie(headers, name))
  return isChallenged && url.searchParams.has(verifierParameter)
}

function finished(response: Response, cors: Readonly<Record<string, string>>): Response {
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(cors)) headers.set(name, value)
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  headers.set('x-content-type-options', 'nosniff')
  // Links carry tokens; pages that are opened from here are not to be told.
  headers.set('referrer-policy', 'no-referrer')
  if (headers.get('content-type')?.startsWith('text/html')) {
    headers.set(
      'content-security-policy',
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    )
  }
  return new Response(response.body, { status: response.status, headers })
}
