// Neon's serverless driver, unmodified but for the two lines that point it here: SQL over HTTP and Postgres in a WebSocket.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type OutgoingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { Client, neon, neonConfig, NeonDbError, Pool, type NeonQueryFunction } from '@neondatabase/serverless'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const domain = 'db.pgrove.test'

let server: TestServer
let project: TestProject
let sql: NeonQueryFunction<false, false>

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DOMAIN: domain, PGROVE_HTTPS_PORT: '0' } })
  project = await makeProject(server)
  neonConfig.fetchEndpoint = `${server.origin}/sql`
  neonConfig.wsProxy = (host, port) => `127.0.0.1:${server.httpPort}/v2?address=${host}:${port}`
  neonConfig.useSecureWebSocket = false
  neonConfig.webSocketConstructor = WebSocket
  sql = neon(project.uri)
})
after(() => server?.[Symbol.asyncDispose]())

/** The driver as it comes, with a network in which our names lead to the server. */
async function asItComes(t: TestContext): Promise<{ uri: string; asked: string[] }> {
  const { fetchEndpoint, wsProxy } = neonConfig
  t.after(() => Object.assign(neonConfig, { fetchEndpoint, wsProxy, useSecureWebSocket: false, fetchFunction: undefined, webSocketConstructor: WebSocket })) // prettier-ignore
  const ca = await readFile(join(server.home, 'tls', 'ca.crt'), 'utf8')
  const port = Number(/^https +https:\/\/\S+:(\d+)$/m.exec(server.output())?.[1])
  const asked: string[] = []
  neonConfig.fetchEndpoint = (host, _port, options) =>
    `https://${host.replace(/^[^.]+\./, options?.jwtAuth ? 'apiauth.' : 'api.')}/sql`
  neonConfig.fetchFunction = (address: string, init: { method: string; headers: OutgoingHttpHeaders; body: string }) =>
    new Promise((resolve, reject) => {
      const { hostname, pathname } = new URL(address)
      asked.push(hostname)
      const { method, headers, body } = init
      const all = { ...headers, host: hostname, 'content-length': Buffer.byteLength(body) }
      const where = { host: '127.0.0.1', port, servername: hostname, path: pathname, ca }
      const outgoing = httpsRequest({ ...where, method, headers: all }, (response) => {
        void text(response).then((read) => resolve(new Response(read, { status: response.statusCode ?? 0 })))
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  neonConfig.wsProxy = (host) => `${host}/v2`
  neonConfig.useSecureWebSocket = true
  neonConfig.webSocketConstructor = class extends WebSocket {
    constructor(address: string) {
      const { hostname } = new URL(address)
      asked.push(hostname)
      super(address, { createConnection: () => connectTls({ host: '127.0.0.1', port, servername: hostname, ca }) })
    }
  }
  const { role, password, database, endpointId } = project
  return { uri: `postgresql://${role}:${password}@${endpointId}.${domain}/${database}?sslmode=require`, asked }
}

/** As Neon prints it, though the name leads nowhere here. */
function neonUri(): string {
  const { role, password, database, endpointId } = project
  return `postgresql://${role}:${password}@${endpointId}.eu-central-1.aws.neon.tech/${database}?sslmode=require&channel_binding=require`
}

async function neonError(promise: Promise<unknown>): Promise<NeonDbError> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof NeonDbError, String(error))
    return error
  }
  return assert.fail('no error')
}

const pid = async (): Promise<unknown> => (await sql`select pg_backend_pid() as pid`)[0]?.['pid']

describe('over HTTP', () => {
  test('values go there and back', async () => {
    const date = new Date('2026-01-02T03:04:05.678Z')
    const [row] =
      await sql`select ${1}::int as i, ${'a"\\\'é𝄞'} as t, ${null}::text as n, ${true}::bool as b, ${1.5}::float8 as f,
      ${date}::timestamptz as d, ${{ x: [1, { y: null }] }}::jsonb as j, ${[1, 2, null]}::int[] as a, ${['x,"y"', '']}::text[] as s,
      ${12345678901234567890n}::numeric as g, ${Buffer.from([0, 255, 92])}::bytea as y, 9007199254740993 as big`
    assert.deepEqual(row, {
      i: 1,
      t: 'a"\\\'é𝄞',
      n: null,
      b: true,
      f: 1.5,
      d: date,
      j: { x: [1, { y: null }] },
      a: [1, 2, null],
      s: ['x,"y"', ''],
      g: '12345678901234567890',
      y: Buffer.from([0, 255, 92]),
      big: '9007199254740993',
    })
  })

  test('both kinds of results, and all that belongs to them', async () => {
    const full = neon(project.uri, { fullResults: true, arrayMode: true })
    const result = await full`select 1 as a, 'x' as b`
    assert.deepEqual([result.command, result.rowCount, result.rowAsArray, result.rows], ['SELECT', 1, true, [[1, 'x']]])
    assert.deepEqual(result.fields[0], { name: 'a', dataTypeID: 23, tableID: 0, columnID: 0, dataTypeSize: 4, dataTypeModifier: -1, format: 'text' }) // prettier-ignore
    assert.deepEqual(await sql.query('select $1::int + 1 as n', [41]), [{ n: 42 }])
    assert.deepEqual(await sql`select 1 as n where false`, [])
    assert.deepEqual(await sql`select ${sql`1 + ${2}`} as n`, [{ n: 3 }])
  })

  test('transactions', async () => {
    await sql`create table accounts (id int primary key, amount int check (amount >= 0))`
    const [, updated, sum] = await sql.transaction([
      sql`insert into accounts values (1, 10), (2, 0)`,
      sql`update accounts set amount = amount + 5 returning id, amount`,
      sql`select sum(amount)::int as sum from accounts`,
    ])
    assert.deepEqual(updated, [{ id: 1, amount: 15 }, { id: 2, amount: 5 }]) // prettier-ignore
    assert.deepEqual(sum, [{ sum: 20 }])
    const failed = await neonError(
      sql.transaction((tx) => [
        tx`update accounts set amount = amount + 100 where id = 2`,
        tx`update accounts set amount = amount - 100 where id = 1`,
      ]),
    )
    assert.equal(failed.code, '23514')
    assert.deepEqual(await sql`select sum(amount)::int as sum from accounts`, [{ sum: 20 }])
    assert.deepEqual(await sql.transaction([]), [])
  })

  test('transactions in every mode', async () => {
    const levels = { ReadUncommitted: 'read uncommitted', ReadCommitted: 'read committed', RepeatableRead: 'repeatable read', Serializable: 'serializable' } as const // prettier-ignore
    for (const [isolationLevel, name] of Object.entries(levels) as [keyof typeof levels, string][]) {
      for (const readOnly of [false, true]) {
        const [[row]] = await sql.transaction(
          [sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as ro`],
          { isolationLevel, readOnly },
        ) as [Record<string, string>[]] // prettier-ignore
        assert.deepEqual(row, { level: name, ro: readOnly ? 'on' : 'off' })
      }
    }
    const modes = { isolationLevel: 'Serializable', readOnly: true, deferrable: true } as const
    const deferrable = await sql.transaction([sql`select current_setting('transaction_deferrable') as d`], modes)
    assert.deepEqual(deferrable, [[{ d: 'on' }]])
    const write = await neonError(sql.transaction([sql`create table no (id int)`], { readOnly: true }))
    assert.equal(write.code, '25006')
  })

  test('errors have all their fields', async () => {
    const error = await neonError(sql`insert into accounts values (1, 1)`)
    assert.deepEqual(
      [error.code, error.severity, error.schema, error.table, error.constraint, error.detail],
      ['23505', 'ERROR', 'public', 'accounts', 'accounts_pkey', 'Key (id)=(1) already exists.'],
    )
    assert.equal((await neonError(sql`select nonsense`)).position, '8')
    const raised = await neonError(
      sql.query("do $$ begin raise exception 'no' using hint = 'a hint', errcode = 'P0042'; end $$"),
    )
    assert.deepEqual([raised.message, raised.code, raised.hint], ['no', 'P0042', 'a hint'])
    assert.match(raised.where ?? '', /^PL\/pgSQL function/)
  })

  test('a wrong password and an unknown endpoint say the same', async () => {
    const wrong = await neonError(neon(project.uri.replace(project.password, 'wrong'))`select 1`)
    const unknown = await neonError(neon(project.uri.replaceAll(project.endpointId, 'ep-none-here-a1b2c3d4'))`select 1`)
    assert.deepEqual([unknown.message, unknown.code], [wrong.message, wrong.code])
    assert.deepEqual(
      [wrong.message, wrong.code],
      [`password authentication failed for user '${project.role}'`, '28P01'],
    )
    const database = await neonError(neon(project.uri.replace(`/${project.database}?`, '/nowhere?'))`select 1`)
    assert.equal(database.code, '3D000')
  })

  test("a string as Neon prints it, and an endpoint's pooler", async () => {
    assert.deepEqual(await neon(neonUri())`select 1 as n`, [{ n: 1 }])
    const pooler = neonUri().replace(project.endpointId, `${project.endpointId}-pooler`)
    assert.deepEqual(await neon(pooler)`select 1 as n`, [{ n: 1 }])
  })

  test('a result of up to ten megabytes', async () => {
    const length = 10_000_000
    const [row] = await sql`select repeat('x', ${length}::int) as x`
    assert.equal(String(row?.['x']).length, length)
    const error = await neonError(sql`select repeat('x', ${11_000_000}::int) as x`)
    assert.equal(error.message, 'Server error (HTTP status 507): ' + JSON.stringify({ message: 'response is too large (max is 10485760 bytes)', code: '', detail: null, hint: null, position: null, internalPosition: null, internalQuery: null, severity: '', where: null, table: null, column: null, schema: null, dataType: null, constraint: null, file: null, line: null, routine: null })) // prettier-ignore
    const long = await neonError(sql`select ${'x'.repeat(11_000_000)} as x`)
    assert.match(long.message, /HTTP status 413/)
  })

  test('hundreds at once', async () => {
    const numbers = Array.from({ length: 300 }, (_, n) => n)
    const rows = await Promise.all(numbers.map((n) => sql`select ${n}::int as n, pg_sleep(0.005)::text`))
    assert.deepEqual(rows.map(([row]) => row?.['n']), numbers) // prettier-ignore
  })

  test('nothing of a request is left for the next', async () => {
    const before = await pid()
    await sql`set search_path = nowhere`
    await sql`select set_config('app.tenant', 'leaked', false)`
    await sql`create temp table leaked (id int)`
    const [row] =
      await sql`select current_setting('search_path') as path, current_setting('app.tenant', true) as tenant,
      to_regclass('pg_temp.leaked')::text as temp`
    assert.deepEqual(row, { path: '"$user", public', tenant: '', temp: null })
    assert.equal(await pid(), before)
  })

  test('an abandoned query is cancelled', async () => {
    const running = `select count(*)::int as n from pg_stat_activity where query like 'select pg_sleep(%' and state = 'active'`
    const abort = new AbortController()
    const asked = sql.query('select pg_sleep(300)', [], { fetchOptions: { signal: abort.signal } })
    const failed = assert.rejects(asked)
    await eventually('it runs', async () => (await sql.query(running))[0]?.['n'] === 1)
    abort.abort()
    await failed
    await eventually('it is gone', async () => (await sql.query(running))[0]?.['n'] === 0)
  })
})

describe('in a WebSocket', () => {
  for (const pipelineConnect of ['password', false] as const) {
    test(`a client, with pipelineConnect ${pipelineConnect}`, async (t) => {
      neonConfig.pipelineConnect = pipelineConnect
      t.after(() => {
        neonConfig.pipelineConnect = 'password'
      })
      const client = new Client(project.uri)
      await client.connect()
      const { rows } = await client.query('select $1::int as n, current_database()::text as db', [7])
      assert.deepEqual(rows, [{ n: 7, db: project.database }])
      await client.end()
    })
  }

  test('by the name that Neon prints', async () => {
    const client = new Client(neonUri())
    await client.connect()
    assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
    await client.end()
  })

  test('a pool; transactions and state of a session', async () => {
    const pool = new Pool({ connectionString: project.uri, max: 5 })
    await pool.query('create table if not exists notes (id int)')
    const client = await pool.connect()
    await client.query('begin')
    await client.query('insert into notes values (1)')
    assert.deepEqual((await pool.query('select count(*)::int as n from notes')).rows, [{ n: 0 }])
    await client.query('rollback')
    await client.query("set app.tenant = 'kept'")
    assert.equal((await client.query("select current_setting('app.tenant') as t")).rows[0].t, 'kept')
    client.release()
    const many = await Promise.all(Array.from({ length: 50 }, (_, n) => pool.query('select $1::int as n', [n])))
    assert.deepEqual(many.map(({ rows }) => rows[0].n), Array.from({ length: 50 }, (_, n) => n)) // prettier-ignore
    await pool.end()
  })

  test('notifications', async () => {
    const client = new Client(project.uri)
    await client.connect()
    await client.query('listen news')
    const heard = once(client, 'notification')
    await sql`select pg_notify('news', 'hello')`
    const [message] = (await heard) as [{ channel: string; payload: string }]
    assert.deepEqual([message.channel, message.payload], ['news', 'hello'])
    await client.end()
  })

  test('much data, both ways', async () => {
    const client = new Client(project.uri)
    await client.connect()
    const text = 'xyz'.repeat(7_000_000)
    const { rows } = await client.query('select length($1)::int as n, $1 as text', [text])
    assert.equal(rows[0].n, text.length)
    assert.ok(rows[0].text === text)
    const many = await client.query("select n, repeat('x', 200) as x from generate_series(1, 50000) n")
    assert.equal(many.rows.length, 50_000)
    await client.end()
  })

  test('a wrong password, an unknown endpoint, an error', async () => {
    for (const uri of [
      project.uri.replace(project.password, 'wrong'),
      project.uri.replaceAll(project.endpointId, 'ep-none'),
    ]) {
      const client = new Client(uri)
      client.on('error', () => {})
      // With a pipelined password the driver takes the connection for made, and tells the first query.
      await assert.rejects(
        client.connect().then(() => client.query('select 1')),
        /password authentication failed/,
      )
    }
    const client = new Client(project.uri)
    await client.connect()
    await assert.rejects(client.query('select 1/0'), { code: '22012' })
    assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
    await client.end()
  })

  test('Pool.query by fetch', async (t) => {
    neonConfig.poolQueryViaFetch = true
    t.after(() => {
      neonConfig.poolQueryViaFetch = false
    })
    // What it sends then is put together anew from host, user and database: `options` are lost.
    const pool = new Pool({ connectionString: neonUri() })
    const result = await pool.query('select $1::int as n', [3])
    assert.deepEqual([result.rows, result.rowCount, pool.totalCount], [[{ n: 3 }], 1, 0])
    await pool.end()
  })
})

test('under names of our own and with TLS, nothing has to be set', async (t) => {
  const { uri, asked } = await asItComes(t)
  assert.deepEqual(await neon(uri)`select 1 as n`, [{ n: 1 }])
  const client = new Client(uri)
  await client.connect()
  assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
  await client.end()
  assert.deepEqual(asked, [`api.${domain}`, `${project.endpointId}.${domain}`])
})

test('a token in place of a password, and rows by its claims', async (t) => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const keys = createServer((_request, response) => {
    void exportJWK(publicKey).then((key) =>
      response.end(JSON.stringify({ keys: [{ ...key, kid: 'one', alg: 'ES256' }] })),
    )
  }).listen(0, '127.0.0.1')
  t.after(() => keys.close())
  await once(keys, 'listening')
  const jwks_url = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/keys`
  const api = apiClient(server)
  // Roles that the API makes see every row; of one made by SQL it has to know a password, to log it in with.
  await sql`create role visitor login password 'unknown'`
  await eventually('the API knows the role', () => api.getProjectBranchRole(project.id, project.branchId, 'visitor').then(() => true, () => false)) // prettier-ignore
  await settled(server, api.resetProjectBranchRolePassword(project.id, project.branchId, 'visitor'))
  await api.addProjectJwks(project.id, { jwks_url, provider_name: 'Somebody', role_names: ['visitor'] })
  for (const statement of [
    'create table private_notes (owner text, note text)',
    "insert into private_notes values ('ada', 'hers'), ('bob', 'his')",
    'alter table private_notes enable row level security',
    `create policy own on private_notes using (owner = nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub')`,
    'grant select on private_notes to visitor',
  ]) {
    await sql.query(statement)
  }
  const { uri, asked } = await asItComes(t)
  const { host, pathname } = new URL(uri)
  const signed = (sub: string, expires = '1h'): Promise<string> =>
    new SignJWT({ sub }).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setExpirationTime(expires).sign(privateKey)
  const as = (authToken: () => Promise<string>): NeonQueryFunction<false, false> =>
    neon(`postgresql://visitor@${host}${pathname}`, { authToken })
  const [ada, bob] = [as(() => signed('ada')), as(() => signed('bob'))]
  for (let n = 0; n < 3; n++) {
    assert.deepEqual(await ada`select note from private_notes`, [{ note: 'hers' }])
    assert.deepEqual(await bob`select note from private_notes`, [{ note: 'his' }])
    assert.deepEqual(await ada.transaction([ada`select note from private_notes`]), [[{ note: 'hers' }]])
  }
  assert.equal(asked[0], `apiauth.${domain}`)
  const expired = await neonError(as(() => signed('ada', '-1h'))`select 1`)
  assert.deepEqual([expired.message, expired.code], ['the token has expired', '28000'])
  const nothing = await neonError(as(async () => 'a.b.c')`select 1`)
  assert.match(nothing.message, /no JSON Web Token/)
})

test('a suspended compute is woken by either', async () => {
  const suspend = async (): Promise<void> => {
    await settled(server, apiClient(server).suspendProjectEndpoint(project.id, project.endpointId))
  }
  await sql`select 1`
  await suspend()
  const asked = await Promise.all(Array.from({ length: 20 }, (_, n) => sql`select ${n}::int as n`))
  assert.deepEqual(asked.map(([row]) => row?.['n']), Array.from({ length: 20 }, (_, n) => n)) // prettier-ignore
  await suspend()
  const client = new Client(project.uri)
  await client.connect()
  assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
  await client.end()
})

test('a password that was changed by SQL counts at once', async () => {
  await query(project.uri, `create role changed login password 'first'`)
  const uri = (password: string): string => project.uri.replace(`${project.role}:${project.password}`, `changed:${password}`) // prettier-ignore
  assert.deepEqual(await neon(uri('first'))`select 1 as n`, [{ n: 1 }])
  await query(project.uri, `alter role changed password 'second'`)
  assert.equal((await neonError(neon(uri('first'))`select 1`)).code, '28P01')
  assert.deepEqual(await neon(uri('second'))`select 1 as n`, [{ n: 1 }])
})
