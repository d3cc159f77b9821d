import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { silentLogger } from '../../lib/logger.ts'
import { startDevelopmentProvider, type DevelopmentProvider } from './development-provider.ts'
import {
  authorizationUrl,
  exchangeCode,
  newSecrets,
  profileOf,
  readProfile,
  refreshTokens,
  type Secrets,
} from './flow.ts'
import { resolveProvider, type OauthProvider } from './providers.ts'

const callbackUrl = 'http://127.0.0.1:1/api/v1/auth/oauth/callback/google'
let development: DevelopmentProvider
let google: OauthProvider

before(async () => {
  development = await startDevelopmentProvider(silentLogger)
  google = providerFor('google')
})
after(() => development.close())

const providerFor = (id: 'google' | 'microsoft', integrationId = 'one'): OauthProvider =>
  resolveProvider(
    { id, type: 'shared', clientId: '', clientSecret: '', microsoftTenantId: undefined, isDevelopment: true },
    { integrationId, callbackUrl, developmentUrl: development.origin },
  )

const begin = (provider = google): { url: URL; secrets: Secrets } => {
  const secrets = newSecrets()
  return { secrets, url: authorizationUrl(provider, { ...secrets, state: 'st&te', callbackUrl }) }
}

async function formOf(url: URL): Promise<{ html: string; request: string }> {
  const html = await (await fetch(url)).text()
  return { html, request: /name="request" value="([^"]+)"/.exec(html)?.[1] ?? '' }
}

async function decide(url: URL, fields: Record<string, string>): Promise<Response> {
  const { request } = await formOf(url)
  const body = new URLSearchParams({ request, decision: 'allow', ...fields })
  return await fetch(new URL(url.pathname, url), { method: 'POST', body, redirect: 'manual' })
}

async function codeFor(url: URL, fields: Record<string, string>): Promise<string> {
  const location = new URL((await decide(url, fields)).headers.get('location') ?? '')
  assert.equal(location.origin + location.pathname, callbackUrl)
  assert.equal(location.searchParams.get('state'), 'st&te')
  return location.searchParams.get('code') ?? ''
}

test('somebody signs in as whoever he likes, and is the same person again', async () => {
  const { url, secrets } = begin()
  const code = await codeFor(url, { email: 'Ada@Example.com', name: 'Ada', verified: 'on' })
  const tokens = await exchangeCode(google, { code, codeVerifier: secrets.codeVerifier, callbackUrl })
  const profile = await profileOf(google, tokens, secrets.nonce)
  assert.deepEqual([profile.email, profile.emailVerified, profile.name], ['ada@example.com', true, 'Ada'])
  await assert.rejects(profileOf(google, tokens, 'another nonce'))
  assert.deepEqual(await readProfile(google, tokens.accessToken), profile)
  const renewed = await refreshTokens(google, tokens.refreshToken ?? '')
  assert.notEqual(renewed.accessToken, tokens.accessToken)
  const again = begin()
  const second = await exchangeCode(google, {
    code: await codeFor(again.url, { email: 'ada@example.com', name: '' }),
    codeVerifier: again.secrets.codeVerifier,
    callbackUrl,
  })
  const unverified = await profileOf(google, second, again.secrets.nonce)
  assert.deepEqual([unverified.subject, unverified.emailVerified], [profile.subject, false])
})

test('codes are good once, for who began, and with his secret', async () => {
  const { url, secrets } = begin()
  const right = { codeVerifier: secrets.codeVerifier, callbackUrl }
  const code = await codeFor(url, { email: 'ada@example.com' })
  await exchangeCode(google, { ...right, code })
  await assert.rejects(exchangeCode(google, { ...right, code }), { code: 'unauthorized' })
  for (const wrong of [
    async () =>
      await exchangeCode(google, {
        ...right,
        codeVerifier: 'x'.repeat(43),
        code: await codeFor(url, { email: 'a@b.test' }),
      }),
    async () =>
      await exchangeCode(google, {
        ...right,
        callbackUrl: 'http://evil.test/',
        code: await codeFor(url, { email: 'a@b.test' }),
      }),
    async () =>
      await exchangeCode(
        { ...google, clientSecret: 'guess' },
        { ...right, code: await codeFor(url, { email: 'a@b.test' }) },
      ),
    async () =>
      await exchangeCode(providerFor('google', 'two'), { ...right, code: await codeFor(url, { email: 'a@b.test' }) }),
    async () =>
      await exchangeCode(providerFor('microsoft'), { ...right, code: await codeFor(url, { email: 'a@b.test' }) }),
  ])
    await assert.rejects(wrong, { code: 'unauthorized' })
})

test('the page says what it is, runs nothing, is in no frame, and shows text as text', async () => {
  const { url } = begin()
  await decide(url, { email: 'eve@example.com', name: '<script>alert(1)</script>"\'', verified: 'on' })
  url.searchParams.set('login_hint', '"><img src=x>')
  const response = await fetch(url)
  const html = await response.text()
  assert.match(html, /<h1>Sign in with Google — development<\/h1>/)
  assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt;&quot;&#39;/)
  assert.doesNotMatch(html, /<script|<img/)
  assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
  assert.equal(response.headers.get('x-frame-options'), 'DENY')
  // Those who test one app are not shown to another one's.
  assert.doesNotMatch((await formOf(begin(providerFor('google', 'two')).url)).html, /eve@example/)
  assert.match((await formOf(begin(providerFor('google', 'one')).url)).html, /eve@example/)
})

test('who does not want to goes back with that', async () => {
  const location = new URL((await decide(begin().url, { decision: 'deny' })).headers.get('location') ?? '')
  assert.deepEqual([location.searchParams.get('error'), location.searchParams.has('code')], ['access_denied', false])
})

test('nobody is sent to where no app of ours is, and no page elsewhere signs anybody in', async () => {
  const { url } = begin()
  const changed = (name: string, value: string): URL => {
    const other = new URL(url)
    other.searchParams.set(name, value)
    return other
  }
  for (const wrong of [
    changed('redirect_uri', 'https://evil.test/'),
    changed('redirect_uri', `${callbackUrl}/../x`),
    changed('client_id', 'x'),
    changed('response_type', 'token'),
    changed('code_challenge_method', 'plain'),
  ]) {
    const response = await fetch(wrong, { redirect: 'manual' })
    assert.deepEqual([response.status, response.headers.get('location')], [400, null], wrong.href)
  }
  for (const request of ['', 'x', (await formOf(url)).request.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))]) {
    const body = new URLSearchParams({ request, decision: 'allow', email: 'eve@example.com' })
    const response = await fetch(new URL('/google/authorize', url), { method: 'POST', body, redirect: 'manual' })
    assert.equal(response.status, 400)
  }
  // A form of one provider is not another one's.
  const { request } = await formOf(url)
  const body = new URLSearchParams({ request, decision: 'allow', email: 'eve@example.com' })
  assert.equal(
    (await fetch(new URL('/microsoft/authorize', url), { method: 'POST', body, redirect: 'manual' })).status,
    400,
  )
})

test('a name elsewhere that leads here is not answered', async () => {
  const { port } = new URL(development.origin)
  const statusFor = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      request(
        { host: '127.0.0.1', port, path: begin().url.pathname + begin().url.search, headers: { host } },
        (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        },
      )
        .on('error', reject)
        .end()
    })
  assert.equal(await statusFor(`127.0.0.1:${port}`), 200)
  for (const host of [
    `evil.test:${port}`,
    'evil.test',
    `127.0.0.1.evil.test:${port}`,
    '127.0.0.1',
    `127.0.0.1:${port}@x`,
  ])
    assert.equal(await statusFor(host), 421, host)
})
