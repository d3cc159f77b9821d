import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oauthProviderIds } from '../../model/auth.ts'
import type { TargetOauthProvider } from '../../model/auth-target.ts'
import { clientById, credentialsOf, isSecretOf } from './development-clients.ts'
import { authorizationUrl, challengeOf } from './flow.ts'
import { toMicrosoftTenant } from '../../model/microsoft-tenant.ts'
import { resolveProvider } from './providers.ts'

const where = { integrationId: 'i', callbackUrl: 'https://auth.test/callback/x', developmentUrl: 'http://127.0.0.1:9' }
const described = (change: Partial<TargetOauthProvider> = {}): TargetOauthProvider => ({
  id: 'google',
  type: 'standard',
  clientId: 'client',
  clientSecret: 'secret',
  microsoftTenantId: undefined,
  isDevelopment: false,
  ...change,
})

test('every provider is asked over https, at its own hosts', () => {
  const hosts = /^https:\/\/([a-z0-9]+\.)*(google|googleapis|github|microsoftonline|microsoft|vercel)\.com\//
  for (const id of oauthProviderIds) {
    const { issuer: _issuer, ...urls } = resolveProvider(described({ id }), where).endpoints
    for (const url of Object.values(urls)) if (url !== undefined) assert.match(url, hosts)
  }
})

test('a directory is named by one plain segment, whatever a tenant sets', () => {
  for (const tenant of [
    'common',
    'organizations',
    'consumers',
    '72f988bf-86f1-41af-91ab-2d7cd011db47',
    'contoso.onmicrosoft.com',
  ])
    assert.equal(toMicrosoftTenant(tenant), tenant)
  assert.equal(toMicrosoftTenant(undefined), 'common')
  for (const tenant of [
    '..',
    '.',
    'a/b',
    '../..',
    'a?b',
    'a#b',
    '@evil.test',
    'a@evil.test',
    'a b',
    'a\\b',
    '%2e%2e',
    '-',
    '.a',
    'a..b',
    'a.',
    'x'.repeat(300),
  ])
    assert.throws(() => toMicrosoftTenant(tenant), /microsoft_tenant_id/, tenant)
  const { endpoints } = resolveProvider(described({ id: 'microsoft', microsoftTenantId: 'contoso.com' }), where)
  assert.equal(endpoints.tokenUrl, 'https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token')
})

test('Microsoft: the issuer is the directory that the token names, and the one that was set', () => {
  const [one, other] = ['72f988bf-86f1-41af-91ab-2d7cd011db47', '00000000-0000-0000-0000-000000000001']
  const issuer = (tid: string): string => `https://login.microsoftonline.com/${tid}/v2.0`
  const common = resolveProvider(described({ id: 'microsoft' }), where)
  assert.ok(common.isIssuer(issuer(one), { tid: one }))
  for (const claims of [{}, { tid: other }, { tid: 'common' }, { tid: `${one}/x` }])
    assert.equal(common.isIssuer(issuer(one), claims), false)
  assert.equal(common.isIssuer(issuer('common'), { tid: 'common' }), false)
  const single = resolveProvider(described({ id: 'microsoft', microsoftTenantId: one.toUpperCase() }), where)
  assert.ok(single.isIssuer(issuer(one), { tid: one }))
  assert.equal(single.isIssuer(issuer(other), { tid: other }), false)
})

test('issuers of others are those of the table, or the operator’s', () => {
  const google = resolveProvider(described(), where)
  assert.deepEqual(
    ['https://accounts.google.com', 'accounts.google.com', 'https://accounts.google.com/', 'https://evil.test', ''].map(
      (iss) => google.isIssuer(iss, {}),
    ),
    [true, true, false, false, false],
  )
  const moved = resolveProvider(
    described({ endpoints: { issuer: 'http://127.0.0.1:1', tokenUrl: 'http://127.0.0.1:1/token' } }),
    where,
  )
  assert.equal(moved.endpoints.tokenUrl, 'http://127.0.0.1:1/token')
  assert.equal(moved.endpoints.userinfoUrl, google.endpoints.userinfoUrl)
  assert.deepEqual(
    [moved.isIssuer('http://127.0.0.1:1', {}), moved.isIssuer('https://accounts.google.com', {})],
    [true, false],
  )
})

test('the operator’s credentials give no tokens away', () => {
  assert.equal(resolveProvider(described({ type: 'shared' }), where).keepsTokens, false)
  assert.equal(resolveProvider(described(), where).keepsTokens, true)
})

test('in development, the provider is the one of this machine, with credentials for this callback', () => {
  const provider = resolveProvider(described({ isDevelopment: true, clientId: '', clientSecret: '' }), where)
  assert.equal(provider.endpoints.authorizationUrl, 'http://127.0.0.1:9/google/authorize')
  assert.deepEqual(clientById(provider.clientId), { integrationId: 'i', callbackUrl: where.callbackUrl })
  assert.ok(isSecretOf(provider.clientId, provider.clientSecret))
  const other = credentialsOf({ integrationId: 'i', callbackUrl: 'https://evil.test/' })
  assert.equal(isSecretOf(provider.clientId, other.clientSecret), false)
  const forged = Buffer.from(JSON.stringify(['i', 'https://evil.test/'])).toString('base64url')
  for (const id of ['', 'x', forged, `${forged}.`, `${forged}.${provider.clientId.split('.')[1] ?? ''}`])
    assert.equal(clientById(id), undefined)
  assert.throws(
    () => resolveProvider(described({ isDevelopment: true }), { ...where, developmentUrl: undefined }),
    /is off/,
  )
})

test('where the browser is sent', () => {
  const url = authorizationUrl(resolveProvider(described(), where), {
    state: 's',
    codeVerifier: 'v',
    nonce: 'n',
    callbackUrl: where.callbackUrl,
    extraScopes: ['openid', 'https://www.googleapis.com/auth/calendar'],
  })
  assert.deepEqual(Object.fromEntries(url.searchParams), {
    access_type: 'offline',
    response_type: 'code',
    client_id: 'client',
    redirect_uri: where.callbackUrl,
    scope: 'openid email profile https://www.googleapis.com/auth/calendar',
    state: 's',
    code_challenge: challengeOf('v'),
    code_challenge_method: 'S256',
    nonce: 'n',
  })
  assert.doesNotMatch(url.href, /secret/)
})
