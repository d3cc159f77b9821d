import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { Client, type ClientConfig } from 'pg'
import { obstacleWithout, skipUnless } from '../../test/support/programs.ts'
import { run } from '../lib/run.ts'
import { isAppError } from '../model/errors.ts'
import { writePasswordMessage } from '../pgwire/frontend-messages.ts'
import { cString, writeMessage } from '../pgwire/message.ts'
import { writeStartupMessage } from '../pgwire/startup-packet.ts'
import { testPassword, testUser } from './test-support/postgres.ts'
import { testDomain, testEndpoint, TestEdge, until } from './test-support/test-edge.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start()
})
after(() => it[Symbol.asyncDispose]())

const withPsql = skipUnless(obstacleWithout('psql'))

async function psql(connection: string, sql: string, env: Record<string, string> = {}): Promise<string> {
  const args = ['-X', '-At', '-v', 'ON_ERROR_STOP=1', connection, '-c', sql]
  const { stdout } = await run('psql', args, { env: { PGPASSWORD: testPassword, ...env }, timeoutMs: 20_000 })
  return stdout.trim()
}

async function psqlError(connection: string, sql = 'select 1', env: Record<string, string> = {}): Promise<string> {
  return psql(connection, sql, env).then(
    () => assert.fail('psql should have failed'),
    (error: unknown) => {
      assert.ok(isAppError(error, 'command_failed'))
      return String(error.cause)
    },
  )
}

const plain = (more = ''): string =>
  `host=127.0.0.1 port=${it.port} user=${testUser} dbname=postgres sslmode=disable ${more}`
const tls = (host: string, more = ''): string =>
  `host=${host} hostaddr=127.0.0.1 port=${it.port} user=${testUser} dbname=postgres sslmode=verify-full sslrootcert=${it.caFile} ${more}`

function client(more: ClientConfig = {}): Client {
  return new Client({
    host: '127.0.0.1',
    port: it.port,
    user: testUser,
    password: testPassword,
    database: 'postgres',
    options: `endpoint=${testEndpoint}`,
    ...more,
  })
}

async function withClient<T>(config: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = client(config)
  connection.on('error', () => {})
  await connection.connect()
  try {
    return await work(connection)
  } finally {
    await connection.end()
  }
}

const count = (client: Client): Promise<unknown> =>
  client.query('select count(*)::int as n from generate_series(1, 10)').then(({ rows }) => rows[0].n)

const ca = (): string => readFileSync(it.caFile, 'utf8')

test('psql: plain on loopback, endpoint in options', withPsql, async () => {
  assert.equal(await psql(plain(`options=endpoint=${testEndpoint}`), 'select 6 * 7'), '42')
})

test('psql: a connection string as pgrove prints it', withPsql, async () => {
  const password = encodeURIComponent(testPassword)
  const uri = `postgresql://${testUser}:${password}@127.0.0.1:${it.port}/postgres?options=endpoint%3D${testEndpoint}-pooler`
  assert.equal(await psql(uri, 'select 6 * 7', { PGPASSWORD: '' }), '42')
})

test('psql: TLS, verified, endpoint in the server name', withPsql, async () => {
  assert.equal(await psql(tls(`${testEndpoint}.${testDomain}`), 'select 6 * 7'), '42')
  assert.equal(await psql(tls(`${testEndpoint}-pooler.${testDomain}`), 'select 6 * 7'), '42')
})

test('psql: TLS by PGHOSTADDR', withPsql, async () => {
  const uri = `postgresql://${testUser}@${testEndpoint}.${testDomain}:${it.port}/postgres?sslmode=require`
  assert.equal(await psql(uri, 'select 6 * 7', { PGHOSTADDR: '127.0.0.1' }), '42')
})

test('psql: the endpoint in the password, plain and under TLS', withPsql, async () => {
  for (const separator of [';', '$']) {
    const PGPASSWORD = `endpoint=${testEndpoint}${separator}${testPassword}`
    assert.equal(await psql(plain(), 'select 6 * 7', { PGPASSWORD }), '42')
  }
  const PGPASSWORD = `endpoint=${testEndpoint};${testPassword}`
  assert.equal(await psql(tls(`localhost`), 'select 6 * 7', { PGPASSWORD }), '42')
})

test('a wrong password is refused before anything is woken, on both ways', withPsql, async () => {
  const wrong = await psqlError(plain(`options=endpoint=${testEndpoint}`), 'select 1', { PGPASSWORD: 'wrong' })
  assert.match(wrong, /password authentication failed for user 'postgres'/)
  const prefixed = await psqlError(plain(), 'select 1', { PGPASSWORD: `endpoint=${testEndpoint};wrong` })
  assert.match(prefixed, /password authentication failed for user 'postgres'/)
})

test('a password beyond ASCII works in the password route too', withPsql, async () => {
  const password = 'pä\u00a0ss\u2168 \u{1f511}'
  await withClient({}, (client) => client.query(`create role umlaut login password '${password}'`))
  const connection = `host=127.0.0.1 port=${it.port} user=umlaut dbname=postgres sslmode=disable`
  const PGPASSWORD = `endpoint=${testEndpoint};${password}`
  assert.equal(await psql(connection, 'select current_user', { PGPASSWORD }), 'umlaut')
  assert.equal(
    await psql(`${connection} options=endpoint=${testEndpoint}`, 'select current_user', { PGPASSWORD: password }),
    'umlaut',
  )
})

test('node-postgres: plain, TLS, and TLS from the first byte', async () => {
  assert.equal(await withClient({}, count), 10)
  const ssl = { ca: ca(), servername: `${testEndpoint}.${testDomain}` }
  assert.equal(await withClient({ ssl, options: '' }, count), 10)
  const direct = { ssl: { ...ssl, ALPNProtocols: ['postgresql'] }, options: '', sslnegotiation: 'direct' }
  assert.equal(await withClient(direct as ClientConfig, count), 10)
})

test('parameters of the startup packet reach Postgres, ours do not', async () => {
  const options = `-c work_mem=5MB endpoint=${testEndpoint} neon_endpoint_type:read_write -c app.x=a\\ b`
  await withClient({ options, application_name: 'tells its name' }, async (client) => {
    const { rows } = await client.query(
      "select current_setting('work_mem') w, current_setting('app.x') s, current_setting('application_name') a",
    )
    assert.deepEqual(rows[0], { w: '5MB', s: 'a b', a: 'tells its name' })
  })
})

test('a point in time is asked of control with the endpoint', async () => {
  const refused = async (options: string): Promise<unknown> =>
    withClient({ options: `endpoint=${testEndpoint} ${options}` }, () =>
      Promise.resolve(assert.fail('connected')),
    ).catch((error: { code?: string }) => error.code)
  for (const [option, point] of [
    ['neon_lsn:0/2', 'lsn:0/2'],
    ['neon_timestamp:2026-01-31T12:30:00.5+01:00', 'timestamp:2026-01-31T12:30:00.5+01:00'],
  ]) {
    assert.equal(await refused(option ?? ''), '28000', 'this control knows no past')
    assert.equal(it.controlPlane.wakes.at(-1), `${testEndpoint}@${point}`)
  }
  for (const option of ['neon_lsn:nonsense', 'neon_lsn:0/1 neon_lsn:0/2', 'neon_timestamp:now']) {
    assert.equal(await refused(option), '22023')
  }
})

test('errors say what is wrong, with a SQLSTATE', async () => {
  const failing = async (config: ClientConfig): Promise<{ code: string; message: string; detail: string }> =>
    withClient(config, () => Promise.resolve(assert.fail('connected'))).catch((error) => error)
  const unknown = await failing({ options: 'endpoint=ep-unknown' })
  assert.equal(unknown.code, '28P01')
  assert.match(unknown.message, /password authentication failed for user 'postgres'/)
  const disabled = await failing({ options: 'endpoint=ep-disabled' })
  assert.deepEqual([disabled.code, disabled.message], ['55000', 'Control plane request failed: endpoint is disabled'])
  const broken = await failing({ options: 'endpoint=ep-broken' })
  assert.deepEqual([broken.code, broken.message], ['57P03', "Couldn't connect to compute node"])
  assert.equal(broken.detail, 'postgres exited with 1')
  const away = await failing({ options: 'endpoint=ep-away' })
  assert.deepEqual([away.code, away.message, away.detail], ['57P03', 'Control plane request failed', undefined])
  const nowhere = await failing({ options: 'endpoint=ep-nowhere' })
  assert.deepEqual([nowhere.code, nowhere.message], ['57P03', "Couldn't connect to compute node"])
  const unnamed = await failing({ options: '' })
  assert.match(unnamed.message, /^Endpoint ID is not specified\./)
  const odd = await failing({ options: 'endpoint=ep_x' })
  assert.equal(odd.message, "Project name ('ep_x') must contain only alphanumeric characters and hyphen.")
  const ssl = { ca: ca(), servername: `ep-other.${testDomain}` }
  const torn = await failing({ ssl })
  assert.equal(
    torn.message,
    `Inconsistent project name inferred from SNI ('ep-other') and project option ('${testEndpoint}').`,
  )
})

test('a query is cancelled, in clear and inside TLS', withPsql, async () => {
  for (const config of [{}, { ssl: { ca: ca(), servername: `${testEndpoint}.${testDomain}` } }]) {
    const connection = client(config)
    await connection.connect()
    const sleeping = connection.query('select pg_sleep(60)').then(
      () => 'slept',
      (error: { code: string }) => error.code,
    )
    await until('the query runs', () =>
      withClient({}, async (other) => {
        const { rows } = await other.query(
          "select 1 from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'",
        )
        return rows.length > 0
      }),
    )
    // node-postgres sends the request as it came: in clear, or through a TLS connection of its own.
    const canceller = client(config) as Client & { cancel(client: Client, query: unknown): void }
    const { processID, secretKey } = connection as unknown as { processID: number; secretKey: number }
    await cancelWith(canceller, processID, secretKey)
    assert.equal(await sleeping, '57014')
    await connection.end()
  }
})

/** Drives node-postgres' own Connection, the way its Client cancels. */
async function cancelWith(canceller: Client, pid: number, secret: number): Promise<void> {
  const { connection } = canceller as unknown as {
    connection: {
      once(event: string, listener: () => void): void
      on(event: string, listener: () => void): void
      connect(port: number, host: string): void
      requestSsl(): void
      cancel(pid: number, secret: number): void
      ssl: unknown
    }
  }
  const ended = new Promise<void>((resolve) => connection.on('end', resolve))
  if (connection.ssl) connection.once('sslconnect', () => connection.cancel(pid, secret))
  connection.once('connect', () => (connection.ssl ? connection.requestSsl() : connection.cancel(pid, secret)))
  connection.on('error', () => {})
  connection.connect(it.port, '127.0.0.1')
  await ended
}

test('psql cancels on SIGINT', withPsql, async () => {
  const child = spawn('psql', ['-X', plain(`options=endpoint=${testEndpoint}`), '-c', 'select pg_sleep(61)'], {
    env: { PATH: process.env['PATH'], PGPASSWORD: testPassword },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  await until('the query runs', () =>
    withClient({}, async (other) => {
      const { rows } = await other.query(
        "select 1 from pg_stat_activity where query = 'select pg_sleep(61)' and state = 'active'",
      )
      return rows.length > 0
    }),
  )
  child.kill('SIGINT')
  await once(child, 'close')
  assert.match(stderr, /canceling statement due to user request/)
})

test('many connections at once to a sleeping endpoint make one wake', async () => {
  await it.postgres.stop()
  await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'all' })
  it.controlPlane.wakes.length = 0
  const counts = await Promise.all(Array.from({ length: 50 }, () => withClient({}, count)))
  assert.deepEqual(new Set(counts), new Set([10]))
  assert.deepEqual(it.controlPlane.wakes.filter((endpoint) => endpoint === testEndpoint).length, 1)
})

test('a stale address is found out and woken again', async () => {
  await withClient({}, count)
  it.controlPlane.wakes.length = 0
  await withClient({}, count)
  assert.equal(it.controlPlane.wakes.length, 0)
  await it.postgres.stop()
  assert.equal(await withClient({}, count), 10)
  assert.equal(it.controlPlane.wakes.length, 1)
})

test("a suspend ends the session with Postgres' own 57P01, and nothing stays open", async () => {
  const connection = client()
  const errors: { code?: string }[] = []
  connection.on('error', (error) => errors.push(error as { code?: string }))
  await connection.connect()
  const ended = new Promise<void>((resolve) => connection.on('end', resolve))
  await it.postgres.stop()
  await ended
  assert.equal(errors[0]?.code, '57P01')
  await until('all closed', () => it.edge.connections() === 0)
  assert.equal(await withClient({}, count), 10)
})

test('sessions and bytes are reported, and an idle endpoint is reported no more', async () => {
  await withClient({}, async (client) => {
    await client.query('select 1')
    await until('one session', () => it.controlPlane.activity.get(testEndpoint)?.sessions === 1)
    const { bytesToClient = 0 } = it.controlPlane.activity.get(testEndpoint) ?? {}
    await client.query("select repeat('x', 100000)")
    await until(
      'bytes',
      () => (it.controlPlane.activity.get(testEndpoint)?.bytesToClient ?? 0) >= bytesToClient + 100_000,
    )
  })
  await until('no session', () => it.controlPlane.activity.get(testEndpoint)?.sessions === 0)
  const { reports } = it.controlPlane
  await withClient({}, count)
  await until('another report', () => it.controlPlane.reports > reports)
})

test('closing the edge ends sessions under TLS too, on both sides', async () => {
  await using another = await TestEdge.start()
  const ssl = { ca: readFileSync(another.caFile, 'utf8'), servername: `${testEndpoint}.${testDomain}` }
  const connection = client({ ssl, port: another.port })
  connection.on('error', () => {})
  await connection.connect()
  const ended = new Promise<void>((resolve) => connection.on('end', resolve))
  await another.edge.close()
  await ended
  assert.equal(another.controlPlane.activity.get(testEndpoint)?.sessions, 0)
})

test('a client that vanishes takes its server connection with it', async () => {
  const connection = client()
  connection.on('error', () => {})
  await connection.connect()
  const { rows } = await connection.query('select pg_backend_pid() as pid')
  ;(connection as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
  await until('backend gone', () =>
    withClient({}, async (other) => {
      const found = await other.query('select 1 from pg_stat_activity where pid = $1', [rows[0].pid])
      return found.rows.length === 0
    }),
  )
})

test('a client that only ends its sending half still reads its answer', async () => {
  const socket = connect({ port: it.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.write(
    writeStartupMessage({ major: 3, minor: 0 }, [
      ['user', testUser],
      ['database', 'postgres'],
    ]),
  )
  socket.write(writePasswordMessage(`endpoint=${testEndpoint};${testPassword}`))
  socket.end(writeMessage('Q', cString("select 'all' || 'there'")))
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  assert.match(text, /allthere/)
})
