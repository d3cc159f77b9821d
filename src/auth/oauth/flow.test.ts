import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey } from 'jose'
import { assertAnswersFor, exchangeCode, profileOf, type ProviderTokens } from './flow.ts'
import { resolveProvider, type OauthProvider } from './providers.ts'

let keys: { privateKey: CryptoKey; publicKey: CryptoKey }
let strangers: CryptoKey
let origin: string
const answers = new Map<string, { status?: number; headers?: Record<string, string>; body: string }>()
const asked: string[] = []

const server = createServer((incoming, outgoing) => {
  asked.push(`${incoming.method} ${incoming.url}`)
  const { status = 200, headers = {}, body } = answers.get(incoming.url ?? '') ?? { status: 404, body: '' }
  outgoing.writeHead(status, headers)
  outgoing.end(body)
})

before(async () => {
  keys = await generateKeyPair('RS256', { extractable: true })
  strangers = (await generateKeyPair('RS256')).privateKey
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  answers.set('/jwks', {
    body: JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'RS256' }] }),
  })
})
after(() => {
  server.close()
  server.closeAllConnections()
})

const provider = (id: 'google' | 'github' = 'google'): OauthProvider =>
  resolveProvider(
    {
      id,
      type: 'standard',
      clientId: 'client',
      clientSecret: 'hush',
      microsoftTenantId: undefined,
      isDevelopment: false,
      endpoints: {
        issuer: origin,
        authorizationUrl: `${origin}/authorize`,
        tokenUrl: `${origin}/token`,
        userinfoUrl: `${origin}/user`,
        jwksUrl: `${origin}/jwks`,
      },
    },
    { integrationId: 'i', callbackUrl: 'https://auth.test/callback/google', developmentUrl: undefined },
  )

const claims = { sub: 'ada', email: 'ada@example.com', email_verified: true, nonce: 'n' }

async function idToken(
  change: Record<string, unknown> = {},
  key: CryptoKey | Uint8Array = keys.privateKey,
  alg = 'RS256',
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const payload = { ...claims, iss: origin, aud: 'client', iat: now, exp: now + 300, ...change }
  return await new SignJWT(payload).setProtectedHeader({ alg, kid: 'k' }).sign(key)
}

const tokens = (idToken: string | undefined): ProviderTokens => ({
  accessToken: 'at',
  refreshToken: undefined,
  idToken,
  expiresAt: undefined,
  scopes: [],
})

test('who is named by a token that is signed, meant for us and fresh', async () => {
  assert.equal((await profileOf(provider(), tokens(await idToken()), 'n')).subject, 'ada')
  assert.equal(
    (await profileOf(provider(), tokens(await idToken({ aud: ['client', 'b'], azp: 'client' })), 'n')).subject,
    'ada',
  )
})

test('any other token names nobody', async () => {
  const past = Math.floor(Date.now() / 1000) - 3600
  const cases: Record<string, string | undefined> = {
    none: undefined,
    'another nonce': await idToken({ nonce: 'other' }),
    'no nonce': await idToken({ nonce: undefined }),
    'another issuer': await idToken({ iss: 'https://evil.test' }),
    'another audience': await idToken({ aud: 'other' }),
    'another party': await idToken({ aud: ['client', 'other'], azp: 'other' }),
    'no party among several': await idToken({ aud: ['client', 'other'] }),
    expired: await idToken({ exp: past }),
    'without an end': await idToken({ exp: undefined }),
    'without a subject': await idToken({ sub: undefined }),
    'a stranger’s key': await idToken({}, strangers),
    'our secret as a key': await idToken({}, new TextEncoder().encode('hush'.padEnd(32, 'x')), 'HS256'),
    unsigned: new UnsecuredJWT({ ...claims, iss: origin, aud: 'client' })
      .setIssuedAt()
      .setExpirationTime('5m')
      .encode(),
    nonsense: 'a.b.c',
  }
  for (const [what, token] of Object.entries(cases))
    await assert.rejects(profileOf(provider(), tokens(token), 'n'), { code: 'unauthorized' }, what)
})

test('an address that the token leaves out is asked for, and has to be the same person’s', async () => {
  const token = tokens(await idToken({ email: undefined }))
  answers.set('/user', { body: JSON.stringify({ sub: 'ada', email: 'ada@example.com', email_verified: false }) })
  assert.deepEqual(await profileOf(provider(), token, 'n').then(({ email, emailVerified }) => [email, emailVerified]), [
    'ada@example.com',
    false,
  ])
  answers.set('/user', { body: JSON.stringify({ sub: 'eve', email: 'ada@example.com', email_verified: true }) })
  await assert.rejects(profileOf(provider(), token, 'n'), { code: 'unauthorized' })
})

test('GitHub has no such tokens: its own routes say who it is', async () => {
  answers.set('/user', { body: JSON.stringify({ id: 7, login: 'ada' }) })
  answers.set('/user/emails', { body: JSON.stringify([{ email: 'ada@example.com', primary: true, verified: true }]) })
  assert.deepEqual(await profileOf(provider('github'), tokens(undefined), ''), {
    subject: '7',
    email: 'ada@example.com',
    emailVerified: true,
    name: 'ada',
    image: undefined,
  })
  answers.set('/user/emails', { status: 403, body: '{}' })
  assert.equal((await profileOf(provider('github'), tokens(undefined), '')).emailVerified, false)
  answers.set('/user', { status: 401, body: '{}' })
  await assert.rejects(profileOf(provider('github'), tokens(undefined), ''), { code: 'unauthorized' })
})

test('refusals, and answers that are none', async () => {
  const answer = { code: 'c', codeVerifier: 'v', callbackUrl: 'https://auth.test/callback/google' }
  answers.set('/token', { body: JSON.stringify({ access_token: 'at', expires_in: 60, scope: 'a,b c' }) })
  const given = await exchangeCode(provider(), answer)
  assert.deepEqual([given.accessToken, given.scopes, given.expiresAt instanceof Date], ['at', ['a', 'b', 'c'], true])
  for (const body of ['{"error":"bad_verification_code","access_token":"at"}', '[]', '{}']) {
    answers.set('/token', { body })
    await assert.rejects(exchangeCode(provider(), answer), { code: 'unauthorized' }, body)
  }
  for (const broken of [
    { body: 'no JSON' },
    { body: 'x'.repeat(1_000_000) },
    { status: 302, headers: { location: '/stolen' }, body: '' },
  ]) {
    answers.set('/token', broken)
    await assert.rejects(exchangeCode(provider(), answer), (error: Error) => {
      assert.doesNotMatch(error.message, /hush/)
      return (error as { code?: string }).code === 'unavailable'
    })
  }
  assert.ok(!asked.some((one) => one.includes('stolen')))
})

test('an answer that says that it is another provider’s', () => {
  assertAnswersFor(provider(), undefined)
  assertAnswersFor(provider(), origin)
  assert.throws(() => assertAnswersFor(provider(), 'https://evil.test'), { code: 'unauthorized' })
})
