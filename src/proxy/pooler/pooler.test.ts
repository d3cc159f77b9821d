import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { cString, int32, writeMessage } from '../../pgwire/message.ts'
import { testPassword, testUser } from '../test-support/postgres.ts'
import { RawClient } from '../test-support/raw-client.ts'
import { testEndpoint, TestEdge, until } from '../test-support/test-edge.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start()
})
after(() => it[Symbol.asyncDispose]())

const pooled = `${testEndpoint}-pooler`

function client(more: pg.ClientConfig = {}): pg.Client {
  return new pg.Client({
    host: '127.0.0.1',
    port: it.port,
    user: testUser,
    password: testPassword,
    database: 'postgres',
    options: `endpoint=${pooled}`,
    ...more,
  })
}

async function withClients<T>(count: number, work: (clients: pg.Client[]) => Promise<T>): Promise<T> {
  const clients = Array.from({ length: count }, () => client())
  await Promise.all(clients.map((each) => each.connect()))
  try {
    return await work(clients)
  } finally {
    await Promise.all(clients.map((each) => each.end()))
  }
}

const backends = async (): Promise<number> => {
  const direct = client({ options: `endpoint=${testEndpoint}` })
  await direct.connect()
  try {
    const { rows } = await direct.query(
      "select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    )
    return rows[0].n as number
  } finally {
    await direct.end()
  }
}

test('a hundred clients share few servers, one transaction at a time', async () => {
  await withClients(100, async (clients) => {
    const results = await Promise.all(
      clients.map(async (each, n) => {
        await each.query('begin')
        const { rows } = await each.query('select pg_backend_pid() as pid, $1::int as n', [n])
        const { rows: again } = await each.query('select pg_backend_pid() as pid')
        await each.query('commit')
        assert.equal(again[0].pid, rows[0].pid)
        return rows[0].n as number
      }),
    )
    assert.deepEqual(
      results,
      clients.map((_, n) => n),
    )
    assert.ok((await backends()) <= 20)
  })
})

test('named statements go along from server to server', async () => {
  await withClients(8, async (clients) => {
    for (let round = 0; round < 20; round++) {
      const sums = await Promise.all(
        clients.map((each, n) =>
          each.query({ name: 'sum', text: `select $1::int + ${n % 2} as sum, pg_sleep(0.001)`, values: [round] }),
        ),
      )
      assert.deepEqual(
        sums.map(({ rows }) => rows[0].sum as number),
        clients.map((_, n) => round + (n % 2)),
      )
    }
  })
})

test('a statement that cannot be prepared says so, and its name is free again', async () => {
  await withClients(2, async ([one]) => {
    assert.ok(one)
    await assert.rejects(one.query({ name: 'bad', text: 'select nonsense from nowhere' }), { code: '42P01' })
    await one.query('create table nowhere (nonsense int)')
    const { rows } = await one.query({ name: 'bad2', text: 'select nonsense from nowhere' })
    assert.deepEqual(rows, [])
    await one.query('drop table nowhere')
  })
})

/** P, B, D, E of a statement, each with the names given. */
const parse = (name: string, sql: string): [string, Buffer] => [
  'P',
  Buffer.concat([cString(name), cString(sql), Buffer.alloc(2)]),
]
const bind = (name: string): [string, Buffer] => ['B', Buffer.concat([cString(''), cString(name), Buffer.alloc(6)])]
const describe = (name: string): [string, Buffer] => ['D', Buffer.concat([Buffer.from('S'), cString(name)])]
const execute: [string, Buffer] = ['E', Buffer.concat([cString(''), int32(0)])]
const close = (name: string): [string, Buffer] => ['C', Buffer.concat([Buffer.from('S'), cString(name)])]
const sync: [string, Buffer] = ['S', Buffer.alloc(0)]

async function types(raw: RawClient, messages: [string, Buffer][]): Promise<string> {
  for (const [type, body] of messages) raw.send(type, body)
  let seen = ''
  let left = messages.filter(([type]) => 'SQ'.includes(type)).length
  while (left > 0) {
    const { type } = await raw.next()
    if (type === 'Z') left--
    if (!'NA'.includes(type)) seen += type
  }
  return seen
}

test('answers come in the order of the questions, whoever gives them', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  const two = await RawClient.logIn(it.port, pooled)
  const all = [parse('a', 'select 1'), describe('a'), bind('a'), execute, close('a'), sync]
  assert.equal(await types(one, all), '1tT2DC3Z')
  // Known to the server by now: asked for again, by the same and by another client.
  assert.equal(await types(two, all), '1tT2DC3Z')
  assert.equal(await types(one, all), '1tT2DC3Z')
  // Several at once, before the first is answered.
  assert.equal(await types(one, [...all, ...all, ['Q', cString('select 1')], ...all]), '1tT2DC3Z1tT2DC3ZTDCZ1tT2DC3Z')
  // Used without being prepared again, in a pipeline with others.
  assert.equal(
    await types(two, [parse('b', 'select 2'), parse('c', 'select 3'), bind('b'), execute, bind('c'), execute, sync]),
    '112DC2DCZ',
  )
  assert.equal(await types(two, [bind('c'), execute, bind('b'), execute, sync]), '2DC2DCZ')
  assert.equal(await types(one, [bind('c'), execute, sync]), 'EZ')
  one.end()
  two.end()
})

test('after an error everything up to the Sync is left out, also what we would answer ourselves', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  assert.equal(await types(one, [parse('known', 'select 1'), sync]), '1Z')
  const failing: [string, Buffer][] = [parse('', 'select 1/0'), bind(''), execute]
  assert.equal(
    await types(one, [...failing, parse('late', 'select 5'), close('known'), bind('known'), execute, sync]),
    '1EZ',
  )
  // What was left out never took effect.
  assert.equal(await types(one, [bind('known'), execute, sync]), '2DCZ')
  assert.equal(await types(one, [parse('late', 'select 5'), bind('late'), execute, sync]), '12DCZ')
  // A name that is taken is an error here as in Postgres, and the session goes on.
  assert.equal(await types(one, [parse('late', 'select 6'), bind('late'), execute, sync]), 'EZ')
  assert.equal(await types(one, [bind('late'), execute, sync]), '2DCZ')
  assert.equal(await types(one, [['Q', cString('deallocate all')]]), 'CZ')
  assert.equal(await types(one, [bind('late'), execute, sync]), 'EZ')
  assert.equal(await types(one, [parse('late', 'select 6'), bind('late'), execute, sync]), '12DCZ')
  one.end()
})

test('bytes may come one at a time', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  const bytes: Buffer[] = []
  const capture = new RawClient({ on: () => {}, write: (chunk: Buffer) => bytes.push(chunk) } as never)
  for (const [type, body] of [parse('slow', 'select 41 + 1'), describe('slow'), bind('slow'), execute, sync])
    capture.send(type, body)
  for (const byte of Buffer.concat(bytes)) {
    one.socket.write(Buffer.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  let seen = ''
  for (let type = ''; type !== 'Z'; seen += type) ({ type } = await one.next())
  assert.equal(seen, '1tT2DCZ')
  one.end()
})

test('settings that Postgres reports belong to the client', async () => {
  const one = client({ application_name: 'one' })
  const two = client({ application_name: "t'wo\\" })
  await Promise.all([one.connect(), two.connect()])
  await one.query("set timezone = 'Asia/Tokyo'")
  await one.query("set datestyle = 'German'")
  const look = 'select current_setting($1) as value'
  for (let round = 0; round < 5; round++) {
    assert.equal((await two.query(look, ['application_name'])).rows[0].value, "t'wo\\")
    assert.equal((await one.query(look, ['timezone'])).rows[0].value, 'Asia/Tokyo')
    assert.equal((await one.query(look, ['application_name'])).rows[0].value, 'one')
    assert.match((await one.query(look, ['datestyle'])).rows[0].value, /^German/)
    assert.notEqual((await two.query(look, ['timezone'])).rows[0].value, 'Asia/Tokyo')
  }
  await one.end()
  await two.end()
})

test('what cannot follow a client is refused at its start', async () => {
  const failing = (options: string): Promise<unknown> => client({ options: `endpoint=${pooled} ${options}` }).connect()
  await assert.rejects(failing('-c search_path=x'), {
    code: '08P01',
    message: /^unsupported startup parameter in options: search_path\. Please use unpooled/,
  })
  await assert.rejects(failing('-c statement_timeout=1s'), { code: '08P01' })
  const one = client({ options: `endpoint=${pooled} -c timezone=Asia/Tokyo` })
  await one.connect()
  assert.equal((await one.query('show timezone')).rows[0].TimeZone, 'Asia/Tokyo')
  await one.end()
  const odd = client({ options: `endpoint=${pooled} -c timezone=No/Where` })
  await odd.connect()
  odd.on('error', () => {})
  await assert.rejects(odd.query('select 1'), /settings of this session cannot be had/)
})

test('COPY both ways, simple and extended', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  assert.equal(await types(one, [['Q', cString('create table copied_pooled (line text)')]]), 'CZ')
  one.query('copy copied_pooled from stdin')
  await one.until('G')
  one.send('d', Buffer.from('a\nb\n'))
  one.send('c')
  assert.equal((await one.until('Z')).map(({ type }) => type).join(''), 'CZ')
  // libpq sends a Sync with the Execute, which Postgres ignores while it copies, and another one at the end.
  for (const [type, body] of [parse('', 'copy copied_pooled from stdin'), bind(''), execute, sync]) one.send(type, body)
  await one.until('G')
  one.send('d', Buffer.from('c\n'))
  one.send('c')
  one.send('S')
  assert.equal((await one.until('Z')).map(({ type }) => type).join(''), 'CZ')
  one.query('copy copied_pooled to stdout')
  const out = (await one.until('Z')).filter(({ type }) => type === 'd').map(({ body }) => body.toString())
  assert.deepEqual(out, ['a\n', 'b\n', 'c\n'])
  // A failing one: the rest of the data is ignored.
  one.query('copy copied_pooled (nothing) from stdin')
  assert.equal((await one.until('Z').catch(() => [])).length, 0)
  await one.until('Z')
  assert.equal(await one.value('select count(*) from copied_pooled'), '3')
  assert.equal(await types(one, [['Q', cString('drop table copied_pooled')]]), 'CZ')
  one.end()
})

test('a COPY that fails while much is still on its way', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  assert.equal(await types(one, [['Q', cString('create table numbers_pooled (n int)')]]), 'CZ')
  one.query('copy numbers_pooled from stdin')
  await one.until('G')
  one.send('d', Buffer.from('no number\n'))
  for (let n = 0; n < 200; n++) one.send('d', Buffer.from('1\n'.repeat(20_000)))
  await assert.rejects(one.until('Z'), /invalid input syntax/)
  await one.until('Z')
  one.send('d', Buffer.from('2\n'))
  one.send('c')
  assert.equal(await one.value('select count(*) from numbers_pooled'), '0')
  assert.equal(await types(one, [['Q', cString('drop table numbers_pooled')]]), 'CZ')
  one.end()
})

test('a COPY that fails in the middle of a message of the client', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  assert.equal(await types(one, [['Q', cString('create table halves_pooled (n int)')]]), 'CZ')
  for (let round = 0; round < 5; round++) {
    one.query('copy halves_pooled from stdin')
    await one.until('G')
    const long = writeMessage('d', Buffer.from('1\n'.repeat(5_000)))
    one.send('d', Buffer.from('no number\n'))
    one.socket.write(long.subarray(0, 4_000))
    await assert.rejects(one.until('Z'), /invalid input syntax/)
    await one.until('Z')
    // The half that is missing comes only now, when the transaction is over.
    one.socket.write(long.subarray(4_000))
    one.send('c')
    assert.equal(await one.value('select count(*) from halves_pooled'), '0')
  }
  assert.equal(await types(one, [['Q', cString('drop table halves_pooled')]]), 'CZ')
  one.end()
})

test('a cancel request ends the query of the one who sent it and of nobody else', async () => {
  await withClients(5, async (clients) => {
    const [victim, ...others] = clients
    assert.ok(victim)
    const { processID, secretKey } = victim as unknown as { processID: number; secretKey: number }
    const slow = assert.rejects(victim.query('select pg_sleep(30)'), { code: '57014' })
    const busy = others.map(async (each) => {
      for (let n = 0; n < 50; n++) await each.query('select pg_sleep(0.002)')
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    const canceller = client()
    const connection = (
      canceller as unknown as {
        connection: {
          connect(port: number, host: string): void
          cancel(pid: number, key: number): void
          once(event: string, done: () => void): void
        }
      }
    ).connection
    connection.connect(it.port, '127.0.0.1')
    await new Promise<void>((resolve) => connection.once('connect', resolve))
    connection.cancel(processID, secretKey)
    await slow
    await Promise.all(busy)
    assert.equal((await victim.query('select 1 as one')).rows[0].one, 1)
  })
})

test('a client that vanishes in a transaction leaves nothing behind', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  await types(one, [['Q', cString('create table left_behind (n int)')]])
  await types(one, [['Q', cString('begin; insert into left_behind values (1)')]])
  one.socket.destroy()
  const two = await RawClient.logIn(it.port, pooled)
  // The lock is gone with the backend.
  assert.equal(await types(two, [['Q', cString('alter table left_behind add m int')]]), 'CZ')
  assert.equal(await two.value('select count(*) from left_behind'), '0')
  // One that is cut off while its query runs: that is cancelled.
  two.query('select pg_sleep(60)')
  await new Promise((resolve) => setTimeout(resolve, 50))
  two.socket.resetAndDestroy()
  const three = await RawClient.logIn(it.port, pooled)
  await until(
    'its query is gone',
    async () =>
      (await three.value(
        "select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active' and pid <> pg_backend_pid()",
      )) === '0',
  )
  three.query('drop table left_behind')
  await three.until('Z')
  three.end()
})

test('who waits for a server is served in turn, also where all of them are taken', async () => {
  it.controlPlane.access.poolSize = 2
  try {
    await withClients(12, async (clients) => {
      const order: number[] = []
      await Promise.all(
        clients.map(async (each, n) => {
          await each.query('select pg_sleep(0.01)')
          order.push(n)
        }),
      )
      assert.equal(order.length, 12)
    })
  } finally {
    it.controlPlane.access.poolSize = 20
  }
})

test('direct clients get the connections that the pooler does not need', async () => {
  const { rows } = await withClients(1, async ([one]) => (one as pg.Client).query('show max_connections'))
  const most = Number(rows[0].max_connections)
  it.controlPlane.access.poolSize = most
  const direct: pg.Client[] = []
  try {
    await withClients(60, async (clients) => {
      await Promise.all(clients.map((each) => each.query('select pg_sleep(0.2)')))
      while (direct.length < most - 20) {
        const more = Array.from({ length: 10 }, () => client({ options: `endpoint=${testEndpoint}` }))
        await Promise.all(more.map((each) => each.connect()))
        direct.push(...more)
      }
      assert.equal((await (clients[0] as pg.Client).query('select 1 as one')).rows[0].one, 1)
    })
  } finally {
    it.controlPlane.access.poolSize = 20
    await Promise.all(direct.map((each) => each.end()))
  }
})

test('a database that does not exist is refused as Postgres does', async () => {
  await assert.rejects(client({ database: 'nowhere_at_all' }).connect(), { code: '3D000' })
})

test('clients outlive the servers: their next query wakes the compute', async () => {
  await withClients(10, async (clients) => {
    await Promise.all(clients.map((each) => each.query({ name: 'kept', text: 'select $1::int as n', values: [1] })))
    const report = await it.controlPlane.park({
      endpointId: testEndpoint,
      mode: 'suspend',
      patienceMs: 1_000,
      endHeld: false,
    })
    assert.deepEqual(report, { parked: 10, busy: 0, held: 0 })
    await it.postgres.stop()
    await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'all' })
    const again = await Promise.all(
      clients.map((each, n) => each.query({ name: 'kept', text: 'select $1::int as n', values: [n] })),
    )
    assert.deepEqual(
      again.map(({ rows }) => rows[0].n as number),
      clients.map((_, n) => n),
    )
  })
})

test('what is kept for a client has an end', async () => {
  const one = await RawClient.logIn(it.port, pooled)
  const long = `select '${'x'.repeat(1024 * 1024)}'`
  const endless = async (): Promise<void> => {
    for (let n = 0; n < 40; n++) assert.equal(await types(one, [parse(`s${n}`, `${long} -- ${n}`), sync]), '1Z')
  }
  await assert.rejects(endless(), /1EZ|connection lost|E/)
  const two = await RawClient.logIn(it.port, pooled)
  const tooLong = parse('s', 'x'.repeat(5 * 1024 * 1024))
  two.send(...tooLong)
  assert.match((await two.next()).body.toString(), /may have at most 4194304 bytes/)
})
