// postgres.js over the strings that pgrove prints: directly, with TLS, and from the pool, with its prepared statements on as by default.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, test } from 'node:test'
import postgres from 'postgres'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const domain = 'db.pgrove.test'

let server: TestServer
let project: TestProject
const ways: Record<'direct' | 'TLS' | 'pooled', () => postgres.Sql> = {
  direct: () => postgres(project.uri, quiet),
  TLS: () => postgres({ ...login('') }),
  pooled: () => postgres({ ...login('-pooler') }),
}
const quiet = { onnotice: () => {}, max: 8 }
let ca: string

/** The endpoint is found by the server name alone. */
const login = (suffix: string): postgres.Options<Record<string, never>> => ({
  host: '127.0.0.1',
  port: server.pgPort,
  user: project.role,
  password: project.password,
  database: project.database,
  ssl: { ca, servername: `${project.endpointId}${suffix}.${domain}` },
  ...quiet,
})

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DOMAIN: domain } })
  project = await makeProject(server)
  ca = await readFile(join(server.home, 'tls', 'ca.crt'), 'utf8')
})
after(() => server?.[Symbol.asyncDispose]())

for (const [way, open] of Object.entries(ways)) {
  describe(way, () => {
    let sql: postgres.Sql
    before(async () => {
      sql = open()
      await sql`drop table if exists ledger`
      await sql`create table ledger (id int primary key, what text, more jsonb)`
    })
    after(() => sql?.end())

    test('parameters of many types come back as they went', async () => {
      const [row] = await sql`
        select ${1}::int as one, ${'zwei'}::text as two, ${[3, 4]}::int[] as list, ${true}::bool as yes, ${null}::text as nothing,
          ${sql.json({ a: [1, { b: null }] })}::jsonb as json, ${Buffer.from('äöü')}::bytea as bytes, ${new Date(0)}::timestamptz as at`
      assert.deepEqual(
        { ...row },
        {
          one: 1,
          two: 'zwei',
          list: [3, 4],
          yes: true,
          nothing: null,
          json: { a: [1, { b: null }] },
          bytes: Buffer.from('äöü'),
          at: new Date(0),
        },
      )
    })

    test('prepared statements by the hundred, each asked for again on any connection', async () => {
      for (let round = 0; round < 3; round++) {
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, i) => sql.unsafe(`select ${i} + $1::int as sum`, [round], { prepare: true })),
        )
        assert.deepEqual(
          answers.map(([row]) => row?.['sum']),
          Array.from({ length: 200 }, (_, i) => i + round),
        )
      }
    })

    test('hundreds of statements at once', async () => {
      const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => sql`select ${i}::int as i`))
      assert.deepEqual(
        answers.map(([row]) => row?.['i']),
        Array.from({ length: 500 }, (_, i) => i),
      )
    })

    test('a statement that fails says why, and the connection goes on', async () => {
      await sql`insert into ledger values (1, 'one')`
      await assert.rejects(sql`insert into ledger values (1, 'again')`, {
        code: '23505',
        constraint_name: 'ledger_pkey',
      })
      await assert.rejects(sql`select ${'x'}::text::int`, { code: '22P02' })
      const mixed = await Promise.allSettled(
        Array.from({ length: 60 }, (_, i) => sql`select 10 / ${i % 3}::int as share`),
      )
      assert.deepEqual(
        mixed.map(({ status }) => status === 'fulfilled'),
        mixed.map((_, i) => i % 3 !== 0),
      )
      await sql`delete from ledger`
    })

    test('transactions and savepoints, many at once, are kept or rolled back whole', async () => {
      await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          sql
            .begin(async (tx) => {
              await tx`insert into ledger ${tx({ id: i, what: 'kept' })}`
              await tx
                .savepoint(async (inner) => {
                  await inner`insert into ledger ${inner({ id: 1000 + i, what: 'inner' })}`
                  if (i % 2 === 0) throw new Error('back to the savepoint')
                })
                .catch(() => {})
              if (i % 3 === 0) throw new Error('all the way back')
            })
            .catch(() => {}),
        ),
      )
      const rows = await sql`select id from ledger order by id`
      const kept = Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 3 !== 0)
      assert.deepEqual(
        rows.map(({ id }) => Number(id)),
        [...kept, ...kept.filter((i) => i % 2 !== 0).map((i) => 1000 + i)],
      )
      await sql`delete from ledger`
    })

    test('a cursor brings rows in pieces, and may be left in the middle', async () => {
      const pieces: number[] = []
      await sql`select * from generate_series(1, 1000) i`.cursor(300, (rows) => void pieces.push(rows.length))
      assert.deepEqual(pieces, [300, 300, 300, 100])
      let seen = 0
      for await (const [row] of sql`select * from generate_series(1, 100000) i`.cursor()) {
        seen = Number(row?.['i'])
        if (seen === 5) break
      }
      assert.equal(seen, 5)
      assert.equal((await sql`select 1 as one`)[0]?.['one'], 1)
    })

    test('COPY both ways', async () => {
      const lines = Array.from({ length: 20_000 }, (_, i) => `${i}\trow ${i} äöü\t{"i":${i}}\n`).join('')
      await pipeline(Readable.from(cut(lines, 60_000)), await sql`copy ledger from stdin`.writable())
      const out: Buffer[] = []
      for await (const chunk of await sql`copy (select id, what from ledger order by id) to stdout`.readable())
        out.push(chunk as Buffer)
      assert.equal(Buffer.concat(out).toString(), lines.replaceAll(/\t\{.*\}\n/g, '\n'))
      await sql`delete from ledger`
    })

    test('a big row and many rows', async () => {
      const [row] = await sql`select repeat('x', 5000000) as big`
      assert.equal(String(row?.['big']).length, 5_000_000)
      assert.equal((await sql`select i, 'row ' || i from generate_series(1, 100000) i`).length, 100_000)
    })

    test('a statement that is cancelled, and its connection goes on', async () => {
      const one = open()
      try {
        const sleeping = one`select pg_sleep(30)`
        const cancelled = assert.rejects(sleeping, { code: '57014' })
        const asleep = async (): Promise<boolean> =>
          (await sql`select 1 from pg_stat_activity where wait_event = 'PgSleep'`).length > 0
        while (!(await asleep()));
        sleeping.cancel()
        await cancelled
        assert.equal((await one`select 1 as one`)[0]?.['one'], 1)
      } finally {
        await one.end()
      }
    })

    if (way !== 'pooled') {
      test('LISTEN hears a NOTIFY of another connection', async () => {
        const heard = Promise.withResolvers<string>()
        const listening = await sql.listen('news', heard.resolve)
        await sql.notify('news', 'hello')
        assert.equal(await heard.promise, 'hello')
        await listening.unlisten()
      })
    }

    test('the next statement after a suspension wakes the endpoint', async () => {
      assert.equal((await sql`select 1 as one`)[0]?.['one'], 1)
      await settled(server, apiClient(server).suspendProjectEndpoint(project.id, project.endpointId))
      assert.equal((await sql`select 2 as two`)[0]?.['two'], 2)
      const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => sql`select ${i}::int as i`))
      assert.equal(answers.length, 100)
    })
  })
}

function* cut(text: string, length: number): Generator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length)
}
