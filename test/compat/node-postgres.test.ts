// node-postgres over the strings that pgrove prints, plain and with TLS.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { eventually } from '../support/eventually.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { connect, query } from '../support/postgres.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const domain = 'db.pgrove.test'

let server: TestServer
let project: TestProject
const ways: Record<'plain' | 'tls', pg.ClientConfig> = { plain: {}, tls: {} }

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DOMAIN: domain } })
  project = await makeProject(server)
  ways.plain = { connectionString: project.uri }
  const { role: user, password, database } = project
  const ca = await readFile(join(server.home, 'tls', 'ca.crt'), 'utf8')
  // The endpoint is found by the server name alone.
  ways.tls = {
    host: '127.0.0.1',
    port: server.pgPort,
    user,
    password,
    database,
    ssl: { ca, servername: `${project.endpointId}.${domain}` },
  }
})
after(() => server?.[Symbol.asyncDispose]())

test('the string that `start` prints works as it is', async () => {
  const printed = /^try +psql '(.+)'$/m.exec(server.output())?.[1] ?? ''
  assert.deepEqual(await query(printed, 'select current_database()::text as database'), [{ database: 'neondb' }])
})

test('a certificate that the client does not trust is refused by the client', async () => {
  await assert.rejects(query(`${project.uri}&sslmode=verify-full`, 'select 1'), /certificate/)
})

for (const way of ['plain', 'tls'] as const) {
  describe(way, () => {
    test('who says goodbye hears nothing more', async () => {
      for (let repeat = 0; repeat < 10; repeat++) {
        const client = new pg.Client(ways[way])
        const heard: string[] = []
        // Without a listener, an error here would end the client's process.
        client.on('error', ({ message }) => heard.push(message))
        await client.connect()
        await client.query('select 1')
        await client.end()
        assert.deepEqual(heard, [])
      }
    })

    test('prepared statements, parameters and types', async () => {
      const bytes = randomBytes(2_000_000)
      await using session = await connect(ways[way])
      const { client } = session
      for (let repeat = 0; repeat < 3; repeat++) {
        const { rows } = await client.query({
          name: 'types',
          text: 'select $1::bytea as bytes, $2::text as text, $3::int[] as numbers, $4::jsonb as json, $5::timestamptz as at',
          values: [bytes, 'Grüße, 世界 🐘', [1, 2, 3], JSON.stringify({ a: [1, null] }), new Date(0)],
        })
        assert.deepEqual(rows, [
          { bytes, text: 'Grüße, 世界 🐘', numbers: [1, 2, 3], json: { a: [1, null] }, at: new Date(0) },
        ])
      }
    })

    test('a big result arrives whole', async () => {
      const sql = `select i, repeat(md5(i::text), 4) as filler from generate_series(1, 100000) i order by i`
      const rows = await query<{ i: number; filler: string }>(ways[way], sql)
      assert.equal(rows.length, 100_000)
      const md5 = (text: string): string => createHash('md5').update(text).digest('hex')
      assert.ok(rows.every(({ i, filler }, index) => i === index + 1 && filler === md5(String(i)).repeat(4)))
    })

    test('COPY takes rows in and gives them back', async () => {
      const lines = Buffer.from(Array.from({ length: 50_000 }, (_, i) => `${i}\tröw ${i}\n`).join(''))
      await using session = await connect(ways[way])
      const { client } = session
      await client.query('create temp table copied (id int, what text)')
      await copy(client, 'copy copied from stdin', lines)
      assert.deepEqual((await client.query('select count(*)::int as count from copied')).rows, [{ count: 50_000 }])
      assert.ok((await copy(client, 'copy (select * from copied order by id) to stdout')).equals(lines))
    })

    test('a transaction is isolated, and kept or rolled back whole', async () => {
      await query(ways[way], 'drop table if exists ledger; create table ledger (amount int primary key)')
      await using session = await connect(ways[way])
      const { client: writer } = session
      await writer.query('begin')
      await writer.query('insert into ledger values (1)')
      assert.deepEqual(await query(ways[way], 'select * from ledger'), [])
      await writer.query('commit')
      await writer.query('begin')
      await writer.query('insert into ledger values (2)')
      await assert.rejects(writer.query('insert into ledger values (1)'), { code: '23505' })
      await assert.rejects(writer.query('select 1'), { code: '25P02' })
      await writer.query('rollback')
      assert.deepEqual(await query(ways[way], 'select * from ledger'), [{ amount: 1 }])
    })

    test('NOTIFY reaches a LISTEN in another session', async () => {
      await using session = await connect(ways[way])
      const { client: listener } = session
      const heard = new Promise<pg.Notification>((resolve) => listener.once('notification', resolve))
      await listener.query('listen news')
      await query(ways[way], `select pg_notify('news', 'hello')`)
      const { channel, payload } = await heard
      assert.deepEqual([channel, payload], ['news', 'hello'])
    })

    test('a cancel request ends the query, and the session goes on', async () => {
      await using session = await connect(ways[way])
      const { client } = session
      const sleeping = assert.rejects(client.query('select pg_sleep(50)'), { code: '57014' })
      const asleep = `select 1 from pg_stat_activity where wait_event = 'PgSleep'`
      await eventually('the query sleeps', async () => (await query(ways[way], asleep)).length === 1)
      await requestCancel(client)
      await sleeping
      assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
    })

    test('a pool works through a suspension and hears nothing of it', async () => {
      const pool = new pg.Pool({ ...ways[way], max: 5 })
      const errors: Error[] = []
      pool.on('error', (error) => errors.push(error))
      try {
        const ask = (i: number): Promise<pg.QueryResult<{ i: number }>> => pool.query('select $1::int as i', [i])
        const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(i)))
        assert.deepEqual(
          answers.map(({ rows }) => rows[0]?.i),
          Array.from({ length: 50 }, (_, i) => i),
        )
        const sessions = pool.totalCount
        await settled(server, apiClient(server).suspendProjectEndpoint(project.id, project.endpointId))
        assert.deepEqual((await ask(1)).rows, [{ i: 1 }])
        await Promise.all(Array.from({ length: 50 }, (_, i) => ask(i)))
        assert.equal(pool.totalCount, sessions)
        assert.deepEqual(errors, [])
      } finally {
        await pool.end()
      }
    })
  })
}

/** node-postgres leaves COPY to those who bring a query of their own; this is the least of one. */
async function copy(client: pg.Client, sql: string, input?: Buffer): Promise<Buffer> {
  type Connection = { query(sql: string): void; sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }
  const output: Buffer[] = []
  return await new Promise<Buffer>((resolve, reject) => {
    client.query({
      submit: (connection: Connection) => connection.query(sql),
      handleCopyInResponse(connection: Connection) {
        for (let at = 0; at < (input?.length ?? 0); at += 60_000)
          connection.sendCopyFromChunk(input?.subarray(at, at + 60_000) ?? Buffer.alloc(0))
        connection.endCopyFrom()
      },
      handleCopyData: ({ chunk }: { chunk: Buffer }) => output.push(Buffer.from(chunk)),
      handleCommandComplete() {},
      handleReadyForQuery: () => resolve(Buffer.concat(output)),
      handleError: reject,
    } as unknown as pg.Submittable)
  })
}

/** As libpq before 17 sends it: on a plain connection of its own, by process id and secret. */
async function requestCancel(client: pg.Client): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(80_877_102, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = createConnection(server.pgPort, '127.0.0.1')
  await new Promise<void>((resolve, reject) => {
    socket
      .once('error', reject)
      .once('close', () => resolve())
      .resume()
    socket.end(request)
  })
}
