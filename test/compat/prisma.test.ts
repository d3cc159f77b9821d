// Prisma with its driver adapter for Neon, over WebSocket (directly and from the pool) and over HTTP.
//
// Prisma takes 300 MB and its installation fetches programs from a place of its own, so it is not among the dependencies. Where it is:
//   npm install --ignore-scripts prisma@7 @prisma/client@7 @prisma/adapter-neon@7     in some folder
//   PGROVE_TEST_PRISMA=/that/folder bin/node test/support/run.ts test/compat/prisma.test.ts

import assert from 'node:assert/strict'
import { rm, mkdtemp, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { WebSocket } from 'ws'
import { run } from '../../src/lib/run.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { startServer, type TestServer } from '../support/server.ts'

const folder = process.env['PGROVE_TEST_PRISMA']

const schema = `
generator client {
  provider            = "prisma-client"
  output              = "generated"
  runtime             = "nodejs"
  importFileExtension = "ts"
}
datasource db {
  provider = "postgresql"
}
model Author {
  id    Int    @id @default(autoincrement())
  name  String @unique
  posts Post[]
}
model Post {
  id       Int      @id @default(autoincrement())
  title    String
  tags     String[]
  more     Json?
  author   Author   @relation(fields: [authorId], references: [id])
  authorId Int
}
`

type Model = Record<'create' | 'findMany' | 'count' | 'deleteMany' | 'findFirst', (args?: object) => Promise<unknown>>
type Client = {
  author: Model
  post: Model
  $transaction(work: ((tx: Client) => Promise<unknown>) | Promise<unknown>[], options?: object): Promise<unknown>
  $queryRaw(text: TemplateStringsArray, ...values: unknown[]): Promise<unknown>
  $disconnect(): Promise<void>
}
type Generated = { PrismaClient: new (options: { adapter: unknown }) => Client }
type Adapters = {
  PrismaNeon: new (config: object) => unknown
  PrismaNeonHttp: new (uri: string, options: object) => unknown
}

describe('Prisma', folder === undefined ? { skip: 'PGROVE_TEST_PRISMA names no folder with Prisma' } : {}, () => {
  let server: TestServer
  let project: TestProject
  let scratch: string
  let generated: Generated
  let adapters: Adapters

  before(async () => {
    const installed = folder ?? ''
    scratch = await mkdtemp(join(installed, 'generated-'))
    await writeFile(join(scratch, 'schema.prisma'), schema)
    // What it would fetch is for migrations, which nobody makes here.
    const env = { PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' }
    const program = join(installed, 'node_modules', 'prisma', 'build', 'index.js')
    await run(process.execPath, [program, 'generate', '--schema', join(scratch, 'schema.prisma')], {
      cwd: installed,
      env,
    })
    const bring = async (path: string): Promise<unknown> => await import(pathToFileURL(path).href)
    const { resolve } = createRequire(join(installed, 'package.json'))
    generated = (await bring(join(scratch, 'generated', 'client.ts'))) as Generated
    adapters = (await bring(resolve('@prisma/adapter-neon').replace(/\.js$/, '.mjs'))) as Adapters
    const driver = (await bring(resolve('@neondatabase/serverless').replace(/\.js$/, '.mjs'))) as { neonConfig: object }

    server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
    project = await makeProject(server)
    Object.assign(driver.neonConfig, {
      fetchEndpoint: `${server.origin}/sql`,
      wsProxy: (host: string, port: number) => `127.0.0.1:${server.httpPort}/v2?address=${host}:${port}`,
      useSecureWebSocket: false,
      webSocketConstructor: WebSocket,
    })
    await query(
      project.uri,
      `create table "Author" (id serial primary key, name text not null unique);
       create table "Post" (
         id serial primary key, title text not null, tags text[], more jsonb, "authorId" int not null references "Author"
       )`,
    )
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    if (scratch) await rm(scratch, { recursive: true, force: true })
  })

  const ways: Record<string, () => unknown> = {
    WebSocket: () => new adapters.PrismaNeon({ connectionString: project.uri }),
    'WebSocket, pooled': () =>
      new adapters.PrismaNeon({
        connectionString: project.uri.replaceAll(project.endpointId, `${project.endpointId}-pooler`),
      }),
    HTTP: () => new adapters.PrismaNeonHttp(project.uri, {}),
  }
  for (const [way, adapter] of Object.entries(ways)) {
    test(way, async () => {
      await query(project.uri, 'truncate "Author", "Post" restart identity')
      const prisma = new generated.PrismaClient({ adapter: adapter() })
      try {
        assert.deepEqual(await prisma.author.create({ data: { name: 'Zoë' } }), { id: 1, name: 'Zoë' })
        const post = { title: 'first', tags: ['a', 'b,c'], more: { n: [1] }, authorId: 1 }
        assert.deepEqual(await prisma.post.create({ data: post }), { id: 1, ...post })
        assert.deepEqual(await prisma.author.findMany({ include: { posts: true } }), [
          { id: 1, name: 'Zoë', posts: [{ id: 1, ...post }] },
        ])
        await assert.rejects(prisma.author.create({ data: { name: 'Zoë' } }), (error: { code?: string }) =>
          ['P2002', '23505'].includes(error.code ?? ''),
        )
        const many = Array.from({ length: 40 }, (_, id) => prisma.author.findFirst({ where: { id } }))
        assert.equal((await Promise.all(many)).filter(Boolean).length, 1)
        assert.deepEqual(await prisma.$queryRaw`select ${1}::int8 as big, 'x' as text`, [{ big: 1n, text: 'x' }])
        // The adapter has none over HTTP.
        if (way === 'HTTP') return
        assert.deepEqual(await prisma.$transaction([prisma.post.count(), prisma.author.count()]), [1, 1])
        const rolledBack = prisma.$transaction(
          async (tx) => {
            await tx.post.create({ data: { ...post, title: 'gone' } })
            throw new Error('changed my mind')
          },
          { isolationLevel: 'Serializable' },
        )
        await assert.rejects(rolledBack, /changed my mind/)
        assert.equal(await prisma.post.count({ where: { title: 'gone' } }), 0)
      } finally {
        await prisma.$disconnect()
      }
    })
  }
})
