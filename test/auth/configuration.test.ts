// What may be set on sign-in: providers, domains, mail, settings, webhooks. On a branch, and by the older routes of the project.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  NeonAuthEmailVerificationMethod as Method,
  NeonAuthOauthProviderId as Id,
  NeonAuthSupportedAuthProvider as Provider,
} from '@neondatabase/api-client'
import { makeOrganization, makeUser } from '../support/accounts.ts'
import { assertRefused, makeProject, type NeonApi, type TestProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject
let id: string
let branchId: string

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
  project = await makeProject(server)
  ;({ id, branchId } = project)
  await api.createNeonAuth(id, branchId, { auth_provider: Provider.Stack })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

test('OAuth providers are shared or have credentials, which are shown to whoever has just said them', async () => {
  const shared = (each: Id) => ({ id: each, type: 'shared' })
  const first = [shared(Id.Google), shared(Id.Github)]
  assert.deepEqual((await api.listBranchNeonAuthOauthProviders(id, branchId)).data, { providers: first })
  const again = await api.addBranchNeonAuthOauthProvider(id, branchId, { id: Id.Google })
  assert.deepEqual([again.status, again.data], [200, shared(Id.Google)])
  const own = { client_id: 'mine', client_secret: 'hidden' }
  const microsoft = { id: Id.Microsoft, ...own }
  const { data, status } = await api.addBranchNeonAuthOauthProvider(id, branchId, {
    ...microsoft,
    microsoft_tenant_id: 'contoso.example',
  })
  assert.equal(status, 200)
  assert.deepEqual(data, { ...microsoft, type: 'standard' })
  const listed = [...first, { id: Id.Microsoft, type: 'standard', client_id: 'mine' }]
  assert.deepEqual((await api.listBranchNeonAuthOauthProviders(id, branchId)).data, { providers: listed })
  assert.deepEqual((await api.listNeonAuthOauthProviders(id)).data, { providers: listed })

  // A change shows what it says, and no more.
  const renamed = await api.updateBranchNeonAuthOauthProvider(id, branchId, Id.Microsoft, { client_id: 'other' })
  assert.deepEqual(renamed.data, { id: Id.Microsoft, type: 'standard', client_id: 'other' })
  assert.deepEqual((await api.updateBranchNeonAuthOauthProvider(id, branchId, Id.Microsoft, {})).data, renamed.data)
  const half = { client_id: 'mine' }
  await assertRefused(api.updateBranchNeonAuthOauthProvider(id, branchId, Id.Google, half), 400, /come together/)
  const full = await api.updateNeonAuthOauthProvider(id, Id.Google, own)
  assert.deepEqual(full.data, { id: Id.Google, type: 'standard', ...own })
  await assertRefused(api.addNeonAuthOauthProvider(id, { id: Id.Google }), 409, /has credentials already/)

  await assertRefused(api.updateBranchNeonAuthOauthProvider(id, branchId, Id.Vercel, own), 404, /not enabled/)
  await assertRefused(api.deleteBranchNeonAuthOauthProvider(id, branchId, Id.Vercel), 404, /not enabled/)
  await assertRefused(api.deleteBranchNeonAuthOauthProvider(id, branchId, 'myspace' as Id), 400, /oauth_provider_id/)
  const vercel = { id: Id.Vercel, ...own }
  const tenant = { ...vercel, microsoft_tenant_id: 'contoso.example' }
  await assertRefused(api.addNeonAuthOauthProvider(id, tenant), 400, /microsoft_tenant_id/)
  await assertRefused(api.addNeonAuthOauthProvider(id, { id: Id.Vercel, client_secret: 'x' }), 400, /come together/)
  const strange = { ...vercel, client_id: 'a b' }
  await assertRefused(api.addNeonAuthOauthProvider(id, strange), 400, /client_id/)
  const path = { ...microsoft, microsoft_tenant_id: '../common' }
  await assertRefused(
    api.updateNeonAuthOauthProvider(id, Id.Microsoft, { microsoft_tenant_id: path.microsoft_tenant_id }),
    400,
    /directory/,
  )
  assert.deepEqual((await api.addNeonAuthOauthProvider(id, vercel)).data, { ...vercel, type: 'standard' })
  assert.equal((await api.deleteNeonAuthOauthProvider(id, Id.Vercel)).status, 200)
  assert.equal((await api.deleteBranchNeonAuthOauthProvider(id, branchId, Id.Microsoft)).status, 200)
})

test('trusted domains are kept as browsers write them', async () => {
  const stack = { auth_provider: Provider.Stack }
  const add = (domain: string) => api.addBranchNeonAuthTrustedDomain(id, branchId, { domain, ...stack })
  assert.equal((await add('https://App.Example.com:443/')).status, 201)
  assert.equal((await add('https://app.example.com')).status, 201)
  assert.equal((await add('https://*.preview.app')).status, 201)
  const legacy = { domain: 'http://localhost:3000', ...stack }
  assert.equal((await api.addNeonAuthDomainToRedirectUriWhitelist(id, legacy)).status, 201)
  const domains = ['https://app.example.com', 'https://*.preview.app', 'http://localhost:3000']
  const listed = { domains: domains.map((domain) => ({ domain, ...stack })) }
  assert.deepEqual((await api.listBranchNeonAuthTrustedDomains(id, branchId)).data, listed)
  assert.deepEqual((await api.listNeonAuthRedirectUriWhitelistDomains(id)).data, listed)

  for (const bad of [
    'https://*',
    'https://*.com',
    'https://*.vercel.app',
    'https://a@app.example.com',
    'https://app.example.com/path',
    'myapp://callback',
  ])
    await assertRefused(add(bad), 400, /domain/)
  const better = { domain: 'https://app.example.com', auth_provider: Provider.BetterAuth }
  await assertRefused(api.addBranchNeonAuthTrustedDomain(id, branchId, better), 404, /it is stack/)

  const remove = (...names: string[]) => ({ ...stack, domains: names.map((domain) => ({ domain })) })
  const wrong = remove('https://app.example.com', 'https://other.example.com')
  await assertRefused(api.deleteBranchNeonAuthTrustedDomain(id, branchId, wrong), 404, /none was removed/)
  const some = remove('https://APP.example.com/', 'https://*.preview.app')
  assert.equal((await api.deleteBranchNeonAuthTrustedDomain(id, branchId, some)).status, 200)
  const last = remove('http://localhost:3000')
  assert.equal((await api.deleteNeonAuthDomainFromRedirectUriWhitelist(id, last)).status, 200)
  assert.deepEqual((await api.listBranchNeonAuthTrustedDomains(id, branchId)).data, { domains: [] })
})

const smtp = {
  host: 'smtp.example.com',
  port: 587,
  username: 'mailer',
  password: 'shown-to-nobody',
  sender_email: 'app@example.com',
  sender_name: 'My App',
}

test("a mail server's password is shown to nobody, and sent nowhere else", async () => {
  assert.deepEqual((await api.getNeonAuthEmailProvider(id, branchId)).data, { type: 'shared' })
  const sender = { type: 'shared' as const, sender_email: 'app@example.com', sender_name: 'My App' }
  assert.deepEqual((await api.updateNeonAuthEmailProvider(id, branchId, sender)).data, sender)
  const own = { type: 'standard' as const, ...smtp }
  const shown = { ...own, password: '' }
  assert.deepEqual((await api.updateNeonAuthEmailProvider(id, branchId, own)).data, shown)
  assert.deepEqual((await api.getNeonAuthEmailProvider(id, branchId)).data, shown)
  assert.deepEqual((await api.getNeonAuthEmailServer(id)).data, shown)
  assert.deepEqual((await api.getNeonAuthPluginConfigs(id, branchId)).data.email_provider, shown)
  // What was read may be sent back; with another host, the stored password would go there.
  const back = { ...shown, sender_name: 'Renamed' }
  assert.deepEqual((await api.updateNeonAuthEmailServer(id, back)).data, back)
  const elsewhere = { ...shown, host: 'smtp.evil.example' }
  await assertRefused(api.updateNeonAuthEmailServer(id, elsewhere), 400, /password/)
  const test = { ...smtp, host: 'smtp.evil.example', password: '', recipient_email: 'me@example.com' }
  await assertRefused(api.sendNeonAuthTestEmail(id, branchId, test), 400, /password/)

  const path = `/projects/${id}/branches/${branchId}/auth/email_provider`
  const custom = await request(server, 'PATCH', path, { type: 'custom', ...smtp })
  assert.deepEqual([custom.status, custom.body], [200, shown])
  const refused = async (change: Record<string, unknown>, message: RegExp): Promise<void> => {
    const answer = await request(server, 'PATCH', path, { ...own, ...change })
    assert.equal(answer.status, 400, JSON.stringify(change))
    assert.match(String(answer.body['message']), message)
  }
  await refused({ type: 'pigeon' }, /type/)
  await refused({ port: 0 }, /port/)
  await refused({ host: 'smtp.example.com\r\nRCPT TO:<x@y>' }, /host/)
  await refused({ host: '169.254.169.254' }, /host/)
  await refused({ sender_email: 'app@example.com\r\nBcc: all@example.com' }, /sender_email/)
  await refused({ sender_name: 'My\r\nBcc: all@example.com' }, /sender_name/)
  const { host: _, ...rest } = own
  const incomplete = await request(server, 'PATCH', path, rest)
  assert.match(String(incomplete.body['message']), /host \(field required\)/)
  assert.deepEqual((await api.updateNeonAuthEmailProvider(id, branchId, { type: 'shared' })).data, { type: 'shared' })
})

test('who does not run this installation cannot have it knock at private addresses', async () => {
  const stranger = await makeUser(server, 'stranger@example.com')
  const orgId = await makeOrganization(server, 'strangers', stranger)
  const theirs = await makeProject(stranger.server, { org_id: orgId })
  const place = [theirs.id, theirs.branchId] as const
  await stranger.api.createNeonAuth(...place, { auth_provider: Provider.BetterAuth })
  const refused = { type: 'standard' as const, ...smtp, host: '10.0.0.25' }
  await assertRefused(stranger.api.updateNeonAuthEmailProvider(...place, refused), 400, /private/)
  const test = { ...smtp, host: 'localhost', recipient_email: 'me@example.com' }
  await assertRefused(stranger.api.sendNeonAuthTestEmail(...place, test), 400, /private/)
  const webhook = { enabled: true, webhook_url: 'http://127.0.0.1:9/hook', enabled_events: ['user.created' as const] }
  await assertRefused(stranger.api.updateNeonAuthWebhookConfig(...place, webhook), 400, /webhook_url/)
  // Nothing was set by what was refused.
  assert.deepEqual((await stranger.api.getNeonAuthEmailProvider(...place)).data, { type: 'shared' })
  assert.equal((await stranger.api.getNeonAuthWebhookConfig(...place)).data.enabled, false)
})

test('settings change by what is named, and the rest stays', async () => {
  const place = [id, branchId] as const
  const emailAndPassword = {
    enabled: true,
    email_verification_method: Method.Link,
    require_email_verification: false,
    auto_sign_in_after_verification: true,
    send_verification_email_on_sign_up: false,
    send_verification_email_on_sign_in: false,
    disable_sign_up: false,
  }
  assert.deepEqual((await api.getNeonAuthEmailAndPasswordConfig(...place)).data, emailAndPassword)
  const otp = { email_verification_method: Method.Otp, require_email_verification: true }
  const changed = { ...emailAndPassword, ...otp }
  assert.deepEqual((await api.updateNeonAuthEmailAndPasswordConfig(...place, otp)).data, changed)
  assert.deepEqual((await api.updateNeonAuthEmailAndPasswordConfig(...place, {})).data, changed)
  assert.deepEqual((await api.getNeonAuthEmailAndPasswordConfig(...place)).data, changed)

  assert.deepEqual((await api.getNeonAuthAllowLocalhost(...place)).data, { allow_localhost: true })
  const off = { allow_localhost: false }
  assert.deepEqual((await api.updateNeonAuthAllowLocalhost(...place, off)).data, off)
  const organization = {
    enabled: true,
    organization_limit: 3,
    membership_limit: 100,
    creator_role: 'admin',
    send_invitation_email: false,
  }
  const limits = { organization_limit: 3, creator_role: 'admin' as const }
  assert.deepEqual((await api.updateNeonAuthOrganizationPlugin(...place, limits)).data, organization)
  const magicLink = { enabled: true, expires_in: 5, disable_sign_up: false }
  assert.deepEqual((await api.updateNeonAuthMagicLinkPlugin(...place, { enabled: true })).data, magicLink)
  await assertRefused(api.updateNeonAuthMagicLinkPlugin(...place, { expires_in: 4 }), 400, /expires_in/)
  assert.deepEqual((await api.getNeonAuthPhoneNumberPlugin(...place)).data, { enabled: false, otp_expires_in: 300 })
  const phoneNumber = { enabled: true, otp_expires_in: 60 }
  assert.deepEqual((await api.updateNeonAuthPhoneNumberPlugin(...place, phoneNumber)).data, phoneNumber)
  await assertRefused(api.updateNeonAuthPhoneNumberPlugin(...place, { otp_expires_in: 601 }), 400, /otp_expires_in/)

  const { oauth_providers: providers, ...plugins } = (await api.getNeonAuthPluginConfigs(...place)).data
  assert.deepEqual(plugins, {
    organization,
    magic_link: magicLink,
    phone_number: phoneNumber,
    email_provider: { type: 'shared' },
    email_and_password: changed,
    ...off,
  })
  assert.deepEqual(providers?.map((each) => each.id).toSorted(), ['github', 'google'])
})

test('a webhook is replaced as a whole', async () => {
  const place = [id, branchId] as const
  const none = { enabled: false, enabled_events: [], timeout_seconds: 5 }
  assert.deepEqual((await api.getNeonAuthWebhookConfig(...place)).data, none)
  const wanted = {
    enabled: true,
    webhook_url: 'https://hooks.example.com/auth',
    enabled_events: ['user.created' as const, 'send.otp' as const],
    timeout_seconds: 10,
  }
  assert.deepEqual((await api.updateNeonAuthWebhookConfig(...place, wanted)).data, wanted)
  assert.deepEqual((await api.getNeonAuthWebhookConfig(...place)).data, wanted)
  await assertRefused(api.updateNeonAuthWebhookConfig(...place, { enabled: true }), 400, /webhook_url is required/)
  const { enabled_events: _, ...silent } = wanted
  await assertRefused(api.updateNeonAuthWebhookConfig(...place, silent), 400, /enabled_events/)
  await assertRefused(api.updateNeonAuthWebhookConfig(...place, { ...wanted, timeout_seconds: 11 }), 400, /timeout/)
  const plain = { ...wanted, webhook_url: 'http://hooks.example.com/auth' }
  await assertRefused(api.updateNeonAuthWebhookConfig(...place, plain), 400, /webhook_url/)
  const secret = { ...wanted, webhook_url: 'https://user:password@hooks.example.com' }
  await assertRefused(api.updateNeonAuthWebhookConfig(...place, secret), 400, /credentials/)
  assert.deepEqual((await api.updateNeonAuthWebhookConfig(...place, { enabled: false })).data, none)
})

test('a shared provider that leads nowhere is refused, with what to set', async () => {
  await using plain = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DEV_IDP: 'off' } })
  const client = apiClient(plain)
  const there = await makeProject(plain)
  await client.createNeonAuth(there.id, there.branchId, { auth_provider: Provider.Stack })
  assert.deepEqual((await client.listNeonAuthOauthProviders(there.id)).data, { providers: [] })
  await assertRefused(client.addNeonAuthOauthProvider(there.id, { id: Id.Google }), 400, /PGROVE_AUTH_CONFIG/)
  await client.disableNeonAuth(there.id, there.branchId, {})
  await client.createNeonAuth(there.id, there.branchId, { auth_provider: Provider.Mock })
  const own = { id: Id.Google, client_id: 'a', client_secret: 'b' }
  await assertRefused(client.addNeonAuthOauthProvider(there.id, { id: Id.Google }), 400, /PGROVE_DEV_IDP/)
  assert.equal((await client.addNeonAuthOauthProvider(there.id, own)).data.type, 'standard')
})
