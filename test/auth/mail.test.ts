// Mails of apps: by a server of their own, by the operator's, or kept in the mailbox.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeAuthApp, type AuthApp, type KeptMail } from '../support/auth-app.ts'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import {
  mailPassword,
  startMailServer,
  startSilentServer,
  type MailServer,
  type ReceivedMail,
} from '../support/mail-server.ts'
import { makeHome, startServer, type TestServer } from '../support/server.ts'

const env = { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,1' }
const page = 'http://localhost:3000/sign-in'

let server: TestServer
let app: AuthApp

before(async () => {
  server = await startServer({ env })
  app = await makeAuthApp(server)
  const { status } = await app.manage('PATCH', '/auth/plugins/magic-link', { enabled: true })
  assert.equal(status, 200)
})
after(() => server[Symbol.asyncDispose]())

const ownServer = (port: number): Record<string, unknown> => ({
  type: 'standard',
  host: '127.0.0.1',
  port,
  username: 'notes',
  password: mailPassword,
  sender_email: 'notes@app.example',
  sender_name: 'Notes, Inc. <sales>',
})

async function sendThrough(of: AuthApp, emailServer: Record<string, unknown>): Promise<void> {
  const { status, body } = await of.manage('PATCH', '/auth/email_provider', emailServer)
  assert.equal(status, 200, JSON.stringify(body))
}

/** Whoever it is: a link to sign in with. */
async function askForLink(of: AuthApp, email: string): Promise<number> {
  const { status, body } = await of.stack('POST', '/auth/otp/send-sign-in-code', { email, callback_url: page })
  if (status === 200) assert.ok(body['nonce'])
  return status
}

const arrived = (at: MailServer, to: string): Promise<ReceivedMail> =>
  eventually(`a mail to ${to}`, async () => at.received.find(({ recipients }) => recipients.includes(to)), 90_000)

const keptFor = (of: AuthApp, to: string): Promise<KeptMail> =>
  eventually(`a mail to ${to} in the mailbox`, async () => (await of.mailbox()).find((mail) => mail.to === to))

test('without a mail server, mails are in the mailbox, and their links work', async () => {
  assert.equal(await askForLink(app, 'ada@example.com'), 200)
  const mail = await keptFor(app, 'ada@example.com')
  assert.equal(mail.kind, 'magic_link')
  assert.equal(mail.links.length, 1)
  const link = new URL(mail.links[0] ?? '')
  assert.equal(link.origin + link.pathname, page)
  const { status, body } = await app.stack('POST', '/auth/otp/sign-in', { code: link.searchParams.get('code') })
  assert.equal(status, 200, JSON.stringify(body))
  assert.ok(body['access_token'])
  assert.ok(mail.html.includes('&amp;') || mail.html.includes(link.href))
})

test('the mailbox keeps the newest two hundred, newest first, and can be emptied', async () => {
  const all = Array.from({ length: 205 }, (_, i) => `u${i}@example.com`)
  for (const email of all) assert.equal(await askForLink(app, email), 200)
  await keptFor(app, 'u204@example.com')
  const mails = await app.mailbox()
  assert.equal(mails.length, 200)
  assert.equal(mails[0]?.to, 'u204@example.com')
  assert.ok(!mails.some(({ to }) => to === 'u0@example.com' || to === 'ada@example.com'))
  const some = await app.manage('GET', '/auth/mailbox?limit=3')
  assert.equal((some.body['mails'] as unknown[]).length, 3)
  assert.equal((await app.manage('DELETE', '/auth/mailbox')).status, 204)
  assert.deepEqual(await app.mailbox(), [])
})

test('what is on its way, or kept, cannot be read in the control database', async () => {
  await askForLink(app, 'sealed@example.com')
  await keptFor(app, 'sealed@example.com')
  const stored = await withControlDatabase(server.home, async (client) => {
    const { rows } = await client.query<{ row: string }>('select m::text as row, content from auth_mails m')
    return rows.map(({ row }) => Buffer.from(/\\\\?x([0-9a-f]+)/.exec(row)?.[1] ?? '', 'hex').toString('latin1') + row)
  })
  assert.ok(stored.length > 0)
  for (const row of stored) assert.doesNotMatch(row, /sealed@example|code=/)
})

test('an app’s own server gets them: once each, from its sender, to nobody else', async () => {
  await using mails = await startMailServer()
  await sendThrough(app, ownServer(mails.port))
  await askForLink(app, 'grace@example.com')
  const { mail, raw, recipients, secure, user } = await arrived(mails, 'grace@example.com')
  assert.deepEqual([recipients, secure, user], [['grace@example.com'], true, 'notes'])
  assert.equal(mail.from?.value[0]?.address, 'notes@app.example')
  assert.equal(mail.from?.value[0]?.name, 'Notes, Inc. <sales>')
  assert.equal(mail.from?.value.length, 1)
  assert.match(mail.messageId ?? '', /^<[0-9a-f-]{36}@app\.example>$/)
  assert.match(raw, /^auto-submitted: auto-generated/im)
  assert.match(mail.text ?? '', /http:\/\/localhost:3000\/sign-in\?code=\w{45}/)
  assert.equal(
    (await app.mailbox()).some(({ to }) => to === 'grace@example.com'),
    false,
  )
  await askForLink(app, 'grace@example.com')
  await eventually('the second mail', async () => mails.received.length === 2)
})

test('a mail that a server does not take is sent again as the same; one that it never will is not', async () => {
  await using mails = await startMailServer()
  await sendThrough(app, ownServer(mails.port))
  mails.answers.push(451)
  await askForLink(app, 'later@example.com')
  const { mail } = await arrived(mails, 'later@example.com')
  mails.answers.push(550)
  await askForLink(app, 'never@example.com')
  const states = (): Promise<
    { id: string; state: string; attempts: number; content: Buffer; last_error: string | null }[]
  > =>
    withControlDatabase(server.home, async (client) => {
      const { rows } = await client.query(
        `select id, state, attempts, content, last_error from auth_mails where integration_id = $1 and state <> 'kept' order by created_at desc limit 2`,
        [app.id],
      )
      return rows
    })
  const [never, later] = await eventually('the mail to be given up', async () => {
    const rows = await states()
    return rows[0]?.state === 'failed' && rows
  })
  assert.match(never?.last_error ?? '', /did not take the mail: 550/)
  assert.deepEqual([later?.state, later?.attempts], ['sent', 2])
  assert.equal(mail.messageId, `<${later?.id}@app.example>`)
  for (const row of [never, later]) assert.equal(row?.content.length, 0, 'links are not left lying about')
})

test('a server that hangs holds up nobody but its own', async () => {
  await using silent = await startSilentServer()
  await using mails = await startMailServer()
  await sendThrough(app, ownServer(silent.port))
  await askForLink(app, 'stuck@example.com')
  await eventually('the silent server to be tried', async () => silent.connections() > 0)
  const other = await makeAuthApp(server)
  await other.manage('PATCH', '/auth/plugins/magic-link', { enabled: true })
  await sendThrough(other, ownServer(mails.port))
  await askForLink(other, 'free@example.com')
  await arrived(mails, 'free@example.com')
  assert.equal(mails.received.length, 1)
  await sendThrough(app, { type: 'shared' })
})

const hostileNames = [
  'Evil\r\nBcc: all@example.com',
  'Evil\nBcc: all@example.com\n\n<script>alert(1)</script>',
  'Evil\rBcc: all@example.com',
  'Evil\u0000\u0001\u007f',
  'Evil\u2028Bcc: all@example.com\u2029',
  '=?utf-8?Q?Evil=0D=0ABcc:_all@example.com?=',
  '"><img src=x onerror=alert(1)>',
  'a@example.com, b@example.com',
  'Ünïcödé 🦉',
]

test('names of apps end no header and begin no tag', async () => {
  await using mails = await startMailServer()
  await sendThrough(app, ownServer(mails.port))
  let accepted = 0
  for (const [i, name] of hostileNames.entries()) {
    const { status } = await app.manage('PATCH', '/auth/config', { name })
    if (status !== 200) {
      assert.equal(status, 400)
      // Whoever writes it into the control database may still see it come to nothing.
      if (!name.includes('\u0000')) {
        await withControlDatabase(server.home, (client) =>
          client.query('update auth_integrations set name = $2, version = version + 1 where id = $1', [app.id, name]),
        )
      }
    } else accepted++
    const to = `named${i}@example.com`
    await askForLink(app, to)
    const { mail, raw, recipients } = await arrived(mails, to)
    const headers = raw.slice(0, raw.indexOf('\r\n\r\n'))
    assert.doesNotMatch(headers, /^bcc:/im, name)
    assert.deepEqual(recipients, [to])
    assert.equal(mail.headers.has('bcc'), false)
    assert.equal([...headers.matchAll(/^to:/gim)].length, 1)
    assert.doesNotMatch(String(mail.html), /<script|<img/)
    assert.doesNotMatch(mail.subject ?? '', /[\r\n\0]/)
  }
  assert.ok(accepted > 0)
  await app.manage('PATCH', '/auth/config', { name: 'Notes' })
  await sendThrough(app, { type: 'shared' })
})

test('recipients that would be several, or something else in a header, get nothing', async () => {
  await app.manage('DELETE', '/auth/mailbox')
  for (const email of [
    'a@example.com, b@example.com',
    'a@example.com\r\nBcc: b@example.com',
    'a@example.com\u0000',
    '<a@example.com>',
    '"a b"@example.com',
    'a@example.com;b@example.com',
  ]) {
    assert.equal(await askForLink(app, email), 400, email)
  }
  assert.deepEqual(await app.mailbox(), [])
})

test('nobody is written to again and again', async () => {
  const statuses: number[] = []
  for (let i = 0; i < 7; i++) statuses.push(await askForLink(app, 'tired@example.com'))
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429])
  const refused = await app.stack('POST', '/auth/otp/send-sign-in-code', {
    email: 'TIRED@example.com',
    callback_url: page,
  })
  assert.ok(Number(refused.headers.get('retry-after')) > 0)
})

test('a server is tried before it is set, and a failure is an answer', async () => {
  await using mails = await startMailServer()
  const { type: _, ...given } = ownServer(mails.port)
  const attempt = (changes: Record<string, unknown>): ReturnType<AuthApp['manage']> =>
    app.manage('POST', '/auth/send_test_email', { ...given, recipient_email: 'admin@example.com', ...changes })
  const tried = await attempt({})
  assert.deepEqual([tried.status, tried.body['success']], [200, true], JSON.stringify(tried.body))
  assert.equal(mails.received.length, 1)
  const wrong = await attempt({ password: 'not that one' })
  assert.deepEqual([wrong.status, wrong.body['success']], [200, false])
  assert.match(String(wrong.body['error_message']), /username and password/)
  const nobody = await attempt({ port: 1 })
  assert.equal(nobody.body['success'], false)
  for (const changes of [
    { host: '169.254.169.254' },
    { host: 'smtp.example.com', port: 22 },
    { recipient_email: 'a@example.com, b@example.com' },
    { sender_email: 'a@example.com\r\nBcc: b@example.com' },
  ])
    assert.equal((await attempt(changes)).status, 400, JSON.stringify(changes))
  assert.equal(mails.received.length, 1)
})

test('a mock sends nothing, whatever server it is given', async () => {
  await using mails = await startMailServer()
  const mock = await makeAuthApp(server, 'mock')
  await mock.manage('PATCH', '/auth/plugins/magic-link', { enabled: true })
  await sendThrough(mock, ownServer(mails.port))
  await askForLink(mock, 'mocked@example.com')
  await keptFor(mock, 'mocked@example.com')
  assert.equal(mails.received.length, 0)
})

test('the operator’s server sends for all that have none, under his address', async () => {
  await using mails = await startMailServer()
  const home = await makeHome()
  const file = join(home, 'auth.json')
  await writeFile(
    file,
    JSON.stringify({
      smtp: {
        host: '127.0.0.1',
        port: mails.port,
        username: 'operator',
        password: mailPassword,
        sender_email: 'no-reply@operator.example',
        sender_name: 'Operator',
      },
    }),
  )
  await using other = await startServer({ home, env: { ...env, PGROVE_AUTH_CONFIG: file } })
  const shared = await makeAuthApp(other)
  await shared.manage('PATCH', '/auth/plugins/magic-link', { enabled: true })
  await sendThrough(shared, { type: 'shared', sender_email: 'ceo@bank.example', sender_name: 'Your Bank' })
  await askForLink(shared, 'carol@example.com')
  const { mail, user } = await arrived(mails, 'carol@example.com')
  assert.equal(user, 'operator')
  assert.equal(mail.from?.value[0]?.address, 'no-reply@operator.example')
  assert.equal(mail.from?.value[0]?.name, 'Your Bank via Operator')
  assert.deepEqual(await shared.mailbox(), [])
  const log = await other.log()
  assert.doesNotMatch(log, /code=|carol@example/)
})
