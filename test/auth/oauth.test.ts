// Sign-in with a provider through a started server: both surfaces, both generations of Stack's client, and what must not work.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { NeonAuthSupportedAuthProvider as Provider } from '@neondatabase/api-client'
import { StackClientApp } from '@stackframe/js'
import { StackClientApp as OlderStackClientApp } from 'stackframe-js-2025'
import { must } from '../support/accounts.ts'
import { makeProject, type NeonApi, type TestProject } from '../support/neon.ts'
import { newChallenge, startProvider, TestBrowser, type Challenge, type TestProvider } from '../support/oauth.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, makeHome, startServer, type TestServer } from '../support/server.ts'

const app = 'http://localhost:3000'
const redirectUri = `${app}/handler/oauth-callback`
const errorUrl = `${app}/handler/error`

type Project = TestProject & { integration: string; publishable: string; secret: string; authUrl: string }

let server: TestServer
let api: NeonApi
/** `google` of all projects, with the operator's credentials. */
let google: TestProvider
/** `microsoft` of the first project, with its own. */
let microsoft: TestProvider
let one: Project
let two: Project

before(async () => {
  google = await startProvider()
  microsoft = await startProvider()
  const home = await makeHome()
  const file = join(home, 'auth.json')
  const oauth = {
    google: { client_id: 'operator', client_secret: 'hush', ...google.endpoints },
    microsoft: { client_id: 'operator', client_secret: 'hush', ...microsoft.endpoints },
  }
  await writeFile(file, JSON.stringify({ oauth }))
  server = await startServer({
    home,
    env: { PGROVE_STORAGE: 'copy', PGROVE_AUTH_CONFIG: file, PGROVE_TRUSTED_PROXIES: '127.0.0.1' },
  })
  api = apiClient(server)
  one = await enable()
  two = await enable()
  const own = { id: 'microsoft', client_id: 'own', client_secret: 'own-hush' }
  await must(server, 'POST', `/projects/${one.id}/branches/${one.branchId}/auth/oauth_providers`, own)
})
after(async () => {
  await using _server = server
  await using _google = google
  await using _microsoft = microsoft
  await assertQuiet(server)
})

let people = 0
beforeEach(() => {
  people++
})

async function enable(provider = Provider.Stack): Promise<Project> {
  const project = await makeProject(server)
  const { data } = await api.createNeonAuth(project.id, project.branchId, { auth_provider: provider })
  return {
    ...project,
    integration: data.auth_provider_project_id,
    publishable: data.pub_client_key,
    secret: data.secret_server_key,
    authUrl: `${server.origin}/${project.endpointId}/${project.database}/auth`,
  }
}

const person = (name: string, change: Record<string, unknown> = {}): Record<string, unknown> => ({
  sub: `${name}-${people}`,
  email: `${name}-${people}@example.com`,
  email_verified: true,
  name,
  ...change,
})

/** Everybody has an address of his own: how often one may ask is tested elsewhere. */
let addresses = 0
const fromElsewhere = (): Record<string, string> => {
  addresses++
  return { 'x-forwarded-for': `198.51.${addresses >> 8}.${addresses & 255}` }
}

type AuthorizeOptions = {
  provider?: string
  type?: string
  token?: string
  change?: Record<string, string | undefined>
}

function authorizeUrl(project: Project, challenge: Challenge, options: AuthorizeOptions = {}): URL {
  const url = new URL(`${server.origin}/api/v1/auth/oauth/authorize/${options.provider ?? 'google'}`)
  for (const [name, value] of Object.entries({
    client_id: project.integration,
    client_secret: project.publishable,
    redirect_uri: redirectUri,
    scope: 'legacy',
    state: challenge.state,
    grant_type: 'authorization_code',
    code_challenge: challenge.codeChallenge,
    code_challenge_method: 'S256',
    response_type: 'code',
    type: options.type ?? 'authenticate',
    error_redirect_url: errorUrl,
    token: options.token,
    ...options.change,
  }))
    if (value !== undefined) url.searchParams.set(name, value)
  return url
}

type Tokens = { access_token: string; refresh_token: string; is_new_user: boolean }
type Answer = { status: number; body: Record<string, unknown>; headers: Headers }

async function exchange(project: Project, change: Record<string, string>): Promise<Answer> {
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: project.integration,
    client_secret: project.publishable,
    redirect_uri: redirectUri,
    ...change,
  })
  const response = await fetch(`${server.origin}/api/v1/auth/oauth/token`, {
    method: 'POST',
    headers: fromElsewhere(),
    body,
  })
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  }
}

/** To the app, or to its page of errors. */
async function signIn(
  project: Project,
  options: AuthorizeOptions = {},
): Promise<{ back: URL; challenge: Challenge; browser: TestBrowser }> {
  const challenge = newChallenge()
  const browser = new TestBrowser()
  const { url, response } = await browser.go(authorizeUrl(project, challenge, options), app)
  assert.equal(response, undefined, await response?.text())
  return { back: url, challenge, browser }
}

async function signedIn(
  project: Project,
  options: AuthorizeOptions = {},
): Promise<Tokens & { user: Record<string, unknown> }> {
  const { back, challenge } = await signIn(project, options)
  assert.equal(back.origin + back.pathname, redirectUri, back.href)
  assert.equal(back.searchParams.get('state'), challenge.state)
  const { status, body } = await exchange(project, {
    code: back.searchParams.get('code') ?? '',
    code_verifier: challenge.codeVerifier,
  })
  assert.equal(status, 200, JSON.stringify(body))
  const tokens = body as unknown as Tokens
  return { ...tokens, user: (await stack(project, 'GET', '/users/me', { token: tokens.access_token })).body }
}

async function stack(
  project: Project,
  method: string,
  path: string,
  options: { token?: string; access?: 'client' | 'server'; body?: unknown } = {},
): Promise<Answer> {
  const access = options.access ?? 'client'
  const response = await fetch(`${server.origin}/api/v1${path}`, {
    method,
    headers: {
      ...fromElsewhere(),
      'content-type': 'application/json',
      'x-stack-project-id': project.integration,
      'x-stack-access-type': access,
      'x-stack-publishable-client-key': project.publishable,
      ...(access === 'server' && { 'x-stack-secret-server-key': project.secret }),
      ...(options.token !== undefined && { 'x-stack-access-token': options.token }),
    },
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
  })
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  }
}

async function assertErrorPage(back: URL, code: string): Promise<void> {
  assert.equal(back.origin + back.pathname, errorUrl, back.href)
  assert.equal(back.searchParams.get('errorCode'), code, back.href)
  assert.ok((back.searchParams.get('message') ?? '').length > 10)
  JSON.parse(back.searchParams.get('details') ?? '')
  assert.equal(back.searchParams.has('code'), false)
}

const signUp = (project: Project, email: string): Promise<Answer> =>
  stack(project, 'POST', '/auth/password/sign-up', { body: { email, password: 'correct horse battery' } })

const verify = (project: Project, userId: unknown): Promise<Answer> =>
  stack(project, 'PATCH', `/users/${String(userId)}`, { access: 'server', body: { primary_email_verified: true } })

const usersNamed = (project: Project, email: string): Promise<Record<string, unknown>[]> =>
  query(
    project.uri,
    `SELECT id, email_verified FROM neon_auth.users_sync WHERE email = '${email}' AND deleted_at IS NULL`,
  )

/** Of the Better Auth surface: begun in an app's page, which keeps its cookies for itself. */
async function betterAuth(
  project: Project,
  provider = 'google',
): Promise<{
  back: URL
  page: TestBrowser
  session: () => Promise<Record<string, unknown> | null>
}> {
  const page = new TestBrowser()
  const headers = { 'content-type': 'application/json', origin: app, ...fromElsewhere() }
  const body = JSON.stringify({
    provider,
    callbackURL: `${app}/welcome`,
    errorCallbackURL: `${app}/failed`,
    disableRedirect: true,
  })
  const begun = await page.fetch(`${project.authUrl}/sign-in/social`, { method: 'POST', headers, body })
  const { url } = (await begun.json()) as { url: string }
  assert.equal(begun.status, 200)
  const { url: back, response } = await new TestBrowser().go(url, app)
  assert.equal(response, undefined, await response?.text())
  const verifier = back.searchParams.get('neon_auth_session_verifier')
  const session = async (): Promise<Record<string, unknown> | null> => {
    const response = await page.fetch(`${project.authUrl}/get-session?neon_auth_session_verifier=${verifier ?? ''}`, {
      headers: { origin: app, ...fromElsewhere() },
    })
    return (await response.json()) as Record<string, unknown> | null
  }
  return { back, page, session }
}

/** What the clients have for their own pages. */
type StackInterface = {
  createSession(tokens: { refreshToken: null; accessToken: null }): unknown
  getOAuthUrl(options: Record<string, unknown>): Promise<string>
  callOAuthCallback(
    options: Record<string, unknown>,
  ): Promise<{ newUser: boolean; accessToken: string; refreshToken: string }>
}

const clientOptions = () => ({
  projectId: one.integration,
  publishableClientKey: one.publishable,
  baseUrl: server.origin,
  tokenStore: 'memory' as const,
})
const clients: [string, () => unknown, boolean][] = [
  ['the newest', () => new StackClientApp(clientOptions()), true],
  ['an older', () => new OlderStackClientApp(clientOptions()), false],
]

for (const [name, make, isJson] of clients)
  test(`${name} Stack client: from the app to the provider, back, and in`, async () => {
    google.person = person('ada')
    const stackInterface = (make() as { _interface: StackInterface })._interface
    const through = async (): Promise<{ newUser: boolean; accessToken: string }> => {
      const { codeVerifier, codeChallenge, state } = newChallenge()
      const session = stackInterface.createSession({ refreshToken: null, accessToken: null })
      const start = new URL(
        await stackInterface.getOAuthUrl({
          provider: 'google',
          redirectUrl: redirectUri,
          errorRedirectUrl: errorUrl,
          codeChallenge,
          state,
          type: 'authenticate',
          session,
        }),
      )
      const browser = new TestBrowser()
      let at = start.href
      if (isJson) {
        for (const prefix of ['stack', 'hexclave']) start.searchParams.set(`${prefix}_response_mode`, 'json')
        const response = await fetch(start)
        assert.equal(response.status, 200)
        assert.equal(response.headers.get('set-cookie'), null)
        assert.equal(response.headers.get('access-control-allow-origin'), '*')
        at = ((await response.json()) as { location: string }).location
      }
      const { url: back } = await browser.go(at, app)
      return await stackInterface.callOAuthCallback({
        oauthParams: back.searchParams,
        redirectUri,
        codeVerifier,
        state,
      })
    }
    const first = await through()
    assert.equal(first.newUser, true)
    const second = await through()
    assert.equal(second.newUser, false)
    const me = (await stack(one, 'GET', '/users/me', { token: second.accessToken })).body
    assert.equal(me['id'], (await stack(one, 'GET', '/users/me', { token: first.accessToken })).body['id'])
    assert.deepEqual(
      [me['primary_email'], me['primary_email_verified'], me['display_name'], me['has_password']],
      [google.person['email'], true, 'ada', false],
    )
    assert.deepEqual(await usersNamed(one, String(google.person['email'])), [{ id: me['id'], email_verified: true }])
  })

test('what the provider is asked: with the operator’s credentials, a challenge and its verifier', async () => {
  google.person = person('ada')
  const { browser } = await signIn(one)
  const asked = new URL(browser.trail.find((url) => url.startsWith(google.endpoints.authorization_url)) ?? '')
  const { client_id, redirect_uri, code_challenge_method, nonce, state } = Object.fromEntries(asked.searchParams)
  assert.deepEqual(
    [client_id, redirect_uri, code_challenge_method],
    ['operator', `${server.origin}/api/v1/auth/oauth/callback/google`, 'S256'],
  )
  assert.ok((nonce ?? '').length >= 20)
  assert.match(state ?? '', new RegExp(`^${one.integration}\\.[A-Za-z0-9_-]{43}$`))
  const { client_secret, code_verifier } = google.grants.at(-1) ?? {}
  assert.deepEqual([client_secret, (code_verifier ?? '').length], ['hush', 43])
  assert.ok(!browser.trail.some((url) => url.includes('hush')))
})

test('Better Auth: the same person is the same user, and the session is for the page that began', async () => {
  google.person = person('ada')
  const { user } = await signedIn(one)
  const { back, page, session } = await betterAuth(one)
  assert.equal(back.pathname, '/welcome')
  const verifier = back.searchParams.get('neon_auth_session_verifier')
  assert.ok(verifier)
  const other = await new TestBrowser().fetch(`${one.authUrl}/get-session?neon_auth_session_verifier=${verifier}`, {
    headers: { origin: app },
  })
  assert.equal(await other.json(), null)
  const found = (await session()) as { user: Record<string, unknown> } | null
  assert.equal(found?.user['id'], user['id'])
  assert.equal(found?.user['emailVerified'], true)
  assert.ok(page.cookies(one.authUrl).includes('session_token'))
  // Shared credentials: what they open is not the app's.
  const accounts = (await (await page.fetch(`${one.authUrl}/list-accounts`, { headers: { origin: app } })).json()) as {
    id: string
  }[]
  assert.equal(accounts.length, 1)
})

test('a code is good once: who comes with it again ends what it was good for', async () => {
  google.person = person('ada')
  const { back, challenge } = await signIn(one)
  const form = { code: back.searchParams.get('code') ?? '', code_verifier: challenge.codeVerifier }
  const first = await exchange(one, form)
  assert.equal(first.status, 200)
  const token = String(first.body['access_token'])
  assert.equal((await stack(one, 'GET', '/users/me', { token })).status, 200)
  const again = await exchange(one, form)
  assert.deepEqual([again.status, again.headers.get('x-stack-known-error')], [400, 'INVALID_AUTHORIZATION_CODE'])
  assert.equal((await stack(one, 'GET', '/users/me', { token })).status, 401)
})

test('a code is good for who began, there where he began, and for one guess', async () => {
  google.person = person('ada')
  const wrong: [string, Project, Record<string, string>][] = [
    ['another verifier', one, { code_verifier: newChallenge().codeVerifier }],
    ['another address', one, { redirect_uri: `${app}/other` }],
    ['another project', two, {}],
  ]
  for (const [what, project, change] of wrong) {
    const { back, challenge } = await signIn(one)
    const right = { code: back.searchParams.get('code') ?? '', code_verifier: challenge.codeVerifier }
    assert.equal((await exchange(project, { ...right, ...change })).status, 400, what)
    if (project === one) assert.equal((await exchange(one, right)).status, 400, `${what}, then the right one`)
  }
  const { back, challenge } = await signIn(one)
  const code = back.searchParams.get('code') ?? ''
  for (const form of [{ code }, { code_verifier: challenge.codeVerifier }, { code: '', code_verifier: '' }])
    assert.equal((await exchange(one, form as Record<string, string>)).status, 400)
  const stranger = { code, code_verifier: challenge.codeVerifier, client_secret: two.publishable }
  assert.equal((await exchange(one, stranger)).body['code'], 'INVALID_OAUTH_CLIENT_ID_OR_SECRET')
})

test('nobody is sent to where the project does not lead', async () => {
  for (const name of ['redirect_uri', 'error_redirect_url', 'after_callback_redirect_url'])
    for (const url of [
      'https://evil.test/',
      'https://app.example.com.evil.test/',
      'http://localhost:3000@evil.test/',
      'http://localhost:3000\\@evil.test/',
      '//evil.test/',
      'javascript:alert(1)',
    ]) {
      const response = await fetch(authorizeUrl(one, newChallenge(), { change: { [name]: url } }), {
        redirect: 'manual',
        headers: fromElsewhere(),
      })
      assert.equal(response.status, 400, `${name} ${url}`)
      assert.equal(response.headers.get('x-stack-known-error'), 'REDIRECT_URL_NOT_WHITELISTED')
      assert.equal(response.headers.get('location'), null)
    }
  const social = await fetch(`${one.authUrl}/sign-in/social`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: app, ...fromElsewhere() },
    body: JSON.stringify({ provider: 'google', callbackURL: 'https://evil.test/' }),
  })
  assert.equal(social.status, 403)
})

test('what an app may ask for', async () => {
  const challenge = newChallenge()
  for (const [change, code] of [
    [{ code_challenge_method: 'plain' }, 'SCHEMA_ERROR'],
    [{ code_challenge: undefined }, 'SCHEMA_ERROR'],
    [{ response_type: 'token' }, 'SCHEMA_ERROR'],
    [{ state: '' }, 'SCHEMA_ERROR'],
    [{ type: 'other' }, 'SCHEMA_ERROR'],
    [{ redirect_uri: undefined }, 'SCHEMA_ERROR'],
    [{ client_secret: two.publishable }, 'INVALID_OAUTH_CLIENT_ID_OR_SECRET'],
    [{ client_secret: one.secret }, 'INVALID_OAUTH_CLIENT_ID_OR_SECRET'],
    [{ client_id: 'x' }, 'INVALID_OAUTH_CLIENT_ID_OR_SECRET'],
    [{ provider_scope: 'calendar' }, 'OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS'],
    [{ type: 'link' }, 'USER_AUTHENTICATION_REQUIRED'],
  ] as [Record<string, string | undefined>, string][]) {
    const url = authorizeUrl(one, challenge, { change })
    for (const [name, value] of Object.entries(change)) if (value === undefined) url.searchParams.delete(name)
    const response = await fetch(url, { redirect: 'manual', headers: fromElsewhere() })
    assert.equal(response.headers.get('x-stack-known-error'), code, JSON.stringify(change))
  }
  for (const provider of ['vercel', 'nobody', '..'])
    assert.ok((await fetch(authorizeUrl(one, challenge, { provider }), { redirect: 'manual' })).status >= 400)
})

/** Up to the way back to us, which is not gone. */
async function atTheProvider(
  project: Project,
  options: AuthorizeOptions = {},
): Promise<{ browser: TestBrowser; callback: URL }> {
  const browser = new TestBrowser()
  const { url } = await browser.go(
    authorizeUrl(project, newChallenge(), options),
    new URL(google.endpoints.issuer).origin,
  )
  const callback = new URL((await browser.fetch(url)).headers.get('location') ?? '')
  return { browser, callback }
}

test('a sign-in comes back once, to the browser that began, to the project and from the provider that it began with', async () => {
  google.person = person('ada')
  const changed = (callback: URL, change: (url: URL) => void): URL => {
    const url = new URL(callback)
    change(url)
    return url
  }
  const refused = async (browser: TestBrowser, url: URL): Promise<void> => {
    const response = await browser.fetch(url)
    assert.deepEqual([response.status, response.headers.get('location')], [408, null], url.href)
  }
  const once = await atTheProvider(one)
  assert.equal((await once.browser.fetch(once.callback)).status, 303)
  await refused(once.browser, once.callback)

  const planted = await atTheProvider(one)
  await refused(new TestBrowser(), planted.callback)

  const moved = await atTheProvider(one)
  const state = moved.callback.searchParams.get('state') ?? ''
  await refused(
    moved.browser,
    changed(moved.callback, (url) => url.searchParams.set('state', state.replace(one.integration, two.integration))),
  )
  await refused(
    moved.browser,
    changed(moved.callback, (url) => url.searchParams.set('state', `${state}x`)),
  )
  await refused(
    moved.browser,
    changed(moved.callback, (url) => url.searchParams.delete('state')),
  )
  await refused(
    moved.browser,
    changed(moved.callback, (url) => (url.pathname = url.pathname.replace('google', 'github'))),
  )
  await refused(moved.browser, moved.callback)
})

test('a domain that is taken off the list leads nowhere any more', async () => {
  google.person = person('ada')
  const domain = 'https://soon-gone.example.com'
  const path = `/projects/${one.id}/branches/${one.branchId}/auth/domains`
  await must(server, 'POST', path, { domain, auth_provider: 'stack' })
  const { browser, callback } = await atTheProvider(one, {
    change: { redirect_uri: `${domain}/back`, error_redirect_url: undefined },
  })
  await must(server, 'DELETE', path, { domains: [{ domain }], auth_provider: 'stack' })
  const response = await browser.fetch(callback)
  assert.deepEqual([response.status, response.headers.get('location')], [400, null])
})

test('what a provider says counts only if it is its own, for us, and an answer to this', async () => {
  google.person = person('ada')
  for (const [what, tamper] of Object.entries({
    nonce: (claims) => (claims['nonce'] = 'other'),
    'no nonce': (claims) => delete claims['nonce'],
    issuer: (claims) => (claims['iss'] = 'https://evil.test'),
    audience: (claims) => (claims['aud'] = 'other'),
    expired: (claims) => (claims['exp'] = 1),
    nobody: (claims) => delete claims['sub'],
  } satisfies Record<string, (claims: Record<string, unknown>) => void>)) {
    google.tamper = tamper
    const stackSide = await signIn(one)
    await assertErrorPage(stackSide.back, 'OAUTH_PROVIDER_ACCESS_DENIED')
    google.tamper = tamper
    const { back } = await betterAuth(one)
    assert.deepEqual([back.pathname, back.searchParams.get('error')], ['/failed', 'unable_to_get_user_info'], what)
  }
  google.answers = (body) => delete body['id_token']
  await assertErrorPage((await signIn(one)).back, 'OAUTH_PROVIDER_ACCESS_DENIED')
  assert.deepEqual(await usersNamed(one, String(google.person['email'])), [])
})

test('who says no at the provider comes back with that', async () => {
  const { browser, callback } = await atTheProvider(one)
  callback.searchParams.delete('code')
  callback.searchParams.set('error', 'access_denied')
  callback.searchParams.set('error_description', '<script>alert(1)</script>')
  const { url } = await browser.go(callback, app)
  await assertErrorPage(url, 'OAUTH_PROVIDER_ACCESS_DENIED')
  assert.equal(url.searchParams.get('error'), 'access_denied')
  assert.doesNotMatch(decodeURIComponent(url.href), /<script/)
})

test('an address that waits unverified, with somebody’s password, does not get its owner’s sign-in', async () => {
  const victim = person('victim')
  const email = String(victim['email'])
  assert.equal((await signUp(one, email)).status, 200)
  google.person = victim
  const { back } = await signIn(one)
  await assertErrorPage(back, 'CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE')
  assert.equal(JSON.parse(back.searchParams.get('details') ?? '').would_work_if_email_was_verified, true)
  const other = await betterAuth(one)
  assert.deepEqual([other.back.pathname, other.back.searchParams.get('error')], ['/failed', 'account_not_linked'])
  assert.equal(await other.session(), null)
  const [user] = await usersNamed(one, email)
  const found = (await stack(one, 'GET', `/users/${String(user?.['id'])}`, { access: 'server' })).body
  assert.deepEqual([found['oauth_providers'], found['primary_email_verified']], [[], false])
  // Once he has shown here that it is his, too, the two are one.
  await verify(one, user?.['id'])
  assert.equal((await signedIn(one)).user['id'], user?.['id'])
})

test('an address that a provider does not vouch for opens nobody’s account', async () => {
  const victim = person('victim')
  const { user } = await (async () => {
    google.person = victim
    return await signedIn(one)
  })()
  for (const claim of [{ email_verified: true }, { email_verified: true, xms_edov: false }]) {
    microsoft.person = { ...person('attacker'), email: victim['email'], ...claim }
    await assertErrorPage(
      (await signIn(one, { provider: 'microsoft' })).back,
      'CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE',
    )
    const { back, session } = await betterAuth(one, 'microsoft')
    assert.equal(back.searchParams.get('error'), 'account_not_linked')
    assert.equal(await session(), null)
  }
  google.person = { ...person('attacker'), email: victim['email'], email_verified: false }
  await assertErrorPage((await signIn(one)).back, 'CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE')
  microsoft.person = { ...person('colleague'), email: victim['email'], xms_edov: true }
  assert.equal((await signedIn(one, { provider: 'microsoft' })).user['id'], user['id'])

  // Nobody has this address yet. However often he comes, it is not his until the provider says so.
  const early = { ...person('early'), email_verified: false }
  for (const vouches of [false, false, true]) {
    google.person = { ...early, email_verified: vouches }
    assert.equal((await signedIn(one)).user['primary_email_verified'], vouches)
  }
})

test('connecting one more account: by who is signed in, and not one that is another’s', async () => {
  google.person = person('ada')
  const ada = await signedIn(one)
  const link = { provider: 'microsoft', type: 'link', token: ada.access_token }
  microsoft.person = person('ada-at-work')
  const linked = await signedIn(one, link)
  assert.deepEqual([linked.user['id'], linked.is_new_user], [ada.user['id'], false])
  assert.equal((linked.user['oauth_providers'] as unknown[]).length, 2)
  assert.equal((await signedIn(one, { provider: 'microsoft' })).user['id'], ada.user['id'])

  google.person = person('eve')
  const eve = await signedIn(one)
  await assertErrorPage(
    (await signIn(one, { ...link, token: eve.access_token })).back,
    'OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER',
  )
  // Whoever signs out meanwhile has not asked for it.
  microsoft.person = person('eve-at-work')
  const { back, challenge } = await signIn(one, { ...link, token: eve.access_token })
  await stack(one, 'DELETE', '/auth/sessions/current', { token: eve.access_token, body: {} })
  const late = await exchange(one, { code: back.searchParams.get('code') ?? '', code_verifier: challenge.codeVerifier })
  assert.equal(late.status, 400)
  assert.equal(
    (await fetch(authorizeUrl(one, newChallenge(), { ...link, token: eve.access_token }), { redirect: 'manual' }))
      .status,
    401,
  )
  assert.equal(
    (await fetch(authorizeUrl(two, newChallenge(), { ...link, provider: 'google' }), { redirect: 'manual' })).status,
    401,
  )
})

test('whoever follows a link that somebody else has begun gives him no account of his own', async () => {
  google.person = person('eve')
  const eve = await signedIn(one)
  const begun = authorizeUrl(one, newChallenge(), { provider: 'microsoft', type: 'link', token: eve.access_token })
  begun.searchParams.set('stack_response_mode', 'json')
  const { location } = (await (await fetch(begun, { headers: fromElsewhere() })).json()) as { location: string }
  microsoft.person = person('victim', { xms_edov: true })
  const { url } = await new TestBrowser().go(location, app)
  assert.ok(url.searchParams.has('code'))
  // The victim's page knows nothing of this sign-in, and without the verifier nothing comes of it.
  assert.equal(
    (await exchange(one, { code: url.searchParams.get('code') ?? '', code_verifier: newChallenge().codeVerifier }))
      .status,
    400,
  )
  const accounts = (await stack(one, 'GET', '/users/me', { token: eve.access_token })).body[
    'oauth_providers'
  ] as unknown[]
  assert.equal(accounts.length, 1)
  const victim = await signedIn(one, { provider: 'microsoft' })
  assert.deepEqual([victim.is_new_user, victim.user['id'] === eve.user['id']], [true, false])
})

test('Better Auth: who has not shown that an address is his connects nothing to it', async () => {
  const page = new TestBrowser()
  const headers = { 'content-type': 'application/json', origin: app, ...fromElsewhere() }
  const email = String(person('victim')['email'])
  const post = (path: string, body: unknown): Promise<Response> =>
    page.fetch(`${one.authUrl}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const made = await post('/sign-up/email', { email, password: 'correct horse battery', name: 'Eve' })
  assert.equal(made.status, 200)
  const link = {
    provider: 'google',
    callbackURL: `${app}/welcome`,
    errorCallbackURL: `${app}/failed`,
    disableRedirect: true,
  }
  assert.equal((await post('/link-social', link)).status, 403)
  const { user } = (await made.json()) as { user: { id: string } }
  await verify(one, user.id)
  google.person = { ...person('victim'), email }
  const { url } = (await (await post('/link-social', link)).json()) as { url: string }
  const { url: back } = await page.go(url, app)
  assert.equal(back.pathname, '/welcome', back.href)
  assert.equal((await signedIn(one)).user['id'], user.id)
  const accounts = (await (await page.fetch(`${one.authUrl}/list-accounts`, { headers })).json()) as { id: string }[]
  assert.equal(accounts.length, 2)
})

test('tokens of the provider: with own credentials, renewed where they end, and never the operator’s', async () => {
  microsoft.person = person('ada', { xms_edov: true })
  microsoft.answers = (body) => Object.assign(body, { scope: 'openid email calendar', expires_in: 3600 })
  const ada = await signedIn(one, { provider: 'microsoft' })
  const path = '/connected-accounts/me/microsoft/access-token'
  const token = (scope: string): Promise<Answer> =>
    stack(one, 'POST', path, { token: ada.access_token, body: { scope } })
  const given = await token('calendar')
  assert.equal(given.status, 200)
  assert.match(String(given.body['access_token']), /^ey/)
  assert.equal((await token('calendar mail')).body['code'], 'OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE')
  assert.deepEqual((await token('')).body, given.body)

  microsoft.answers = (body) => Object.assign(body, { scope: 'openid email calendar', expires_in: 5 })
  await signedIn(one, { provider: 'microsoft' })
  const grants = microsoft.grants.length
  assert.equal((await token('calendar')).status, 200)
  assert.equal(microsoft.grants[grants]?.['grant_type'], 'refresh_token')
  assert.equal((await token('calendar')).status, 200)
  assert.equal(microsoft.grants.length, grants + 1)
  // Another sign-in, which asks for less, takes nothing away.
  microsoft.answers = (body) => Object.assign(body, { scope: 'openid email' })
  await signedIn(one, { provider: 'microsoft' })
  assert.equal((await token('calendar')).status, 200)

  google.person = person('ada')
  const shared = await signedIn(one)
  const refused = await stack(one, 'POST', '/connected-accounts/me/google/access-token', {
    token: shared.access_token,
    body: {},
  })
  assert.equal(refused.body['code'], 'OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS')
  const none = await stack(one, 'POST', path, { token: (await signedIn(two)).access_token, body: {} })
  assert.notEqual(none.status, 200)
})

test('the last way in stays', async () => {
  google.person = person('ada')
  const ada = await signedIn(one)
  const list = async (): Promise<{ id: string; provider_config_id: string }[]> =>
    (await stack(one, 'GET', '/oauth-providers?user_id=me', { token: ada.access_token })).body['items'] as never
  const [only] = await list()
  assert.equal(only?.provider_config_id, 'google')
  const remove = (id = ''): Promise<Answer> =>
    stack(one, 'DELETE', `/oauth-providers/me/${id}`, { token: ada.access_token })
  assert.equal((await remove(only?.id)).status, 400)
  microsoft.person = person('ada-at-work')
  await signedIn(one, { provider: 'microsoft', type: 'link', token: ada.access_token })
  assert.equal((await remove(only?.id)).status, 200)
  assert.deepEqual(
    (await list()).map((account) => account.provider_config_id),
    ['microsoft'],
  )
  google.person = person('eve')
  const eve = await signedIn(one)
  const theirs = await stack(one, 'DELETE', `/oauth-providers/me/${(await list())[0]?.id}`, { token: eve.access_token })
  assert.equal(theirs.status, 404)
})

/** Through its page, as a browser without scripts would. */
async function atTheDevelopmentProvider(browser: TestBrowser, at: URL, fields: Record<string, string>): Promise<URL> {
  const html = await (await browser.fetch(at)).text()
  assert.match(html, /Sign in with GitHub — development/)
  const request = /name="request" value="([^"]+)"/.exec(html)?.[1] ?? ''
  const body = new URLSearchParams({ request, decision: 'allow', ...fields })
  const answer = await browser.fetch(new URL(at.pathname, at), { method: 'POST', body })
  return (await browser.go(answer.headers.get('location') ?? '', app)).url
}

test('a provider that nobody has credentials of: the one of this machine', async () => {
  const browser = new TestBrowser()
  const challenge = newChallenge()
  const email = String(person('dev')['email'])
  const start = await browser.fetch(authorizeUrl(one, challenge, { provider: 'github' }))
  const page = new URL(start.headers.get('location') ?? '')
  assert.equal(page.hostname, '127.0.0.1')
  assert.notEqual(page.port, String(server.httpPort))
  const back = await atTheDevelopmentProvider(browser, page, { email, name: 'Dev', verified: 'on' })
  const { status, body } = await exchange(one, {
    code: back.searchParams.get('code') ?? '',
    code_verifier: challenge.codeVerifier,
  })
  assert.deepEqual([status, body['is_new_user']], [200, true])
  const [user] = await usersNamed(one, email)

  const begun = await fetch(`${one.authUrl}/sign-in/social`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: app, ...fromElsewhere() },
    body: JSON.stringify({ provider: 'github', callbackURL: `${app}/welcome`, disableRedirect: true }),
  })
  const { url } = (await begun.json()) as { url: string }
  const welcome = await atTheDevelopmentProvider(new TestBrowser(), new URL(url), {
    email,
    name: 'Dev',
    verified: 'on',
  })
  assert.ok(welcome.searchParams.has('neon_auth_session_verifier'), welcome.href)
  const found = (await stack(one, 'GET', `/users/${String(user?.['id'])}`, { access: 'server' })).body
  assert.equal((found['oauth_providers'] as unknown[]).length, 1)
  // Through the front, which a proxy may show to everybody, there is no way to it.
  for (const path of ['/github/authorize', '/google/authorize', '/jwks']) {
    const response = await fetch(`${server.origin}${path}${page.search}`, { headers: { host: page.host } })
    assert.doesNotMatch(await response.text(), /development/)
  }
})
