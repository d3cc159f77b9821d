// PostgREST's clients, unmodified, against `pgrove data-api` over a Postgres that is not pgrove's.

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { NeonPostgrestClient } from '@neondatabase/postgrest-js'
import { PostgrestClient } from '@supabase/postgrest-js'
import { TestPostgres, testPassword, testUser } from '../../src/proxy/test-support/postgres.ts'
import { tokenOf } from '../data-api/support/engine.ts'
import { eventually } from '../support/eventually.ts'
import { packageRoot } from '../support/server.ts'

const secret = 'a secret of thirty-two characters'

let postgres: TestPostgres
let admin: pg.Client
let folder: string
let child: ChildProcess
let url: string

before(async () => {
  postgres = await TestPostgres.start()
  admin = new pg.Client({ host: postgres.folder, user: testUser, password: testPassword, database: 'postgres' })
  await admin.connect()
  await admin.query(await readFile(join(packageRoot, 'test/data-api/fixtures/club.sql'), 'utf8'))
  folder = await mkdtemp(join(tmpdir(), 'pgrove-data-api-'))
  const file = join(folder, 'data-api.conf')
  await writeFile(
    file,
    `db-uri = "postgres://authenticator:correct%20horse@/postgres?host=${postgres.folder}"\ndb-anon-role = "anonymous"\njwt-secret = "${secret}"\nserver-port = 0\nserver-host = "127.0.0.1"\n`,
    { mode: 0o600 },
  )
  child = spawn(join(packageRoot, 'bin', 'pgrove'), ['data-api', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  url = await new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const found = /^data api +(\S+)$/m.exec(text)?.[1]
      if (found !== undefined && /^ready$/m.test(text)) resolve(found)
    })
    child.once('exit', (code) => reject(new Error(`it ended with ${code}:\n${text}`)))
  })
})

after(async () => {
  if (child.exitCode === null) {
    child.removeAllListeners('exit')
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  await admin.end()
  await postgres[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

for (const [name, make] of [
  ['@supabase/postgrest-js', () => new PostgrestClient(url)],
  ['@neondatabase/postgrest-js', () => new NeonPostgrestClient({ dataApiUrl: url })],
] as const) {
  test(`${name}: reads, writes and calls`, async () => {
    const client = make()
    const read = await client
      .from('members')
      .select('name, clubs(name)', { count: 'exact' })
      .eq('level', 'senior')
      .order('name')
    assert.deepEqual([read.status, read.count], [200, 2])
    assert.deepEqual(read.data, [
      { name: 'Ada', clubs: { name: 'Alpha' } },
      { name: 'Di, "the" (1)', clubs: null },
    ])
    const added = await client.from('clubs').insert({ id: 20, name: 'Client' }).select().single()
    assert.deepEqual([added.status, added.data?.name], [201, 'Client'])
    const merged = await client.from('clubs').upsert({ id: 20, name: 'Again' }).select('name')
    assert.deepEqual(merged.data, [{ name: 'Again' }])
    const changed = await client.from('clubs').update({ name: 'Changed' }).eq('id', 20).select('name').maybeSingle()
    assert.deepEqual(changed.data, { name: 'Changed' })
    assert.equal((await client.from('clubs').delete().eq('id', 20)).status, 204)
    assert.equal((await client.rpc('add_them', { a: 1, b: 2 })).data, 3)
    assert.equal((await client.rpc('add_them', { a: 1 }, { get: true })).data, 11)
    const { data: either } = await client
      .from('members')
      .select('name')
      .or('name.eq.Ada,name.eq.Bob')
      .order('name')
      .range(0, 0)
    assert.deepEqual(either, [{ name: 'Ada' }])
    const csv = await client.from('clubs').select('id').lte('id', 2).csv()
    assert.equal(csv.data, 'id\n1\n2')
    const none = await client.from('clubs').select('id').eq('id', 99).single()
    assert.equal(none.error?.code, 'PGRST116')
    assert.equal((await client.from('nope').select()).error?.code, 'PGRST205')
  })
}

test('a token opens rows', async () => {
  const token = await tokenOf({ role: 'authenticated', sub: 'ada' }, secret)
  const client = new PostgrestClient(url, { headers: { authorization: `Bearer ${token}` } })
  assert.deepEqual((await client.from('secrets').select('text')).data, [{ text: 'mine' }])
})

test('what is made is there when it is said, and without a word a little later', async () => {
  const client = new PostgrestClient(url)
  await admin.query('create table fresh (id integer); grant select on fresh to anonymous')
  await admin.query(`notify pgrst, 'reload schema'`)
  await eventually('it is there', async () => (await client.from('fresh').select()).status === 200)
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  await admin.query('create table unsaid (id integer); grant select on unsaid to anonymous')
  assert.equal((await client.from('unsaid').select()).status, 200)
})
