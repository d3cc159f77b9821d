// The defences of Better Auth's surface, one claim each: what a hostile visitor, page or app tries, and gets nothing by.

import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { after, before, beforeEach, test } from 'node:test'
import { betterAuth } from 'better-auth'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { options } from '../../src/auth/better-auth/engine.ts'
import { kindOf } from '../../src/auth/better-auth/guards.ts'
import { AuthLimits } from '../../src/auth/limits.ts'
import { publicKeySet, signToken, verifyToken } from '../../src/auth/tokens.ts'
import { AppError } from '../../src/model/errors.ts'
import { startAuthWebhook } from '../support/auth-webhook.ts'
import { CookieJar } from '../support/cookie-jar.ts'
import { eventually } from '../support/eventually.ts'
import { makeTarget, openSurface, type TestSurface } from '../support/auth-surface.ts'

const app = 'https://app.example.com'
const evil = 'https://evil.example.net'
const password = 'correct horse battery'

let surface: TestSurface
let count = 0

before(async () => {
  surface = await openSurface()
})
after(async () => {
  await surface?.[Symbol.asyncDispose]()
})
beforeEach(async () => {
  surface.change({ target: await makeTarget(surface.baseUrl) })
  surface.mails.length = 0
  surface.defects.length = 0
})

type Answer = { status: number; headers: Headers; body: Record<string, unknown> | null; text: string }

async function call(
  path: string,
  body?: unknown,
  {
    jar = new CookieJar(),
    origin = app,
    headers = {},
  }: { jar?: CookieJar; origin?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await jar.fetchFrom(origin)(surface.baseUrl + path, {
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? JSON.parse(text) : null,
  }
}

const newEmail = (): string => `user${++count}@example.com`

async function signUp(more: Record<string, unknown> = {}): Promise<{ jar: CookieJar; email: string; id: string }> {
  const jar = new CookieJar()
  const email = newEmail()
  const { status, body, text } = await call('/sign-up/email', { email, password, name: 'Ada', ...more }, { jar })
  assert.equal(status, 200, text)
  return { jar, email, id: (body as { user: { id: string } }).user.id }
}

const sessionOf = async (
  jar: CookieJar,
): Promise<{ user: { id: string; role: string }; session: { token: string } } | null> =>
  (await call('/get-session', undefined, { jar })).body as never

const lastLink = (): URL => new URL(/https?:\/\/\S+/.exec(surface.mails.at(-1)?.text ?? '')?.[0] ?? 'none:')
const lastCode = (): string => /: (\d{6})\n/.exec(surface.mails.at(-1)?.text ?? '')?.[1] ?? ''
const open = async (link: URL, jar = new CookieJar()): Promise<Answer> =>
  await call(link.href.slice(surface.baseUrl.length), undefined, { jar })

test('a page of somebody else neither acts for a user nor reads of one', async () => {
  const { jar } = await signUp()
  for (const origin of [
    evil,
    'null',
    'https://app.example.com.evil.example.net',
    'https://a.b.preview.example.com',
    'http://app.example.com',
  ]) {
    const changed = await call('/update-user', { name: 'Mallory' }, { jar, origin })
    assert.equal(changed.status, 403, origin)
    const read = await call('/get-session', undefined, { jar, origin })
    assert.equal(read.headers.get('access-control-allow-origin'), null, origin)
    assert.equal(read.headers.get('access-control-allow-credentials'), null)
    assert.match(read.headers.get('vary') ?? '', /origin/)
    const signIn = await call('/sign-in/email', { email: 'nobody@example.com', password }, { origin })
    assert.equal(signIn.status, 403, `${origin} signs somebody in as itself`)
  }
  const preflight = await fetch(surface.baseUrl + '/update-user', { method: 'OPTIONS', headers: { origin: evil } })
  assert.equal(preflight.headers.get('access-control-allow-origin'), null)
  assert.equal(preflight.headers.get('access-control-allow-headers'), null)
  for (const origin of [app, 'https://x.preview.example.com', 'http://localhost:5173', surface.origin]) {
    const read = await call('/get-session', undefined, { jar, origin })
    assert.equal(read.headers.get('access-control-allow-origin'), origin)
  }
  surface.change({ settings: (settings) => (settings.allowLocalhost = false) })
  assert.equal((await call('/update-user', { name: 'x' }, { jar, origin: 'http://localhost:5173' })).status, 403)
})

test('nobody is sent to a place that the app does not trust', async () => {
  const { jar, email } = await signUp()
  const places = [
    evil,
    `${evil}/?${app}`,
    'https://app.example.com@evil.example.net',
    'https://a.b.preview.example.com/',
    '//evil.example.net',
    '/\\evil.example.net',
    'javascript:alert(1)',
  ]
  for (const place of places) {
    for (const [path, body] of [
      ['/sign-up/email', { email: newEmail(), password, name: 'x', callbackURL: place }],
      ['/sign-in/email', { email, password, callbackURL: place }],
      ['/sign-in/magic-link', { email: newEmail(), callbackURL: place }],
      ['/sign-in/magic-link', { email: newEmail(), callbackURL: app, errorCallbackURL: place }],
      ['/sign-in/magic-link', { email: newEmail(), callbackURL: app, newUserCallbackURL: place }],
      ['/request-password-reset', { email: newEmail(), redirectTo: place }],
      ['/send-verification-email', { email: newEmail(), callbackURL: place }],
      ['/change-email', { newEmail: newEmail(), callbackURL: place }],
    ] as const) {
      const { status, text } = await call(path, body, { jar })
      assert.equal(status, 403, `${path} ${place}: ${text}`)
    }
    for (const path of ['/verify-email?token=x', '/magic-link/verify?token=x', '/reset-password/x?x=1']) {
      const { status, headers } = await call(`${path}&callbackURL=${encodeURIComponent(place)}`)
      assert.equal(status, 403, `${path} ${place}`)
      assert.equal(headers.get('location'), null)
    }
  }
  assert.equal(surface.mails.length, 0)
})

test('a token is good where it was made, and only as it was made', async () => {
  const { jar, id } = await signUp()
  const { target } = surface.instance
  const reader = { issuer: surface.origin, audience: surface.origin }
  const token = (await call('/token', undefined, { jar })).body?.['token'] as string
  assert.equal((await verifyToken(target, token, reader))?.sub, id)
  assert.equal(decodeProtectedHeader(token).alg, 'EdDSA')
  const { exp = 0, iat = 0, role } = decodeJwt(token)
  assert.equal(exp - iat, 900)
  assert.equal(role, 'authenticated')

  const other = await makeTarget(surface.baseUrl)
  assert.equal(await verifyToken(other, token, reader), undefined, 'on another branch')
  assert.equal(
    await verifyToken({ signingKeys: [{ ...other.signingKeys[0]!, kid: target.signingKeys[0]!.kid }] }, token, reader),
    undefined,
  )
  const foreign = await signToken(other, { ...decodeJwt(token) }, 900)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const kid = target.signingKeys[0]!.kid
  const unsigned = `${part({ alg: 'none', kid })}.${token.split('.')[1]}.`
  const maced = `${part({ alg: 'HS256', kid })}.${token.split('.')[1]}`
  const key = JSON.stringify(publicKeySet(target).keys[0])
  const forged = [foreign, unsigned, `${maced}.${createHmac('sha256', key).update(maced).digest('base64url')}`]
  for (const one of forged) {
    assert.equal(await verifyToken(target, one, reader), undefined)
    assert.equal((await call('/get-session', undefined, { headers: { authorization: `Bearer ${one}` } })).text, 'null')
  }
})

test('a session is a cookie that we signed, of a row that is there', async () => {
  const { jar } = await signUp()
  const [name, value] = [...jar.cookies][0]!
  const token = decodeURIComponent(value).split('.')[0]!
  const forgeries = {
    'the bare token': token,
    'signed with another secret': `${token}.${createHmac('sha256', 'other').update(token).digest('base64')}`,
    'another token under this signature': `${'a'.repeat(32)}.${decodeURIComponent(value).split('.')[1]}`,
  }
  for (const [what, forged] of Object.entries(forgeries)) {
    const forger = new CookieJar()
    forger.cookies.set(name, encodeURIComponent(forged))
    assert.equal((await call('/get-session', undefined, { jar: forger })).text, 'null', what)
    assert.equal(
      (await call('/get-session', undefined, { headers: { authorization: `Bearer ${forged}` } })).text,
      'null',
      what,
    )
  }
  surface.change({ target: { secret: (await makeTarget(surface.baseUrl)).secret } })
  assert.equal((await call('/get-session', undefined, { jar })).text, 'null', 'of another integration')
})

test('signing in gives a session of its own, whatever cookie was there before', async () => {
  const mallory = await signUp()
  const ada = await signUp()
  const planted = new CookieJar()
  for (const [name, value] of mallory.jar.cookies) planted.cookies.set(name, value)
  await call('/sign-in/email', { email: ada.email, password }, { jar: planted })
  const [mallorys, adas] = [await sessionOf(mallory.jar), await sessionOf(planted)]
  assert.equal(mallorys?.user.id, mallory.id)
  assert.equal(adas?.user.id, ada.id)
  assert.notEqual(adas?.session.token, mallorys?.session.token)
})

test('an expired session is none, and one that was ended stays so', async () => {
  const { jar, id } = await signUp()
  const kept = new CookieJar()
  for (const [name, value] of jar.cookies) kept.cookies.set(name, value)
  await surface.client.query(`UPDATE "session" SET "expiresAt" = now() - interval '1 second' WHERE "userId" = $1`, [id])
  assert.equal(await sessionOf(jar), null)
  const again = await call('/sign-in/email', { email: `user${count}@example.com`, password }, { jar })
  assert.equal(again.status, 200)
  const before = new CookieJar()
  for (const [name, value] of jar.cookies) before.cookies.set(name, value)
  await call('/sign-out', {}, { jar })
  assert.equal(await sessionOf(before), null)
  assert.equal(await sessionOf(kept), null)
})

test('cookies are not read by scripts, and not sent but over what is safe', async () => {
  const { headers } = await call('/sign-up/email', { email: newEmail(), password, name: 'Ada' })
  const [cookie = ''] = headers.getSetCookie()
  assert.match(cookie, /^__Secure-neon-auth\.session_token=/)
  for (const attribute of ['HttpOnly', 'Secure', 'SameSite=None', 'Partitioned', 'Path=/'])
    assert.ok(cookie.includes(attribute), attribute)
})

test('nobody signs up as more than a user', async () => {
  const { jar, email, id } = await signUp({
    role: 'admin',
    banned: false,
    emailVerified: true,
    id: '00000000-0000-0000-0000-000000000001',
  }).catch(async () => await signUp())
  const [row] = (
    await surface.client.query(`SELECT "role", "emailVerified", "id" FROM "user" WHERE "email" = $1`, [email])
  ).rows
  assert.deepEqual(row, { role: 'user', emailVerified: false, id })
  for (const body of [{ role: 'admin' }, { role: 'admin', name: 'x' }, { emailVerified: true }, { banned: true }]) {
    await call('/update-user', body, { jar })
  }
  assert.equal(
    (
      await surface.client.query(
        `SELECT 1 FROM "user" WHERE "email" = $1 AND ("role" <> 'user' OR "emailVerified" OR "banned")`,
        [email],
      )
    ).rowCount,
    0,
  )
  for (const [path, body] of [
    ['/admin/list-users', undefined],
    ['/admin/set-role', { userId: id, role: 'admin' }],
    ['/admin/create-user', { email: newEmail(), password, name: 'x', role: 'admin' }],
    ['/admin/impersonate-user', { userId: id }],
    ['/admin/ban-user', { userId: id }],
    ['/admin/set-user-password', { userId: id, newPassword: 'something else' }],
  ] as const) {
    assert.equal((await call(path, body, { jar })).status, 403, path)
    assert.equal((await call(path, body)).status, 401, path)
  }
  await surface.client.query(`UPDATE "user" SET "role" = 'admin' WHERE "id" = $1`, [id])
  const asAdmin = decodeJwt((await call('/token', undefined, { jar })).body?.['token'] as string)
  assert.equal(asAdmin['role'], 'authenticated', 'the role in the database is not the role in the app')
})

test('a magic link opens once, in time, and is not to be read in the table', async () => {
  const email = newEmail()
  const jar = new CookieJar()
  assert.equal((await call('/sign-in/magic-link', { email, callbackURL: `${app}/in` }, { jar })).status, 200)
  const link = lastLink()
  const { rows } = await surface.client.query('SELECT * FROM "verification"')
  assert.ok(!JSON.stringify(rows).includes(link.searchParams.get('token') ?? 'none'))
  const first = await open(link)
  assert.equal(first.status, 302)
  assert.ok(first.headers.getSetCookie().some((cookie) => cookie.startsWith('__Secure-neon-auth.session_token=')))
  const second = await open(link)
  assert.match(second.headers.get('location') ?? '', /error=INVALID_TOKEN/)
  assert.deepEqual(second.headers.getSetCookie(), [])

  await call('/sign-in/magic-link', { email, callbackURL: app })
  await surface.client.query(`UPDATE "verification" SET "expiresAt" = now() - interval '1 second'`)
  assert.match((await open(lastLink())).headers.get('location') ?? '', /error=/)
})

test('a session is handed over to the browser that asked for the mail, once, and to no other', async () => {
  const email = newEmail()
  const page = new CookieJar()
  await call('/sign-in/magic-link', { email, callbackURL: `${app}/in?x=1` }, { jar: page })
  assert.ok([...page.cookies.keys()].includes('__Secure-neon-auth.session_challange'))
  // The link is opened where the page's cookies are not sent.
  const back = new URL((await open(lastLink())).headers.get('location') ?? '')
  assert.equal(back.origin, app)
  assert.equal(back.searchParams.get('x'), '1')
  const verifier = back.searchParams.get('neon_auth_session_verifier') ?? ''
  const { rows } = await surface.client.query('SELECT * FROM "verification"')
  assert.ok(!JSON.stringify(rows).includes(verifier))
  const query = `/get-session?neon_auth_session_verifier=${verifier}`

  assert.equal((await call(query)).text, 'null', 'without the challenge')
  const exchanged = await call(query, undefined, { jar: page })
  assert.equal((exchanged.body as { user: { email: string } }).user.email, email)
  assert.ok(exchanged.headers.get('set-auth-jwt'))
  const { rows: left } = await surface.client.query(`SELECT 1 FROM "verification" WHERE "identifier" LIKE 'session-%'`)
  assert.equal(left.length, 0)
  assert.equal((await sessionOf(page))?.user.id, (exchanged.body as { user: { id: string } }).user.id)

  // Again, by a page that has the challenge and no session.
  await call('/sign-in/magic-link', { email, callbackURL: app }, { jar: page })
  const challenge = page.cookies.get('__Secure-neon-auth.session_challange') ?? ''
  const another = new URL((await open(lastLink())).headers.get('location') ?? '').searchParams.get(
    'neon_auth_session_verifier',
  )
  const withChallenge = (value: string): CookieJar => {
    const jar = new CookieJar()
    jar.cookies.set('__Secure-neon-auth.session_challange', value)
    return jar
  }
  const ask = async (value: string, code = another): Promise<string> =>
    (await call(`/get-session?neon_auth_session_verifier=${code}`, undefined, { jar: withChallenge(value) })).text
  assert.notEqual(await ask(challenge), 'null')
  assert.equal(await ask(challenge), 'null', 'replayed')

  await call('/sign-in/magic-link', { email, callbackURL: app }, { jar: page })
  const third = new URL((await open(lastLink())).headers.get('location') ?? '').searchParams.get(
    'neon_auth_session_verifier',
  )
  assert.equal(await ask('x'.repeat(43), third), 'null', 'with a challenge of its own')
  assert.equal(
    await ask(page.cookies.get('__Secure-neon-auth.session_challange') ?? '', third),
    'null',
    'gone with whoever showed it',
  )

  await call('/sign-in/magic-link', { email, callbackURL: app }, { jar: page })
  const late = new URL((await open(lastLink())).headers.get('location') ?? '').searchParams.get(
    'neon_auth_session_verifier',
  )
  await surface.client.query(`UPDATE "verification" SET "expiresAt" = now() - interval '1 second'`)
  assert.equal(await ask(page.cookies.get('__Secure-neon-auth.session_challange') ?? '', late), 'null', 'too late')
})

test('a code is good once, for three guesses, and a hash without its key says nothing of it', async () => {
  const email = newEmail()
  const send = async (): Promise<string> => {
    assert.equal((await call('/email-otp/send-verification-otp', { email, type: 'sign-in' })).status, 200)
    return lastCode()
  }
  const code = await send()
  assert.match(code, /^\d{6}$/)
  const { rows } = await surface.client.query('SELECT "value" FROM "verification"')
  const hashes = ['hex', 'base64', 'base64url'].map((form) =>
    createHash('sha256')
      .update(code)
      .digest(form as 'hex'),
  )
  for (const known of [code, ...hashes]) assert.ok(!JSON.stringify(rows).includes(known))
  const jar = new CookieJar()
  assert.equal((await call('/sign-in/email-otp', { email, otp: code }, { jar })).status, 200)
  assert.ok(await sessionOf(jar))
  assert.equal((await call('/sign-in/email-otp', { email, otp: code })).status, 400, 'replayed')

  const next = await send()
  const wrong = next === '000000' ? '111111' : '000000'
  for (let tries = 0; tries < 3; tries++)
    assert.ok((await call('/sign-in/email-otp', { email, otp: wrong })).status >= 400)
  const right = await call('/sign-in/email-otp', { email, otp: next })
  assert.ok(right.status >= 400, 'the fourth is refused though it is right')

  const late = await send()
  await surface.client.query(`UPDATE "verification" SET "expiresAt" = now() - interval '1 second'`)
  assert.ok((await call('/sign-in/email-otp', { email, otp: late })).status >= 400)
})

test('a link that resets a password works once and ends every session', async () => {
  const { jar, email } = await signUp()
  assert.equal((await call('/request-password-reset', { email, redirectTo: `${app}/reset` })).status, 200)
  const landed = new URL((await open(lastLink())).headers.get('location') ?? '')
  const token = landed.searchParams.get('token') ?? ''
  const { rows } = await surface.client.query('SELECT * FROM "verification"')
  assert.ok(!JSON.stringify(rows).includes(token))
  assert.equal((await call('/reset-password', { token, newPassword: 'a new password' })).status, 200)
  assert.equal(await sessionOf(jar), null)
  assert.equal((await call('/reset-password', { token, newPassword: 'another password' })).status, 400)
  assert.equal((await call('/sign-in/email', { email, password })).status, 401)
  assert.equal((await call('/sign-in/email', { email, password: 'a new password' })).status, 200)
})

test('a changed password ends the other sessions, whether or not the app asks for it', async () => {
  const { jar, email } = await signUp()
  const thief = new CookieJar()
  await call('/sign-in/email', { email, password }, { jar: thief })
  assert.ok(await sessionOf(thief))
  const changed = await call('/change-password', { currentPassword: password, newPassword: 'another horse' }, { jar })
  assert.equal(changed.status, 200, changed.text)
  assert.equal(await sessionOf(thief), null)
  assert.ok(await sessionOf(jar), 'whoever changed it stays')
  assert.equal(
    (await call('/change-password', { currentPassword: password, newPassword: 'third horse!' }, { jar })).status,
    400,
  )
})

test('answers do not tell who has an account', async () => {
  const { email } = await signUp()
  surface.change({ settings: ({ emailAndPassword }) => (emailAndPassword.requireVerification = true) })
  const known = email
  const unknown = newEmail()
  for (const [path, body] of [
    ['/request-password-reset', {}],
    ['/send-verification-email', {}],
    ['/email-otp/send-verification-otp', { type: 'sign-in' }],
    ['/email-otp/send-verification-otp', { type: 'forget-password' }],
    ['/sign-in/email', { password: 'wrong password' }],
  ] as const) {
    const [one, other] = [await call(path, { email: known, ...body }), await call(path, { email: unknown, ...body })]
    assert.equal(one.status, other.status, path)
    assert.equal(one.text, other.text, path)
  }
  const up = async (email: string): Promise<[number, string[]]> => {
    const { status, body } = await call('/sign-up/email', { email, password, name: 'Ada' })
    return [status, Object.keys((body as { user: object }).user).sort()]
  }
  assert.deepEqual(await up(known), await up(newEmail()))
  let hashed = 0
  const { passwords } = surface.instance
  const counting = new Proxy(passwords, {
    get: (of, name) => {
      if (['hash', 'verify', 'verifyNothing'].includes(String(name))) hashed++
      const value = Reflect.get(of, name) as unknown
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
  surface.instance = { ...surface.instance, passwords: counting }
  await call('/sign-in/email', { email: newEmail(), password })
  assert.equal(hashed, 1, 'as much work for a stranger')
  assert.equal((await call('/sign-in/phone-number', { phoneNumber: '+491234567', password })).status, 401)
  assert.equal(hashed, 2, 'and for a number that nobody has')
})

test('what is sent to those only who are known is not waited for, nor is it told that it failed', async () => {
  const { email, id } = await signUp()
  const phoneNumber = `+4915100000${++count}`
  await surface.client.query(`UPDATE "user" SET "phoneNumber" = $1, "phoneNumberVerified" = true WHERE "id" = $2`, [
    phoneNumber,
    id,
  ])
  await using hook = await startAuthWebhook(() => `${surface.baseUrl}/.well-known/jwks.json`)
  const held: ServerResponse[] = []
  hook.answer = (_, response) => held.push(response)
  surface.change({
    settings: ({ webhooks }) =>
      Object.assign(webhooks, {
        enabled: true,
        url: hook.url,
        privateAllowed: true,
        events: ['send.otp', 'send.magic_link'],
        timeoutSeconds: 5,
      }),
  })
  const ways: [string, Record<string, unknown>, Record<string, unknown>][] = [
    ['/request-password-reset', { email }, { email: newEmail() }],
    ['/send-verification-email', { email }, { email: newEmail() }],
    [
      '/email-otp/send-verification-otp',
      { email, type: 'forget-password' },
      { email: newEmail(), type: 'forget-password' },
    ],
    [
      '/email-otp/send-verification-otp',
      { email, type: 'email-verification' },
      { email: newEmail(), type: 'email-verification' },
    ],
    ['/phone-number/request-password-reset', { phoneNumber }, { phoneNumber: '+49151999999' }],
  ]
  for (const [path, known, unknown] of ways) {
    const before = hook.calls.length
    const [one, other] = [await call(path, known), await call(path, unknown)]
    assert.deepEqual([one.status, one.text], [other.status, other.text], path)
    await eventually(`${path} to be sent`, async () => hook.calls.length === before + 1)
  }
  for (const response of held) response.writeHead(400).end()
  // By nobody at all, which is no different.
  surface.change({ settings: ({ webhooks }) => (webhooks.enabled = false) })
  assert.equal((await call('/phone-number/request-password-reset', { phoneNumber })).status, 200)
  assert.equal(surface.mails.length, 0)
})

test('whoever guesses has to wait, at an account and at an address', async () => {
  const { email } = await signUp()
  surface.change({ limits: new AuthLimits({ countsAddresses: false }) })
  const statuses: number[] = []
  for (let tries = 0; tries < 7; tries++)
    statuses.push((await call('/sign-in/email', { email, password: `guess ${tries} ...` })).status)
  assert.deepEqual(statuses.slice(0, 5), [401, 401, 401, 401, 401])
  const refused = await call('/sign-in/email', { email, password })
  assert.equal(refused.status, 429, 'even the right one')
  assert.ok(Number(refused.headers.get('retry-after')) >= 1)
  assert.equal(refused.headers.get('access-control-allow-origin'), app, 'so that the page may read why')

  surface.change({ limits: new AuthLimits({ countsAddresses: true }) })
  // Nothing is hashed for these: it is the address that is refused.
  const guess = { token: 'x'.repeat(24), newPassword: password }
  const guesses = await Promise.all(Array.from({ length: 20 }, () => call('/reset-password', guess)))
  assert.ok(guesses.some(({ status }) => status === 429))
  assert.notEqual((await call('/get-session')).status, 429, 'reading goes on')
  assert.equal((await call('/open-api/generate-schema')).status, 429, 'but for what is dear to answer')
  surface.change({ limits: new AuthLimits({ countsAddresses: false }) })
  const sent: number[] = []
  for (let times = 0; times < 7; times++)
    sent.push((await call('/request-password-reset', { email: 'one@example.com' })).status)
  assert.equal(sent.at(-1), 429, 'a mailbox is not flooded, whether or not anybody has it')
})

test('a guess is counted at the account that it is about, whatever else a body has in it', async () => {
  const { email } = await signUp()
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const ways: [string, (guess: string) => unknown, Record<string, string>?][] = [
    ['a field of another route', (guess) => ({ newEmail: newEmail(), email, password: guess })],
    ['another kind of account', (guess) => ({ phoneNumber: `+4912345${++count}`, email, password: guess })],
    ['a name twice', (guess) => `{"email":"${newEmail()}","email":"${email}","password":"${guess}"}`],
    ['a form', (guess) => `email=${newEmail()}&email=${email}&password=${guess}`, form],
    ['a form that is JSON too', (guess) => `{"email":"x","a":"&email=${email}&password=${guess}&b="}`, form],
  ]
  for (const [what, body, headers = {}] of ways) {
    surface.change({ limits: new AuthLimits({ countsAddresses: false }) })
    const tries = Array.from({ length: 5 }, (_, at) => body(`guess-${at}-guess`))
    for (const one of tries) assert.equal((await call('/sign-in/email', one, { headers })).status, 401, what)
    assert.equal((await call('/sign-in/email', { email, password })).status, 429, what)
  }
  surface.change({ limits: new AuthLimits({ countsAddresses: false }) })
  const sent: number[] = []
  for (let times = 0; times < 6; times++) {
    const body = { email, type: 'sign-in', newEmail: newEmail(), phoneNumber: `+4912345${++count}` }
    sent.push((await call('/email-otp/send-verification-otp', body)).status)
  }
  assert.equal(sent.at(-1), 429, 'a mailbox is not flooded by it either')
})

test('whatever takes a secret of somebody’s is counted as a guess', () => {
  type Schema = { shape?: object; def?: { innerType?: Schema; left?: Schema; right?: Schema } }
  type Operation = { path?: string; options?: { body?: Schema; metadata?: { SERVER_ONLY?: boolean } } }
  const fieldsOf = (schema: Schema | undefined): string[] => {
    const { innerType, left, right } = schema?.def ?? {}
    return [
      ...Object.keys(schema?.shape ?? {}),
      ...[innerType, left, right].flatMap((part) => (part ? fieldsOf(part) : [])),
    ]
  }
  const secrets = new Set(['code', 'currentPassword', 'otp', 'password', 'token'])
  // The provider's, an administrator's, the caller's own; and one that sends something, which is rarer still.
  const others = ['/callback/:id', '/admin/create-user', '/revoke-session', '/email-otp/request-email-change']
  const operations = Object.values(betterAuth(options(surface.instance)).api) as Operation[]
  const taking = operations.filter(
    ({ options: of }) => !of?.metadata?.SERVER_ONLY && fieldsOf(of?.body).some((field) => secrets.has(field)),
  )
  const paths = taking.flatMap(({ path }) => path ?? [])
  assert.ok(paths.includes('/sign-in/email') && paths.includes('/phone-number/verify') && paths.length > 10)
  assert.deepEqual(paths.filter((path) => kindOf('POST', path) !== 'sign_in').toSorted(), others.toSorted())
})

test('a number that is not verified yet is not rung without end by whoever signs in with it', async () => {
  const { id } = await signUp()
  const phoneNumber = `+4915100000${++count}`
  await surface.client.query(`UPDATE "user" SET "phoneNumber" = $1, "phoneNumberVerified" = false WHERE "id" = $2`, [
    phoneNumber,
    id,
  ])
  await using hook = await startAuthWebhook(() => `${surface.baseUrl}/.well-known/jwks.json`)
  surface.change({
    limits: new AuthLimits({ countsAddresses: false }),
    settings: ({ webhooks }) =>
      Object.assign(webhooks, { enabled: true, url: hook.url, privateAllowed: true, events: ['send.otp'] }),
  })
  for (let tries = 0; tries < 8; tries++) await call('/sign-in/phone-number', { phoneNumber, password })
  assert.equal(hook.calls.length, 5)
})

test('who has got hold of a session guesses its password no faster than others', async () => {
  const guesses: [string, (guess: string) => Record<string, unknown>][] = [
    ['/change-password', (guess) => ({ currentPassword: guess, newPassword: 'a new password' })],
    ['/verify-password', (guess) => ({ password: guess })],
    ['/delete-user', (guess) => ({ password: guess })],
  ]
  for (const [path, body] of guesses) {
    surface.change({ limits: new AuthLimits({ countsAddresses: false }) })
    const { jar, email } = await signUp()
    for (let tries = 0; tries < 5; tries++)
      assert.equal((await call(path, body(`guess ${tries} ...`), { jar })).status, 400, path)
    const refused = await call(path, body(password), { jar })
    assert.equal(refused.status, 429, path)
    assert.ok(Number(refused.headers.get('retry-after')) >= 1)
    assert.equal((await call('/sign-in/email', { email, password })).status, 429, 'one count for all doors')
  }
})

test('the address of a session is what the edge said', async () => {
  const jar = new CookieJar()
  const spoofed = Object.fromEntries(
    ['x-forwarded-for', 'x-real-ip', 'cf-connecting-ip', 'forwarded', 'x-pgrove-client-address'].map((name) => [
      name,
      '198.51.100.1',
    ]),
  )
  await call(
    '/sign-up/email',
    { email: newEmail(), password, name: 'Ada' },
    { jar, headers: { ...spoofed, 'user-agent': 'x'.repeat(5_000) } },
  )
  const { rows } = await surface.client.query(
    `SELECT "ipAddress", length("userAgent") FROM "session" ORDER BY "createdAt" DESC LIMIT 1`,
  )
  assert.deepEqual(rows[0], { ipAddress: '203.0.113.7', length: 512 })
})

test('text has bounds, and nothing in it that Postgres cannot store', async () => {
  const { jar } = await signUp()
  for (const body of [
    { name: 'x'.repeat(256) },
    { image: `https://example.com/${'x'.repeat(3_000)}` },
    { name: 'a\u0000b' },
    '{"name":"a\\u0000b"}',
    '{"name":"\\\\\\u0000"}',
  ]) {
    const { status, text } = await call('/update-user', body, { jar })
    assert.equal(status, 400, text)
  }
  assert.equal(
    (await call('/update-user', '{"name":"\\\\u0000"}', { jar })).status,
    200,
    'a backslash and five letters',
  )
  assert.equal((await call('/verify-email?token=%00')).status, 400)
  const organization = await call('/organization/create', { name: 'x'.repeat(300), slug: 'long' }, { jar })
  assert.equal(organization.status, 400)
  const stuffed = await call(
    '/organization/create',
    { name: 'x', slug: 'stuffed', metadata: { x: 'y'.repeat(70_000) } },
    { jar },
  )
  assert.equal(stuffed.status, 400)
  const nested = (depth: number): string =>
    `{"name":"[{","slug":"nested${depth}","metadata":{"a":"\\"[","b":${'['.repeat(depth)}${']'.repeat(depth)}}}`
  assert.equal((await call('/organization/create', nested(60), { jar })).status, 200)
  assert.equal((await call('/organization/create', nested(20_000), { jar })).status, 400)
  for (const email of ['491512345@phone.invalid', `${crypto.randomUUID()}@none.invalid`]) {
    const { status, body } = await call('/sign-up/email', { email, password, name: 'Nobody' })
    assert.deepEqual([status, body?.['code']], [400, 'INVALID_EMAIL'], 'such an address stands for none')
  }
  assert.deepEqual(surface.defects, [])
})

test('who is banned comes in nowhere', async () => {
  const { email, id, jar } = await signUp()
  const admin = await signUp()
  await surface.client.query(`UPDATE "user" SET "role" = 'admin' WHERE "id" = $1`, [admin.id])
  assert.equal((await call('/admin/ban-user', { userId: id }, { jar: admin.jar })).status, 200)
  assert.equal(await sessionOf(jar), null)
  const refused = await call('/sign-in/email', { email, password })
  assert.equal(refused.status, 403)
  assert.equal(refused.body?.['code'], 'BANNED_USER')
  await call('/sign-in/magic-link', { email, callbackURL: app })
  assert.deepEqual(
    (await open(lastLink())).headers.getSetCookie().filter((one) => one.includes('session_token')),
    [],
  )
})

test('the key set and strangers without a session ask no database', async () => {
  const { wakes } = surface
  surface.wakeFails = new AppError('endpoint_disabled', 'the endpoint is disabled')
  try {
    const keys = await call('/.well-known/jwks.json', undefined, { origin: evil })
    assert.equal(keys.status, 200)
    assert.match(keys.headers.get('cache-control') ?? '', /max-age/)
    assert.equal(keys.headers.get('access-control-allow-origin'), '*')
    assert.deepEqual(keys.body, publicKeySet(surface.instance.target))
    assert.ok(!/"d"/.test(keys.text))
    assert.equal((await call('/get-session')).text, 'null')
    const anonymous = (await call('/token/anonymous')).body as { token: string; expires_at: number }
    assert.deepEqual(decodeJwt(anonymous.token)['role'], 'anonymous')
    assert.equal(decodeJwt(anonymous.token).exp, anonymous.expires_at)
    const forged = new CookieJar()
    forged.cookies.set(
      '__Secure-neon-auth.session_token',
      encodeURIComponent(`${'a'.repeat(32)}.${Buffer.alloc(32).toString('base64')}`),
    )
    assert.equal((await call('/get-session', undefined, { jar: forged })).text, 'null')
    assert.equal(surface.wakes, wakes)
  } finally {
    surface.wakeFails = undefined
  }
})

test('a database that cannot be woken is said so, and nobody is signed out by it', async () => {
  const { jar } = await signUp()
  surface.change({})
  for (const [error, status] of [
    [new AppError('endpoint_disabled', 'the endpoint is disabled'), 422],
    [new AppError('quota_exceeded', 'the quota of the project is used up'), 422],
    [new AppError('unavailable', 'the compute did not start; try again', { retryAfterSeconds: 3 }), 503],
  ] as const) {
    surface.wakeFails = error
    for (const path of ['/get-session', '/list-sessions', '/token']) {
      const answer = await call(path, undefined, { jar })
      assert.equal(answer.status, status, path)
      assert.equal(answer.body?.['message'], error.message)
      assert.equal(answer.headers.get('access-control-allow-origin'), app)
      assert.deepEqual(answer.headers.getSetCookie(), [])
      if (status === 503) assert.equal(answer.headers.get('retry-after'), '3')
    }
    surface.wakeFails = undefined
  }
  assert.ok(await sessionOf(jar))
})

test('pages of ours run no script of anybody', async () => {
  for (const path of ['/reference', '/error?error=<script>alert(1)</script>']) {
    const { text, headers } = await call(path)
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/)
    assert.ok(!text.includes('<script>alert'))
  }
})

test('an organization is claimed only by who belongs to it', async () => {
  const { jar, id } = await signUp()
  const made = await call('/organization/create', { name: 'Engines', slug: `engines${count}` }, { jar })
  assert.equal(made.status, 200, made.text)
  const organizationId = (made.body as { id: string }).id
  await call('/organization/set-active', { organizationId }, { jar })
  const claims = async (): Promise<unknown> =>
    decodeJwt((await call('/token', undefined, { jar })).body?.['token'] as string)['o']
  assert.deepEqual(await claims(), { id: organizationId, slug: `engines${count}`, role: 'owner' })
  const { id: other } = await signUp()
  await surface.client.query(`UPDATE "member" SET "userId" = $1 WHERE "userId" = $2`, [other, id])
  assert.equal(await claims(), undefined)
})

test('users that came to be are told of', async () => {
  const { id } = await signUp()
  await eventually('the event of a new user', async () =>
    surface.events.some(({ type, body }) => type === 'user.created' && (body['user'] as { id: string }).id === id),
  )
})
