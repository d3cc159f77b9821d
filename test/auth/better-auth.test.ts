// What may be set on an integration, as Better Auth's surface has it; and the tenant's server, that is asked and told.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, beforeEach, test } from 'node:test'
import type { AuthEventType } from '../../src/model/auth.ts'
import { CookieJar } from '../support/cookie-jar.ts'
import { makeTarget, openSurface, type SurfaceChange, type TestSurface } from '../support/auth-surface.ts'

const app = 'https://app.example.com'
const password = 'correct horse battery'

type Asked = { event_type: string; user: Record<string, unknown>; event_data: Record<string, unknown> }

let surface: TestSurface
let count = 0
const asked: Asked[] = []
let verdict: { status: number; body: unknown } = { status: 200, body: { allowed: true } }
const tenant = createServer((request, response) => {
  void text(request).then((body) => {
    asked.push(JSON.parse(body) as Asked)
    response.writeHead(verdict.status, { 'content-type': 'application/json' }).end(JSON.stringify(verdict.body))
  })
})

before(async () => {
  tenant.listen(0, '127.0.0.1')
  await once(tenant, 'listening')
  surface = await openSurface()
})
after(async () => {
  tenant.closeAllConnections()
  tenant.close()
  await surface?.[Symbol.asyncDispose]()
})
beforeEach(async () => {
  surface.change({ target: await makeTarget(surface.baseUrl) })
  surface.mails.length = 0
  surface.events.length = 0
  asked.length = 0
  verdict = { status: 200, body: { allowed: true } }
})

type Answer = { status: number; headers: Headers; body: Record<string, unknown>; text: string }

async function call(path: string, body?: unknown, jar = new CookieJar()): Promise<Answer> {
  const response = await jar.fetchFrom(app)(surface.baseUrl + path, {
    ...(body !== undefined && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  })
  const content = await response.text()
  const isJson = content !== '' && response.headers.get('content-type')?.includes('json') === true
  return {
    status: response.status,
    headers: response.headers,
    text: content,
    body: isJson ? (JSON.parse(content) ?? {}) : {},
  }
}

const set = (settings: NonNullable<SurfaceChange['settings']>): void => surface.change({ settings })
const listens = (...events: AuthEventType[]): void =>
  set((settings) => {
    const url = `http://127.0.0.1:${(tenant.address() as AddressInfo).port}/hook`
    settings.webhooks = { enabled: true, url, privateAllowed: true, events, timeoutSeconds: 5 }
  })
const newEmail = (): string => `set${++count}@example.com`
const signUp = (email = newEmail(), jar = new CookieJar()): Promise<Answer> =>
  call('/sign-up/email', { email, password, name: 'Ada' }, jar)
const lastLink = (): string =>
  /https?:\/\/\S+/.exec(surface.mails.at(-1)?.text ?? '')?.[0].slice(surface.baseUrl.length) ?? ''
const lastCode = (): string => /: (\d{6})\n/.exec(surface.mails.at(-1)?.text ?? '')?.[1] ?? ''
const isKnown = async (email: string): Promise<boolean> =>
  (await surface.client.query(`SELECT 1 FROM "user" WHERE "email" = $1`, [email])).rowCount === 1

test('no sign-up where it is switched off, by none of the ways', async () => {
  set(({ emailAndPassword, magicLink }) => {
    emailAndPassword.disableSignUp = true
    magicLink.disableSignUp = true
  })
  const email = newEmail()
  assert.equal((await signUp(email)).status, 400)
  await call('/email-otp/send-verification-otp', { email, type: 'sign-in' })
  assert.equal(surface.mails.length, 0)
  await call('/sign-in/magic-link', { email, callbackURL: app })
  if (surface.mails.length > 0) await call(lastLink())
  assert.ok(!(await isKnown(email)))
})

test('what is switched off is not there', async () => {
  const jar = new CookieJar()
  await signUp(newEmail(), jar)
  set(({ emailAndPassword, magicLink, organization, phoneNumber }) => {
    emailAndPassword.enabled = false
    magicLink.enabled = false
    organization.enabled = false
    phoneNumber.enabled = false
  })
  assert.equal((await signUp()).status, 400)
  assert.equal((await call('/sign-in/email', { email: newEmail(), password })).status, 400)
  for (const path of [
    '/sign-in/magic-link',
    '/organization/create',
    '/phone-number/send-otp',
    '/email-otp/send-verification-otp',
    '/sign-in/email-otp',
  ]) {
    assert.equal((await call(path, { email: newEmail() }, jar)).status, 404, path)
  }
})

test('nobody comes in before his address is verified, where that is asked; by a link he comes in with it, where that is set', async () => {
  set(({ emailAndPassword }) => {
    emailAndPassword.requireVerification = true
    emailAndPassword.sendVerificationOnSignIn = true
  })
  const email = newEmail()
  const up = await signUp(email)
  assert.equal(up.body['token'], null)
  assert.deepEqual(up.headers.getSetCookie(), [])
  assert.deepEqual(
    surface.mails.map(({ kind, to }) => [kind, to]),
    [['verification_link', email]],
  )
  assert.equal((await call('/sign-in/email', { email, password })).body['code'], 'EMAIL_NOT_VERIFIED')
  assert.equal(surface.mails.length, 2)
  const link = lastLink()
  const jar = new CookieJar()
  await call(link, undefined, jar)
  assert.equal(((await call('/get-session', undefined, jar)).body['user'] as { email: string }).email, email)
  const again = new CookieJar()
  await call(link, undefined, again)
  assert.equal(again.cookies.size, 0, 'the link signs in once')

  set(({ emailAndPassword }) => (emailAndPassword.autoSignInAfterVerification = false))
  const other = newEmail()
  await signUp(other)
  const stays = new CookieJar()
  await call(lastLink(), undefined, stays)
  assert.equal(stays.cookies.size, 0)
  assert.equal((await call('/sign-in/email', { email: other, password })).status, 200)
})

test('codes in place of links, where that is set', async () => {
  set(({ emailAndPassword }) => {
    emailAndPassword.requireVerification = true
    emailAndPassword.verificationMethod = 'otp'
  })
  const email = newEmail()
  await signUp(email)
  assert.deepEqual(
    surface.mails.map(({ kind }) => kind),
    ['verification_code'],
  )
  const jar = new CookieJar()
  assert.equal((await call('/email-otp/verify-email', { email, otp: lastCode() }, jar)).status, 200)
  assert.equal((await call('/sign-in/email', { email, password })).status, 200)
})

test('organizations have their bounds and their first role', async () => {
  set(({ organization }) => {
    organization.organizationLimit = 1
    organization.membershipLimit = 1
    organization.creatorRole = 'admin'
    organization.sendInvitationEmail = false
  })
  const jar = new CookieJar()
  await signUp(newEmail(), jar)
  const made = await call('/organization/create', { name: 'One', slug: `one${count}` }, jar)
  assert.equal((made.body['members'] as { role: string }[])[0]?.role, 'admin')
  assert.equal((await call('/organization/create', { name: 'Two', slug: `two${count}` }, jar)).status, 403)
  const guest = { email: newEmail(), role: 'member', organizationId: made.body['id'] }
  const invited = await call('/organization/invite-member', guest, jar)
  assert.equal(invited.status, 200)
  assert.equal(surface.mails.length, 0)
  const guests = new CookieJar()
  await signUp(guest.email, guests)
  const accepted = await call('/organization/accept-invitation', { invitationId: invited.body['id'] }, guests)
  assert.equal(accepted.status, 403)
})

test('the tenant’s server is asked before there is a user; without its word there is none', async () => {
  listens('user.before_create')
  const email = newEmail()
  verdict = { status: 200, body: { allowed: false, error_message: 'only our own', error_code: 'NOT_OURS' } }
  const denied = await signUp(email)
  assert.deepEqual([denied.status, denied.body], [403, { code: 'NOT_OURS', message: 'only our own' }])
  assert.equal(asked[0]?.event_type, 'user.before_create')
  assert.equal(asked[0]?.user['email'], email)
  assert.deepEqual(asked[0]?.event_data['auth_provider'], 'credential')
  assert.equal(asked[0]?.event_data['ip_address'], '203.0.113.7')
  for (const silent of [
    { status: 500, body: {} },
    { status: 200, body: {} },
  ]) {
    verdict = silent
    assert.equal((await signUp(email)).status, 503)
  }
  set(({ emailAndPassword }) => (emailAndPassword.requireVerification = true))
  verdict = { status: 200, body: { allowed: false } }
  assert.equal((await signUp(email)).status, 403, 'no pretence of success')
  await call('/sign-in/magic-link', { email, callbackURL: `${app}/in`, errorCallbackURL: `${app}/oops` })
  const back = new URL((await call(lastLink())).headers.get('location') ?? '')
  assert.deepEqual([back.pathname, back.searchParams.get('error')], ['/oops', 'SIGN_UP_REJECTED'])
  assert.ok(!(await isKnown(email)))
  verdict = { status: 200, body: { allowed: true } }
  assert.equal((await signUp(email)).status, 200)
  assert.ok(await isKnown(email))
})

test('the tenant’s server sends codes and links in our place, and then we do not', async () => {
  listens('send.otp', 'send.magic_link')
  const email = newEmail()
  await call('/email-otp/send-verification-otp', { email, type: 'sign-in' })
  const jar = new CookieJar()
  assert.equal((await call('/sign-in/email-otp', { email, otp: asked[0]?.event_data['otp_code'] }, jar)).status, 200)
  await call('/sign-in/magic-link', { email, callbackURL: app })
  const link = String(asked[1]?.event_data['link_url']).slice(surface.baseUrl.length)
  assert.equal((await call(link)).status, 302)
  assert.equal(surface.mails.length, 0)
  verdict = { status: 500, body: {} }
  assert.equal((await call('/email-otp/send-verification-otp', { email, type: 'sign-in' })).status, 503)
  assert.equal(surface.mails.length, 0)
})

test('phones are reached by the tenant’s server or not at all', async () => {
  const phoneNumber = '+4930123456'
  const refused = await call('/phone-number/send-otp', { phoneNumber })
  assert.deepEqual([refused.status, refused.body['code']], [501, 'PHONE_DELIVERY_NOT_CONFIGURED'])
  listens('send.otp', 'phone_number.verified')
  assert.equal((await call('/phone-number/send-otp', { phoneNumber })).status, 200)
  assert.deepEqual([asked[0]?.user['phone_number'], asked[0]?.event_data['delivery_preference']], [phoneNumber, 'sms'])
  const jar = new CookieJar()
  const code = asked[0]?.event_data['otp_code']
  const verified = await call('/phone-number/verify', { phoneNumber, code }, jar)
  assert.equal(verified.status, 200, verified.text)
  assert.equal(
    ((await call('/get-session', undefined, jar)).body['user'] as { phoneNumber: string }).phoneNumber,
    phoneNumber,
  )
  assert.ok(surface.events.some(({ type }) => type === 'phone_number.verified'))
  const sms = await surface.client.query(
    `SELECT raw_json ->> 'primary_email' AS email FROM neon_auth.users_sync ORDER BY created_at DESC LIMIT 1`,
  )
  assert.deepEqual(sms.rows, [{ email: null }], 'an address that nobody has is not shown')
})

test('invitations and joinings are told to whoever listens', async () => {
  listens('organization.invitation.created', 'organization.invitation.accepted')
  const [owner, guest] = [new CookieJar(), new CookieJar()]
  await signUp(newEmail(), owner)
  const made = await call('/organization/create', { name: 'Told', slug: `told${count}` }, owner)
  const email = newEmail()
  const invited = await call(
    '/organization/invite-member',
    { email, role: 'member', organizationId: made.body['id'] },
    owner,
  )
  await signUp(email, guest)
  await call('/organization/accept-invitation', { invitationId: invited.body['id'] }, guest)
  const told = surface.events.filter(({ type }) => type.startsWith('organization.'))
  assert.deepEqual(
    told.map(({ type }) => type),
    ['organization.invitation.created', 'organization.invitation.accepted'],
  )
})

test('Neon’s names for things are known', async () => {
  const jar = new CookieJar()
  const email = newEmail()
  await signUp(email, jar)
  const other = new CookieJar()
  await call('/sign-in/email', { email, password }, other)
  assert.equal((await call('/revoke-all-sessions', {}, jar)).status, 200)
  assert.equal((await call('/get-session', undefined, other)).text, 'null')
  assert.notEqual((await call('/get-session', undefined, jar)).text, 'null')
  assert.notEqual((await call('/get-access-token?providerId=google', undefined, jar)).status, 404)
  assert.equal((await call('/ok')).status, 200)
  const schema = await call('/open-api/generate-schema')
  assert.ok(Object.keys(schema.body['paths'] as object).length > 50)
})

test('an address is changed by who has the old one and the new one', async () => {
  const jar = new CookieJar()
  const [before, next] = [newEmail(), newEmail()]
  await signUp(before, jar)
  await surface.client.query(`UPDATE "user" SET "emailVerified" = true WHERE "email" = $1`, [before])
  assert.equal((await call('/change-email', { newEmail: next, callbackURL: app }, jar)).status, 200)
  assert.deepEqual(
    surface.mails.map(({ kind, to }) => [kind, to]),
    [['email_change', before]],
  )
  await call(lastLink())
  assert.deepEqual(surface.mails.map(({ kind, to }) => [kind, to]).at(-1), ['verification_link', next])
  assert.ok(!(await isKnown(next)))
  await call(lastLink())
  assert.ok(await isKnown(next))
})
