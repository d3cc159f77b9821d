import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { deriveKeys } from '../../pgwire/scram-keys.ts'
import { readVerifier } from '../../pgwire/scram-verifier.ts'
import { testPassword, testUser } from '../test-support/postgres.ts'
import { testDomain, testEndpoint, TestServerless } from './test-support/test-serverless.ts'

let edge: TestServerless
before(async () => {
  edge = await TestServerless.start()
})
after(() => edge[Symbol.asyncDispose]())

const raw = { 'neon-raw-text-output': 'true', 'neon-array-mode': 'true' }

test('a query is answered as Neon answers it, field for field', async () => {
  const query = "select 1::int4 as a, null as b, $1 as c, 'x\"y' as d, true as e"
  const answer = await edge.post({ query, params: ['z'] }, raw)
  assert.equal(answer.status, 200)
  const field = (name: string, dataTypeID: number, dataTypeSize: number): object => ({ name, dataTypeID, tableID: 0, columnID: 0, dataTypeSize, dataTypeModifier: -1, format: 'text' }) // prettier-ignore
  const fields = [field('a', 23, 4), field('b', 25, -1), field('c', 25, -1), field('d', 25, -1), field('e', 16, 1)]
  assert.equal(
    answer.text,
    JSON.stringify({ fields, rows: [['1', null, 'z', 'x"y', 't']], command: 'SELECT', rowCount: 1, rowAsArray: true }),
  )
  assert.equal(answer.headers.get('content-type'), 'application/json')
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  assert.match(answer.headers.get('neon-request-id') ?? '', /^[0-9a-f-]{36}$/)
})

test('without headers, rows are objects and values have the types of JSON', async () => {
  const query = `select 1 as a, 9007199254740993 as b, 1.50 as c, 0.5::float8 as d, 'NaN'::float8 as e, false as f,
    '{"x": [1]}'::jsonb as g, array[1,null] as h, '{{a,b}}'::text[] as i, date '2026-01-02' as j, null::json as k`
  const { json } = await edge.post({ query })
  assert.deepEqual(json['rows'], [
    { a: 1, b: '9007199254740993', c: '1.50', d: 0.5, e: 'NaN', f: false, g: { x: [1] }, h: [1, null], i: [['a', 'b']], j: '2026-01-02', k: null }, // prettier-ignore
  ])
  assert.equal(json['rowAsArray'], false)
  const arrays = await edge.post({ query: 'select 1 as a', arrayMode: true })
  assert.deepEqual(arrays.json['rows'], [[1]])
})

test('commands without rows', async () => {
  const run = async (query: string): Promise<unknown[]> => {
    const { json } = await edge.post({ query }, raw)
    return [json['command'], json['rowCount'], json['fields'], json['rows']]
  }
  assert.deepEqual(await run('create table commands (id int)'), ['CREATE', null, [], []])
  assert.deepEqual(await run('insert into commands select generate_series(1, 3)'), ['INSERT', 3, [], []])
  assert.deepEqual(await run('update commands set id = 4 where id = 9'), ['UPDATE', 0, [], []])
  assert.deepEqual(await run('vacuum commands'), ['VACUUM', null, [], []])
  assert.deepEqual(await run(''), ['', null, [], []])
})

test('a batch is one transaction, in the mode that is asked for', async () => {
  const setting = (name: string): object => ({ query: `select current_setting('transaction_${name}')` })
  const { status, json, headers } = await edge.post(
    { queries: [setting('isolation'), setting('read_only'), { ...setting('deferrable'), arrayMode: false }] },
    {
      ...raw,
      'neon-batch-isolation-level': 'Serializable',
      'neon-batch-read-only': 'true',
      'neon-batch-deferrable': 'true',
    },
  )
  assert.equal(status, 200)
  assert.deepEqual(
    (json['results'] as { rows: unknown }[]).map(({ rows }) => rows),
    [[['serializable']], [['on']], [{ current_setting: 'on' }]],
  )
  assert.equal(headers.get('neon-batch-isolation-level'), 'Serializable')
  assert.equal(headers.get('neon-batch-read-only'), 'true')
  assert.equal(headers.get('neon-batch-deferrable'), 'true')
  const plain = await edge.post({ queries: [setting('read_only')] }, { ...raw, 'neon-batch-read-only': 'false' })
  assert.equal(plain.headers.get('neon-batch-read-only'), null)
  assert.equal((await edge.post({ queries: [] })).text, '{"results":[]}')
})

test('a batch that fails leaves nothing behind', async () => {
  await edge.rows('create table batches (id int primary key)')
  const insert = { query: 'insert into batches values ($1)', params: [1] }
  const failed = await edge.post({ queries: [insert, { query: 'select 1' }, insert] }, raw)
  assert.deepEqual([failed.status, failed.json['code'], failed.json['constraint']], [400, '23505', 'batches_pkey'])
  assert.deepEqual(await edge.rows('select count(*) from batches'), [['0']])
  // A constraint that is checked at the end fails all too.
  await edge.rows('create table deferred (id int unique deferrable initially deferred)')
  const late = { query: 'insert into deferred values (1)' }
  assert.equal((await edge.post({ queries: [late, late] }, raw)).json['code'], '23505')
  assert.deepEqual(await edge.rows('select count(*) from deferred'), [['0']])
})

test('an error has all its fields', async () => {
  const { status, json } = await edge.post({ query: 'select 1 +\n nonsense' }, raw)
  assert.equal(status, 400)
  assert.deepEqual(Object.keys(json), [
    'message', 'code', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'severity', 'where', 'table', 'column',
    'schema', 'dataType', 'constraint', 'file', 'line', 'routine',
  ]) // prettier-ignore
  assert.deepEqual(
    [json['message'], json['code'], json['position'], json['severity'], json['detail'], json['routine']],
    ['column "nonsense" does not exist', '42703', '13', 'ERROR', null, 'errorMissingColumn'],
  )
  const two = await edge.post({ query: 'select 1; select 2' }, raw)
  assert.deepEqual([two.status, two.json['code']], [400, '42601'])
})

test('COPY is refused and does not hang', async () => {
  await edge.rows('create table copies (id int)')
  for (const query of ['copy copies from stdin', 'copy copies to stdout']) {
    const { status, json } = await edge.post({ query }, raw)
    assert.deepEqual([status, json['code']], [400, '0A000'])
  }
  assert.equal((await edge.post({ queries: [{ query: 'copy copies from stdin' }] }, raw)).status, 400)
})

test('nothing leaks from one request to the next', async () => {
  await edge.rows("set application_name = 'leaked'")
  await edge.rows("select set_config('app.secret', 'leaked', false)")
  await edge.rows('begin')
  await edge.rows('create temp table leaked (id int)')
  await edge.rows("prepare leaked as select 'leaked'")
  await edge.rows('select pg_advisory_lock(4711)')
  await edge.rows('listen leaked')
  const [state] = await edge.rows(`select current_setting('application_name'), current_setting('app.secret', true),
    (select count(*) from pg_prepared_statements), (select count(*) from pg_listening_channels()),
    to_regclass('pg_temp.leaked'), (select count(*) from pg_locks where locktype = 'advisory')`)
  assert.deepEqual(state, ['', '', '0', '0', null, '0'])
})

test('a connection serves one request after another, until a query fails on it', async () => {
  const pid = async (): Promise<unknown> => (await edge.rows('select pg_backend_pid()'))[0]
  const first = await pid()
  assert.deepEqual(await pid(), first)
  assert.equal((await edge.post({ query: 'select 1/0' })).status, 400)
  const second = await pid()
  assert.notDeepEqual(second, first)
  assert.notEqual(edge.serverless.parkIdle('ep-other'), 1)
  assert.equal(edge.serverless.parkIdle(testEndpoint), 0)
  const third = await pid()
  assert.notDeepEqual(third, second)
  edge.serverless.forget(testEndpoint)
  assert.notDeepEqual(await pid(), third)
})

test('who asks has to prove it, and learns no more than that', async () => {
  const refused = async (uri: string): Promise<unknown[]> => {
    const { status, json } = await edge.post({ query: 'select 1' }, { 'neon-connection-string': uri })
    return [status, json['code'], json['message']]
  }
  const failed = [400, '28P01', "password authentication failed for user 'postgres'"]
  assert.deepEqual(await refused(edge.uri({ password: 'wrong' })), failed)
  assert.deepEqual(await refused(edge.uri({ endpoint: 'ep-unknown' })), failed)
  assert.deepEqual(await refused(edge.uri({ user: 'nobody' })), [400, '28P01', failed[2]?.toString().replace('postgres', 'nobody')]) // prettier-ignore
  const without = `postgres://postgres@${testEndpoint}.${testDomain}/postgres`
  assert.deepEqual(await refused(without), [400, '', 'missing authentication credentials: required password'])
  assert.deepEqual(await refused('nonsense'), [400, '', 'invalid connection string: relative URL without a base'])
  const database = await refused(edge.uri({ database: 'nowhere' }))
  assert.deepEqual(database, [400, '3D000', 'database "nowhere" does not exist'])
})

test('addresses that may not connect', async (t) => {
  edge.grant(t, { allowedIps: ['10.0.0.0/8'] })
  const { status, json } = await edge.post({ query: 'select 1' })
  assert.equal(status, 400)
  assert.match(String(json['message']), /This IP address 127\.0\.0\.1 is not allowed/)
})

test('whose fault it is shows in the status', async () => {
  const at = async (endpoint: string): Promise<unknown[]> => {
    const { status, json, headers } = await edge.post({ query: 'select 1' }, { 'neon-connection-string': edge.uri({ endpoint }) }) // prettier-ignore
    return [status, json['code'], json['message'], headers.get('retry-after')]
  }
  assert.deepEqual(await at('ep-quota'), [402, '53400', 'Your project has exceeded the quota.', null])
  assert.deepEqual(await at('ep-broken'), [500, '57P03', "Couldn't connect to compute node", null])
  assert.deepEqual(await at('ep-away'), [503, '57P03', 'Control plane request failed', '1'])
  assert.deepEqual(await at('ep-disabled'), [400, '55000', 'Control plane request failed: endpoint is disabled', null])
})

test('a password in clear is for this machine only', async (t) => {
  const own = Object.values(networkInterfaces())
    .flat()
    .find((address) => address && !address.internal && address.family === 'IPv4')
  if (!own) return t.skip('this machine has no other address')
  const origin = `${own.address}:${edge.port}`
  const headers = { 'neon-connection-string': edge.uri() }
  const response = await fetch(`http://${origin}/sql`, { method: 'POST', headers, body: '{"query":"select 1"}' })
  assert.deepEqual(
    [response.status, await response.json()],
    [403, { message: 'connection is insecure: use https (wss for WebSockets)' }],
  )
  const [error] = (await once(new WebSocket(`ws://${origin}/v2`), 'error')) as [Error]
  assert.match(error.message, /Unexpected server response: 403/)
})

test('the endpoint may come from options or from the host that is asked', async () => {
  const password = encodeURIComponent(testPassword)
  const local = `postgres://postgres:${password}@localhost:5432/postgres`
  const byOptions = await edge.post({ query: 'select 1' }, { 'neon-connection-string': `${local}?options=endpoint%3D${testEndpoint}` }) // prettier-ignore
  assert.equal(byOptions.status, 200)
  const status = await new Promise((resolve, reject) => {
    const headers = { host: `${testEndpoint}.${testDomain}:4400`, 'neon-connection-string': local }
    const outgoing = httpRequest(edge.url, { method: 'POST', headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    outgoing.on('error', reject)
    outgoing.end('{"query":"select 1"}')
  })
  assert.equal(status, 200)
})

test('application_name and options reach Postgres', async () => {
  const uri = `${edge.uri()}?application_name=an%20app&options=-c%20work_mem%3D5MB&sslmode=require`
  const query = "select current_setting('application_name'), current_setting('work_mem')"
  const { json } = await edge.post({ query }, { ...raw, 'neon-connection-string': uri })
  assert.deepEqual(json['rows'], [['an app', '5MB']])
})

test('too much is refused, whichever way it goes', async () => {
  const most = 10 * 1024 * 1024
  const long = await edge.post({ query: 'select 1', params: ['x'.repeat(most)] }, raw)
  assert.deepEqual([long.status, long.json['message']], [413, 'request is too large (max is 10485760 bytes)'])
  const chunked = await fetch(edge.url, {
    method: 'POST',
    headers: { 'neon-connection-string': edge.uri() },
    body: new Blob(['x'.repeat(most + 1)]).stream(),
    duplex: 'half',
  })
  assert.equal(chunked.status, 413)
  for (const query of [
    `select repeat('x', ${most})`,
    "select repeat('x', 1000) from generate_series(1, 10000000)",
    `do $$ begin raise '%', repeat('x', ${most + 100_000}); end $$`,
  ]) {
    const answer = await edge.post({ query }, raw)
    assert.deepEqual([answer.status, answer.json['message']], [507, 'response is too large (max is 10485760 bytes)'])
  }
  const fits = await edge.post({ query: `select repeat('x', ${most - 1000})` }, raw)
  assert.equal(fits.status, 200)
  // What nobody reads may be as long as it likes.
  const notice = `do $$ begin raise notice '%', repeat('x', ${most * 2}); end $$`
  assert.equal((await edge.post({ query: notice }, raw)).status, 200)
  const param = await edge.post({ query: 'select length($1)', params: ['x'.repeat(most - 1000)] }, raw)
  assert.deepEqual(param.json['rows'], [[String(most - 1000)]])
})

test('the preflight of a browser, and what else is not a query', async () => {
  const preflight = await fetch(edge.url, { method: 'OPTIONS' })
  assert.equal(preflight.status, 200)
  assert.equal(preflight.headers.get('allow'), 'OPTIONS, POST')
  assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
  assert.match(preflight.headers.get('access-control-allow-headers') ?? '', /^Authorization, Neon-Connection-String, /)
  assert.equal(preflight.headers.get('access-control-max-age'), '86400')
  const get = await fetch(edge.url)
  assert.deepEqual([get.status, ((await get.json()) as { message: string }).message], [400, 'query is not supported'])
  assert.equal((await fetch(edge.url.replace('/sql', '/sql2'))).status, 404)
  const broken = await edge.post('{"query":')
  assert.match(String(broken.json['message']), /^could not parse the HTTP request body: /)
})

test('a client that goes away takes its query along', async () => {
  const abort = new AbortController()
  const asked = fetch(edge.url, {
    method: 'POST',
    headers: { 'neon-connection-string': edge.uri() },
    body: JSON.stringify({ query: "select pg_sleep(60), 'abandoned'" }),
    signal: abort.signal,
  })
  const running = "select count(*) from pg_stat_activity where query like '%abandon' || 'ed%' and state = 'active'"
  await edge.until('it runs', async () => String(await edge.rows(running)) === '1')
  assert.equal(edge.serverless.parkIdle(testEndpoint), 1)
  abort.abort()
  await assert.rejects(asked)
  await edge.until('it is gone', async () => String(await edge.rows(running)) === '0')
  await edge.until('its connection is gone', () => edge.serverless.parkIdle(testEndpoint) === 0)
})

test('a compute that was stopped is woken; what was open to it is not noticed', async () => {
  await edge.rows('select 1')
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    await edge.postgres.stop(signal)
    const wakes = edge.controlPlane.wakes.length
    const answers = await Promise.all(Array.from({ length: 5 }, () => edge.rows('select 1')))
    assert.deepEqual(
      answers,
      Array.from({ length: 5 }, () => [['1']]),
    )
    assert.ok(edge.controlPlane.wakes.length > wakes)
  }
  const killed = await edge.post({ query: 'select pg_terminate_backend(pg_backend_pid())' }, raw)
  assert.deepEqual([killed.status, killed.json['code']], [400, '57P01'])
})

test('what Postgres ended while it was idle is replaced without a word', async () => {
  for (let n = 0; n < 100; n++) {
    const [row] = await edge.rows('select pg_backend_pid()')
    // On another connection. Its goodbye may still be on its way when the query goes out.
    await edge.post(
      { query: 'select pg_terminate_backend($1::int)', params: [(row as string[])[0]] },
      { 'neon-connection-string': edge.uri({ database: 'template1' }) },
    )
    const again = await edge.rows('select 1')
    assert.deepEqual(again, [['1']])
  }
})

test('many at once share a bounded number of connections', async (t) => {
  edge.grant(t, { poolSize: 5 })
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, n) => edge.rows("select $1, pg_sleep(0.01), (select count(*) from pg_stat_activity where datname = 'postgres')", [n])), // prettier-ignore
  )
  assert.deepEqual(answers.map((rows) => Number((rows as string[][])[0]?.[0])), Array.from({ length: 100 }, (_, n) => n)) // prettier-ignore
  assert.ok(Math.max(...answers.map((rows) => Number((rows as string[][])[0]?.[2]))) <= 6)
})

test('bytes and sessions are counted', async () => {
  const { meter } = edge
  const [from, to] = [meter.bytesFromClient, meter.bytesToClient]
  const answer = await edge.post({ query: 'select 1' }, raw)
  assert.equal(meter.bytesFromClient - from, '{"query":"select 1"}'.length)
  assert.equal(meter.bytesToClient - to, answer.text.length)
  assert.deepEqual([meter.sessions, meter.activeSessions], [0, 0])
})

test('a token in place of a password: its claims are there for the request and gone behind it', async () => {
  const verifier = readVerifier((await edge.postgres.verifierOf(testUser)) ?? '')
  assert.ok(verifier)
  const keys = await deriveKeys(testPassword, verifier.salt, verifier.iterations)
  edge.authorizeToken = async (token) => ({
    clientKey: keys.clientKey.toString('base64'),
    serverKey: keys.serverKey.toString('base64'),
    claims: JSON.stringify({ sub: token }),
  })
  const uri = `postgres://postgres@${testEndpoint}.${testDomain}/postgres`
  const asked = { ...raw, 'neon-connection-string': uri, authorization: 'Bearer a.b.c' }
  const query = "select current_setting('request.jwt.claims', true)"
  const single = await edge.post({ query }, asked)
  assert.deepEqual(single.json['rows'], [['{"sub":"a.b.c"}']])
  const batch = await edge.post({ queries: [{ query }, { query }] }, asked)
  assert.deepEqual(
    (batch.json['results'] as { rows: unknown }[]).map(({ rows }) => rows),
    [[['{"sub":"a.b.c"}']], [['{"sub":"a.b.c"}']]],
  )
  assert.deepEqual(await edge.rows(query), [['']])
  assert.equal((await edge.post({ query: 'vacuum pg_class' }, asked)).status, 200)
  const basic = await edge.post({ query }, { ...asked, authorization: 'Basic x' })
  assert.match(String(basic.json['message']), /required authorization bearer token in JWT format/)
  const unknown = await edge.post({ query }, { ...asked, 'neon-connection-string': uri.replace(testEndpoint, 'ep-no') })
  assert.match(String(unknown.json['message']), /password authentication failed/)
})

function webSocket(path: string, headers: Record<string, string> = {}): WebSocket {
  return new WebSocket(`ws://127.0.0.1:${edge.port}${path}`, { headers })
}

const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

test('a WebSocket carries bytes, and says which endpoint they are for', async () => {
  const names: (string | undefined)[] = []
  const host = `${testEndpoint}.${testDomain}`
  for (const [path, headers] of [
    ['/v2', { host: `${host}:443` }],
    ['/any', { host }],
    [`/v2?address=${host}:5432`, {}],
    [`/v2?address=${testEndpoint}.eu-central-1.aws.neon.tech:5432`, {}],
    ['/v2?address=localhost:5432', {}],
    ['/v2', {}],
  ] as const) {
    const socket = webSocket(path, headers)
    await once(socket, 'open')
    socket.send(sslRequest)
    const [answer] = (await once(socket, 'message')) as [Buffer]
    assert.equal(String(answer), 'N')
    names.push(edge.webSockets.at(-1)?.serverName)
    socket.close()
    await once(socket, 'close')
  }
  assert.deepEqual(names, [host, host, host, host, undefined, undefined])
  const { address, secure } = edge.webSockets[0] ?? {}
  assert.deepEqual([address, secure], ['127.0.0.1', false])
})

test('text is no protocol of ours, and other upgrades are not answered', async () => {
  const socket = webSocket('/v2')
  await once(socket, 'open')
  socket.send('select 1')
  const [code] = (await once(socket, 'close')) as [number]
  assert.equal(code, 1003)
  const other = webSocket('/other')
  const [error] = (await once(other, 'error')) as [Error]
  assert.match(error.message, /Unexpected server response: 404/)
  const bare = connect({ port: edge.port, host: '127.0.0.1' })
  bare.write('GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
  const [head] = (await once(bare, 'data')) as [Buffer]
  assert.match(String(head), /^HTTP\/1\.1 400/)
  bare.destroy()
})

test('a WebSocket that ends ends its session, and the other way round', async () => {
  const idle = (): Promise<unknown[]> => edge.rows("select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()") // prettier-ignore
  edge.serverless.forget(testEndpoint)
  const [count] = await idle()
  const socket = webSocket('/v2')
  await once(socket, 'open')
  socket.send(sslRequest)
  await once(socket, 'message')
  socket.terminate()
  await edge.until('the session is gone', async () => String(await idle()) === String(count))
  const closing = webSocket('/v2')
  await once(closing, 'open')
  closing.send(Buffer.from([0, 0, 0, 4, 0]))
  const [code] = (await once(closing, 'close')) as [number]
  assert.ok([1000, 1005, 1006].includes(code), String(code))
})

test('requests on one connection go on behind one that was refused', async () => {
  const socket = connect({ port: edge.port, host: '127.0.0.1' })
  const head = (uri: string): string => `POST /sql HTTP/1.1\r\nHost: x\r\nNeon-Connection-String: ${uri}\r\nContent-Length: 20\r\n\r\n{"query":"select 1"}` // prettier-ignore
  socket.write(head(edge.uri({ password: 'wrong' })) + head(edge.uri()))
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.includes('"rowCount":1')) break
  }
  assert.match(text, /^HTTP\/1\.1 400[^]*HTTP\/1\.1 200/)
})
