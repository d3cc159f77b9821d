import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { AppError } from '../model/errors.ts'
import { run } from '../lib/run.ts'
import { writeSaslInitialResponse } from '../pgwire/frontend-messages.ts'
import { writeStartupMessage } from '../pgwire/startup-packet.ts'
import { writeMessage } from '../pgwire/message.ts'
import { connect } from 'node:net'
import { RawClient } from './test-support/raw-client.ts'
import { testPassword, testUser } from './test-support/postgres.ts'
import { testDomain, testEndpoint, TestEdge } from './test-support/test-edge.ts'
import { obstacleWithout, skipUnless } from '../../test/support/programs.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start()
})
after(() => it[Symbol.asyncDispose]())

function client(more: pg.ClientConfig = {}): pg.Client {
  const made = new pg.Client({
    host: '127.0.0.1',
    port: it.port,
    user: testUser,
    password: testPassword,
    database: 'postgres',
    options: `endpoint=${testEndpoint}`,
    ...more,
  })
  made.on('error', () => {})
  return made
}

async function value(sql: string, more: pg.ClientConfig = {}): Promise<unknown> {
  const one = client(more)
  await one.connect()
  try {
    return Object.values((await one.query(sql)).rows[0] ?? {})[0]
  } finally {
    await one.end()
  }
}

type Failure = { code: string; message: string }
const failure = (more: pg.ClientConfig): Promise<Failure> =>
  client(more)
    .connect()
    .then(
      () => assert.fail('connected'),
      (error: Failure) => error,
    )

const ssl = (): pg.ClientConfig['ssl'] => ({
  ca: readFileSync(it.caFile, 'utf8'),
  servername: `${testEndpoint}.${testDomain}`,
})

test('a stranger wakes nothing, and cannot tell what it was that was wrong', async () => {
  it.controlPlane.wakes.length = 0
  const failures = await Promise.all([
    failure({ password: 'wrong' }),
    failure({ options: 'endpoint=ep-unknown' }),
    failure({ user: 'nobody_here' }),
    failure({ password: 'wrong', options: `endpoint=${testEndpoint}-pooler` }),
    failure({ password: 'wrong', ssl: ssl() }),
    failure({ password: `endpoint=${testEndpoint};wrong`, options: '' }),
    failure({ password: `endpoint=ep-unknown;wrong`, options: '' }),
  ])
  for (const { code, message } of failures) {
    assert.equal(code, '28P01')
    assert.match(message, /^password authentication failed for user '(postgres|nobody_here)'$/)
  }
  assert.deepEqual(it.controlPlane.wakes, [])
})

test('a role that does not exist has a salt of its own, always the same one', async () => {
  const salt = async (user: string, endpoint: string): Promise<string> => {
    const raw = new RawClient(connect({ port: it.port, host: '127.0.0.1' }))
    raw.socket.write(
      writeStartupMessage({ major: 3, minor: 0 }, [
        ['user', user],
        ['options', `endpoint=${endpoint}`],
      ]),
    )
    await raw.next()
    raw.socket.write(writeSaslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=nonce'))
    const { body } = await raw.next()
    raw.socket.destroy()
    return /s=([^,]+),i=4096$/.exec(body.toString('latin1'))?.[1] ?? ''
  }
  const [one, again, other, elsewhere, real] = await Promise.all([
    salt('ghost', testEndpoint),
    salt('ghost', testEndpoint),
    salt('phantom', testEndpoint),
    salt('ghost', 'ep-unknown'),
    salt(testUser, testEndpoint),
  ])
  assert.equal(one, again)
  assert.equal(new Set([one, other, elsewhere, real]).size, 4)
  assert.equal(one?.length, real?.length)
})

test('what is no SCRAM ends the connection without a word', async () => {
  for (const bytes of [
    writeMessage('Q', Buffer.from('select 1\0')),
    writeSaslInitialResponse('SCRAM-SHA-1', 'n,,n=,r=x'),
    writeSaslInitialResponse('SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=x'),
    writeSaslInitialResponse('SCRAM-SHA-256', 'garbage'),
    writeMessage('p', Buffer.alloc(5_000, 'x')),
  ]) {
    const raw = new RawClient(connect({ port: it.port, host: '127.0.0.1' }))
    raw.socket.write(
      writeStartupMessage({ major: 3, minor: 0 }, [
        ['user', testUser],
        ['options', `endpoint=${testEndpoint}`],
      ]),
    )
    await raw.next()
    raw.socket.write(bytes)
    await assert.rejects(raw.next(), /connection lost/)
  }
})

test('psql binds the login to the channel under TLS', skipUnless(obstacleWithout('psql')), async () => {
  const psql = (conninfo: string): Promise<string> =>
    run('psql', ['-XAtqc', 'select 6 * 7', conninfo], { env: { PGPASSWORD: testPassword } }).then(({ stdout }) =>
      stdout.trim(),
    )
  const base = `host=127.0.0.1 port=${it.port} user=${testUser} dbname=postgres options=endpoint=${testEndpoint}`
  assert.equal(await psql(`${base} sslmode=require channel_binding=require`), '42')
  assert.equal(await psql(`${base} sslmode=require channel_binding=disable`), '42')
  assert.equal(await psql(`${base} sslmode=disable channel_binding=disable`), '42')
  await assert.rejects(psql(`${base} sslmode=disable channel_binding=require`))
  assert.equal(await psql(`${base}-pooler sslmode=require channel_binding=require`), '42')
})

test('node-postgres binds it too', async () => {
  assert.equal(await value('select 42', { ssl: ssl(), enableChannelBinding: true }), 42)
})

test('roles and passwords made by SQL are known at once, and old ones no more', async () => {
  await value("create role sql_made login password 'first'")
  assert.equal(await value('select current_user', { user: 'sql_made', password: 'first' }), 'sql_made')
  for (let round = 0; round < 5; round++) {
    await value(`alter role sql_made password 'round ${round}'`)
    assert.equal(await value('select current_user', { user: 'sql_made', password: `round ${round}` }), 'sql_made')
    assert.equal((await failure({ user: 'sql_made', password: round ? `round ${round - 1}` : 'first' })).code, '28P01')
  }
  await value('alter role sql_made nologin')
  assert.equal((await failure({ user: 'sql_made', password: 'round 4' })).code, '28P01')
  await value('drop role sql_made')
  assert.equal((await failure({ user: 'sql_made', password: 'round 4' })).code, '28P01')
})

test('a password that a function changed counts at the second attempt at the latest', async () => {
  await value("create role by_function login password 'first'")
  await value(
    "create function change_password(new text) returns text language plpgsql as 'begin execute format(''alter role by_function password %L'', new); return new; end'",
  )
  assert.equal(await value('select current_user', { user: 'by_function', password: 'first' }), 'by_function')
  await value("select change_password('second')")
  const second = { user: 'by_function', password: 'second' }
  const attempt = await value('select current_user', second).catch((error: Failure) => error.code)
  assert.ok(attempt === 'by_function' || attempt === '28P01')
  assert.equal(await value('select current_user', second), 'by_function')
  assert.equal((await failure({ user: 'by_function', password: 'first' })).code, '28P01')
})

test('commands that change no role cost no question', async () => {
  await value('select 1')
  it.controlPlane.lookups.length = 0
  for (let n = 0; n < 5; n++) assert.equal(await value('select 1'), 1)
  assert.deepEqual(it.controlPlane.lookups, [])
  await value('alter table if exists nowhere rename to somewhere')
  await value('select 1')
  assert.equal(it.controlPlane.lookups.length, 1)
})

test('without traffic control is not asked again', async () => {
  await it.postgres.start()
  const quiet = 'ep-disabled'
  await failure({ options: `endpoint=${quiet}` })
  it.controlPlane.lookups.length = 0
  for (let n = 0; n < 5; n++) assert.equal((await failure({ options: `endpoint=${quiet}` })).code, '55000')
  assert.deepEqual(it.controlPlane.lookups, [])
  await it.controlPlane.endpointChanged({ endpointId: quiet, what: 'all' })
  await failure({ options: `endpoint=${quiet}` })
  assert.equal(it.controlPlane.lookups.length, 1)
})

test('what was known does while control is away; what was not is told so', async (t) => {
  await value('select 1')
  const lookUp = it.controlPlane.lookupRole.bind(it.controlPlane)
  t.after(() => (it.controlPlane.lookupRole = lookUp))
  it.controlPlane.lookupRole = async () => {
    throw new AppError('unavailable', 'control is away')
  }
  assert.equal(await value('select 1 as one'), 1)
  assert.equal((await failure({ password: 'wrong' })).code, '28P01')
  assert.equal((await failure({ user: 'never_seen' })).code, '57P03')
})

test('addresses that are not allowed are told so, with the right password and with a wrong one', async (t) => {
  const { access } = it.controlPlane
  t.after(async () => {
    it.controlPlane.access = access
    await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'all' })
  })
  const set = async (change: Partial<typeof access>): Promise<void> => {
    it.controlPlane.access = { ...access, ...change }
    await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'all' })
  }
  await set({ allowedIps: ['10.0.0.0/8', '192.168.1.7'] })
  for (const more of [{}, { password: 'wrong' }, { ssl: ssl() }, { options: `endpoint=${testEndpoint}-pooler` }]) {
    const { code, message } = await failure(more)
    assert.equal(code, '28000')
    assert.match(message, /^This IP address 127\.0\.0\.1 is not allowed to connect to this endpoint\./)
  }
  await set({ allowedIps: ['127.0.0.0/8'] })
  assert.equal(await value('select 1'), 1)
  await set({ publicBlocked: true })
  assert.equal(await value('select 1'), 1)
})
