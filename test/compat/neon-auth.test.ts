// `@neondatabase/auth` and `@neondatabase/neon-js`, as they are, against a started server: from sign-up to sign-out.
//
// The clients keep the last session for a minute for the whole process; `fresh` has them ask, as their own documentation says.

import assert from 'node:assert/strict'
import { lookup } from 'node:dns/promises'
import { after, before, test } from 'node:test'
import { createAuthClient } from '@neondatabase/auth'
import { createClient } from '@neondatabase/neon-js'
import { NeonAuthSupportedAuthProvider as Provider } from '@neondatabase/api-client'
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { must } from '../support/accounts.ts'
import { CookieJar } from '../support/cookie-jar.ts'
import { eventually } from '../support/eventually.ts'
import { makeProject, type NeonApi, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const app = 'http://localhost:5173'
const password = 'correct horse battery'
const fresh = { fetchOptions: { headers: { 'X-Force-Fetch': 'true' } } }
const realFetch = globalThis.fetch

let server: TestServer
let api: NeonApi
let project: TestProject
let baseUrl = ''
let count = 0

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
  project = await makeProject(server)
  const { data } = await api.createNeonAuth(project.id, project.branchId, { auth_provider: Provider.BetterAuth })
  baseUrl = data.base_url ?? ''
  await must(server, 'PATCH', `${auth()}/plugins/magic-link`, { enabled: true })
  await must(server, 'PATCH', `${auth()}/plugins/organization`, { enabled: true, send_invitation_email: true })
})
after(async () => {
  globalThis.fetch = realFetch
  await using _ = server
  await assertQuiet(server)
})

const auth = (): string => `/projects/${project.id}/branches/${project.branchId}/auth`
const newEmail = (): string => `person${++count}@example.com`

/** A browser that looks at the app: one at a time, as the clients know one only. */
function browse(url = baseUrl) {
  const jar = new CookieJar()
  const use = (): void => {
    globalThis.fetch = jar.fetchFrom(app)
  }
  use()
  return { jar, use, client: createAuthClient(url) }
}

type Client = ReturnType<typeof browse>['client']

async function signedUp(
  url = baseUrl,
  email = newEmail(),
): Promise<ReturnType<typeof browse> & { email: string; id: string }> {
  const browser = browse(url)
  await browser.client.signOut().catch(() => {})
  const { data, error } = await browser.client.signUp.email({ email, password, name: 'Ada' })
  assert.equal(error, null)
  return { ...browser, email, id: data?.user.id ?? '' }
}

async function session(client: Client) {
  const { data } = await client.getSession(fresh)
  return data
}

async function mailTo(email: string, kind: string): Promise<{ text: string; links: string[] }> {
  return await eventually(`a mail of kind ${kind} to ${email}`, async () => {
    const { mails } = (await must(server, 'GET', `${auth()}/mailbox`)) as {
      mails: { to: string; kind: string; text: string; links: string[] }[]
    }
    return mails.find((mail) => mail.to === email && mail.kind === kind)
  })
}

const codeIn = ({ text }: { text: string }): string => /\b(\d{6})\b/.exec(text)?.[1] ?? ''

/** As a mail program opens it: without the cookies of any page. Where the browser lands. */
async function open(link: string): Promise<URL> {
  const response = await realFetch(link, { redirect: 'manual' })
  return new URL(response.headers.get('location') ?? 'none:', link)
}

async function signUpToSignOut(url: string): Promise<void> {
  const { client, id, email, jar } = await signedUp(url)
  assert.deepEqual([...jar.cookies.keys()], ['__Secure-neon-auth.session_token'])
  const held = await session(client)
  assert.equal(held?.user.id, id)
  const token = held?.session.token ?? ''
  const { payload, protectedHeader } = await jwtVerify(
    token,
    createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`)),
    { issuer: new URL(url).origin, audience: new URL(url).origin },
  )
  assert.equal(protectedHeader.alg, 'EdDSA')
  assert.equal(payload.sub, id)
  assert.equal(payload['role'], 'authenticated')
  assert.equal(payload['email'], email)
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 900)

  assert.equal((await client.updateUser({ name: 'Ada Lovelace' })).error, null)
  assert.equal((await session(client))?.user.name, 'Ada Lovelace')

  assert.equal((await client.signOut()).error, null)
  assert.equal(await session(client), null)
  await assert.rejects(client.signIn.email({ email, password: 'wrong password' }), /invalid/i).catch(async () => {
    assert.ok((await client.signIn.email({ email, password: 'wrong password' })).error)
  })
  assert.equal((await client.signIn.email({ email, password })).error, null)
  assert.equal((await session(client))?.user.id, id)
  await client.signOut()
}

test('signs up, holds a session with a token that others can verify, and signs out', async () => {
  await signUpToSignOut(baseUrl)
})

test('the user is in the app’s own database', async () => {
  const { id, email } = await signedUp()
  const rows = await query(
    project.uri,
    'SELECT email, name, signed_in_at IS NOT NULL AS is_in FROM neon_auth.users_sync WHERE id = $1',
    [id],
  )
  assert.deepEqual(rows, [{ email, name: 'Ada', is_in: true }])
})

test('tokens: of whoever is signed in, and of nobody', async () => {
  const { client, id, jar } = await signedUp()
  const answer = await jar.fetchFrom(app)(`${baseUrl}/token`)
  const { token } = (await answer.json()) as { token: string }
  assert.equal(decodeJwt(token).sub, id)
  await client.signOut()
  const { data } = await client.getAnonymousToken()
  assert.equal(decodeJwt(data?.token ?? '')['role'], 'anonymous')
  assert.equal(decodeJwt(data?.token ?? '').exp, data?.expires_at)
})

test('sessions are listed and revoked; a new password ends the others', async () => {
  const first = await signedUp()
  const second = browse()
  assert.equal((await second.client.signIn.email({ email: first.email, password })).error, null)
  assert.equal((await second.client.listSessions()).data?.length, 2)
  assert.equal((await second.client.revokeOtherSessions()).error, null)
  first.use()
  assert.equal(await session(first.client), null)
  assert.equal((await first.client.signIn.email({ email: first.email, password })).error, null)
  const changed = await first.client.changePassword({ currentPassword: password, newPassword: 'another horse!' })
  assert.equal(changed.error, null)
  assert.ok(await session(first.client))
  second.use()
  assert.equal(await session(second.client), null)
})

test('a code from a mail signs in', async () => {
  const email = newEmail()
  const { client } = browse()
  assert.equal((await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' })).error, null)
  const otp = codeIn(await mailTo(email, 'sign_in_code'))
  assert.equal((await client.signIn.emailOtp({ email, otp })).error, null)
  assert.equal((await session(client))?.user.email, email)
  await client.signOut()
})

test('a link from a mail brings the session to the page that asked for it', async () => {
  const email = newEmail()
  const { client, jar } = browse()
  assert.equal((await client.signIn.magicLink({ email, callbackURL: `${app}/welcome` })).error, null)
  const [link = ''] = (await mailTo(email, 'magic_link')).links
  const landed = await open(link)
  assert.equal(landed.origin + landed.pathname, `${app}/welcome`)
  // As the client does in a browser, where it reads the address.
  const verifier = landed.searchParams.get('neon_auth_session_verifier') ?? ''
  const response = await jar.fetchFrom(app)(`${baseUrl}/get-session?neon_auth_session_verifier=${verifier}`)
  const held = (await response.json()) as { user: { email: string; emailVerified: boolean } }
  assert.deepEqual([held.user.email, held.user.emailVerified], [email, true])
  assert.equal((await session(client))?.user.email, email)
  await client.signOut()
})

test('a forgotten password is replaced by whoever reads the mail', async () => {
  const { client, email } = await signedUp()
  assert.equal((await client.requestPasswordReset({ email, redirectTo: `${app}/reset` })).error, null)
  const [link = ''] = (await mailTo(email, 'password_reset')).links
  const token = (await open(link)).searchParams.get('token') ?? ''
  assert.equal((await client.resetPassword({ token, newPassword: 'a third horse' })).error, null)
  assert.equal(await session(client), null)
  assert.equal((await client.signIn.email({ email, password: 'a third horse' })).error, null)
  await client.signOut()
})

test('an address is verified by a link, or by a code, as the settings say', async () => {
  const settings = `${auth()}/email_and_password`
  await must(server, 'PATCH', settings, { require_email_verification: true, send_verification_email_on_sign_up: true })
  const byLink = await signedUp()
  assert.equal(await session(byLink.client), null)
  const refused = await byLink.client.signIn
    .email({ email: byLink.email, password })
    .catch((error: unknown) => ({ error }))
  assert.ok(refused.error)
  const [link = ''] = (await mailTo(byLink.email, 'verification_link')).links
  await open(link)
  assert.equal((await byLink.client.signIn.email({ email: byLink.email, password })).error, null)
  assert.equal((await session(byLink.client))?.user.emailVerified, true)
  await byLink.client.signOut()

  await must(server, 'PATCH', settings, { email_verification_method: 'otp' })
  const byCode = await signedUp()
  const otp = codeIn(await mailTo(byCode.email, 'verification_code'))
  assert.equal((await byCode.client.emailOtp.verifyEmail({ email: byCode.email, otp })).error, null)
  assert.equal((await session(byCode.client))?.user.emailVerified, true)
  await must(server, 'PATCH', settings, {
    require_email_verification: false,
    send_verification_email_on_sign_up: false,
    email_verification_method: 'link',
  })
  await byCode.client.signOut()
})

test('organizations: made, invited to, joined, and named in the token', async () => {
  const owner = await signedUp()
  const slug = `engines-${count}`
  const { data: made } = await owner.client.organization.create({ name: 'Engines', slug })
  const organizationId = made?.id ?? ''
  await owner.client.organization.setActive({ organizationId })
  const guestEmail = newEmail()
  const invited = await owner.client.organization.inviteMember({ email: guestEmail, role: 'member', organizationId })
  assert.equal(invited.error, null)
  const [link = ''] = (await mailTo(guestEmail, 'invitation')).links
  assert.equal(new URL(link).origin, app)
  const invitationId = new URL(link).searchParams.get('invitationId') ?? ''
  assert.deepEqual(decodeJwt((await session(owner.client))?.session.token ?? '')['o'], {
    id: organizationId,
    slug,
    role: 'owner',
  })

  const guest = await signedUp(baseUrl, guestEmail)
  assert.equal((await guest.client.organization.acceptInvitation({ invitationId })).error, null)
  assert.deepEqual(
    (await guest.client.organization.list()).data?.map(({ id }) => id),
    [organizationId],
  )
  await guest.client.organization.setActive({ organizationId })
  assert.deepEqual(decodeJwt((await session(guest.client))?.session.token ?? '')['o'], {
    id: organizationId,
    slug,
    role: 'member',
  })
  assert.equal((await guest.client.organization.getFullOrganization()).data?.members.length, 2)
  await guest.client.signOut()
})

test('administration is for whom the management API has made an administrator', async () => {
  const { client, id, jar } = await signedUp()
  const list = async (): Promise<number> => (await jar.fetchFrom(app)(`${baseUrl}/admin/list-users`)).status
  assert.equal(await list(), 403)
  await must(server, 'PUT', `${auth()}/users/${id}/role`, { roles: ['admin'] })
  assert.equal(await list(), 200)
  assert.equal(decodeJwt((await session(client))?.session.token ?? '')['role'], 'authenticated')
  await client.signOut()
})

/** As a person fills in the page of the provider. */
async function agree(url: string, person: { email: string; name: string }): Promise<Response> {
  const page = await realFetch(url)
  const html = await page.text()
  const request = /name="request" value="([^"]*)"/.exec(html)?.[1]?.replaceAll('&amp;', '&') ?? ''
  const body = new URLSearchParams({ ...person, request, verified: 'on', decision: 'allow' })
  const action = new URL(page.url)
  return await realFetch(action.origin + action.pathname, { method: 'POST', redirect: 'manual', body })
}

test('signs in with the provider of this machine, and comes back with a session', async () => {
  await must(server, 'POST', `${auth()}/oauth_providers`, { id: 'google' }).catch(() => {})
  const { client, jar } = browse()
  const { data, error } = await client.signIn.social({
    provider: 'google',
    callbackURL: `${app}/in`,
    disableRedirect: true,
  })
  assert.equal(error, null)
  const email = newEmail()
  const agreed = await agree(data?.url ?? '', { email, name: 'Grace' })
  const back = agreed.headers.get('location') ?? ''
  assert.ok(back.startsWith(`${baseUrl}/callback/google`), `${agreed.status} ${await agreed.text()} ${back}`)
  const ended = await realFetch(back, { redirect: 'manual' })
  assert.deepEqual(
    ended.headers.getSetCookie().filter((cookie) => cookie.includes('session_token')),
    [],
    'not for whoever comes along',
  )
  const landed = new URL(ended.headers.get('location') ?? '')
  assert.equal(landed.origin + landed.pathname, `${app}/in`, landed.href)
  const verifier = landed.searchParams.get('neon_auth_session_verifier') ?? ''
  assert.equal(await (await realFetch(`${baseUrl}/get-session?neon_auth_session_verifier=x`)).text(), 'null')
  const exchanged = await jar.fetchFrom(app)(`${baseUrl}/get-session?neon_auth_session_verifier=${verifier}`)
  const held = (await exchanged.json()) as { user: { email: string } }
  assert.equal(held.user.email, email)
  assert.equal((await session(client))?.user.email, email)
  assert.equal(
    (await realFetch(back, { redirect: 'manual' })).headers.get('location')?.includes('error='),
    true,
    'replayed',
  )
  await client.signOut()
})

test('neon-js has the same client, and its token for the Data API', async () => {
  const jar = new CookieJar()
  globalThis.fetch = jar.fetchFrom(app)
  const client = createClient({ auth: { url: baseUrl }, dataApi: { url: `${server.origin}/rest/v1` } })
  const email = newEmail()
  const { data, error } = await client.auth.signUp.email({ email, password, name: 'Ada' })
  assert.equal(error, null)
  const held = await client.auth.getSession(fresh)
  assert.equal(decodeJwt(held.data?.session.token ?? '').sub, data?.user.id)
  await client.auth.signOut()
})

test('a sleeping database is woken by whoever signs in', async () => {
  const { client, email } = await signedUp()
  await client.signOut()
  await must(server, 'POST', `/projects/${project.id}/endpoints/${project.endpointId}/suspend`)
  await eventually('the compute to sleep', async () => {
    const { endpoint } = (await must(server, 'GET', `/projects/${project.id}/endpoints/${project.endpointId}`)) as {
      endpoint: { current_state: string }
    }
    return endpoint.current_state === 'idle'
  })
  assert.equal((await realFetch(`${baseUrl}/.well-known/jwks.json`)).status, 200)
  assert.equal(await (await realFetch(`${baseUrl}/get-session`)).text(), 'null')
  const asleep = (await must(server, 'GET', `/projects/${project.id}/endpoints/${project.endpointId}`)) as {
    endpoint: { current_state: string }
  }
  assert.equal(asleep.endpoint.current_state, 'idle', 'neither of them wakes it')
  assert.equal((await client.signIn.email({ email, password })).error, null)
  assert.ok(await session(client))
  await client.signOut()
})

test('by the host of an endpoint as well, where such names lead here', async (t) => {
  const { endpointId, database } = project
  const host = `${endpointId}.neonauth.localhost`
  const [address] = await lookup(host, { all: true }).catch(() => [])
  if (address?.address !== '127.0.0.1') return t.skip(`${host} does not resolve`)
  const origin = `http://${host}:${server.httpPort}`
  assert.equal((await realFetch(`${origin}/.well-known/jwks.json`)).status, 200)
  const { client, id } = await signedUp(`${origin}/${database}/auth`)
  const held = await session(client)
  assert.equal(held?.user.id, id)
  assert.equal(decodeJwt(held?.session.token ?? '').sub, id)
  await client.signOut()
})
