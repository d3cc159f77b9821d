// What of a sign-in with a provider lies in the tenant's database, for how long, and what two at once make of it.

import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { startDevelopmentProvider, type DevelopmentProvider } from '../../src/auth/oauth/development-provider.ts'
import { handleStack } from '../../src/auth/stack/router.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { openSurface, type TestSurface } from '../support/auth-surface.ts'
import { CookieJar } from '../support/cookie-jar.ts'
import { newChallenge, startProvider, type Challenge, type TestProvider } from '../support/oauth.ts'

const app = 'http://localhost:3000'
const redirectUri = `${app}/back`
const publishable = 'pck_test'

let google: TestProvider
let development: DevelopmentProvider
let surface: TestSurface

before(async () => {
  google = await startProvider()
  development = await startDevelopmentProvider(silentLogger)
  const { issuer, authorization_url, token_url, userinfo_url, jwks_url } = google.endpoints
  const endpoints = {
    issuer,
    authorizationUrl: authorization_url,
    tokenUrl: token_url,
    userinfoUrl: userinfo_url,
    jwksUrl: jwks_url,
  }
  const credentials = { clientId: 'own', clientSecret: 'hush', microsoftTenantId: undefined, isDevelopment: false }
  surface = await openSurface({
    target: {
      provider: 'stack',
      oauthProviders: [
        { id: 'google', type: 'standard', ...credentials, endpoints },
        { id: 'microsoft', type: 'shared', ...credentials, endpoints },
      ],
      keys: [{ kind: 'publishable', sha256: createHash('sha256').update(publishable).digest('hex') }],
    },
  })
})
after(async () => {
  await using _google = google
  await using _surface = surface
  await development.close()
})

let people = 0
beforeEach(() => {
  people++
  google.person = { sub: `sub-${people}`, email: `ada-${people}@example.com`, email_verified: true, name: 'Ada' }
})

/** As the front hands it on. */
async function stack(path: string, init: RequestInit = {}): Promise<Response> {
  const services = {
    findInstance: async ({ kind, ...name }: { kind: string; id?: string }) =>
      kind === 'project' && name.id === surface.instance.target.integrationId ? surface.instance : undefined,
    logger: silentLogger,
  }
  const request = new Request(`http://stack.test/api/v1${path}`, init)
  return await handleStack(services, { path, request, clientAddress: '203.0.113.9' })
}

async function atTheProvider(challenge: Challenge, provider = 'google'): Promise<{ callback: string; cookie: string }> {
  const query = new URLSearchParams({
    client_id: surface.instance.target.integrationId,
    client_secret: publishable,
    redirect_uri: redirectUri,
    state: challenge.state,
    code_challenge: challenge.codeChallenge,
    code_challenge_method: 'S256',
  })
  const begun = await stack(`/auth/oauth/authorize/${provider}?${query.toString()}`)
  assert.equal(begun.status, 302, await begun.text())
  const back = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' })
  const { search } = new URL(back.headers.get('location') ?? '')
  const cookie = (begun.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  return { callback: `/auth/oauth/callback/${provider}${search}`, cookie }
}

async function codeFor(challenge: Challenge, provider?: string): Promise<string> {
  const { callback, cookie } = await atTheProvider(challenge, provider)
  const response = await stack(callback, { headers: { cookie } })
  assert.equal(response.status, 303, await response.text())
  return new URL(response.headers.get('location') ?? '').searchParams.get('code') ?? ''
}

async function exchange(code: string, challenge: Challenge): Promise<Response> {
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: surface.instance.target.integrationId,
    client_secret: publishable,
    redirect_uri: redirectUri,
    code,
    code_verifier: challenge.codeVerifier,
  })
  return await stack('/auth/oauth/token', { method: 'POST', body })
}

async function rows(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  return (await surface.client.query<Record<string, unknown>>(sql, values)).rows
}

const accountOf = async (subject: unknown): Promise<Record<string, unknown> | undefined> =>
  (await rows('select * from "account" where "accountId" = $1', [subject]))[0]

test('the cookie of who was sent here is for its way back only, and not for scripts', async () => {
  const query = `client_id=${surface.instance.target.integrationId}&client_secret=${publishable}&state=s&code_challenge_method=S256`
  const path = `/auth/oauth/authorize/google?${query}&code_challenge=${newChallenge().codeChallenge}&redirect_uri=${redirectUri}`
  const begun = await stack(path)
  const cookie = begun.headers.get('set-cookie') ?? ''
  const state = new URL(begun.headers.get('location') ?? '').searchParams.get('state')
  assert.equal(
    cookie,
    `stack-oauth-inner-${state}=true; Path=/api/v1/auth/oauth/callback; Max-Age=600; HttpOnly; SameSite=Lax`,
  )
  surface.change({ target: { stackUrl: 'https://auth.test/api/v1' } })
  assert.match((await stack(path)).headers.get('set-cookie') ?? '', /; Secure$/)
  surface.change({ target: { stackUrl: `${surface.origin}/api/v1` } })
})

test('neither states nor codes can be read from the table', async () => {
  const challenge = newChallenge()
  const { callback, cookie } = await atTheProvider(challenge)
  const state = new URLSearchParams(callback.split('?')[1]).get('state') ?? ''
  const texts = async (): Promise<string> =>
    JSON.stringify(await rows('select "identifier", "value" from "verification"'))
  assert.ok(!(await texts()).includes(state))
  const response = await stack(callback, { headers: { cookie } })
  const code = new URL(response.headers.get('location') ?? '').searchParams.get('code') ?? ''
  assert.ok(code.length > 40 && !(await texts()).includes(code))
  assert.equal((await exchange(code, challenge)).status, 200)
})

test('they end by themselves', async () => {
  const challenge = newChallenge()
  const age = (interval: string): Promise<unknown> =>
    rows(`update "verification" set "expiresAt" = "expiresAt" - interval '${interval}'`)
  const late = await atTheProvider(challenge)
  await age('601 seconds')
  assert.equal((await stack(late.callback, { headers: { cookie: late.cookie } })).status, 408)
  const inTime = await atTheProvider(challenge)
  await age('590 seconds')
  assert.equal((await stack(inTime.callback, { headers: { cookie: inTime.cookie } })).status, 303)
  const code = await codeFor(challenge)
  await age('61 seconds')
  assert.equal((await exchange(code, challenge)).status, 400)
})

test('a provider’s tokens are sealed where they lie, given out to their user, and gone in a branch’s copy', async () => {
  await exchange(await codeFor(newChallenge()), newChallenge())
  const account = await accountOf(google.person['sub'])
  for (const name of ['accessToken', 'refreshToken']) assert.match(String(account?.[name]), /^sealed\.[\w-]{40,}$/)
  assert.equal(account?.['idToken'], null)

  const jar = new CookieJar()
  const page = jar.fetchFrom(app)
  const post = (path: string, body: unknown): Promise<Response> =>
    page(`${surface.baseUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const begun = await post('/sign-in/social', {
    provider: 'google',
    callbackURL: `${app}/welcome`,
    disableRedirect: true,
  })
  const { url } = (await begun.json()) as { url: string }
  const back = await fetch(url, { redirect: 'manual' })
  const arrived = await fetch(back.headers.get('location') ?? '', { redirect: 'manual' })
  const verifier = new URL(arrived.headers.get('location') ?? '').searchParams.get('neon_auth_session_verifier') ?? ''
  await page(`${surface.baseUrl}/get-session?neon_auth_session_verifier=${verifier}`)
  const same = await accountOf(google.person['sub'])
  assert.equal(same?.['id'], account?.['id'])
  for (const name of ['accessToken', 'refreshToken']) {
    assert.match(String(same?.[name]), /^sealed\./)
    assert.notEqual(same?.[name], account?.[name])
  }
  assert.equal(same?.['idToken'], null)
  const given = await post('/get-access-token', { accountId: same?.['id'] })
  assert.match(String(((await given.json()) as Record<string, unknown>)['accessToken']), /^ey/)
  const renewed = await post('/refresh-token', { accountId: same?.['id'] })
  const tokens = (await renewed.json()) as Record<string, unknown>
  assert.equal(renewed.status, 200)
  assert.match(String(tokens['accessToken']), /^ey/)
  assert.doesNotMatch(JSON.stringify(tokens), /sealed/)
  assert.match(String((await accountOf(google.person['sub']))?.['accessToken']), /^sealed\./)
  const info = await page(`${surface.baseUrl}/account-info?accountId=${String(same?.['id'])}`)
  assert.equal(((await info.json()) as { user: { email: string } }).user.email, google.person['email'])

  const { openToken } = await import('../../src/auth/oauth/sealed-tokens.ts')
  const sealed = String((await accountOf(google.person['sub']))?.['accessToken'])
  assert.match(openToken(surface.instance.target.secret, sealed) ?? '', /^ey/)
  assert.equal(openToken(randomBytes(32).toString('base64url'), sealed), undefined)
  assert.equal(openToken(surface.instance.target.secret, `${sealed.slice(0, -2)}AA`), undefined)
})

test('of the operator’s client, no token is kept', async () => {
  google.person = { ...google.person, email_verified: undefined }
  await codeFor(newChallenge(), 'microsoft')
  const account = await accountOf(google.person['sub'])
  assert.deepEqual([account?.['accessToken'], account?.['refreshToken'], account?.['idToken']], [null, null, null])
})

test('who comes in by several windows at once is one user, with one account', async () => {
  const challenges = Array.from({ length: 6 }, () => newChallenge())
  const codes = await Promise.all(challenges.map((challenge) => codeFor(challenge)))
  const answers = await Promise.all(codes.map((code, at) => exchange(code, challenges[at] ?? newChallenge())))
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
  )
  const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as { is_new_user: boolean }[]
  assert.equal(bodies.filter(({ is_new_user }) => is_new_user).length, 1)
  const found = await rows('select count(*)::int as n from "account" where "accountId" = $1', [google.person['sub']])
  assert.deepEqual(found, [{ n: 1 }])
})

test('of several who come with one code, at most one gets in, and he is out again', async () => {
  const challenge = newChallenge()
  const code = await codeFor(challenge)
  const answers = await Promise.all(Array.from({ length: 5 }, () => exchange(code, challenge)))
  assert.equal(answers.filter(({ status }) => status === 200).length, 1)
  const account = await accountOf(google.person['sub'])
  assert.deepEqual(await rows('select count(*)::int as n from "session" where "userId" = $1', [account?.['userId']]), [
    { n: 0 },
  ])
})

test('of several who come back with one state, one does', async () => {
  const { callback, cookie } = await atTheProvider(newChallenge())
  const answers = await Promise.all(Array.from({ length: 5 }, () => stack(callback, { headers: { cookie } })))
  assert.deepEqual(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [303, 408, 408, 408, 408],
  )
})

test('what a provider posts comes back by way of the browser, so that its cookies do', async () => {
  const { callback, cookie } = await atTheProvider(newChallenge())
  const [path = '', query = ''] = callback.split('?')
  const posted = await stack(path, { method: 'POST', body: new URLSearchParams(query) })
  assert.equal(posted.status, 303)
  const next = new URL(posted.headers.get('location') ?? '', `http://stack.test/api/v1${path}`)
  assert.equal((await stack(next.pathname.slice('/api/v1'.length) + next.search, { headers: { cookie } })).status, 303)
})

test('a user who may not sign in does not, by any provider', async () => {
  const challenge = newChallenge()
  await exchange(await codeFor(challenge), challenge)
  const account = await accountOf(google.person['sub'])
  const code = await codeFor(challenge)
  await rows('update "user" set "banned" = true where "id" = $1', [account?.['userId']])
  assert.notEqual((await exchange(code, challenge)).status, 200)
  const { callback, cookie } = await atTheProvider(challenge)
  const response = await stack(callback, { headers: { cookie } })
  assert.equal(new URL(response.headers.get('location') ?? '').searchParams.has('code'), false)
})

test('a state says which project it is of, and that one alone takes it', async () => {
  const { callback, cookie } = await atTheProvider(newChallenge())
  const other = callback.replaceAll(surface.instance.target.integrationId, randomUUID())
  assert.equal((await stack(other, { headers: { cookie } })).status, 408)
  surface.change({ target: { provider: 'better_auth' } })
  assert.equal((await stack(callback, { headers: { cookie } })).status, 408)
  surface.change({ target: { provider: 'stack' } })
  assert.equal((await stack(callback, { headers: { cookie } })).status, 303)
})

test('who shows that an address is his has it for himself, whoever claimed it before at a provider', async () => {
  const { integrationId } = surface.instance.target
  const headers = {
    'content-type': 'application/json',
    'x-stack-project-id': integrationId,
    'x-stack-access-type': 'client',
    'x-stack-publishable-client-key': publishable,
  }
  const post = (path: string, body: unknown): Promise<Response> =>
    stack(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const resetBetterAuth = async (email: unknown): Promise<void> => {
    const json = { 'content-type': 'application/json', origin: app }
    const ask = (path: string, body: unknown): Promise<Response> =>
      fetch(`${surface.baseUrl}${path}`, { method: 'POST', headers: json, body: JSON.stringify(body) })
    assert.equal((await ask('/request-password-reset', { email, redirectTo: app })).status, 200)
    const token = /reset-password\/([\w-]+)/.exec(await mailTo(email))?.[1]
    assert.equal((await ask('/reset-password', { token, newPassword: 'correct horse battery' })).status, 200)
  }
  const ways: Record<string, (email: unknown) => Promise<void>> = {
    'a code': async (email) => {
      const sent = await post('/auth/otp/send-sign-in-code', { email, callback_url: app })
      assert.equal(sent.status, 200, await sent.text())
      const code = new URL(/http:\/\/localhost:3000[^\s"<]*/.exec(await mailTo(email))?.[0] ?? '').searchParams.get(
        'code',
      )
      assert.equal((await post('/auth/otp/sign-in', { code })).status, 200)
    },
    'a new password': async (email) => {
      assert.equal((await post('/auth/password/send-reset-code', { email, callback_url: app })).status, 200)
      const code = new URL(/http:\/\/localhost:3000[^\s"<]*/.exec(await mailTo(email))?.[0] ?? '').searchParams.get(
        'code',
      )
      assert.equal((await post('/auth/password/reset', { code, password: 'correct horse battery' })).status, 200)
    },
    'a new password there': resetBetterAuth,
  }
  for (const [what, show] of Object.entries(ways)) {
    const attacker = { sub: `eve ${what}`, email: `${what.replaceAll(' ', '-')}@example.com`, email_verified: false }
    google.person = attacker
    const challenge = newChallenge()
    assert.equal((await exchange(await codeFor(challenge), challenge)).status, 200)
    await show(attacker.email)
    assert.equal(await accountOf(attacker.sub), undefined, what)
    const { callback, cookie } = await atTheProvider(newChallenge())
    const back = await stack(callback, { headers: { cookie } })
    assert.match(back.headers.get('location') ?? '', /errorCode=CONTACT_CHANNEL_ALREADY_USED/, what)
  }
})

async function mailTo(email: unknown): Promise<string> {
  for (let tries = 0; tries < 200; tries++) {
    const mail = surface.mails.findLast(({ to }) => to === email)
    if (mail) return mail.text
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('no mail came')
}

test('the provider of this machine on Better Auth’s surface', async () => {
  const oauthProviders = [
    {
      id: 'github' as const,
      type: 'shared' as const,
      clientId: '',
      clientSecret: '',
      microsoftTenantId: undefined,
      isDevelopment: true,
    },
  ]
  const social = (): Promise<Response> =>
    fetch(`${surface.baseUrl}/sign-in/social`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: app },
      body: JSON.stringify({ provider: 'github', callbackURL: app, disableRedirect: true }),
    })
  surface.change({ target: { oauthProviders } })
  assert.equal((await social()).status, 503)
  surface.instance = { ...surface.instance, developmentProvider: development.origin }
  const { url } = (await (await social()).json()) as { url: string }
  assert.ok(url.startsWith(`${development.origin}/github/authorize?`))
  const idToken = await fetch(`${surface.baseUrl}/sign-in/social`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: app },
    body: JSON.stringify({ provider: 'github', idToken: { token: 'a.b.c' } }),
  })
  assert.equal(idToken.status, 404)
})
