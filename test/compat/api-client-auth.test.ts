// The official client, unmodified, through every operation of sign-in: those of a branch, then the older ones of its project.

import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import type { AddressInfo } from 'node:net'
import {
  NeonAuthEmailVerificationMethod,
  NeonAuthOauthProviderId as Id,
  NeonAuthSupportedAuthProvider as Provider,
  type Api,
} from '@neondatabase/api-client'
import { SMTPServer } from 'smtp-server'
import { handlers } from '../../src/api/handlers.ts'
import { makeProject, refusal } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: Api<unknown>
const called = new Set<string>()

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = new Proxy(apiClient(server), {
    get(target, name) {
      if (typeof name === 'string') called.add(name)
      return Reflect.get(target, name) as unknown
    },
  })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const stack = { auth_provider: Provider.Stack }
const own = { client_id: 'mine', client_secret: 'hidden' }
const smtp = { username: 'mailer', password: 'secret', sender_email: 'app@example.com', sender_name: 'My App' }

/** Takes mail from whoever knows the password. */
async function mailServer(t: TestContext): Promise<{ port: number; mails: string[] }> {
  const mails: string[] = []
  const smtpServer = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, callback) =>
      username === smtp.username && password === smtp.password
        ? callback(null, { user: username })
        : callback(new Error('wrong')),
    onData(stream, { envelope }, callback) {
      mails.push(...envelope.rcptTo.map(({ address }) => address))
      stream.resume().on('end', () => callback())
    },
  })
  await new Promise<void>((resolve) => smtpServer.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise<void>((resolve) => smtpServer.close(resolve)))
  return { port: (smtpServer.server.address() as AddressInfo).port, mails }
}

test("a branch's sign-in", async (t) => {
  const { id, branchId } = await makeProject(server)
  const place = [id, branchId] as const
  assert.equal((await refusal(api.getNeonAuth(...place))).status, 404)
  const { data: made } = await api.createNeonAuth(...place, { auth_provider: Provider.BetterAuth })
  assert.equal((await api.getNeonAuth(...place)).data.base_url, made.base_url)
  await api.updateNeonAuthConfig(...place, { name: 'My App' })

  await api.addBranchNeonAuthOauthProvider(...place, { id: Id.Github, ...own })
  await api.updateBranchNeonAuthOauthProvider(...place, Id.Github, { client_id: 'other' })
  const { providers } = (await api.listBranchNeonAuthOauthProviders(...place)).data
  assert.deepEqual(
    providers.map((provider) => [provider.id, provider.type]),
    [
      ['google', 'shared'],
      ['github', 'standard'],
    ],
  )
  await api.deleteBranchNeonAuthOauthProvider(...place, Id.Github)

  const domain = { domain: 'https://app.example.com', auth_provider: Provider.BetterAuth }
  await api.addBranchNeonAuthTrustedDomain(...place, domain)
  assert.deepEqual((await api.listBranchNeonAuthTrustedDomains(...place)).data.domains, [domain])
  await api.deleteBranchNeonAuthTrustedDomain(...place, {
    auth_provider: Provider.BetterAuth,
    domains: [{ domain: domain.domain }],
  })

  const { port, mails } = await mailServer(t)
  const host = { host: '127.0.0.1', port, ...smtp }
  const recipient = { recipient_email: 'somebody@example.com' }
  await api.updateNeonAuthEmailProvider(...place, { type: 'standard', ...host })
  // As it is read, without its password.
  const { data: stored } = await api.getNeonAuthEmailProvider(...place)
  assert.ok(stored.type === 'standard')
  assert.deepEqual((await api.sendNeonAuthTestEmail(...place, { ...stored, ...recipient })).data, { success: true })
  assert.deepEqual(mails, [recipient.recipient_email])
  const { data: failed } = await api.sendNeonAuthTestEmail(...place, { ...host, ...recipient, password: 'wrong' })
  assert.equal(failed.success, false)
  assert.match(failed.error_message ?? '', /password/)

  const method = { email_verification_method: NeonAuthEmailVerificationMethod.Otp }
  await api.updateNeonAuthEmailAndPasswordConfig(...place, method)
  assert.equal((await api.getNeonAuthEmailAndPasswordConfig(...place)).data.email_verification_method, 'otp')
  await api.updateNeonAuthAllowLocalhost(...place, { allow_localhost: false })
  assert.equal((await api.getNeonAuthAllowLocalhost(...place)).data.allow_localhost, false)
  await api.updateNeonAuthOrganizationPlugin(...place, { membership_limit: 5 })
  await api.updateNeonAuthMagicLinkPlugin(...place, { enabled: true, expires_in: 10 })
  await api.updateNeonAuthPhoneNumberPlugin(...place, { enabled: true })
  assert.equal((await api.getNeonAuthPhoneNumberPlugin(...place)).data.enabled, true)
  const { data: plugins } = await api.getNeonAuthPluginConfigs(...place)
  assert.equal(plugins.organization?.membership_limit, 5)
  assert.equal(plugins.magic_link?.expires_in, 10)
  const webhook = {
    enabled: true,
    webhook_url: 'https://hooks.example.com',
    enabled_events: ['organization.invitation.created' as const],
  }
  await api.updateNeonAuthWebhookConfig(...place, webhook)
  assert.deepEqual((await api.getNeonAuthWebhookConfig(...place)).data, { ...webhook, timeout_seconds: 5 })

  const { data: user } = await api.createBranchNeonAuthNewUser(...place, { email: 'somebody@example.com' })
  assert.deepEqual((await api.updateNeonAuthUserRole(...place, user.id, { roles: ['admin'] })).data, { id: user.id })
  assert.equal((await api.deleteBranchNeonAuthUser(...place, user.id)).status, 204)
  assert.equal((await api.disableNeonAuth(...place, { delete_data: true })).status, 200)
})

test("a project's sign-in, by the older routes", async () => {
  const { id, branchId, database } = await makeProject(server)
  const wanted = { ...stack, project_id: id, branch_id: branchId, database_name: database }
  const { data: made } = await api.createNeonAuthIntegration(wanted)
  assert.match(made.pub_client_key, /^pck_/)
  const { data: keys } = await api.createNeonAuthProviderSdkKeys({ ...stack, project_id: id })
  assert.notEqual(keys.pub_client_key, made.pub_client_key)
  const [shown] = (await api.listNeonAuthIntegrations(id)).data.data
  assert.equal(shown?.auth_provider_project_id, made.auth_provider_project_id)
  assert.equal((await refusal(api.transferNeonAuthProviderProject({ ...stack, project_id: id }))).status, 422)

  const { data: user } = await api.createNeonAuthNewUser({ ...stack, project_id: id, email: 'a@example.com' })
  assert.equal((await api.deleteNeonAuthUser(id, user.id)).status, 204)
  await api.addNeonAuthOauthProvider(id, { id: Id.Microsoft, ...own, microsoft_tenant_id: 'contoso.example' })
  await api.updateNeonAuthOauthProvider(id, Id.Microsoft, { client_secret: 'newer' })
  assert.equal((await api.listNeonAuthOauthProviders(id)).data.providers.length, 3)
  await api.deleteNeonAuthOauthProvider(id, Id.Microsoft)
  const domain = { domain: 'https://*.preview.app', ...stack }
  await api.addNeonAuthDomainToRedirectUriWhitelist(id, domain)
  assert.deepEqual((await api.listNeonAuthRedirectUriWhitelistDomains(id)).data.domains, [domain])
  const domains = [{ domain: domain.domain }]
  await api.deleteNeonAuthDomainFromRedirectUriWhitelist(id, { ...stack, domains })
  const sender = { type: 'shared' as const, sender_email: 'app@example.com', sender_name: 'My App' }
  await api.updateNeonAuthEmailServer(id, sender)
  assert.deepEqual((await api.getNeonAuthEmailServer(id)).data, sender)
  assert.equal((await api.deleteNeonAuthIntegration(id, Provider.Stack, {})).status, 200)
  assert.equal((await refusal(api.deleteNeonAuthIntegration(id, Provider.Stack, {}))).status, 404)
})

const spelled = (name: string): string => name.toLowerCase()

test('nothing of it was left out', () => {
  const asked = new Set([...called].map(spelled))
  const written = Object.keys(handlers).filter((name) => name.includes('NeonAuth'))
  assert.equal(written.length, 44)
  assert.deepEqual(
    written.filter((name) => !asked.has(spelled(name))),
    [],
  )
})
