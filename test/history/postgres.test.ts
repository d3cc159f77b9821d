// What Postgres has beside rows in tables, at a past point and at the head: everything that a child must have, and what it must not have.

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { homeAt } from '../../src/home.ts'
import { Cipher } from '../../src/lib/cipher.ts'
import { CrashBench } from '../support/crash-bench.ts'
import { obstacleTo } from '../storage/file-systems.ts'
import { eventually } from '../support/eventually.ts'
import { call, settled, storageRoot, timelineOf, uriOf, withControlDatabase } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { changed, connect, query, type Session } from '../support/postgres.ts'
import { request, type TestServer } from '../support/server.ts'

const storage = obstacleTo('xfs') === undefined ? 'pool' : 'copy'

let bench: CrashBench
let server: TestServer

before(async () => {
  bench = await CrashBench.open({ PGROVE_STORAGE: storage, PGROVE_WARM_POOL: '0,0' })
  server = bench.server
})
after(async () => {
  await bench?.[Symbol.asyncDispose]()
})

type ApiBranch = { id: string; name: string; parent_lsn?: string; parent_timestamp?: string; created_at: string }
type Place = { lsn: string; time: string }
type Asked = { parent_lsn: string } | { parent_timestamp: string }

type Project = { id: string; branchId: string; uri: string }

async function makeProject(settings: object = {}): Promise<Project> {
  const { body } = await call(server, 'POST', '/projects', { project: { name: 'history', ...settings } })
  await settled(server)
  const { project, branch } = body as { project: { id: string }; branch: { id: string } }
  return { id: project.id, branchId: branch.id, uri: await uriOf(server, project.id) }
}

type Child = { id: string; endpointId: string; uri: string; branch: ApiBranch }

async function makeChild(project: Project, parentId: string, asked: Asked | object = {}): Promise<Child> {
  const { body } = await call(server, 'POST', `/projects/${project.id}/branches`, {
    branch: { parent_id: parentId, ...asked },
    endpoints: [{ type: 'read_write' }],
  })
  await settled(server)
  const { branch, endpoints } = body as { branch: ApiBranch; endpoints: { id: string }[] }
  const made = await call(server, 'GET', `/projects/${project.id}/branches/${branch.id}`)
  return {
    id: branch.id,
    endpointId: endpoints[0]?.id ?? '',
    uri: await uriOf(server, project.id, branch.id),
    branch: made.body['branch'] as ApiBranch,
  }
}

async function suspend(project: Project, endpointId: string): Promise<void> {
  await call(server, 'POST', `/projects/${project.id}/endpoints/${endpointId}/suspend`)
  await settled(server)
}

async function endpointOf(project: Project, branchId: string): Promise<string> {
  const { body } = await call(server, 'GET', `/projects/${project.id}/branches/${branchId}/endpoints`)
  return (body['endpoints'] as { id: string }[])[0]?.id ?? ''
}

/** Behind what was committed before, and before what comes next. */
async function placeNow(session: Session): Promise<Place> {
  const [place] = await session.query<Place>(
    `select pg_current_wal_lsn()::text as lsn, to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time`,
  )
  assert.ok(place)
  return place
}

async function numbers(uri: string, text: string): Promise<number[]> {
  const rows = await query<{ n: number }>(uri, text)
  return rows.map(({ n }) => n)
}

/** As pgrove itself sees a branch's Postgres. */
async function asService<T>(branchId: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { home } = bench
  const timelineId = await timelineOf(home, branchId)
  const keyId = await withControlDatabase(home, async (client) => {
    const { rows } = await client.query<{ key: string }>('select service_key_id as key from timelines where id = $1', [
      timelineId,
    ])
    return rows[0]?.key ?? ''
  })
  const cipher = new Cipher(Buffer.from((await readFile(join(home, 'master.key'), 'utf8')).trim(), 'hex'))
  const client = new pg.Client({
    host: join(homeAt(home).run, timelineId),
    user: 'pgrove_service',
    database: 'neondb',
    password: cipher.derive(`service role of ${keyId}`),
  })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

describe(`at a point, and at the head (${storage})`, () => {
  let project: Project
  let place: Place
  /** Whatever the parent has at the head, this one must have; made while the parent runs. */
  const children: Record<'lsn' | 'time' | 'head' | 'headOfSleeping', Child | undefined> = {
    lsn: undefined,
    time: undefined,
    head: undefined,
    headOfSleeping: undefined,
  }
  const past = (): Child[] => [children.lsn, children.time].filter((child) => child !== undefined)
  const head = (): Child[] => [children.head, children.headOfSleeping].filter((child) => child !== undefined)
  const all = (): Child[] => [...past(), ...head()]

  before(async () => {
    project = await makeProject({
      settings: { enable_logical_replication: true },
      default_endpoint_settings: { pg_settings: { max_prepared_transactions: '10' } },
    })
    const { uri } = project
    await using session = await connect(uri)
    await using other = await connect(uri)

    // It would wait for every transaction that is prepared.
    await session.query(`select pg_create_logical_replication_slot('slot', 'pgoutput')`)
    await session.query('create table prepared (n int)')
    for (const n of [1, 2]) {
      await session.query(`begin; insert into prepared values (${n}); prepare transaction 'before ${n}'`)
    }
    await session.query(`commit prepared 'before 1'`)

    await session.query('create unlogged table unlogged (n int primary key); insert into unlogged values (1)')
    await session.query('create table kept (n int primary key); insert into kept values (1)')

    for (const strategy of ['wal_log', 'file_copy']) {
      for (const name of [`kept_${strategy}`, `dropped_after_${strategy}`, `dropped_before_${strategy}`]) {
        await session.query(`create database ${name} strategy ${strategy}`)
        await query(changed(uri, { database: name }), 'create table t as select 1 as n')
      }
      await session.query(`drop database dropped_before_${strategy}`)
    }

    await session.query(`select lo_from_bytea(1001, 'before'), lo_from_bytea(1002, 'gone after')`)
    await session.query('create extension pg_trgm')
    await session.query(
      `create table words as select 'word ' || g as w from generate_series(1, 500) g; create index on words using gin (w gin_trgm_ops)`,
    )
    await session.query(`create sequence counter; select nextval('counter') from generate_series(1, 100)`)
    await session.query('create table subs (n int)')
    await subtransactions(session, 0)
    await session.query('create table emptied as select g as n from generate_series(1, 1000) g')
    await session.query(
      'create table packed as select g as n, repeat(md5(g::text), 10) as t from generate_series(1, 1000) g',
    )
    await session.query('delete from packed where n % 2 = 0')
    await session.query('vacuum full packed')

    await other.query('begin; create table long (n int); insert into kept values (100)')
    place = await placeNow(session)
    await other.query('insert into kept values (101); commit')

    await session.query('insert into kept values (2)')
    await session.query(`begin; insert into prepared values (3); prepare transaction 'after'`)
    await session.query(`commit prepared 'before 2'`)
    await session.query('insert into unlogged values (2)')
    for (const strategy of ['wal_log', 'file_copy']) {
      await session.query(`drop database dropped_after_${strategy}`)
      await session.query(`create database made_after_${strategy} strategy ${strategy}`)
      await query(changed(uri, { database: `made_after_${strategy}` }), 'create table t as select 2 as n')
      await query(changed(uri, { database: `kept_${strategy}` }), 'insert into t values (2)')
    }
    await session.query(`select lo_put(1001, 0, 'AFTER!'), lo_unlink(1002), lo_from_bytea(1003, 'made after')`)
    await session.query("create extension hstore; create table hs as select hstore('a', 'b') as h")
    await session.query(`select nextval('counter') from generate_series(1, 1000)`)
    await subtransactions(session, 1000)
    await session.query('truncate emptied; insert into emptied values (-1)')
    await session.query('delete from packed where n % 3 = 0')
    await session.query('vacuum full packed')

    children.lsn = await makeChild(project, project.branchId, { parent_lsn: place.lsn })
    children.time = await makeChild(project, project.branchId, { parent_timestamp: place.time })
    children.head = await makeChild(project, project.branchId)
  })

  before(async () => {
    await suspend(project, await endpointOf(project, project.branchId))
    children.headOfSleeping = await makeChild(project, project.branchId)
  })

  test('a transaction that was open has no rows, and one that committed has', async () => {
    for (const child of past()) assert.deepEqual(await numbers(child.uri, 'select n from kept order by n'), [1])
    for (const child of head()) {
      assert.deepEqual(await numbers(child.uri, 'select n from kept order by n'), [1, 2, 100, 101])
    }
    for (const child of past()) {
      const [row] = await query<{ there: boolean }>(child.uri, `select to_regclass('long') is not null as there`)
      assert.deepEqual(row, { there: false })
    }
  })

  test('a prepared transaction is still prepared, and can be committed or rolled back', async () => {
    const prepared = async ({ uri }: Child): Promise<string[]> =>
      (await query<{ gid: string }>(uri, 'select gid from pg_prepared_xacts order by gid')).map(({ gid }) => gid)
    const rows = ({ uri }: Child): Promise<number[]> => numbers(uri, 'select n from prepared order by n')
    for (const child of past()) {
      assert.deepEqual([await prepared(child), await rows(child)], [['before 2'], [1]])
      await query(child.uri, `commit prepared 'before 2'`)
      assert.deepEqual(await rows(child), [1, 2])
    }
    for (const child of head()) {
      assert.deepEqual([await prepared(child), await rows(child)], [['after'], [1, 2]])
      await query(child.uri, `rollback prepared 'after'`)
      assert.deepEqual(await rows(child), [1, 2])
    }
  })

  test('an unlogged table is empty and can be used', async () => {
    for (const child of all()) {
      assert.deepEqual(await numbers(child.uri, 'select n from unlogged'), [], child.branch.name)
      await query(child.uri, 'insert into unlogged values (1)')
      assert.deepEqual(await numbers(child.uri, 'select n from unlogged where n = 1'), [1])
    }
  })

  test('databases are those of the point, in Postgres and in the API', async () => {
    const expected = {
      past: ['dropped_after_file_copy', 'dropped_after_wal_log', 'kept_file_copy', 'kept_wal_log', 'neondb'],
      head: ['kept_file_copy', 'kept_wal_log', 'made_after_file_copy', 'made_after_wal_log', 'neondb'],
    }
    for (const [children, names, of] of [
      [past(), expected.past, 'past'],
      [head(), expected.head, 'head'],
    ] as const) {
      for (const child of children) {
        const found = await query<{ name: string }>(
          child.uri,
          `select datname as name from pg_database where not datistemplate and datname <> 'postgres' order by 1`,
        )
        assert.deepEqual(
          found.map(({ name }) => name),
          names,
        )
        const { body } = await call(server, 'GET', `/projects/${project.id}/branches/${child.id}/databases`)
        const listed = (body['databases'] as { name: string }[]).map(({ name }) => name)
        assert.deepEqual(listed.toSorted(), names)
        for (const database of names.filter((name) => name !== 'neondb')) {
          const rows = await numbers(changed(child.uri, { database }), 'select n from t order by n')
          const wanted = of === 'head' && database.startsWith('kept') ? [1, 2] : [database.startsWith('made') ? 2 : 1]
          assert.deepEqual(rows, wanted, database)
        }
      }
    }
  })

  test('large objects are those of the point', async () => {
    const objects = async ({ uri }: Child): Promise<unknown[]> =>
      await query(
        uri,
        `select oid::int as id, convert_from(lo_get(oid), 'utf8') as text from pg_largeobject_metadata order by 1`,
      )
    for (const child of past()) {
      assert.deepEqual(await objects(child), [
        { id: 1001, text: 'before' },
        { id: 1002, text: 'gone after' },
      ])
    }
    for (const child of head()) {
      assert.deepEqual(await objects(child), [
        { id: 1001, text: 'AFTER!' },
        { id: 1003, text: 'made after' },
      ])
    }
  })

  test('extensions are those of the point, work, and others can be added', async () => {
    const extensions = async ({ uri }: Child): Promise<string[]> =>
      (await query<{ name: string }>(uri, `select extname as name from pg_extension order by 1`)).map(
        ({ name }) => name,
      )
    for (const child of all()) {
      assert.deepEqual(await numbers(child.uri, `select count(*)::int as n from words where w like '%word 49%'`), [11])
    }
    for (const child of past()) {
      assert.deepEqual(await extensions(child), ['pg_trgm', 'plpgsql'])
      await query(child.uri, `create extension hstore; select 'a=>1'::hstore`)
    }
    for (const child of head()) {
      assert.deepEqual(await extensions(child), ['hstore', 'pg_trgm', 'plpgsql'])
      assert.deepEqual(await query(child.uri, `select h -> 'a' as v from hs`), [{ v: 'b' }])
    }
  })

  test('a sequence gives out no number twice', async () => {
    for (const [children, last] of [
      [past(), 100],
      [head(), 1100],
    ] as const) {
      for (const { uri } of children) {
        const [next] = await numbers(uri, `select nextval('counter')::int as n`)
        assert.ok(next !== undefined && next > last && next <= last + 33, String(next))
      }
    }
  })

  test('subtransactions count as they ended', async () => {
    const wanted = (base: number): number[] =>
      Array.from({ length: 100 }, (_, n) => base + n).filter((n) => n % 2 === 0)
    for (const { uri } of past()) assert.deepEqual(await numbers(uri, 'select n from subs order by n'), wanted(0))
    for (const { uri } of head()) {
      assert.deepEqual(await numbers(uri, 'select n from subs order by n'), [...wanted(0), ...wanted(1000)])
    }
  })

  test('TRUNCATE and VACUUM FULL are undone, or done', async () => {
    for (const { uri } of past()) {
      assert.deepEqual(await numbers(uri, 'select count(*)::int as n from emptied where n > 0'), [1000])
      assert.deepEqual(await numbers(uri, 'select count(*)::int as n from packed where length(t) = 320'), [500])
    }
    for (const { uri } of head()) {
      assert.deepEqual(await numbers(uri, 'select n from emptied'), [-1])
      assert.deepEqual(await numbers(uri, 'select count(*)::int as n from packed where length(t) = 320'), [333])
    }
  })

  test('no replication slot comes along, and the parent keeps its own', async () => {
    const slots = `select slot_name as name from pg_replication_slots`
    for (const { uri } of all()) assert.deepEqual(await query(uri, slots), [])
    assert.deepEqual(await query(project.uri, slots), [{ name: 'slot' }])
    await query(project.uri, `select pg_drop_replication_slot('slot')`)
  })

  test('every page and index is sound', async () => {
    for (const { uri } of all()) {
      await query(uri, 'create extension amcheck')
      await query(
        uri,
        `select bt_index_check(c.oid, true) from pg_class c join pg_index i on i.indexrelid = c.oid join pg_am a on a.oid = c.relam
          where a.amname = 'btree' and c.relpersistence = 'p' and i.indisvalid`,
      )
      const broken = await query(
        uri,
        `select c.relname, v.* from pg_class c, verify_heapam(c.oid) v where c.relkind in ('r', 'm') and c.relpersistence = 'p'`,
      )
      assert.deepEqual(broken, [])
    }
  })

  test('a branch says which point it was made of', async () => {
    const seconds = (text: string | undefined): number => Math.floor(Date.parse(text ?? '') / 1000)
    const [atLsn, atTime] = [children.lsn, children.time]
    assert.ok(atLsn && atTime)
    assert.equal(atLsn.branch.parent_lsn, place.lsn)
    assert.equal(seconds(atTime.branch.parent_timestamp), seconds(place.time))
    assert.match(atTime.branch.parent_lsn ?? '', /^[0-9A-F]+\/[0-9A-F]+$/)
    for (const { branch } of head()) {
      assert.match(branch.parent_lsn ?? '', /^[0-9A-F]+\/[0-9A-F]+$/)
      assert.ok(Date.parse(branch.parent_timestamp ?? '') <= Date.parse(branch.created_at) + 60_000)
    }
  })

  test('and nothing else is left of making them', async () => {
    await assertNothingLeft(server)
  })
})

/** A hundred of them in one transaction, every other rolled back: more than a backend shows to others. */
async function subtransactions(session: Session, base: number): Promise<void> {
  await session.query('begin')
  for (let n = base; n < base + 100; n++) {
    await session.query(`savepoint s; insert into subs values (${n}); ${n % 2 === 0 ? 'release' : 'rollback to'} s`)
  }
  await session.query('commit')
}

test('a prepared transaction of a parent that allows them comes along to a child that was not told to', async () => {
  const project = await makeProject()
  const endpointId = await endpointOf(project, project.branchId)
  await call(server, 'PATCH', `/projects/${project.id}/endpoints/${endpointId}`, {
    endpoint: { settings: { pg_settings: { max_prepared_transactions: '5' } } },
  })
  await settled(server)
  await call(server, 'POST', `/projects/${project.id}/endpoints/${endpointId}/restart`)
  await settled(server)
  await using session = await connect(project.uri)
  await session.query(`create table t (n int); begin; insert into t values (1); prepare transaction 'open'`)
  const child = await makeChild(project, project.branchId)
  await query(child.uri, `commit prepared 'open'`)
  assert.deepEqual(await numbers(child.uri, 'select n from t'), [1])
})

test('a branch of the head has what was committed without waiting for the disk', async () => {
  const project = await makeProject()
  await using session = await connect(project.uri)
  await session.query('create table t (n int); set synchronous_commit = off')
  for (let n = 1; n <= 5; n++) {
    await session.query(`insert into t values (${n})`)
    const child = await makeChild(project, project.branchId)
    assert.deepEqual(
      await numbers(child.uri, 'select n from t order by n'),
      Array.from({ length: n }, (_, at) => at + 1),
    )
    await suspend(project, child.endpointId)
  }
  await call(server, 'DELETE', `/projects/${project.id}`)
  await settled(server)
})

test('a branch of the head can be made behind a record that is longer than a segment of the log', async () => {
  const project = await makeProject()
  await using session = await connect(project.uri)
  for (const bytes of [700_000, 1_000_000, 1_500_000, 3_000_000]) {
    // No commit follows: the end of the log is in memory only.
    await session.query(
      `select pg_logical_emit_message(false, 'test', repeat('x', ${bytes})) from generate_series(1, 3)`,
    )
    const child = await makeChild(project, project.branchId)
    const { body } = await call(server, 'GET', `/projects/${project.id}/branches/${child.id}`)
    assert.equal((body['branch'] as { current_state: string }).current_state, 'ready')
    await suspend(project, child.endpointId)
  }
  const { body } = await call(server, 'GET', `/projects/${project.id}/operations?limit=100`)
  const tries = (body['operations'] as { failures_count: number }[]).map((operation) => operation.failures_count)
  assert.deepEqual(
    tries.filter((count) => count > 0),
    [],
    'at the first try',
  )
  await call(server, 'DELETE', `/projects/${project.id}`)
  await settled(server)
})

test('a moment before a database was dropped has the database, whole', async () => {
  const project = await makeProject()
  await using session = await connect(project.uri)
  await session.query('create database doomed')
  await query(changed(project.uri, { database: 'doomed' }), 'create table t as select 1 as n')
  const place = await placeNow(session)
  await session.query('drop database doomed with (force)')
  for (const asked of [{ parent_timestamp: place.time }, { parent_lsn: place.lsn }]) {
    const child = await makeChild(project, project.branchId, asked)
    assert.deepEqual(await numbers(changed(child.uri, { database: 'doomed' }), 'select n from t'), [1])
  }
  await call(server, 'DELETE', `/projects/${project.id}`)
  await settled(server)
})

test('a subscription of the parent is off in the child, and on in the parent', async () => {
  const project = await makeProject({ settings: { enable_logical_replication: true } })
  await query(project.uri, 'create table t (n int); create publication p for table t')
  await asService(project.branchId, async (client) => {
    await client.query(
      `create subscription s connection 'host=127.0.0.1 port=1 dbname=nowhere' publication p with (connect = false, slot_name = 's')`,
    )
    await client.query('alter subscription s enable')
  })
  const enabled = (branchId: string): Promise<unknown[]> =>
    asService(branchId, async (client) => (await client.query('select subenabled as on from pg_subscription')).rows)
  const place = await connect(project.uri).then(async (session) => {
    await using it = session
    return await placeNow(it)
  })
  const ofHead = await makeChild(project, project.branchId)
  const ofPast = await makeChild(project, project.branchId, { parent_lsn: place.lsn })
  for (const child of [ofHead, ofPast]) assert.deepEqual(await enabled(child.id), [{ on: false }])
  assert.deepEqual(await enabled(project.branchId), [{ on: true }])
  const grandchild = await makeChild(project, ofHead.id)
  assert.deepEqual(await enabled(grandchild.id), [{ on: false }])
  await call(server, 'DELETE', `/projects/${project.id}`)
  await settled(server)
})

test('sixty branches, each of the one before, and the last has every row', async (context) => {
  const project = await makeProject()
  await query(project.uri, 'create table t (n int); insert into t values (0)')
  let parent: { id: string; endpointId: string } = {
    id: project.branchId,
    endpointId: await endpointOf(project, project.branchId),
  }
  const times: number[] = []
  for (let n = 1; n <= 60; n++) {
    const started = performance.now()
    const child = await makeChild(project, parent.id)
    times.push(performance.now() - started)
    await suspend(project, parent.endpointId)
    await query(child.uri, `insert into t values (${n})`)
    parent = child
  }
  const uri = await uriOf(server, project.id, parent.id)
  assert.deepEqual(
    await numbers(uri, 'select n from t order by n'),
    Array.from({ length: 61 }, (_, n) => n),
  )
  const ms = (n: number): string => `${Math.round(times[n - 1] ?? 0)} ms`
  context.diagnostic(`the tenth took ${ms(10)}, the thirtieth ${ms(30)}, the sixtieth ${ms(60)}`)
  await call(server, 'DELETE', `/projects/${project.id}`)
  await settled(server)
})

describe('a point that cannot be had', () => {
  let project: Project
  let child: Child
  let early: Place

  before(async () => {
    project = await makeProject()
    await using session = await connect(project.uri)
    await session.query('create table t (n int); insert into t values (1)')
    early = await placeNow(session)
    // Times are shown in whole seconds, and the second of a branch's birth is the branch's.
    await session.query('select pg_sleep(2.1); insert into t values (2)')
    child = await makeChild(project, project.branchId)
    await query(child.uri, 'insert into t values (3)')
  })

  const refused: [what: string, asked: () => object, of: () => string, message: RegExp][] = [
    [
      'in the future',
      () => ({ parent_timestamp: new Date(Date.now() + 3_600_000).toISOString() }),
      () => project.branchId,
      /future/,
    ],
    [
      'behind the head',
      () => ({ parent_lsn: 'FF/0' }),
      () => project.branchId,
      /FF\/0 lies outside the history.*from .* to now/,
    ],
    [
      'before its birth',
      () => ({ parent_timestamp: '2020-01-01T00:00:00Z' }),
      () => project.branchId,
      /the timestamp lies outside the history.*from .* to now/,
    ],
    ['before all log', () => ({ parent_lsn: '0/1' }), () => project.branchId, /0\/1 lies outside the history/],
    ['of its parent’s past, by time', () => ({ parent_timestamp: early.time }), () => child.id, /outside the history/],
    ['of its parent’s past, by LSN', () => ({ parent_lsn: early.lsn }), () => child.id, /outside the history/],
    ['that is no LSN', () => ({ parent_lsn: '17' }), () => project.branchId, /no LSN/],
    ['that is no time', () => ({ parent_timestamp: 'yesterday' }), () => project.branchId, /parent_timestamp/],
    [
      'given twice',
      () => ({ parent_lsn: early.lsn, parent_timestamp: early.time }),
      () => project.branchId,
      /not both/,
    ],
  ]
  for (const [what, asked, of, message] of refused) {
    test(`${what} is refused, and leaves nothing`, async () => {
      const list = async (): Promise<number> =>
        ((await call(server, 'GET', `/projects/${project.id}/branches`)).body['branches'] as unknown[]).length
      const before = await list()
      const answer = await request(server, 'POST', `/projects/${project.id}/branches`, {
        branch: { parent_id: of(), ...asked() },
        endpoints: [{ type: 'read_write' }],
      })
      assert.equal(answer.status, 400, JSON.stringify(answer.body))
      assert.match(String(answer.body['message']), message)
      assert.equal(await list(), before)
      await assertNothingLeft(server)
    })
  }
})

describe(`retention (${storage})`, () => {
  const megabytes = async (session: Session, count: number): Promise<void> => {
    await session.query(
      `select count(pg_logical_emit_message(false, 'test', repeat('x', 1000000))) from generate_series(1, ${count})`,
    )
  }
  const branchAt = async (project: Project, place: Place): Promise<{ status: number; message: string }> => {
    const { status, body } = await request(server, 'POST', `/projects/${project.id}/branches`, {
      branch: { parent_timestamp: place.time },
    })
    await settled(server)
    return { status, message: (body['message'] as string | undefined) ?? '' }
  }
  const setRetention = async (project: Project, seconds: number): Promise<void> => {
    await call(server, 'PATCH', `/projects/${project.id}`, { project: { history_retention_seconds: seconds } })
  }
  const imagesOf = async (timelineId: string): Promise<string[]> =>
    await withControlDatabase(bench.home, async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `select i.id from timeline_images t join images i on i.id = t.image_id where t.timeline_id = $1 and i.template is null`,
        [timelineId],
      )
      return rows.map(({ id }) => id)
    })

  test('a shorter one drops images and log, and points before it are refused', async () => {
    const project = await makeProject()
    const root = await storageRoot(bench.home)
    const timelineId = await timelineOf(bench.home, project.branchId)
    const archived = async (): Promise<string[]> => await readdir(join(root, 'wal', timelineId)).catch(() => [])
    await using session = await connect(project.uri)
    await session.query('create table t (n int)')
    const places: Place[] = []
    for (const n of [1, 2, 3]) {
      await session.query(`insert into t values (${n})`)
      places.push(await placeNow(session))
      await megabytes(session, 20)
      // A branch of the head, that far from an image, takes one.
      const child = await makeChild(project, project.branchId)
      await call(server, 'DELETE', `/projects/${project.id}/branches/${child.id}?hard_delete=true`)
      await settled(server)
      await session.query('select pg_sleep(1.1)')
    }
    const [first, , third] = places
    assert.ok(first && third)
    const images = await imagesOf(timelineId)
    assert.equal(images.length, 3)
    const log = (await archived()).length
    assert.ok(log > 30, `${log} segments`)
    assert.equal((await branchAt(project, first)).status, 201)

    await setRetention(project, 1)
    const late = await branchAt(project, first)
    assert.equal(late.status, 400)
    assert.match(
      late.message,
      /the timestamp lies outside the history of the branch, which reaches from \S+Z \(.*\) to now/,
    )
    // The branch that was made of the past keeps what it was made of, for itself.
    await eventually('images go', async () => (await imagesOf(timelineId)).length === 1, 60_000)
    await eventually('log goes', async () => (await archived()).length < log, 60_000)
    const onDisk = await readdir(join(root, 'images'))
    assert.ok(onDisk.includes((await imagesOf(timelineId))[0] ?? ''), 'the last one before the window stays')

    await setRetention(project, 0)
    const over = await branchAt(project, third)
    assert.equal(over.status, 400)
    assert.match(over.message, /outside the history/)
    const child = await makeChild(project, project.branchId)
    assert.deepEqual(await numbers(child.uri, 'select n from t order by n'), [1, 2, 3])
    await assertNothingLeft(server)
    await call(server, 'DELETE', `/projects/${project.id}`)
    await settled(server)
  })
})
