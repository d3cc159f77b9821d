// The webhook of an app's sign-in: asked before there is a user, sending in our place, told of what has happened.

import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { makeOrganization, makeUser } from '../support/accounts.ts'
import { makeAuthApp, type AuthApp } from '../support/auth-app.ts'
import { json, startAuthWebhook, type AuthWebhook } from '../support/auth-webhook.ts'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import { makeProject } from '../support/neon.ts'
import { startServer, type Answer, type TestServer } from '../support/server.ts'

const page = 'http://localhost:3000/verified'

let server: TestServer
let app: AuthApp
let hook: AuthWebhook
let count = 0

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,1' } })
  app = await makeAuthApp(server)
  hook = await startAuthWebhook(() => `${server.origin}/api/v1/projects/${app.id}/.well-known/jwks.json`)
  await app.manage('PATCH', '/auth/plugins/magic-link', { enabled: true })
})
after(async () => {
  await hook[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
beforeEach(() => {
  hook.calls.length = 0
  hook.answer = (_, response) => json(response, 200, { allowed: true })
})

const everything = ['user.before_create', 'user.created', 'send.otp', 'send.magic_link']

const setHook = (changes: Record<string, unknown> = {}): Promise<Answer> =>
  app.manage('PUT', '/auth/webhooks', {
    enabled: true,
    webhook_url: hook.url,
    enabled_events: everything,
    timeout_seconds: 2,
    ...changes,
  })

async function listen(events: string[], timeoutSeconds = 2): Promise<void> {
  const { status, body } = await setHook({ enabled_events: events, timeout_seconds: timeoutSeconds })
  assert.equal(status, 200, JSON.stringify(body))
}

const newEmail = (): string => `user${++count}@example.com`

const signUp = (email: string): Promise<Answer> =>
  app.stack('POST', '/auth/password/sign-up', { email, password: 'correct horse battery' })

const isUser = async (email: string): Promise<boolean> => {
  const { body } = await app.stack('GET', `/users?query=${encodeURIComponent(email)}`, undefined, {
    'x-stack-access-type': 'server',
    'x-stack-secret-server-key': app.secretKey,
  })
  return (body['items'] as unknown[]).length > 0
}

const told = (type: string, email: string): Promise<AuthWebhook['calls'][number]> =>
  eventually(`${type} of ${email}`, async () => hook.ofType(type).find(({ event }) => event.user['email'] === email))

test('is asked before there is a user, and told of him afterwards; both signed by a published key', async () => {
  await listen(everything)
  const email = newEmail()
  const { status, body } = await signUp(email)
  assert.equal(status, 200, JSON.stringify(body))
  const [asked] = hook.ofType('user.before_create')
  const created = await told('user.created', email)
  assert.ok(asked)
  for (const { isGenuine, headers, event } of [asked, created]) {
    assert.equal(isGenuine, true)
    assert.equal(headers['x-neon-event-type'], event.event_type)
    assert.equal(headers['x-neon-event-id'], event.event_id)
    assert.equal(headers['x-neon-delivery-attempt'], '1')
    assert.equal(event.user['email'], email)
    assert.equal(event.context.endpoint_id, app.project.endpointId)
    assert.ok(!Number.isNaN(Date.parse(event.timestamp)))
  }
  assert.equal(asked.event.event_data['auth_provider'], 'credential')
  assert.equal(created.event.user['id'], body['user_id'])
})

test('users that the management API makes are told of as well', async () => {
  await listen(['user.created'])
  const email = newEmail()
  const { status } = await app.manage('POST', '/auth/users', { email, name: 'Ada' })
  assert.equal(status, 201)
  const { event, isGenuine } = await told('user.created', email)
  assert.deepEqual([event.user['name'], isGenuine], ['Ada', true])
})

test('what it did not ask for it does not hear', async () => {
  await listen(['user.before_create'])
  await signUp(newEmail())
  const stored = await withControlDatabase(
    server.home,
    async (client) => (await client.query('select 1 from auth_events where integration_id = $1', [app.id])).rowCount,
  )
  assert.equal(stored, 0)
  assert.equal(hook.ofType('user.created').length, 0)
})

test('a user that it does not want is not there', async () => {
  await listen(['user.before_create', 'user.created'])
  hook.answer = (_, response) =>
    json(response, 200, { allowed: false, error_message: 'only by invitation', error_code: 'INVITED_ONLY' })
  const email = newEmail()
  const { status, body } = await signUp(email)
  assert.ok(status >= 400 && status < 500, String(status))
  assert.match(JSON.stringify(body), /only by invitation/)
  assert.equal(await isUser(email), false)
  assert.equal(hook.ofType('user.created').length, 0)
})

const failures: Readonly<Record<string, { answer: AuthWebhook['answer']; calls: number }>> = {
  'nothing that says so': { answer: (_, response) => json(response, 200, {}), calls: 1 },
  'a word that is not the one': { answer: (_, response) => json(response, 200, { allowed: 'true' }), calls: 1 },
  'no JSON': { answer: (_, response) => response.end('allowed'), calls: 1 },
  'an empty success': { answer: (_, response) => response.writeHead(204).end(), calls: 1 },
  'a refusal of its own': { answer: (_, response) => json(response, 403, { allowed: true }), calls: 1 },
  'an error of its own': { answer: (_, response) => json(response, 500, { allowed: true }), calls: 3 },
  'too many requests': { answer: (_, response) => json(response, 429, {}), calls: 3 },
  'a broken connection': { answer: (_, response) => response.destroy(), calls: 3 },
  'more than is read': {
    answer: (_, response) => json(response, 200, { allowed: true, more: 'x'.repeat(20_000) }),
    calls: 3,
  },
}

test('where it does not say that a user is allowed, there is none', async (t) => {
  await listen(['user.before_create'])
  for (const [what, { answer, calls }] of Object.entries(failures)) {
    await t.test(what, async () => {
      hook.calls.length = 0
      hook.answer = answer
      const email = newEmail()
      const { status } = await signUp(email)
      assert.ok(status >= 400, String(status))
      assert.equal(hook.calls.length, calls)
      assert.equal(await isUser(email), false)
      const ids = new Set(hook.calls.map(({ event }) => event.event_id))
      assert.equal(ids.size, 1, 'each try is of the same event')
      assert.deepEqual(
        hook.calls.map(({ headers }) => headers['x-neon-delivery-attempt']),
        ['1', '2', '3'].slice(0, calls),
      )
      assert.ok(hook.calls.every(({ isGenuine }) => isGenuine))
    })
  }
})

test('a hook that is slow is not waited for, and one that comes round is believed', async () => {
  await listen(['user.before_create'], 1)
  hook.answer = () => {}
  const email = newEmail()
  assert.ok((await signUp(email)).status >= 400)
  assert.equal(hook.calls.length, 3)
  assert.equal(await isUser(email), false)
  hook.answer = (call, response) =>
    call.headers['x-neon-delivery-attempt'] === '1' ? json(response, 503, {}) : json(response, 200, { allowed: true })
  assert.equal((await signUp(newEmail())).status, 200)
})

test('a redirect is not followed', async () => {
  await listen(['user.before_create'])
  hook.answer = ({ path }, response) =>
    path === '/elsewhere'
      ? json(response, 200, { allowed: true })
      : void response.writeHead(307, { location: new URL('/elsewhere', hook.url).href }).end()
  assert.ok((await signUp(newEmail())).status >= 400)
  assert.deepEqual(
    hook.calls.map(({ path }) => path),
    ['/hook'],
  )
})

test('it sends in our place where it wants to, and where it fails nothing is sent', async () => {
  await app.manage('DELETE', '/auth/mailbox')
  await listen(['send.magic_link', 'send.otp'])
  const email = newEmail()
  const ask = (): Promise<Answer> =>
    app.stack('POST', '/auth/otp/send-sign-in-code', { email, callback_url: page }, { 'user-agent': 'a browser' })
  assert.equal((await ask()).status, 200)
  const { event, isGenuine } = await told('send.magic_link', email)
  assert.equal(isGenuine, true)
  assert.match(String(event.event_data['link_url']), /^http:\/\/localhost:3000\/verified\?code=\w{45}$/)
  assert.ok(Date.parse(String(event.event_data['expires_at'])) > Date.now())
  assert.deepEqual(await app.mailbox(), [])
  hook.answer = (_, response) => json(response, 400, {})
  await ask()
  await eventually('the hook to be asked again', async () => hook.ofType('send.magic_link').length === 2)
  assert.deepEqual(await app.mailbox(), [])
})

test('events wait for a hook that is away', async () => {
  await listen(['user.created'])
  hook.answer = (_, response) => json(response, 503, {})
  const email = newEmail()
  assert.equal((await signUp(email)).status, 200)
  await eventually('three tries', async () => hook.ofType('user.created').length === 3)
  const stored = (): Promise<{ attempts: number }[]> =>
    withControlDatabase(server.home, async (client) => {
      const { rows } = await client.query<{ attempts: number }>(
        'select attempts from auth_events where integration_id = $1',
        [app.id],
      )
      return rows
    })
  await eventually('what became of it to be noted', async () => (await stored())[0]?.attempts === 3)
  hook.answer = (_, response) => json(response, 200, {})
  await withControlDatabase(server.home, (client) => client.query('update auth_events set due_at = now()'))
  await eventually('the event to be taken', async () => (await stored()).length === 0)
  const calls = hook.ofType('user.created')
  assert.equal(new Set(calls.map(({ event }) => event.event_id)).size, 1)
  assert.equal(calls.at(-1)?.headers['x-neon-delivery-attempt'], '4')
})

test('a hook inside is for those who run this installation', async () => {
  const stranger = await makeUser(server, 'stranger@example.com')
  const orgId = await makeOrganization(server, 'theirs', stranger)
  const theirs = await makeAuthApp(stranger.server, 'stack', await makeProject(stranger.server, { org_id: orgId }))
  for (const url of [
    hook.url,
    'http://localhost:1/x',
    'https://10.0.0.1/x',
    'https://169.254.169.254/',
    'http://example.com/x',
  ]) {
    const { status } = await theirs.manage('PUT', '/auth/webhooks', {
      enabled: true,
      webhook_url: url,
      enabled_events: everything,
      timeout_seconds: 1,
    })
    assert.equal(status, 400, url)
  }
  // What was allowed when it was set is looked at again when it is used: here it leads inside all the same.
  await withControlDatabase(server.home, (client) =>
    client.query(
      `update auth_integrations set version = version + 1, settings = jsonb_set(settings, '{webhooks}', $2) where id = $1`,
      [
        theirs.id,
        JSON.stringify({
          enabled: true,
          url: hook.url,
          privateAllowed: false,
          events: ['user.before_create', 'user.created'],
          timeoutSeconds: 1,
        }),
      ],
    ),
  )
  const { status } = await theirs.stack('POST', '/auth/password/sign-up', {
    email: newEmail(),
    password: 'correct horse battery',
  })
  assert.ok(status >= 400)
  assert.equal(hook.calls.length, 0)
})

test('no code, link or address of anybody is in the log', async () => {
  const log = await server.log()
  assert.doesNotMatch(log, /user\d+@example|code=|correct horse/)
})
