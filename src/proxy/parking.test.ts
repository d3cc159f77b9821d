import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { AppError } from '../model/errors.ts'
import type { ParkReport } from './control-plane.ts'
import { testPassword, testUser } from './test-support/postgres.ts'
import { RawClient } from './test-support/raw-client.ts'
import { testEndpoint, TestEdge, until } from './test-support/test-edge.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start()
  await withClient(async (client) => {
    await client.query(`create role plain login password '${testPassword}'`)
    await client.query('grant execute on function pg_get_backend_memory_contexts() to public')
    await client.query('create table parked_rows (n serial, text text)')
    await client.query('grant all on all tables in schema public to public')
    await client.query('grant all on all sequences in schema public to public')
    await client.query("create function procedural() returns int language plpgsql as 'begin return 7; end'")
  })
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

async function withClient<T>(work: (client: pg.Client) => Promise<T>, more: pg.ClientConfig = {}): Promise<T> {
  const one = client(more)
  await one.connect()
  try {
    return await work(one)
  } finally {
    await one.end().catch(() => {})
  }
}

const park = (more: { endHeld?: boolean; patienceMs?: number } = {}): Promise<ParkReport> =>
  it.controlPlane.park({ endpointId: testEndpoint, mode: 'suspend', patienceMs: 0, endHeld: false, ...more })

/** What control does once all is parked. */
async function suspend(): Promise<void> {
  await it.postgres.stop()
  await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'all' })
}

test('a session without state outlives a suspension, and its next query wakes the compute', async () => {
  await withClient(async (one) => {
    await one.query('select 1')
    assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
    await suspend()
    it.controlPlane.wakes.length = 0
    const { rows } = await one.query('select 6 * 7 as answer')
    assert.equal(rows[0].answer, 42)
    assert.deepEqual(it.controlPlane.wakes, [testEndpoint])
    // And once more, though nothing was asked in between.
    assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
    assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
    assert.equal((await one.query('select 1 as one')).rows[0].one, 1)
  })
})

/** Each with what a session did; all of them are left with nothing to lose. */
const harmless: [what: string, ...statements: string[]][] = [
  ['nothing at all'],
  ['plain queries', 'select 1', 'select count(*) from pg_class'],
  ['rows of a sequence', "insert into parked_rows (text) values ('x')"],
  ['PL/pgSQL', 'select procedural()'],
  ['a DO block', 'do $$ begin perform 1; end $$'],
  ['a transaction', 'begin', 'select 1', 'commit'],
  ['an error', 'select 1/0'],
  ['settings that were taken back', "set work_mem = '8MB'", 'reset work_mem'],
  ['settings of a transaction', 'begin', "set local work_mem = '8MB'", 'commit'],
  ['a temporary table that is gone', 'create temp table t (n int)', 'drop table t'],
  ['a lock that is gone', 'select pg_advisory_lock(1)', 'select pg_advisory_unlock(1)'],
  ['LISTEN that is over', 'listen news', 'unlisten *'],
  ['COPY', 'copy (select 1) to stdout'],
]

for (const [what, ...statements] of harmless) {
  test(`parked: ${what}`, async () => {
    const one = await RawClient.logIn(it.port, testEndpoint)
    for (const sql of statements) {
      one.query(sql)
      for (let type = ''; type !== 'Z';) ({ type } = await one.next())
    }
    assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
    assert.equal(await one.value('select 5'), '5')
    one.end()
    await until('it is gone', () => it.edge.connections() === 0)
  })
}

/** Each with what a session did, and how it still sees that afterwards. */
const stateful: [what: string, make: string[], look: string, seen: string][] = [
  ['a temporary table', ['create temp table kept as select 3 as n'], 'select n from kept', '3'],
  [
    'a temporary function',
    ["create function pg_temp.kept() returns int language sql as 'select 4'"],
    'select pg_temp.kept()',
    '4',
  ],
  ['LISTEN', ['listen news'], 'select pg_listening_channels()', 'news'],
  [
    'an advisory lock',
    ['select pg_advisory_lock(77)'],
    "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    '1',
  ],
  ['SET', ["set work_mem = '9MB'"], 'show work_mem', '9MB'],
  ['SET of what is reported', ["set timezone = 'Asia/Tokyo'"], 'show timezone', 'Asia/Tokyo'],
  [
    'SET to what it is anyway',
    ['set work_mem to default', "set statement_timeout = '7s'"],
    'show statement_timeout',
    '7s',
  ],
  ['a custom setting', ["set app.tenant = '12'"], "select current_setting('app.tenant')", '12'],
  [
    'a custom setting by function',
    ["select set_config('app.tenant', '13', false)"],
    "select current_setting('app.tenant')",
    '13',
  ],
  [
    'a custom setting that is empty',
    ["select set_config('a.b', '', false)"],
    "select current_setting('a.b') = ''",
    't',
  ],
  [
    'a custom setting beside PL/pgSQL',
    ['select procedural()', "set app.tenant = '14'"],
    "select current_setting('app.tenant')",
    '14',
  ],
  ['a cursor that is held', ['begin', 'declare kept cursor with hold for select 8', 'commit'], 'fetch kept', '8'],
  ['PREPARE', ['prepare kept as select 9'], 'execute kept', '9'],
  ['SET ROLE', ['set role plain'], 'select current_user', 'plain'],
  ['SET SESSION AUTHORIZATION', ['set session authorization plain'], 'select session_user', 'plain'],
  [
    'SET SESSION CHARACTERISTICS',
    ['set session characteristics as transaction read only'],
    'show transaction_read_only',
    'on',
  ],
]

for (const [what, make, look, seen] of stateful) {
  test(`held: ${what}`, async () => {
    const one = await RawClient.logIn(it.port, testEndpoint)
    for (const sql of make) {
      one.query(sql)
      for (let type = ''; type !== 'Z';) ({ type } = await one.next())
    }
    assert.deepEqual(await park(), { parked: 0, busy: 0, held: 1 })
    assert.equal(await one.value(look), seen)
    one.end()
    await until('it is gone', () => it.edge.connections() === 0)
  })
}

test('held: a custom setting that came with the connection, which may have another value by now', async () => {
  const options = `endpoint=${testEndpoint} -c app.tenant=1`
  await withClient(
    async (one) => {
      await one.query("set app.tenant = '2'")
      assert.deepEqual(await park(), { parked: 0, busy: 0, held: 1 })
      assert.equal((await one.query("select current_setting('app.tenant') as tenant")).rows[0].tenant, '2')
    },
    { options },
  )
  await withClient(async () => assert.equal((await park()).parked, 1), {
    options: `endpoint=${testEndpoint} -c work_mem=9MB`,
  })
})

test('a role without any privileges is parked too, and the memory of settings may be looked at by all', async () => {
  await withClient(
    async (one) => {
      await one.query('select 1')
      assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
      assert.equal((await one.query('select current_user as me')).rows[0].me, 'plain')
      await one.query("select set_config('app.tenant', '1', false)")
      assert.deepEqual(await park(), { parked: 0, busy: 0, held: 1 })
    },
    { user: 'plain' },
  )
})

test('a session in the middle of something is busy', async () => {
  await withClient(async (one) => {
    const slow = one.query('select pg_sleep(0.5)')
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal((await park()).busy, 1)
    assert.equal((await park({ patienceMs: 5_000 })).parked, 1)
    await slow
    await one.query('begin')
    assert.equal((await park()).busy, 1)
    await one.query('commit')
  })
})

test('prepared statements of the protocol are there again', async () => {
  await withClient(async (one) => {
    const query = { name: 'twice', text: 'select $1::int * 2 as twice', values: [4] }
    await one.query(query)
    await one.query({ name: 'typed', text: 'select $1::text || $2::text as both', values: ['a', 'b'] })
    assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
    await suspend()
    assert.equal((await one.query({ ...query, values: [21] })).rows[0].twice, 42)
    assert.equal(
      (await one.query({ name: 'typed', text: 'select $1::text || $2::text as both', values: ['c', 'd'] })).rows[0]
        .both,
      'cd',
    )
    await one.query('deallocate all')
  })
})

test('what is asked while a session is being parked is answered all the same', async () => {
  const clients = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const one = client()
      await one.connect()
      return one
    }),
  )
  try {
    for (let round = 0; round < 30; round++) {
      const parking = park()
      const asked = clients.map((each, n) => each.query('select $1::int as n', [n]))
      await parking
      const answers = await Promise.all(asked)
      assert.deepEqual(
        answers.map(({ rows }) => rows[0].n as number),
        clients.map((_, n) => n),
      )
    }
  } finally {
    await Promise.all(clients.map((each) => each.end()))
  }
})

test('a session that is held for too long is ended with the reason', async () => {
  const one = client()
  await one.connect()
  await one.query('create temp table kept (n int)')
  const ended = new Promise<Error & { code?: string; detail?: string }>((resolve) => one.on('error', resolve))
  assert.equal((await park()).held, 1)
  await park({ endHeld: true })
  const error = await ended
  assert.equal(error.code, '57P05')
  assert.match(error.detail ?? '', /a temporary table/)
})

test('a setting that changed while a session was parked is told with the next answer', async () => {
  await withClient(async (admin) => {
    const one = client({ user: 'plain' })
    await one.connect()
    await one.query('select 1')
    await admin.query('select 1')
    assert.equal((await park()).parked, 2)
    await admin.query("alter role plain set timezone = 'Asia/Tokyo'")
    const told = new Promise<string>((resolve) => {
      const { connection } = one as unknown as { connection: NodeJS.EventEmitter }
      connection.on(
        'parameterStatus',
        ({ parameterName, parameterValue }: { parameterName: string; parameterValue: string }) => {
          if (parameterName === 'TimeZone') resolve(parameterValue)
        },
      )
    })
    assert.equal((await one.query('show timezone')).rows[0].TimeZone, 'Asia/Tokyo')
    assert.equal(await told, 'Asia/Tokyo')
    await one.end()
    await admin.query('alter role plain reset timezone')
  })
})

test('a password that changed while a session was parked ends it at its next query', async () => {
  await withClient(async (admin) => {
    const one = client({ user: 'plain' })
    await one.connect()
    await one.query('select 1')
    await park()
    await admin.query("alter role plain password 'another one'")
    await assert.rejects(one.query('select 1'), { code: '28P01' })
    await admin.query(`alter role plain password '${testPassword}'`)
  })
})

test('a parked client that leaves disturbs nobody', async () => {
  const one = client()
  await one.connect()
  await park()
  await suspend()
  it.controlPlane.wakes.length = 0
  await one.end()
  await until('it is gone', () => it.edge.connections() === 0)
  assert.deepEqual(it.controlPlane.wakes, [])
  await it.postgres.start()
})

test('a parked session waits for a control plane that is on its way back', async () => {
  await withClient(async (one) => {
    await one.query('select 1')
    await park()
    await suspend()
    const wake = it.controlPlane.wake.bind(it.controlPlane)
    let refused = 0
    it.controlPlane.wake = async (endpointId) => {
      if (refused++ < 3) throw new AppError('unavailable', 'the control plane is away')
      return await wake(endpointId)
    }
    try {
      assert.equal((await one.query('select 6 * 7 as answer')).rows[0].answer, 42)
      assert.ok(refused > 3)
    } finally {
      it.controlPlane.wake = wake
    }
  })
})
