// What strangers, and tenants against each other, cannot do on Stack's surface. Each claim fails when its defence is taken out.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { SignJWT, UnsecuredJWT, decodeJwt, importJWK } from 'jose'
import { AuthLimits } from '../../src/auth/limits.ts'
import { openStackSurface, type StackAnswer, type StackKeys, type StackSurface } from '../support/stack-surface.ts'

const password = 'correct horse battery'
const callback = 'https://app.example.com/handler'

describe("Stack's surface", () => {
  let stack: StackSurface
  before(async () => {
    stack = await openStackSurface()
  })
  after(async () => {
    const { defects } = stack
    await stack[Symbol.asyncDispose]()
    assert.deepEqual(defects, [])
  })

  type Signed = { access_token: string; refresh_token: string; user_id: string }
  const signUp = async (email: string, keys?: StackKeys): Promise<Signed> => {
    const answer = await stack.send('/auth/password/sign-up', { body: { email, password }, ...(keys && { keys }) })
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body as Signed
  }
  const signIn = (email: string, given = password): Promise<StackAnswer> =>
    stack.send('/auth/password/sign-in', { body: { email, password: given } })
  const me = (token: string, keys?: StackKeys): Promise<StackAnswer> =>
    stack.send('/users/me', { token, ...(keys && { keys }) })
  const mailTo = async (to: string, seen = 0): Promise<{ text: string; link: URL; code: string }> => {
    for (let round = 0; round < 200; round++) {
      const mails = stack.surface.mails.filter((mail) => mail.to === to)
      const mail = mails[seen]
      if (mail) {
        const link = new URL(/^https?:\S+$/m.exec(mail.text)?.[0] ?? '')
        return { text: mail.text, link, code: link.searchParams.get('code') ?? '' }
      }
      await pause(20)
    }
    throw new Error(`no mail to ${to}`)
  }

  test('keys open the project that they belong to, and nothing without it', async () => {
    const { first, second, send } = stack
    const refused = async (headers: Record<string, string>): Promise<string | undefined> => {
      const response = await fetch(`${stack.origin}/api/v1/projects/current`, { headers })
      assert.ok(response.status >= 400 && response.status < 500)
      return response.headers.get('x-stack-known-error') ?? undefined
    }
    const project = { 'x-stack-project-id': first.projectId }
    assert.equal(await refused({}), 'ACCESS_TYPE_REQUIRED')
    assert.equal(await refused({ 'x-stack-access-type': 'client' }), 'ACCESS_TYPE_WITHOUT_PROJECT_ID')
    assert.equal(await refused({ ...project, 'x-stack-access-type': 'client' }), 'CLIENT_AUTHENTICATION_REQUIRED')
    assert.equal(await refused({ ...project, 'x-stack-access-type': 'server' }), 'SERVER_AUTHENTICATION_REQUIRED')
    assert.equal(await refused({ ...project, 'x-stack-access-type': 'root' }), 'INVALID_ACCESS_TYPE')
    assert.equal(
      await refused({ ...project, 'x-stack-publishable-client-key': first.publishable }),
      'PROJECT_KEY_WITHOUT_ACCESS_TYPE',
    )
    const admin = { 'x-stack-access-type': 'admin', 'x-stack-super-secret-admin-key': first.secret }
    assert.equal(await refused({ ...project, ...admin }), 'INVALID_SUPER_SECRET_ADMIN_KEY')
    const mixed = { ...first, publishable: second.publishable, secret: second.secret }
    assert.equal((await send('/projects/current', { keys: mixed })).code, 'INVALID_PUBLISHABLE_CLIENT_KEY')
    assert.equal((await send('/users', { keys: mixed, access: 'server' })).code, 'INVALID_SECRET_SERVER_KEY')
    // One kind is not the other, and a right one does not make up for a wrong one.
    const swapped = { ...first, publishable: first.secret, secret: first.publishable }
    assert.equal((await send('/projects/current', { keys: swapped })).code, 'INVALID_PUBLISHABLE_CLIENT_KEY')
    assert.equal((await send('/users', { keys: swapped, access: 'server' })).code, 'INVALID_SECRET_SERVER_KEY')
    const foreign = { 'x-stack-publishable-client-key': second.publishable }
    const both = await send('/users', { access: 'server', headers: foreign })
    assert.equal(both.code, 'INVALID_PUBLISHABLE_CLIENT_KEY')
    const nowhere = { ...first, projectId: crypto.randomUUID() }
    assert.equal((await send('/projects/current', { keys: nowhere })).code, 'CURRENT_PROJECT_NOT_FOUND')
    assert.equal((await send('/projects/current', { keys: { ...first, projectId: "x' or 1" } })).status, 400)
  })

  test('a client reaches nothing of the server’s, whatever it says', async () => {
    const { first, send } = stack
    const { access_token: token, user_id: id } = await signUp('client@example.com')
    const other = await signUp('other-client@example.com')
    const routes: [string, string, unknown?][] = [
      ['GET', '/users'],
      ['POST', '/users', { primary_email: 'x@example.com' }],
      ['GET', `/users/${id}`],
      ['PATCH', `/users/${other.user_id}`, { display_name: 'x' }],
      ['DELETE', `/users/${other.user_id}`],
      ['POST', '/auth/sessions', { user_id: id }],
    ]
    for (const [method, path, body] of routes) {
      const answer = await send(path, { method, token, body })
      assert.equal(answer.code, 'INSUFFICIENT_ACCESS_TYPE', path)
      assert.equal(answer.status, 401)
    }
    for (const path of ['/auth/sessions', '/contact-channels', '/teams', '/oauth-providers']) {
      const answer = await send(`${path}?user_id=${other.user_id}`, { token })
      assert.equal(answer.code, 'INSUFFICIENT_ACCESS_TYPE', path)
    }
    // What only servers may set is not set.
    const body = {
      server_metadata: { admin: true },
      client_read_only_metadata: { plan: 'all' },
      primary_email_verified: true,
    }
    assert.equal((await send('/users/me', { method: 'PATCH', token, body })).status, 200)
    const user = await send(`/users/${id}`, { access: 'server', keys: first })
    assert.equal(user.body['server_metadata'], null)
    assert.equal(user.body['client_read_only_metadata'], null)
    assert.equal(user.body['primary_email_verified'], false)
    assert.equal((await me(token)).body['server_metadata'], undefined)
  })

  test('the secret key is refused where a browser has sent it', async () => {
    const { send } = stack
    for (const headers of [{ origin: 'https://app.example.com' }, { 'sec-fetch-site': 'same-origin' }]) {
      const answer = await send('/users', { access: 'server', headers })
      assert.equal(answer.code, 'INVALID_SECRET_SERVER_KEY')
      assert.match(String(answer.body['error']), /browser/)
    }
    const preflight = await fetch(`${stack.origin}/api/v1/users`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example.com', 'access-control-request-method': 'GET' },
    })
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
    assert.equal(preflight.headers.get('access-control-allow-credentials'), null)
    assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /x-stack-access-token/)
    assert.doesNotMatch(preflight.headers.get('access-control-allow-headers') ?? '', /secret/)
  })

  test('two prefixes of one header do not say two things', async () => {
    const { first, second, send } = stack
    const { access_token: token } = await signUp('prefix@example.com')
    for (const [name, value] of [
      ['project-id', second.projectId],
      ['access-type', 'server'],
      ['publishable-client-key', second.publishable],
      ['access-token', 'x'],
    ]) {
      const answer = await send('/users/me', { token, headers: { [`x-hexclave-${name}`]: String(value) } })
      assert.equal(answer.code, 'SCHEMA_ERROR', String(name))
    }
    const newer = {
      'x-hexclave-project-id': first.projectId,
      'x-hexclave-access-type': 'client',
      'x-hexclave-publishable-client-key': first.publishable,
      'x-hexclave-access-token': token,
    }
    assert.equal((await fetch(`${stack.origin}/api/v1/users/me`, { headers: newer })).status, 200)
  })

  test('a token is its own project’s, unaltered, and ends with its session', async () => {
    const { first, second, send, surface } = stack
    const { access_token: token, refresh_token: refreshToken, user_id: id } = await signUp('token@example.com')
    assert.equal((await me(token)).status, 200)
    // The same user and session are in the other's database as well: a copy of a branch.
    assert.equal((await me(token, second)).code, 'INVALID_PROJECT_FOR_ACCESS_TOKEN')
    const claims = decodeJwt(token)
    const [header = '', payload = '', signature = ''] = token.split('.')
    const altered = Buffer.from(JSON.stringify({ ...claims, email: 'root@example.com' })).toString('base64url')
    const none = new UnsecuredJWT(claims).encode()
    const { signingKeys } = surface.instance.target
    const [key] = signingKeys
    const publicBytes = Buffer.from(JSON.stringify(key?.publicJwk))
    const mac = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: key?.kid ?? '' }).sign(publicBytes)
    const forged = [`${header}.${altered}.${signature}`, none, mac, `${header}.${payload}.`, 'x', 'a.b.c', '']
    for (const one of forged.slice(0, -1)) assert.equal((await me(one)).code, 'UNPARSABLE_ACCESS_TOKEN', one)
    const privateKey = await importJWK({ ...key?.privateJwk }, 'EdDSA')
    const sign = (changed: Record<string, unknown>): Promise<string> =>
      new SignJWT({ ...claims, ...changed }).setProtectedHeader({ alg: 'EdDSA', kid: key?.kid ?? '' }).sign(privateKey)
    assert.equal((await me(await sign({}))).status, 200)
    assert.equal((await me(await sign({ exp: 1_000_000 }))).code, 'ACCESS_TOKEN_EXPIRED')
    assert.equal((await me(await sign({ iss: 'https://elsewhere.example' }))).code, 'UNPARSABLE_ACCESS_TOKEN')
    assert.equal((await me(await sign({ aud: second.projectId }))).code, 'INVALID_PROJECT_FOR_ACCESS_TOKEN')
    // Somebody else's session does not do, and neither does Better Auth's own token, which names none.
    assert.equal((await me(await sign({ sub: crypto.randomUUID() }))).code, 'ACCESS_TOKEN_EXPIRED')
    assert.equal((await me(await sign({ refresh_token_id: undefined }))).code, 'UNPARSABLE_ACCESS_TOKEN')
    // What a user may be called does not become what he may do.
    await surface.client.query(`update neon_auth."user" set "role" = 'admin' where "id" = $1`, [id])
    const renewed = await send('/auth/sessions/current/refresh', { method: 'POST', refreshToken })
    assert.equal(decodeJwt(String(renewed.body['access_token']))['role'], 'authenticated')
    assert.equal((await send('/auth/sessions/current', { method: 'DELETE', token, refreshToken })).status, 200)
    assert.equal((await me(token)).code, 'ACCESS_TOKEN_EXPIRED')
    const again = await send('/auth/sessions/current/refresh', { method: 'POST', refreshToken })
    assert.equal(again.code, 'REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED')
    const jwks = await fetch(`${stack.origin}/api/v1/projects/${first.projectId}/.well-known/jwks.json`)
    assert.match(jwks.headers.get('cache-control') ?? '', /max-age=3600/)
    const { keys } = (await jwks.json()) as { keys: Record<string, unknown>[] }
    assert.deepEqual(
      keys.map(({ d }) => d),
      [undefined],
    )
  })

  test('what can be read of a session, in the table or at the other surface, is no refresh token', async () => {
    const { send, surface } = stack
    const { refresh_token: refreshToken, user_id: id } = await signUp('refresh@example.com')
    const renew = (token: string): Promise<StackAnswer> =>
      send('/auth/sessions/current/refresh', { method: 'POST', refreshToken: token })
    assert.equal((await renew(refreshToken)).status, 200)
    const { rows } = await surface.client.query<{ token: string }>(
      `select "token" from neon_auth."session" where "userId" = $1`,
      [id],
    )
    const [token = '', signature = ''] = refreshToken.split('.')
    assert.deepEqual(rows, [{ token }])
    const { secret } = surface.instance.target
    const cookie = `${token}.${createHmac('sha256', secret).update(token).digest('base64')}`
    for (const forged of [
      token,
      `${token}.`,
      `${token}.${'A'.repeat(43)}`,
      cookie,
      `${refreshToken}.x`,
      `.${signature}`,
    ]) {
      assert.equal((await renew(forged)).code, 'REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED', forged)
      const out = await send('/auth/sessions/current', { method: 'DELETE', refreshToken: forged })
      assert.equal(out.code, 'REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED', forged)
    }
    // As in a copy of the branch, had its sessions stayed in it.
    stack.change({ target: { secret: 'another' } })
    assert.equal((await renew(refreshToken)).code, 'REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED')
    stack.change({ target: { secret } })
    assert.equal((await renew(refreshToken)).status, 200)
  })

  test('a key set wakes nothing', async () => {
    const { wakes } = stack.surface
    const path = `/projects/${stack.first.projectId}/.well-known/jwks.json`
    assert.equal((await fetch(`${stack.origin}/api/v1${path}`)).status, 200)
    await stack.send('/projects/current')
    assert.equal(stack.surface.wakes, wakes)
  })

  test('passwords: wrong ones tell nobody who is known, and new ones end what the old ones opened', async () => {
    const { send, surface } = stack
    const { access_token: token, user_id: id } = await signUp('Known@Example.com')
    assert.equal(
      (await send('/auth/password/sign-up', { body: { email: 'known@example.com', password } })).code,
      'USER_EMAIL_ALREADY_EXISTS',
    )
    const full = String.fromCodePoint(0xff2b) + 'nown@example.com'
    assert.equal(
      (await send('/auth/password/sign-up', { body: { email: full, password } })).code,
      'USER_EMAIL_ALREADY_EXISTS',
    )
    const wrong = await signIn('known@example.com', 'wrong password')
    const unknown = await signIn('unknown@example.com')
    assert.deepEqual([wrong.status, wrong.body], [unknown.status, unknown.body])
    const resets = await Promise.all(
      ['known@example.com', 'unknown@example.com'].map((email) =>
        send('/auth/password/send-reset-code', { body: { email, callback_url: callback } }),
      ),
    )
    assert.deepEqual(resets[0]?.body, resets[1]?.body)
    for (const [given, code] of [
      ['short', 'PASSWORD_TOO_SHORT'],
      ['x'.repeat(71), 'PASSWORD_TOO_LONG'],
    ] as const)
      assert.equal(
        (await send('/auth/password/sign-up', { body: { email: 'n@example.com', password: given } })).code,
        code,
      )
    const elsewhere = (await signIn('known@example.com')).body as Signed
    const change = { old_password: password, new_password: 'another horse' }
    const bad = await send('/auth/password/update', { token, body: { ...change, old_password: 'guess' } })
    assert.equal(bad.code, 'PASSWORD_CONFIRMATION_MISMATCH')
    assert.equal((await send('/auth/password/update', { token, body: change })).status, 200)
    assert.equal((await me(token)).status, 200)
    assert.equal((await me(elsewhere.access_token)).code, 'ACCESS_TOKEN_EXPIRED')
    // The code that was sent before was for the password of then.
    const old = await mailTo('known@example.com')
    assert.equal(old.link.origin, 'https://app.example.com')
    const stale = await send('/auth/password/reset', { body: { code: old.code, password: 'third horse' } })
    assert.equal(stale.code, 'VERIFICATION_CODE_ALREADY_USED')
    await send('/auth/password/send-reset-code', { body: { email: 'known@example.com', callback_url: callback } })
    const { code } = await mailTo('known@example.com', 1)
    const { rows } = await surface.client.query<{ kept: string }>(
      `select identifier || value as kept from neon_auth."verification"`,
    )
    assert.ok(rows.length > 0 && rows.every(({ kept }) => !kept.includes(code) && !kept.includes(code.slice(6))))
    assert.equal((await send('/auth/password/reset/check-code', { body: { code } })).status, 200)
    assert.equal((await send('/auth/password/reset', { body: { code, password: 'short' } })).code, 'PASSWORD_TOO_SHORT')
    assert.equal((await send('/auth/password/reset', { body: { code, password: 'fourth horse' } })).status, 200)
    assert.equal((await me(token)).code, 'ACCESS_TOKEN_EXPIRED')
    const replayed = await send('/auth/password/reset', { body: { code, password: 'fifth horse' } })
    assert.equal(replayed.code, 'VERIFICATION_CODE_ALREADY_USED')
    assert.equal((await signIn('known@example.com', 'fourth horse')).status, 200)
    const user = await send(`/users/${id}`, { access: 'server' })
    assert.equal(user.body['primary_email_verified'], true)
    assert.ok(surface.mails.every(({ to }) => to !== 'unknown@example.com'))
  })

  test('codes are good once, for a few guesses, and until they end', async () => {
    const { send, surface } = stack
    const ask = async (email: string): Promise<string> =>
      String((await send('/auth/otp/send-sign-in-code', { body: { email, callback_url: callback } })).body['nonce'])
    const nonce = await ask('otp@example.com')
    const mail = await mailTo('otp@example.com')
    assert.equal(mail.code.length, 45)
    assert.equal(mail.code.slice(6), nonce)
    assert.ok(mail.text.includes(mail.code.slice(0, 6)))
    const both = await Promise.all([1, 2].map(() => send('/auth/otp/sign-in', { body: { code: mail.code } })))
    assert.deepEqual(
      both.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 409],
    )
    assert.equal(both.find(({ status }) => status === 200)?.body['is_new_user'], true)
    const guessed = await ask('otp@example.com')
    const right = (await mailTo('otp@example.com', 1)).code
    const guesses = await Promise.all(
      Array.from({ length: 5 }, (_, at) => send('/auth/otp/sign-in', { body: { code: `00000${at}${guessed}` } })),
    )
    assert.deepEqual(new Set(guesses.map(({ code }) => code)), new Set(['VERIFICATION_CODE_NOT_FOUND']))
    assert.equal(
      (await send('/auth/otp/sign-in', { body: { code: right } })).code,
      'VERIFICATION_CODE_MAX_ATTEMPTS_REACHED',
    )
    await ask('otp@example.com')
    const late = (await mailTo('otp@example.com', 2)).code
    await surface.client.query(`update neon_auth."verification" set "expiresAt" = now() - interval '1 second'`)
    assert.equal((await send('/auth/otp/sign-in', { body: { code: late } })).code, 'VERIFICATION_CODE_EXPIRED')
    // A code of one kind is none of another.
    await send('/auth/password/send-reset-code', { body: { email: 'otp@example.com', callback_url: callback } })
    const reset = (await mailTo('otp@example.com', 3)).code
    assert.equal((await send('/auth/otp/sign-in', { body: { code: reset } })).code, 'VERIFICATION_CODE_NOT_FOUND')
  })

  test('who signed up with somebody’s address is out when its owner comes', async () => {
    const { send } = stack
    const squatter = await signUp('victim@example.com')
    await send('/auth/otp/send-sign-in-code', { body: { email: 'victim@example.com', callback_url: callback } })
    const { code } = await mailTo('victim@example.com')
    const owner = await send('/auth/otp/sign-in', { body: { code } })
    assert.equal(owner.status, 200)
    assert.equal((await me(squatter.access_token)).code, 'ACCESS_TOKEN_EXPIRED')
    assert.equal((await signIn('victim@example.com')).code, 'EMAIL_PASSWORD_MISMATCH')
    assert.equal((await me(String(owner.body['access_token']))).body['primary_email_verified'], true)
  })

  test('links in mails lead to the app or nowhere', async () => {
    const { send } = stack
    const { access_token: token } = await signUp('links@example.com')
    const team = await send('/teams', { token, body: { display_name: 'T' } })
    const places: [string, (url: string) => Record<string, unknown>][] = [
      ['/auth/password/sign-up', (url) => ({ email: 'l2@example.com', password, verification_callback_url: url })],
      ['/auth/otp/send-sign-in-code', (url) => ({ email: 'l3@example.com', callback_url: url })],
      ['/auth/password/send-reset-code', (url) => ({ email: 'links@example.com', callback_url: url })],
      ['/contact-channels/send-verification-code', (url) => ({ email: 'links@example.com', callback_url: url })],
      [
        '/team-invitations/send-code',
        (url) => ({ email: 'l4@example.com', team_id: team.body['id'], callback_url: url }),
      ],
    ]
    const hostile = [
      'https://evil.example',
      'https://app.example.com.evil.example/',
      'https://app.example.com@evil.example/',
      'https:\\\\evil.example',
      '//evil.example',
      'javascript:alert(1)',
      'http://app.example.com/',
      'https://app.example.com:444/',
    ]
    for (const [path, body] of places) {
      for (const url of hostile)
        assert.equal(
          (await send(path, { token, body: body(url) })).code,
          'REDIRECT_URL_NOT_WHITELISTED',
          `${path} ${url}`,
        )
      assert.equal((await send(path, { token, body: body(`${callback}?code=mine&x=1#y`) })).status, 200, path)
    }
    const { link } = await mailTo('links@example.com')
    assert.deepEqual(link.searchParams.getAll('code').length, 1)
    assert.notEqual(link.searchParams.get('code'), 'mine')
    assert.equal(link.hash, '')
  })

  test('what cannot be stored is refused by name, and nothing is answered with a 500', async () => {
    const { send } = stack
    const { access_token: token } = await signUp('sizes@example.com')
    const patch = (body: unknown): Promise<StackAnswer> => send('/users/me', { method: 'PATCH', token, body })
    for (const body of [
      { display_name: 'x'.repeat(257) },
      { display_name: 'nul\u0000' },
      { display_name: '\ud800' },
      { display_name: 7 },
      { client_metadata: { text: 'x'.repeat(66_000) } },
      { client_metadata: { list: Array.from({ length: 32_000 }, () => 1) } },
      { client_metadata: { 'a\u0000': 1 } },
      { profile_image_url: 'javascript:alert(1)' },
      { profile_image_url: `https://x.example/${'x'.repeat(5000)}` },
      { selected_team_id: 'no uuid' },
      { selected_team_id: crypto.randomUUID() },
      { primary_email: 'a b@example.com' },
      { primary_email: 'x@none.invalid' },
      { totp_secret_base64: 'AAAA' },
    ]) {
      const answer = await patch(body)
      assert.ok(answer.status >= 400 && answer.status < 500, `${JSON.stringify(body).slice(0, 60)} ${answer.status}`)
    }
    assert.equal((await patch('{"a":')).code, 'BODY_PARSING_ERROR')
    assert.equal((await patch('[1]')).code, 'SCHEMA_ERROR')
    assert.equal((await patch(`{"client_metadata":${'['.repeat(5000)}${']'.repeat(5000)}}`)).code, 'SCHEMA_ERROR')
    assert.equal((await patch(`{"display_name":"${'x'.repeat(600_000)}"}`)).status, 413)
    for (const path of [
      '/users?query=%00',
      '/users?cursor=x',
      '/users?limit=-1',
      '/users?order_by=password',
      `/users?team_id='`,
      '/users/%00',
      '/users/%ff',
      "/users/1' or '1'='1",
      '/teams/x',
      '/nowhere',
    ]) {
      const answer = await send(path, { access: 'server' })
      assert.ok(answer.status >= 400 && answer.status < 500, `${path} ${answer.status}`)
    }
    for (const body of [
      { email: ['a@example.com'], password },
      { email: {}, password },
      { email: 'a@b', password },
      {},
    ])
      assert.equal((await send('/auth/password/sign-up', { body })).code, 'SCHEMA_ERROR')
    // A search is text, not a pattern.
    const all = await send('/users?query=%25', { access: 'server' })
    assert.deepEqual(all.body['items'], [])
  })

  test('teams are seen by who is in them, and changed by who may', async () => {
    const { send } = stack
    const owner = (await signUp('owner@example.com')).access_token
    const member = await signUp('member@example.com')
    const stranger = await signUp('stranger@example.com')
    const made = await send('/teams', { token: owner, body: { display_name: 'Engines', server_metadata: { x: 1 } } })
    const team = String(made.body['id'])
    assert.equal(made.body['server_metadata'], undefined)
    await send(`/team-memberships/${team}/${member.user_id}`, { method: 'POST', access: 'server', body: {} })
    const as = (token: string, method: string, path: string, body?: unknown): Promise<StackAnswer> =>
      send(path, { token, method, body })
    for (const [method, path, body] of [
      ['GET', `/teams/${team}`],
      ['PATCH', `/teams/${team}`, { display_name: 'Mine' }],
      ['DELETE', `/teams/${team}`],
      ['GET', `/team-member-profiles?team_id=${team}`],
      ['GET', `/team-invitations?team_id=${team}`],
    ] as const)
      assert.equal((await as(stranger.access_token, method, path, body)).code, 'TEAM_NOT_FOUND', `${method} ${path}`)
    for (const [method, path, body] of [
      ['PATCH', `/teams/${team}`, { display_name: 'Mine' }],
      ['DELETE', `/teams/${team}`],
      ['POST', '/team-invitations/send-code', { email: 'z@example.com', team_id: team, callback_url: callback }],
    ] as const)
      assert.equal((await as(member.access_token, method, path, body)).code, 'TEAM_PERMISSION_REQUIRED', path)
    const kick = await as(stranger.access_token, 'DELETE', `/team-memberships/${team}/${member.user_id}`)
    assert.equal(kick.code, 'TEAM_PERMISSION_REQUIRED')
    assert.equal(
      (await as(stranger.access_token, 'PATCH', '/users/me', { selected_team_id: team })).code,
      'TEAM_NOT_FOUND',
    )
    assert.equal((await as(member.access_token, 'GET', `/teams/${team}`)).status, 200)
    // An invitation is its addressee's, by its code or by an address that he has shown to be his.
    await as(owner, 'POST', '/team-invitations/send-code', {
      email: 'stranger@example.com',
      team_id: team,
      callback_url: callback,
    })
    assert.deepEqual((await as(stranger.access_token, 'GET', '/team-invitations?user_id=me')).body['items'], [])
    const [invitation] = (await as(owner, 'GET', `/team-invitations?team_id=${team}`)).body['items'] as { id: string }[]
    const byId = await as(stranger.access_token, 'POST', `/team-invitations/${invitation?.id}/accept?user_id=me`)
    assert.equal(byId.status, 404)
    const { code } = await mailTo('stranger@example.com')
    const joins = await Promise.all(
      [1, 2].map(() => as(stranger.access_token, 'POST', '/team-invitations/accept', { code })),
    )
    assert.deepEqual(
      joins.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 409],
    )
    const members = await as(owner, 'GET', `/team-member-profiles?team_id=${team}`)
    assert.equal((members.body['items'] as unknown[]).length, 3)
    assert.equal((await as(owner, 'DELETE', `/team-memberships/${team}/me`)).status, 400)
    assert.equal((await as(owner, 'DELETE', `/team-memberships/${team}/${member.user_id}`)).status, 200)
    assert.equal((await as(member.access_token, 'GET', `/teams/${team}`)).code, 'TEAM_NOT_FOUND')
  })

  test('an address signs one user in', async () => {
    const { send } = stack
    const ada = await signUp('one@example.com')
    const bob = await signUp('two@example.com')
    const add = (token: string, value: string): Promise<StackAnswer> =>
      send('/contact-channels', { token, body: { user_id: 'me', type: 'email', value, used_for_auth: true } })
    const taken = 'CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE'
    assert.equal((await add(bob.access_token, 'one@example.com')).code, taken)
    const forged = await send('/contact-channels', {
      token: bob.access_token,
      body: { user_id: 'me', type: 'email', value: 'bob2@example.com', used_for_auth: true, is_verified: true },
    })
    assert.equal(forged.body['is_verified'], false)
    assert.equal((await signIn('bob2@example.com')).code, 'EMAIL_PASSWORD_MISMATCH')
    const path = `/contact-channels/me/${String(forged.body['id'])}`
    await send(`${path}/send-verification-code`, { token: bob.access_token, body: { callback_url: callback } })
    const { code } = await mailTo('bob2@example.com')
    assert.equal((await send('/contact-channels/verify', { body: { code } })).status, 200)
    assert.equal((await signIn('bob2@example.com')).body['user_id'], bob.user_id)
    assert.equal(
      (await send('/auth/password/sign-up', { body: { email: 'bob2@example.com', password } })).code,
      'USER_EMAIL_ALREADY_EXISTS',
    )
    assert.equal((await add(ada.access_token, 'bob2@example.com')).code, taken)
    // Another address is not verified because the one before was.
    const mine = `/contact-channels/me/${String(forged.body['id'])}`
    const changed = await send(mine, { method: 'PATCH', token: bob.access_token, body: { value: 'bob3@example.com' } })
    assert.equal(changed.body['is_verified'], false)
    assert.equal((await signIn('bob3@example.com')).code, 'EMAIL_PASSWORD_MISMATCH')
    assert.equal(
      (await send(mine, { method: 'PATCH', token: ada.access_token, body: { value: 'x@example.com' } })).status,
      404,
    )
  })

  test('what the settings forbid is refused, and who is banned is out', async () => {
    const { send, change } = stack
    const { access_token: token, user_id: id } = await signUp('banned@example.com')
    const body = { restricted_by_admin: true, restricted_by_admin_reason: 'spam' }
    assert.equal((await send(`/users/${id}`, { method: 'PATCH', access: 'server', body })).body['is_restricted'], true)
    assert.equal((await me(token)).code, 'ACCESS_TOKEN_EXPIRED')
    assert.equal((await signIn('banned@example.com')).code, 'RESTRICTED_USER_NOT_ALLOWED')
    assert.equal(
      (await send('/auth/sessions', { access: 'server', body: { user_id: id } })).code,
      'RESTRICTED_USER_NOT_ALLOWED',
    )
    change({
      settings: (settings) => {
        settings.emailAndPassword.requireVerification = true
        settings.magicLink.disableSignUp = true
      },
    })
    const unproven = await send('/auth/password/sign-up', {
      body: { email: 'unproven@example.com', password, verification_callback_url: callback },
    })
    assert.equal(unproven.code, 'EMAIL_NOT_VERIFIED')
    assert.equal((await signIn('unproven@example.com')).code, 'EMAIL_NOT_VERIFIED')
    assert.equal((await signIn('unproven@example.com', 'wrong')).code, 'EMAIL_PASSWORD_MISMATCH')
    await send('/contact-channels/verify', { body: { code: (await mailTo('unproven@example.com')).code } })
    assert.equal((await signIn('unproven@example.com')).status, 200)
    const mailed = stack.surface.mails.length
    const nobody = await send('/auth/otp/send-sign-in-code', {
      body: { email: 'nobody@example.com', callback_url: callback },
    })
    assert.equal(String(nobody.body['nonce']).length, 39)
    await send('/auth/otp/send-sign-in-code', { body: { email: 'unproven@example.com', callback_url: callback } })
    await mailTo('unproven@example.com', 1)
    assert.equal(stack.surface.mails.length, mailed + 1)
    change({
      settings: (settings) => {
        settings.emailAndPassword = { ...settings.emailAndPassword, requireVerification: false, disableSignUp: true }
        settings.magicLink = { ...settings.magicLink, disableSignUp: false, enabled: false }
      },
    })
    assert.equal(
      (await send('/auth/password/sign-up', { body: { email: 'n@example.com', password } })).code,
      'SIGN_UP_NOT_ENABLED',
    )
    assert.equal(
      (await send('/auth/otp/send-sign-in-code', { body: { email: 'n@example.com', callback_url: callback } })).status,
      403,
    )
    change({
      settings: (settings) =>
        void (settings.emailAndPassword = { ...settings.emailAndPassword, enabled: false, disableSignUp: false }),
    })
    assert.equal((await signIn('unproven@example.com')).code, 'PASSWORD_AUTHENTICATION_NOT_ENABLED')
    change({
      settings: (settings) => {
        settings.emailAndPassword = { ...settings.emailAndPassword, enabled: true }
        settings.magicLink = { ...settings.magicLink, enabled: true }
      },
      target: { provider: 'better_auth' },
    })
    assert.equal((await send('/projects/current')).code, 'CURRENT_PROJECT_NOT_FOUND')
    change({ target: { provider: 'stack' } })
  })

  test('the app’s own server is asked before there is a user, told afterwards, and sends its links itself', async () => {
    const { send, change, surface } = stack
    const asked: { event_type: string; event_data: Record<string, unknown> }[] = []
    let answer: { status: number; body: unknown } = { status: 200, body: { allowed: true } }
    const receiver = createServer((incoming, outgoing) => {
      let text = ''
      incoming.on('data', (part: Buffer) => (text += part.toString()))
      incoming.on('end', () => {
        asked.push(JSON.parse(text) as (typeof asked)[number])
        outgoing.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body))
      })
    })
    receiver.listen(0, '127.0.0.1')
    await once(receiver, 'listening')
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`
    change({
      settings: (settings) => {
        settings.webhooks = {
          enabled: true,
          url,
          privateAllowed: true,
          events: ['user.before_create', 'send.magic_link'],
          timeoutSeconds: 5,
        }
      },
    })
    const up = (email: string): Promise<StackAnswer> => send('/auth/password/sign-up', { body: { email, password } })
    assert.equal((await up('asked@example.com')).status, 200)
    assert.equal(asked.at(-1)?.event_data['auth_provider'], 'credential')
    answer = { status: 200, body: { allowed: false, error_message: 'by invitation only' } }
    const refused = await up('refused@example.com')
    assert.deepEqual([refused.code, refused.body['error']], ['SIGN_UP_REJECTED', 'by invitation only'])
    answer = { status: 400, body: {} }
    assert.equal((await up('silent@example.com')).status, 503, 'no answer is no yes')
    const { rows } = await surface.client.query(
      `select from neon_auth."user" where "email" in ('refused@example.com', 'silent@example.com')`,
    )
    assert.equal(rows.length, 0)
    assert.ok(surface.events.some(({ body }) => (body['user'] as { email?: string }).email === 'asked@example.com'))
    assert.ok(!surface.events.some(({ body }) => (body['user'] as { email?: string }).email === 'refused@example.com'))
    const mailed = surface.mails.length
    const ask = { email: 'asked@example.com', callback_url: callback }
    assert.equal((await send('/auth/otp/send-sign-in-code', { body: ask })).status, 503)
    answer = { status: 200, body: {} }
    assert.equal((await send('/auth/otp/send-sign-in-code', { body: ask })).status, 200)
    assert.match(String(asked.at(-1)?.event_data['link_url']), /^https:\/\/app\.example\.com\/handler\?code=/)
    assert.equal(surface.mails.length, mailed)
    change({ settings: (settings) => void (settings.webhooks = { ...settings.webhooks, enabled: false }) })
    receiver.closeAllConnections()
    receiver.close()
  })

  test('guessing is slowed by account and by address, and told when to come again', async () => {
    await signUp('guessed@example.com')
    stack.change({ limits: new AuthLimits({ countsAddresses: true, now: () => 1_000 }) })
    const answers: StackAnswer[] = []
    for (let at = 0; at < 7; at++) answers.push(await signIn('guessed@example.com', `guess ${at}`))
    const slowed = answers.at(-1)
    assert.equal(slowed?.status, 429)
    assert.ok(Number(slowed?.headers.get('retry-after')) >= 1)
    // Clients of this surface take a known error for final; this one they wait out.
    assert.equal(slowed?.code, undefined)
    const over = await stack.send('/auth/password/sign-in', {
      body: { email: 'guessed@example.com', password: 'x' },
      headers: { 'x-stack-override-error-status': 'true' },
    })
    assert.deepEqual([over.status, over.headers.get('x-stack-actual-status')], [200, '429'])
    const spray = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        stack.send('/auth/otp/sign-in', { body: { code: `${at}` }, address: '198.51.100.4' }),
      ),
    )
    assert.ok(
      spray.some(({ status }) => status === 429),
      'one address tries many codes',
    )
    const mails: number[] = []
    for (let at = 0; at < 7; at++) {
      const body = { email: 'flooded@example.com', callback_url: callback }
      mails.push((await stack.send('/auth/otp/send-sign-in-code', { body, address: `198.51.100.${at + 10}` })).status)
    }
    assert.ok(mails.includes(429), 'one recipient gets few mails, whoever asks')
  })
})
