import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { ensureAuthRole } from '../compute/auth/role.ts'
import { authRole } from '../compute/postgres-service.ts'
import type { Supervisor } from '../compute/supervisor.ts'
import { TestComputes, testInstallations } from '../compute/test-computes.ts'
import { silentLogger } from '../lib/logger.ts'
import { AppError, isAppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { makeVerifier } from '../pgwire/scram-verifier.ts'
import { TenantDatabase } from './tenant-database.ts'

const password = 'of the auth role'

let computes: TestComputes
let supervisor: Supervisor
let id: TimelineId
let wakes = 0
let database: TenantDatabase

before(async () => {
  const installation = [...testInstallations.values()].at(-1)
  assert.ok(installation)
  computes = await TestComputes.open(installation)
  supervisor = computes.supervisor()
  id = await computes.claimed(supervisor)
  const service = await supervisor.client(id, 'app')
  await ensureAuthRole(service, await makeVerifier(password, { iterations: 4096 }))
  await service.end()
  database = new TenantDatabase({
    integrationId: 'an integration',
    role: authRole,
    database: 'app',
    controlPlane: {
      wake: async () => {
        wakes++
        const { socketDir, generation } = await supervisor.ensureRunning(computes.spec(id))
        return { socketDir, generation, password }
      },
    },
    logger: silentLogger,
  })
  await database.query('create table things (name text)')
})

beforeEach(async () => {
  await database.query('delete from things')
  wakes = 0
})

after(async () => {
  await database.close()
  await computes[Symbol.asyncDispose]()
})

const names = async (): Promise<unknown[]> =>
  (await database.query('select name from things order by name')).map(({ name }) => name)

const isUnavailable = (error: unknown): boolean => isAppError(error, 'unavailable')

/** In the service role's name, while something waits. */
async function whileAtWork(fragment: string, act: () => Promise<unknown>): Promise<void> {
  const service = await supervisor.client(id, 'app')
  for (;;) {
    const { rows } = await service.query(
      `select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and position($1 in query) > 0`,
      [fragment],
    )
    if (rows.length > 0) break
  }
  await service.end()
  await act()
}

const stop = (): Promise<void> => supervisor.ensureStopped(id, 'fast')

async function terminate(): Promise<void> {
  const service = await supervisor.client(id, 'app')
  await service.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1', [authRole])
  await service.end()
}

test('statements see the schema of users first, and names of Postgres before that', async () => {
  const [row] = await database.query('select current_setting($1) as path, current_user as me', ['search_path'])
  assert.deepEqual(row, { path: 'neon_auth', me: authRole })
})

test('one address serves as long as it is right', async () => {
  await Promise.all(Array.from({ length: 20 }, () => database.query('select 1')))
  assert.equal(wakes, 0)
})

test('connections that were taken away, and a compute that slept, are had again without a word', async () => {
  await terminate()
  await database.query("insert into things values ('a')")
  await stop()
  await database.query("insert into things values ('b')")
  assert.deepEqual(await names(), ['a', 'b'])
})

test('a statement that was under way when its compute was stopped is done once', async () => {
  const done = database.query(`insert into things select 'a' from pg_sleep(3)`)
  await whileAtWork('pg_sleep(3)', stop)
  await done
  assert.deepEqual(await names(), ['a'])
  assert.ok(wakes > 0)
})

test('a transaction is done as a whole, or again', async () => {
  let runs = 0
  const done = database.transaction(async (queries) => {
    runs++
    await queries.query('insert into things values ($1)', [`run ${runs}`])
    await queries.query('select pg_sleep($1) /* in a transaction */', [runs === 1 ? 3 : 0])
    return runs
  })
  await whileAtWork('in a transaction', stop)
  assert.equal(await done, 2)
  assert.deepEqual(await names(), ['run 2'])
  await assert.rejects(
    database.transaction(async (queries) => {
      await queries.query("insert into things values ('lost')")
      throw new AppError('bad_request', 'no')
    }),
    (error) => isAppError(error, 'bad_request'),
  )
  assert.deepEqual(await names(), ['run 2'])
})

test('what a crash has left unknown is not repeated, but for what only reads', async () => {
  const crash = async (): Promise<void> => {
    await supervisor.ensureStopped(id, 'immediate')
  }
  const written = database.query(`insert into things select 'a' from pg_sleep(3) /* crash */`)
  const refused = assert.rejects(written, isUnavailable)
  await whileAtWork('/* crash */', crash)
  await refused
  assert.deepEqual(await names(), [])
  const read = database.query(`select 1 as one from pg_sleep(1) /* crash again */`)
  await whileAtWork('/* crash again */', crash)
  assert.deepEqual(await read, [{ one: 1 }])
})

test("a transaction of Kysely's goes on where nothing was done in it, and ends where something was", async () => {
  const client = await database.pool.connect()
  try {
    await client.query('begin')
    await terminate()
    await client.query("insert into things values ('first')")
    await client.query('commit')
    await client.query('begin')
    await client.query("insert into things values ('second')")
    await terminate()
    await assert.rejects(client.query("insert into things values ('third')"), isUnavailable)
    await client.query('rollback').catch(() => {})
  } finally {
    client.release()
  }
  assert.deepEqual(await names(), ['first'])
})

test('outside a transaction, its statements come back by themselves', async () => {
  const client = await database.pool.connect()
  await stop()
  assert.equal((await client.query('insert into things values ($1)', ['a'])).rowCount, 1)
  client.release()
  assert.deepEqual(await names(), ['a'])
})

test('a connection that is given back in the middle of a transaction is not used again', async () => {
  const client = await database.pool.connect()
  await client.query('begin')
  await client.query("insert into things values ('a')")
  client.release()
  assert.deepEqual(await names(), [])
})

test('an answer without end is cut off', async () => {
  await assert.rejects(database.query(`select repeat('x', 20000000) as much`), isUnavailable)
  await assert.rejects(database.query(`select repeat('x', 1000) as much from generate_series(1, 20000)`), isUnavailable)
  const [row] = await database.query<{ much: string }>(`select repeat('x', 8000000) as much`)
  assert.equal(row?.much.length, 8_000_000)
  const again = await Promise.all(
    [1, 2, 3].map(() => database.query<{ much: string }>(`select repeat('x', 8000000) as much`)),
  )
  assert.equal(again.length, 3, 'what was answered before does not count')
})

test('locks are not waited for without end', async () => {
  const tenant = await supervisor.client(id, 'app')
  await tenant.query('begin')
  await tenant.query('lock table neon_auth.things')
  await assert.rejects(database.query('delete from things'), isUnavailable)
  await tenant.query('rollback')
  await tenant.end()
})

test('what the tenant sets for his database is not what we work with', async () => {
  const service = await supervisor.client(id, 'app')
  const settings = [
    'default_transaction_read_only = on',
    "search_path = 'public'",
    'statement_timeout = 1',
    'idle_session_timeout = 1',
    "datestyle = 'German'",
  ]
  for (const setting of settings) await service.query(`alter database app set ${setting}`)
  database.forgetAddress()
  try {
    await database.query('insert into things select name from (values ($1)) as t (name), pg_sleep(0.05)', ['a'])
    const client = await database.pool.connect()
    await service.query('select pg_sleep(0.05)')
    await client.query('select 1')
    client.release()
    assert.deepEqual(await names(), ['a'])
  } finally {
    await service.query('alter database app reset all')
    await service.end()
  }
})

test('there is an end to those who wait for a connection', async () => {
  const held = await Promise.all([1, 2, 3, 4].map(() => database.pool.connect()))
  const waiting = Array.from({ length: 100 }, () => database.query('select 1'))
  await assert.rejects(database.query('select 1'), isUnavailable)
  for (const client of held) client.release()
  await Promise.all(waiting)
})

test('connections do not stay when there is nothing to do', async () => {
  await database.query('select 1')
  const service = await supervisor.client(id, 'app')
  for (;;) {
    const { rows } = await service.query('select 1 from pg_stat_activity where usename = $1', [authRole])
    if (rows.length === 0) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await service.end()
  await database.query('select 1')
  assert.equal(wakes, 0, 'and the next one goes where the last one was')
})

test('a database that is gone, or has no schema any more, is unavailable', async () => {
  const other = new TenantDatabase({
    integrationId: 'another',
    role: authRole,
    database: 'gone',
    controlPlane: { wake: async () => ({ ...(await supervisor.ensureRunning(computes.spec(id))), password }) },
    logger: silentLogger,
  })
  await assert.rejects(other.query('select 1'), isUnavailable)
  await other.close()
  await assert.rejects(database.query('select * from nothing'), isUnavailable)
})

test('what a wake is refused with is what the caller hears', async () => {
  const refused = new TenantDatabase({
    integrationId: 'another',
    role: authRole,
    database: 'app',
    controlPlane: { wake: () => Promise.reject(new AppError('endpoint_disabled', 'disabled')) },
    logger: silentLogger,
  })
  await assert.rejects(refused.query('select 1'), (error) => isAppError(error, 'endpoint_disabled'))
  await refused.close()
})
