// Clients of `-pooler`: node-postgres, psql and pgbench, more of them than there are server connections, and what one leaves behind for the next.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { run } from '../../src/lib/run.ts'
import { eventually } from '../support/eventually.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { connect, query, type Session } from '../support/postgres.ts'
import { obstacleWithout, skipUnless } from '../support/programs.ts'
import { psql } from '../support/psql.ts'
import { startServer, type TestServer } from '../support/server.ts'

const domain = 'db.pgrove.test'

let server: TestServer
let project: TestProject
let pooled: string
let tls: pg.ClientConfig

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DOMAIN: domain } })
  project = await makeProject(server)
  pooled = project.uri.replaceAll(project.endpointId, `${project.endpointId}-pooler`)
  const { role: user, password, database, endpointId } = project
  const ca = await readFile(join(server.home, 'tls', 'ca.crt'), 'utf8')
  const ssl = { ca, servername: `${endpointId}-pooler.${domain}` }
  tls = { host: '127.0.0.1', port: server.pgPort, user, password, database, ssl }
})
after(() => server?.[Symbol.asyncDispose]())

const pidOf = async (session: Session): Promise<number> =>
  (await session.query<{ pid: number }>('select pg_backend_pid() as pid'))[0]?.pid ?? 0

describe('node-postgres', () => {
  test('named statements of many clients, of the same name and another text, by hundreds', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(i % 2 === 0 ? pooled : tls)))
    try {
      for (let round = 0; round < 5; round++) {
        await Promise.all(
          clients.map(async ({ client }, who) => {
            for (let i = 0; i < 10; i++) {
              const text = `select ${who * 100 + i} + $1::int as sum`
              const { rows } = await client.query({ name: `statement ${i}`, text, values: [round] })
              assert.deepEqual(rows, [{ sum: who * 100 + i + round }])
            }
          }),
        )
      }
    } finally {
      for (const session of clients) await session[Symbol.asyncDispose]()
    }
  })

  test('three hundred clients that are connected take a few server connections', async () => {
    const clients = await Promise.all(Array.from({ length: 300 }, () => connect(pooled)))
    try {
      const answers = await Promise.all(clients.map((session, i) => session.query('select $1::int as i', [i])))
      assert.deepEqual(
        answers.map(([row]) => row?.['i']),
        clients.map((_, i) => i),
      )
      const busy = `select count(*)::int as n from pg_stat_activity where usename = current_user`
      const [row] = await query<{ n: number }>(project.uri, busy)
      assert.ok((row?.n ?? 0) < 100, `${row?.n} server connections`)
    } finally {
      await Promise.all(clients.map((session) => session[Symbol.asyncDispose]()))
    }
  })

  test('more transactions at once than there are connections wait for each other, and none is lost', async () => {
    await query(project.uri, 'create table counter (n int); insert into counter values (0)')
    const clients = await Promise.all(Array.from({ length: 150 }, () => connect(pooled)))
    try {
      await Promise.all(
        clients.map(async (session) => {
          await session.query('begin')
          await session.query('update counter set n = n + 1')
          await session.query('commit')
        }),
      )
      assert.deepEqual(await query(project.uri, 'select n from counter'), [{ n: 150 }])
    } finally {
      await Promise.all(clients.map((session) => session[Symbol.asyncDispose]()))
    }
  })

  test('a transaction keeps its connection; who leaves in the middle of one leaves nothing', async () => {
    await query(project.uri, 'create table half (n int)')
    const session = await connect(pooled)
    await session.query('begin')
    const pid = await pidOf(session)
    await session.query('insert into half values (1)')
    assert.equal(await pidOf(session), pid)
    ;(session.client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
    const gone = `select 1 from pg_stat_activity where pid = ${pid} and state like 'idle in transaction%'`
    await eventually('the transaction has ended', async () => (await query(project.uri, gone)).length === 0)
    assert.deepEqual(await query(project.uri, 'select * from half'), [])
    await using next = await connect(pooled)
    assert.deepEqual(await next.query('select count(*)::int as n from half'), [{ n: 0 }])
  })

  test('an error leaves the connection as good as before', async () => {
    await using session = await connect(pooled)
    for (let i = 0; i < 20; i++) {
      await assert.rejects(session.query('select 1 / $1::int', [0]), { code: '22012' })
      assert.deepEqual(await session.query('select $1::int as i', [i]), [{ i }])
    }
  })

  test('what a client says of itself at its login holds for it, whichever connection it gets', async () => {
    const login = (name: string, options: string): pg.ClientConfig => ({ ...tls, application_name: name, options })
    await using one = await connect(login('one', '-c TimeZone=Asia/Tokyo'))
    await using two = await connect(login('two', '-c TimeZone=UTC'))
    for (let i = 0; i < 10; i++) {
      const settings = `select current_setting('application_name') as name, current_setting('TimeZone') as zone`
      assert.deepEqual(await one.query(settings), [{ name: 'one', zone: 'Asia/Tokyo' }])
      assert.deepEqual(await two.query(settings), [{ name: 'two', zone: 'UTC' }])
    }
  })

  test('a cancel reaches the statement of the one who asked, and nobody else', async () => {
    const sessions = await Promise.all(Array.from({ length: 6 }, () => connect(pooled)))
    try {
      const sleeping = sessions.map((session) =>
        session.query('select pg_sleep(2)').then(
          () => 'slept',
          (error: { code?: string }) => error.code,
        ),
      )
      const asleep = `select 1 from pg_stat_activity where wait_event = 'PgSleep'`
      await eventually('all sleep', async () => (await query(project.uri, asleep)).length === sessions.length)
      const { client } = sessions[2] ?? assert.fail()
      const canceller = new pg.Client(pooled) as unknown as { cancel(client: pg.Client, query: unknown): void }
      canceller.cancel(client, (client as unknown as { activeQuery: unknown }).activeQuery)
      assert.deepEqual(await Promise.all(sleeping), ['slept', 'slept', '57014', 'slept', 'slept', 'slept'])
    } finally {
      await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()))
    }
  })
})

describe('psql and pgbench', skipUnless(obstacleWithout('psql', 'pgbench')), () => {
  // The crowds above may have left the first one's compute with a full pool, which leaves few connections for the direct way.
  let direct: string
  let pooled: string
  before(async () => {
    const { uri, endpointId } = await makeProject(server)
    direct = uri
    pooled = uri.replaceAll(endpointId, `${endpointId}-pooler`)
  })

  const secure = (uri: string): string => `${uri}${uri.includes('?') ? '&' : '?'}sslmode=require`

  test('psql from the pool', async () => {
    for (const uri of [pooled, secure(pooled)]) {
      assert.equal(await psql(uri, ['-c', 'select 1', '-c', 'select 2']), '1\n2\n')
      assert.equal(await psql(uri, [], {}, 'begin; select 3; commit;\n'), 'BEGIN\n3\nCOMMIT\n')
      assert.match(await psql(uri, ['-c', String.raw`\d pg_class`]), /relname/)
      const lines = Array.from({ length: 10_000 }, (_, i) => `${i}\n`).join('')
      const copies = [
        '-c',
        'create table if not exists copied (n int)',
        '-c',
        String.raw`\copy copied from pstdin`,
        '-c',
        'drop table copied',
      ]
      assert.match(await psql(uri, copies, {}, lines), /COPY 10000/)
    }
  })

  for (const protocol of ['simple', 'extended', 'prepared']) {
    test(`pgbench by each way, ${protocol}`, async () => {
      await run('pgbench', ['--quiet', '-i', '-s', '1', direct], { timeoutMs: 60_000 })
      for (const uri of [direct, secure(direct), pooled, secure(pooled)]) {
        const args = ['-n', '-M', protocol, '-c', '8', '-j', '2', '-t', '30', uri]
        const { stdout, stderr } = await run('pgbench', args, { timeoutMs: 60_000 })
        assert.match(stdout, /number of transactions actually processed: 240\/240/)
        assert.match(stdout, /number of failed transactions: 0/)
        assert.doesNotMatch(stderr, /error/)
      }
    })
  }

  test('pgbench with a connection for each transaction', async () => {
    for (const uri of [direct, secure(direct), pooled, secure(pooled)]) {
      const { stdout } = await run('pgbench', ['-n', '-S', '-C', '-c', '4', '-j', '2', '-t', '20', uri], {
        timeoutMs: 60_000,
      })
      assert.match(stdout, /number of transactions actually processed: 80\/80/)
    }
  })
})
