// Drizzle over each of its drivers that reach pgrove: node-postgres and postgres.js, directly and from the pool, and Neon's over HTTP and WebSocket.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { neon, neonConfig, Pool as NeonPool } from '@neondatabase/serverless'
import { eq, gt, relations, sql } from 'drizzle-orm'
import { drizzle as overHttp } from 'drizzle-orm/neon-http'
import { drizzle as overWebSocket } from 'drizzle-orm/neon-serverless'
import { drizzle as overNodePostgres } from 'drizzle-orm/node-postgres'
import { integer, jsonb, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { drizzle as overPostgresJs } from 'drizzle-orm/postgres-js'
import pg from 'pg'
import postgres from 'postgres'
import { WebSocket } from 'ws'
import { makeProject, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { startServer, type TestServer } from '../support/server.ts'

const authors = pgTable('authors', { id: serial().primaryKey(), name: text().notNull().unique() })
const posts = pgTable('posts', {
  id: serial().primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => authors.id),
  title: text().notNull(),
  tags: text().array(),
  more: jsonb().$type<{ n: number }>(),
  at: timestamp({ withTimezone: true }).defaultNow(),
})
const authorRelations = relations(authors, ({ many }) => ({ posts: many(posts) }))
const postRelations = relations(posts, ({ one }) => ({
  author: one(authors, { fields: [posts.authorId], references: [authors.id] }),
}))
const schema = { authors, posts, authorRelations, postRelations }

let server: TestServer
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  project = await makeProject(server)
  await query(
    project.uri,
    `create table authors (id serial primary key, name text not null unique);
     create table posts (
       id serial primary key, author_id int not null references authors, title text not null, tags text[], more jsonb,
       at timestamptz default now()
     )`,
  )
  neonConfig.fetchEndpoint = `${server.origin}/sql`
  neonConfig.wsProxy = (host, port) => `127.0.0.1:${server.httpPort}/v2?address=${host}:${port}`
  neonConfig.useSecureWebSocket = false
  neonConfig.webSocketConstructor = WebSocket
})
after(() => server?.[Symbol.asyncDispose]())

const pooledUri = (): string => project.uri.replaceAll(project.endpointId, `${project.endpointId}-pooler`)

type Open = () => { db: ReturnType<typeof overNodePostgres<typeof schema>>; end: () => Promise<unknown> }

const nodePostgres = (uri: string): ReturnType<Open> => {
  const pool = new pg.Pool({ connectionString: uri, max: 5 })
  return { db: overNodePostgres(pool, { schema }), end: () => pool.end() }
}
// All are used by what they have in common, which their types do not say.
const postgresJs = (uri: string): ReturnType<Open> => {
  const client = postgres(uri, { max: 5, onnotice: () => {} })
  return { db: overPostgresJs(client, { schema }) as never, end: () => client.end() }
}
const webSocket = (uri: string): ReturnType<Open> => {
  const pool = new NeonPool({ connectionString: uri, max: 5 })
  return { db: overWebSocket(pool, { schema }) as never, end: () => pool.end() }
}

const ways: Record<string, Open> = {
  'node-postgres': () => nodePostgres(project.uri),
  'node-postgres, pooled': () => nodePostgres(pooledUri()),
  'postgres.js': () => postgresJs(project.uri),
  'postgres.js, pooled': () => postgresJs(pooledUri()),
  'Neon over WebSocket': () => webSocket(project.uri),
  'Neon over WebSocket, pooled': () => webSocket(pooledUri()),
  'Neon over HTTP': () => ({ db: overHttp(neon(project.uri), { schema }) as never, end: async () => {} }),
}

for (const [way, open] of Object.entries(ways)) {
  describe(way, () => {
    let opened: ReturnType<Open>
    before(async () => {
      opened = open()
      await query(project.uri, 'truncate authors, posts restart identity')
    })
    after(() => opened?.end())

    test('rows are written, read with what belongs to them, changed and deleted', async () => {
      const { db } = opened
      const [author] = await db.insert(authors).values({ name: 'Zoë' }).returning()
      assert.deepEqual(author, { id: 1, name: 'Zoë' })
      const at = new Date('2026-01-02T03:04:05.678Z')
      await db.insert(posts).values([
        { authorId: 1, title: 'first', tags: ['a', 'b,c', '"'], more: { n: 1 }, at },
        { authorId: 1, title: 'second', at },
      ])
      const found = await db.query.authors.findFirst({ with: { posts: { orderBy: posts.id } } })
      assert.deepEqual(found, {
        id: 1,
        name: 'Zoë',
        posts: [
          // What comes inside of JSON is what Postgres writes there.
          { ...found?.posts[0], id: 1, authorId: 1, title: 'first', tags: ['a', 'b,c', '"'], more: { n: 1 } },
          { ...found?.posts[1], id: 2, authorId: 1, title: 'second', tags: null, more: null },
        ],
      })
      assert.deepEqual(
        await db.select({ title: posts.title, at: posts.at }).from(posts).where(eq(posts.title, 'first')),
        [{ title: 'first', at }],
      )
      await db
        .update(posts)
        .set({ more: { n: 2 } })
        .where(eq(posts.id, 2))
      const joined = await db
        .select({ name: authors.name, more: posts.more })
        .from(posts)
        .innerJoin(authors, eq(posts.authorId, authors.id))
        .where(gt(posts.id, 1))
      assert.deepEqual(joined, [{ name: 'Zoë', more: { n: 2 } }])
      assert.equal((await db.delete(posts).returning()).length, 2)
    })

    test('a constraint that is broken is told with its code', async () => {
      const { db } = opened
      const broken = db.insert(posts).values({ authorId: 999, title: 'nobody’s' })
      await assert.rejects(broken, (error: Error) => (error.cause as { code?: string }).code === '23503')
    })

    test('prepared statements, many at once', async () => {
      const { db } = opened
      const prepared = db
        .select({ twice: sql<number>`${sql.placeholder('i')}::int * 2` })
        .from(authors)
        .where(eq(authors.id, 1))
        .prepare('twice')
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => prepared.execute({ i })))
      assert.deepEqual(
        answers.map(([row]) => Number(row?.twice)),
        Array.from({ length: 50 }, (_, i) => i * 2),
      )
    })

    if (way === 'Neon over HTTP') {
      test('a batch is one transaction', async () => {
        const db = overHttp(neon(project.uri), { schema })
        const [inserted, found] = await db.batch([
          db.insert(authors).values({ name: 'batch' }).returning({ name: authors.name }),
          db.select({ name: authors.name }).from(authors).where(eq(authors.name, 'batch')),
        ])
        assert.deepEqual(inserted, [{ name: 'batch' }])
        assert.deepEqual(found, inserted)
        const fails = db.batch([
          db.insert(authors).values({ name: 'gone' }),
          db.insert(authors).values({ name: 'batch' }),
        ])
        await assert.rejects(fails)
        assert.deepEqual(await db.select().from(authors).where(eq(authors.name, 'gone')), [])
      })
    } else {
      test('transactions are kept or rolled back whole, savepoints too', async () => {
        const { db } = opened
        await db.transaction(async (tx) => {
          await tx.insert(authors).values({ name: 'kept' })
          await tx
            .transaction(async (inner) => {
              await inner.insert(authors).values({ name: 'inner' })
              inner.rollback()
            })
            .catch(() => {})
        })
        const failed = db.transaction(
          async (tx) => {
            await tx.insert(authors).values({ name: 'gone' })
            await tx.insert(authors).values({ name: 'kept' })
          },
          { isolationLevel: 'serializable' },
        )
        await assert.rejects(failed)
        const names = await db.select({ name: authors.name }).from(authors).orderBy(authors.id)
        assert.deepEqual(
          names.map(({ name }) => name),
          ['Zoë', 'kept'],
        )
      })
    }
  })
}
