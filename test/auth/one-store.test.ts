// Two surfaces, one store: whoever is known to one is known to the other, and what ends at one has ended at the other.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CookieJar } from '../support/cookie-jar.ts'
import { openStackSurface, type StackSurface } from '../support/stack-surface.ts'

const app = 'https://app.example.com'
const password = 'correct horse battery'

let both: StackSurface
let count = 0

before(async () => {
  both = await openStackSurface()
})
after(async () => {
  await both?.[Symbol.asyncDispose]()
})

const newEmail = (): string => `both${++count}@example.com`

async function better(
  path: string,
  body?: unknown,
  jar = new CookieJar(),
): Promise<{ status: number; body: Record<string, unknown>; text: string }> {
  const response = await jar.fetchFrom(app)(both.surface.baseUrl + path, {
    ...(body !== undefined && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  })
  const text = await response.text()
  return { status: response.status, text, body: (JSON.parse(text) ?? {}) as Record<string, unknown> }
}

const stackSignIn = (email: string, secret = password) =>
  both.send('/auth/password/sign-in', { body: { email, password: secret } })
const isStackSession = async (refreshToken: string): Promise<boolean> =>
  (await both.send('/auth/sessions/current/refresh', { method: 'POST', body: {}, refreshToken })).status === 200
const isBetterSession = async (jar: CookieJar): Promise<boolean> =>
  (await better('/get-session', undefined, jar)).text !== 'null'

test('who signs up at either signs in at the other, as the same user', async () => {
  const [first, second] = [newEmail(), newEmail()]
  const up = await better('/sign-up/email', { email: first, password, name: 'Ada' })
  const there = await stackSignIn(first.toUpperCase())
  assert.equal(there.status, 200)
  assert.equal(there.body['user_id'], (up.body['user'] as { id: string }).id)

  const stack = await both.send('/auth/password/sign-up', { body: { email: second, password } })
  const here = await better('/sign-in/email', { email: second, password })
  assert.equal(here.status, 200)
  assert.equal((here.body['user'] as { id: string }).id, stack.body['user_id'])
  assert.equal((await better('/sign-up/email', { email: second, password, name: 'x' })).status, 422)
  assert.equal(
    (await both.send('/auth/password/sign-up', { body: { email: first, password } })).code,
    'USER_EMAIL_ALREADY_EXISTS',
  )
})

test('sessions are the same rows: ended at either, they are ended', async () => {
  const email = newEmail()
  const jar = new CookieJar()
  await better('/sign-up/email', { email, password, name: 'Ada' }, jar)
  const refresh = String((await stackSignIn(email)).body['refresh_token'])
  const listed = await better('/list-sessions', undefined, jar)
  assert.equal((listed.body as unknown as unknown[]).length, 2)
  assert.ok(await isStackSession(refresh))
  await better('/revoke-other-sessions', {}, jar)
  assert.ok(!(await isStackSession(refresh)))

  const again = await stackSignIn(email)
  const token = String(again.body['access_token'])
  const sessions = (await both.send('/auth/sessions?user_id=me', { token })).body['items'] as {
    id: string
    is_current_session: boolean
  }[]
  assert.equal(sessions.length, 2)
  const other = sessions.find((one) => !one.is_current_session)
  assert.equal((await both.send(`/auth/sessions/${other?.id}`, { method: 'DELETE', token, body: {} })).status, 200)
  assert.ok(!(await isBetterSession(jar)))
  await both.send('/auth/sessions/current', {
    method: 'DELETE',
    body: {},
    token,
    refreshToken: String(again.body['refresh_token']),
  })
  assert.ok(!(await isStackSession(String(again.body['refresh_token']))))
})

test('a password changed at either ends the sessions of the other, and is the password of both', async () => {
  const email = newEmail()
  const jar = new CookieJar()
  await better('/sign-up/email', { email, password, name: 'Ada' }, jar)
  const first = await stackSignIn(email)
  const second = 'a second horse'
  await better('/change-password', { currentPassword: password, newPassword: second }, jar)
  assert.ok(!(await isStackSession(String(first.body['refresh_token']))))
  assert.equal((await stackSignIn(email)).code, 'EMAIL_PASSWORD_MISMATCH')

  const signedIn = await stackSignIn(email, second)
  const third = 'a third horse!'
  const changed = await both.send('/auth/password/update', {
    body: { old_password: second, new_password: third },
    token: String(signedIn.body['access_token']),
    refreshToken: String(signedIn.body['refresh_token']),
  })
  assert.equal(changed.status, 200, JSON.stringify(changed.body))
  assert.ok(!(await isBetterSession(jar)))
  assert.equal((await better('/sign-in/email', { email, password: third })).status, 200)
})

test('a password that came as bcrypt opens Better Auth’s door too, and is of our own form from then on', async () => {
  const email = newEmail()
  const { hashSync } = await import('bcryptjs')
  const made = await both.send('/users', {
    access: 'server',
    body: { primary_email: email, primary_email_auth_enabled: true, password_hash: hashSync(password, 4) },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const stored = async (): Promise<string> =>
    (await both.surface.client.query(`SELECT "password" FROM "account" WHERE "userId" = $1`, [made.body['id']])).rows[0]
      .password
  assert.match(await stored(), /^\$2/)
  assert.equal((await better('/sign-in/email', { email, password: 'wrong password' })).status, 401)
  assert.match(await stored(), /^\$2/)
  assert.equal((await better('/sign-in/email', { email, password })).status, 200)
  assert.match(await stored(), /^[0-9a-f]{32}:[0-9a-f]{128}$/)
  assert.equal((await better('/sign-in/email', { email, password })).status, 200)
})

test('a guess at one door counts at the other', async () => {
  const email = newEmail()
  await better('/sign-up/email', { email, password, name: 'Ada' })
  for (let tries = 0; tries < 3; tries++) await better('/sign-in/email', { email, password: `guess ${tries} ...` })
  for (let tries = 0; tries < 2; tries++) await stackSignIn(email, `guess ${tries} ...`)
  assert.equal((await better('/sign-in/email', { email, password })).status, 429)
  assert.equal((await stackSignIn(email)).status, 429)
})
