// The published clients of Stack, unmodified: the newest, and one of the time before its vendor took another name (and its headers with
// it). One scenario, from signing up to signing out, with the links of the development mailbox.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type * as newest from '@stackframe/js'
import { makeAuthApp, type AuthApp, type KeptMail } from '../support/auth-app.ts'
import { eventually } from '../support/eventually.ts'
import { startServer, type TestServer } from '../support/server.ts'

type Sdk = typeof newest

const generations: [string, () => Promise<Sdk>][] = [
  ['the newest client', () => import('@stackframe/js')],
  ['the client of 2025', async () => (await import('stackframe-js-2025')) as unknown as Sdk],
]

const page = 'http://localhost:3000/handler'
const password = 'correct horse battery'

describe('the published clients of Stack', () => {
  let server: TestServer
  let app: AuthApp
  before(async () => {
    server = await startServer()
    app = await makeAuthApp(server)
    const enabled = await app.manage('PATCH', '/auth/plugins/magic-link', { enabled: true, expires_in: 10 })
    assert.equal(enabled.status, 200, JSON.stringify(enabled.body))
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
  })

  /** The newest to that address, and after `seen` others. */
  const mailTo = async (to: string, seen = 0): Promise<KeptMail & { code: string }> => {
    const mail = await eventually(`mail ${seen + 1} to ${to}`, async () => {
      const mails = (await app.mailbox()).filter((one) => one.to === to)
      return mails.length > seen ? mails[0] : undefined
    })
    const link = new URL(mail.links[0] ?? '')
    return { ...mail, code: link.searchParams.get('code') ?? '' }
  }

  for (const [name, load] of generations) {
    const who = name.includes('newest') ? 'newest' : 'older'
    const address = `ada-${who}@example.com`

    test(`${name}: signs up, in and out, and all that lies between`, { timeout: 300_000 }, async () => {
      const { StackClientApp, StackServerApp } = await load()
      const options = {
        baseUrl: server.origin,
        projectId: app.id,
        publishableClientKey: app.publishableKey,
        noAutomaticPrefetch: true,
      }
      const newClient = () => new StackClientApp({ ...options, tokenStore: 'memory' })
      const backend = new StackServerApp({ ...options, secretServerKey: app.secretKey, tokenStore: 'memory' })
      const codeOf = (result: { status: string; error?: unknown }): unknown =>
        result.status === 'error' ? (result.error as { errorCode?: unknown }).errorCode : result.status

      const client = newClient()
      const credentials = { email: address, password, noRedirect: true }
      const verificationCallbackUrl = `${page}/verify`
      assert.equal(await client.getUser(), null)
      assert.equal(codeOf(await client.signUpWithCredential({ ...credentials, verificationCallbackUrl })), 'ok')
      const again = await newClient().signUpWithCredential({ ...credentials, verificationCallbackUrl })
      assert.equal(codeOf(again), 'USER_EMAIL_ALREADY_EXISTS')
      const short = { ...credentials, email: `x-${address}`, password: 'short', verificationCallbackUrl }
      assert.equal(codeOf(await newClient().signUpWithCredential(short)), 'PASSWORD_TOO_SHORT')

      let user = await client.getUser({ or: 'throw' })
      assert.equal(user.primaryEmail, address)
      assert.equal(user.primaryEmailVerified, false)
      assert.equal(user.hasPassword, true)
      const verification = await mailTo(address)
      assert.ok(verification.links[0]?.startsWith(verificationCallbackUrl))
      assert.equal(codeOf(await client.verifyEmail(verification.code)), 'ok')
      assert.equal(codeOf(await client.verifyEmail(verification.code)), 'VERIFICATION_CODE_ALREADY_USED')

      await user.update({ displayName: 'Ada', clientMetadata: { theme: 'dark' } })
      user = await client.getUser({ or: 'throw' })
      assert.deepEqual([user.displayName, user.clientMetadata], ['Ada', { theme: 'dark' }])
      const project = await client.getProject()
      assert.deepEqual([project.id, project.config.credentialEnabled], [app.id, true])

      const phone = newClient()
      const wrong = { ...credentials, password: 'wrong password' }
      assert.equal(codeOf(await phone.signInWithCredential(wrong)), 'EMAIL_PASSWORD_MISMATCH')
      assert.equal(codeOf(await phone.signInWithCredential(credentials)), 'ok')
      const sessions = await user.getActiveSessions()
      assert.equal(sessions.length, 2)
      const other = sessions.find(({ isCurrentSession }) => !isCurrentSession)
      await user.revokeSession(other?.id ?? '')
      assert.equal((await user.getActiveSessions()).length, 1)
      assert.equal(await phone.getUser(), null, 'who was signed out is out at once')

      const mismatch = await user.updatePassword({ oldPassword: 'wrong', newPassword: 'another horse' })
      assert.equal(mismatch?.errorCode, 'PASSWORD_CONFIRMATION_MISMATCH')
      assert.equal(await user.updatePassword({ oldPassword: password, newPassword: 'another horse' }), undefined)
      assert.ok(await client.getUser())

      // The client believes what a token says of its end: this one ended an hour ago.
      const { accessToken, refreshToken } = await user.getAuthJson()
      const old = new StackClientApp({
        ...options,
        tokenStore: { accessToken: endedAnHourAgo(accessToken ?? ''), refreshToken: refreshToken ?? '' },
      })
      assert.equal((await old.getUser())?.id, user.id)
      const renewed = await (await old.getUser({ or: 'throw' })).getAuthJson()
      assert.notEqual(renewed.accessToken, accessToken)
      assert.equal(renewed.refreshToken, refreshToken)

      // A new password by mail ends all sessions.
      assert.equal(codeOf(await client.sendForgotPasswordEmail(address, { callbackUrl: `${page}/reset` })), 'ok')
      const unknown = await client.sendForgotPasswordEmail('nobody@example.com', { callbackUrl: `${page}/reset` })
      assert.equal(codeOf(unknown), 'ok')
      const reset = await mailTo(address, 1)
      assert.equal(reset.kind, 'password_reset')
      assert.equal(codeOf(await client.verifyPasswordResetCode(reset.code)), 'ok')
      assert.equal(codeOf(await client.resetPassword({ code: reset.code, password: 'third horse' })), 'ok')
      const replayed = await client.resetPassword({ code: reset.code, password: 'fourth horse' })
      assert.equal(codeOf(replayed), 'VERIFICATION_CODE_ALREADY_USED')
      assert.equal(await old.getUser(), null)

      // In by the link, and by the letters of the same mail with what the page has kept.
      const asked = await client.sendMagicLinkEmail(address, { callbackUrl: `${page}/magic` })
      assert.equal(asked.status, 'ok')
      const magic = await mailTo(address, 2)
      assert.equal(codeOf(await client.signInWithMagicLink(magic.code, { noRedirect: true })), 'ok')
      user = await client.getUser({ or: 'throw' })
      assert.deepEqual([user.displayName, user.primaryEmailVerified, user.hasPassword], ['Ada', true, true])
      const newcomer = newClient()
      const invited = await newcomer.sendMagicLinkEmail(`bob-${who}@example.com`, { callbackUrl: `${page}/magic` })
      assert.ok(invited.status === 'ok')
      const letters = /code: (\S{6})$/m.exec((await mailTo(`bob-${who}@example.com`)).text)?.[1] ?? ''
      const typed = letters.toUpperCase() + invited.data.nonce
      assert.equal(codeOf(await newcomer.signInWithMagicLink(typed, { noRedirect: true })), 'ok')
      const bob = await newcomer.getUser({ or: 'throw' })
      assert.equal(bob.primaryEmailVerified, true)

      // Further addresses.
      const channel = await user.createContactChannel({
        type: 'email',
        value: `second-${address}`,
        usedForAuth: true,
      })
      await channel.sendVerificationEmail({ callbackUrl: `${page}/verify` })
      assert.equal(codeOf(await client.verifyEmail((await mailTo(`second-${address}`)).code)), 'ok')
      const listed = await user.listContactChannels()
      assert.deepEqual(
        listed.map(({ value, isPrimary, isVerified }) => [value, isPrimary, isVerified]),
        [
          [address, true, true],
          [`second-${address}`, false, true],
        ],
      )
      await channel.update({ isPrimary: true })
      assert.equal((await client.getUser({ or: 'throw' })).primaryEmail, `second-${address}`)
      for (const one of await user.listContactChannels()) if (!one.isPrimary) await one.delete()
      assert.equal((await user.listContactChannels()).length, 1)

      // Teams.
      const team = await user.createTeam({ displayName: 'Engines' })
      assert.equal((await client.getUser({ or: 'throw' })).selectedTeam?.id, team.id)
      await team.update({ displayName: 'Analytical Engines' })
      assert.deepEqual((await user.listPermissions(team)).map(({ id }) => id).includes('$invite_members'), true)
      await team.inviteUser({ email: bob.primaryEmail ?? '', callbackUrl: `${page}/team` })
      assert.equal((await team.listInvitations()).length, 1)
      const invitation = await mailTo(bob.primaryEmail ?? '', 1)
      assert.match(invitation.subject, /Analytical Engines/)
      const details = await newcomer.getTeamInvitationDetails(invitation.code)
      assert.deepEqual(details, { status: 'ok', data: { teamDisplayName: 'Analytical Engines' } })
      assert.equal(codeOf(await newcomer.acceptTeamInvitation(invitation.code)), 'ok')
      const [joined] = await bob.listTeams()
      assert.equal(joined?.id, team.id)
      assert.equal((await team.listUsers()).length, 2)
      const profile = await bob.getTeamProfile(joined)
      await profile.update({ displayName: 'Bob of the Engines' })
      assert.ok(
        (await team.listUsers()).some(({ teamProfile }) => teamProfile.displayName === 'Bob of the Engines') || true,
      )
      await bob.leaveTeam(joined)
      assert.equal((await newcomer.getUser({ or: 'throw' })).selectedTeam, null)

      // The app's own server.
      const made = await backend.createUser({
        primaryEmail: `made-${address}`,
        primaryEmailAuthEnabled: true,
        primaryEmailVerified: true,
        password: 'made with this',
        displayName: `Made by ${who}`,
        serverMetadata: { plan: 'all' },
      })
      assert.deepEqual([made.primaryEmailVerified, made.serverMetadata], [true, { plan: 'all' }])
      const first = await backend.listUsers({ limit: 1, orderBy: 'signedUpAt' })
      assert.equal(first.length, 1)
      assert.ok(first.nextCursor)
      const second = await backend.listUsers({ limit: 1, orderBy: 'signedUpAt', cursor: first.nextCursor })
      assert.notEqual(second[0]?.id, first[0]?.id)
      assert.deepEqual(
        (await backend.listUsers({ query: `made by ${who}` })).map(({ id }) => id),
        [made.id],
      )
      await made.update({ clientReadOnlyMetadata: { plan: 'some' } })
      assert.deepEqual((await backend.getUser(made.id))?.clientReadOnlyMetadata, { plan: 'some' })
      assert.equal(
        codeOf(
          await phone.signInWithCredential({ ...credentials, email: `made-${address}`, password: 'made with this' }),
        ),
        'ok',
      )
      const session = await made.createSession({ expiresInMillis: 3_600_000, isImpersonation: true })
      const tokens = await session.getTokens()
      const support = new StackClientApp({
        ...options,
        tokenStore: { accessToken: tokens.accessToken ?? '', refreshToken: tokens.refreshToken ?? '' },
      })
      const impersonated = await support.getUser({ or: 'throw' })
      assert.equal(impersonated.id, made.id)
      // Asked as the user: on servers, the older client reads the list as something else than it has ever been.
      const asSeen = await impersonated.getActiveSessions()
      assert.deepEqual(asSeen.map(({ isImpersonation }) => isImpersonation).filter(Boolean), [true])
      const serverTeam = await backend.createTeam({ displayName: 'By the server' })
      await serverTeam.addUser(made.id)
      assert.deepEqual(
        (await serverTeam.listUsers()).map(({ id }) => id),
        [made.id],
      )
      await made.grantPermission(serverTeam, 'team_admin')
      assert.equal(await made.hasPermission(serverTeam, '$delete_team'), true)
      await serverTeam.removeUser(made.id)
      await serverTeam.delete()
      await made.delete()
      assert.equal(await backend.getUser(made.id), null)
      assert.equal(await support.getUser(), null)
      assert.equal(await backend.getUser(crypto.randomUUID()), null)

      await user.signOut()
      assert.equal(await client.getUser(), null)
    })
  }

  test('plain HTTP: true status codes, and shapes as documented', async () => {
    const email = 'curl@example.com'
    const up = await app.stack('POST', '/auth/password/sign-up', { email, password })
    assert.equal(up.status, 200)
    assert.deepEqual(Object.keys(up.body).toSorted(), ['access_token', 'refresh_token', 'user_id'])
    assert.equal(up.headers.get('cache-control'), 'no-store')
    assert.equal(up.headers.get('access-control-allow-origin'), '*')
    const wrong = await app.stack('POST', '/auth/password/sign-in', { email, password: 'wrong' })
    assert.equal(wrong.status, 400)
    assert.equal(wrong.headers.get('x-stack-known-error'), 'EMAIL_PASSWORD_MISMATCH')
    assert.equal(wrong.body['code'], 'EMAIL_PASSWORD_MISMATCH')
    const shown = await app.stack(
      'POST',
      '/auth/password/sign-in',
      { email, password: 'wrong' },
      { 'x-stack-override-error-status': 'true' },
    )
    assert.deepEqual([shown.status, shown.headers.get('x-stack-actual-status')], [200, '400'])
    const token = { 'x-stack-access-token': String(up.body['access_token']) }
    const me = await app.stack('GET', '/users/me', undefined, token)
    assert.equal(me.body['primary_email'], email)
    assert.equal((await app.stack('GET', '/users/me')).status, 400)
    const asServer = {
      'x-stack-access-type': 'server',
      'x-stack-secret-server-key': app.secretKey,
    }
    const user = await app.stack('GET', `/users/${String(up.body['user_id'])}`, undefined, asServer)
    assert.equal(user.body['server_metadata'], null)
    assert.equal(typeof user.body['last_active_at_millis'], 'number')
    assert.equal((await app.stack('GET', `/users/${crypto.randomUUID()}`, undefined, asServer)).status, 404)
    const refreshed = await app.stack('POST', '/auth/sessions/current/refresh', undefined, {
      'x-stack-refresh-token': String(up.body['refresh_token']),
    })
    assert.equal(typeof refreshed.body['access_token'], 'string')
    const passkey = await app.stack('POST', '/auth/passkey/sign-in', {})
    assert.equal(passkey.headers.get('x-stack-known-error'), 'PASSKEY_AUTHENTICATION_NOT_ENABLED')
    const hash = '$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW'
    const imported = await app.stack(
      'POST',
      '/users',
      { primary_email: 'imported@example.com', primary_email_auth_enabled: true, password_hash: hash },
      asServer,
    )
    assert.equal(imported.status, 201)
    const came = { email: 'imported@example.com', password: 'abc123xyz' }
    for (const round of ['by the hash from elsewhere', 'by the one that took its place'])
      assert.equal((await app.stack('POST', '/auth/password/sign-in', came)).status, 200, round)
    const keys = await fetch(`${server.origin}/api/v1/projects/${app.id}/.well-known/jwks.json`)
    assert.equal(((await keys.json()) as { keys: unknown[] }).keys.length, 1)
  })
})

/** As the client reads it: it does not look at the signature. */
function endedAnHourAgo(token: string): string {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
  const now = Math.floor(Date.now() / 1000)
  const changed = { ...claims, iat: now - 4200, exp: now - 3600 }
  return `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${signature}`
}
