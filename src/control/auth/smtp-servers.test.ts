import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { isAppError } from '../../model/errors.ts'
import { mailPassword, startMailServer, startSilentServer } from '../../../test/support/mail-server.ts'
import { assertMailServer, MailFailure, sendMail, tlsRules, type MailServer } from './smtp-servers.ts'

const sender = { name: 'Notes', address: 'notes@example.com' }
const mail = {
  id: '7f7f0000-0000-4000-8000-000000000000',
  to: 'ada@example.com',
  subject: 'Hello',
  text: 'Hi',
  html: '<p>Hi',
}
const login = { username: 'notes', password: mailPassword }

const at = (port: number, more: Partial<MailServer> = {}): MailServer => ({
  host: '127.0.0.1',
  port,
  login,
  privateAllowed: true,
  sender,
  ...more,
})

const failureOf = async (sending: Promise<void>): Promise<MailFailure> => {
  try {
    await sending
  } catch (error) {
    assert.ok(error instanceof MailFailure)
    return error
  }
  assert.fail('it was taken')
}

test('a mail arrives, under TLS where the server has it, as whoever the server knows', async () => {
  await using server = await startMailServer()
  await sendMail(at(server.port), mail, { timeoutMs: 20_000 })
  const [received] = server.received
  assert.ok(received)
  assert.equal(received.secure, true)
  assert.equal(received.user, 'notes')
  assert.deepEqual(received.recipients, ['ada@example.com'])
  assert.equal(received.mail.from?.text, '"Notes" <notes@example.com>')
  assert.equal(received.mail.subject, 'Hello')
  assert.equal(received.mail.messageId, `<${mail.id}@example.com>`)
  assert.doesNotMatch(received.raw, new RegExp((await import('node:os')).hostname()), 'what this machine is called')
})

test('over the open internet nothing is said without TLS, nor to a server that does not prove its name', () => {
  for (const port of [25, 587, 2525])
    assert.deepEqual(tlsRules(port, false), { secure: false, requireTLS: true, proves: true })
  assert.deepEqual(tlsRules(465, false), { secure: true, requireTLS: false, proves: true })
  assert.deepEqual(tlsRules(587, true), { secure: false, requireTLS: true, proves: false })
  assert.deepEqual(tlsRules(1025, true), { secure: false, requireTLS: false, proves: false })
})

test('servers inside are named by those who may only', () => {
  const named =
    (host: string, port: number, privateAllowed: boolean): (() => void) =>
    () =>
      assertMailServer({ host, port, privateAllowed, sender })
  for (const host of ['127.0.0.1', 'localhost', 'mailpit', 'smtp.internal', '10.0.0.1', '::1', '[::1]', 'smtp.lan.']) {
    named(host, 1025, true)()
    assert.throws(named(host, 1025, false), (error) => isAppError(error, 'bad_request'), host)
  }
  for (const privateAllowed of [true, false]) {
    named('smtp.example.com', 587, privateAllowed)()
    for (const host of [
      '169.254.169.254',
      '0.0.0.0',
      '100.100.100.200',
      '',
      'a b',
      'smtp.example.com:25',
      'x/y',
      'a@b',
      'smtp.example.com\r\n',
      '..',
    ])
      assert.throws(named(host, 587, privateAllowed), (error) => isAppError(error, 'bad_request'), host)
    for (const port of [0, -1, 65_536, 1.5, 22, 80, 443, 6379])
      assert.throws(
        named('smtp.example.com', port, privateAllowed),
        (error) => isAppError(error, 'bad_request'),
        String(port),
      )
  }
  const spoofed = { name: '', address: 'a@example.com>\r\nBcc: b@example.com' }
  assert.throws(() => assertMailServer({ host: 'smtp.example.com', port: 587, privateAllowed: false, sender: spoofed }))
})

test('a name that leads inside is not connected to, and whether anything is there is not said', async () => {
  await using inside = await startSilentServer()
  const outside = at(587, { host: 'smtp.example.com', privateAllowed: false })
  const leading = async (to: string[]): Promise<MailFailure> =>
    await failureOf(sendMail({ ...outside, port: 2525 }, mail, { timeoutMs: 20_000, resolve: async () => to }))
  const nowhere = await failureOf(
    sendMail(outside, mail, { timeoutMs: 20_000, resolve: () => Promise.reject(new Error('ENOTFOUND')) }),
  )
  for (const to of [['127.0.0.1'], ['10.0.0.1'], ['169.254.169.254'], ['93.184.216.34', '127.0.0.1'], ['::1']])
    assert.equal((await leading(to)).message, nowhere.message)
  assert.equal(inside.connections(), 0)
})

test('what goes wrong is said in words that tell nothing of the network', async (t) => {
  await using server = await startMailServer()
  await using silent = await startSilentServer()
  const to = (target: MailServer, timeoutMs = 20_000): Promise<MailFailure> =>
    failureOf(sendMail(target, mail, { timeoutMs }))
  const wrong = await to(at(server.port, { login: { username: 'notes', password: 'wrong' } }))
  assert.match(wrong.message, /did not accept username and password/)
  assert.doesNotMatch(wrong.message, /wrong/)
  assert.match((await to(at(silent.port), 300)).message, /took too long/)
  assert.match((await to(at(1))).message, /cannot be reached/)
  assert.match((await to(at(await otherService(t)))).message, /no mail server/)
  server.answers.push(451, 554)
  const later = await to(at(server.port))
  assert.equal(later.isFinal, false)
  const never = await to(at(server.port))
  assert.equal(never.isFinal, true)
  assert.match(never.message, /did not take the mail: 554/)
})

test('a server that has no TLS is not given a password where it would need some', async (t) => {
  await using server = await startMailServer({ tls: false })
  // Port 587 is not ours to listen at: the rule is that of the port, the refusal the mail program's.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    host: '127.0.0.1',
    port: server.port,
    requireTLS: true,
    auth: { user: 'a', pass: 'b' },
  })
  t.after(() => transport.close())
  await assert.rejects(transport.sendMail({ from: 'a@example.com', to: 'b@example.com' }), { code: 'ETLS' })
  assert.equal(server.received.length, 0)
})

async function otherService(t: TestContext): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}
