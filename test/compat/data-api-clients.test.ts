// The Data API of a branch under the clients that people have for it, unmodified: neonctl, neon-js, postgrest-js, and the
// example as a reader runs it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createClient } from '@neondatabase/neon-js'
import { NeonPostgrestClient } from '@neondatabase/postgrest-js'
import { PostgrestClient } from '@supabase/postgrest-js'
import { run } from '../../src/lib/run.ts'
import { CookieJar } from '../support/cookie-jar.ts'
import { makeNotesApp, tokenOf, type NotesApp } from '../support/data-api-app.ts'
import { makeNeonctl, type Neonctl } from '../support/neonctl.ts'
import { makeProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { packageRoot, startServer, type TestServer } from '../support/server.ts'

const page = 'http://localhost:5173'
const realFetch = globalThis.fetch

let server: TestServer
let neonctl: Neonctl
let app: NotesApp

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  neonctl = await makeNeonctl(server)
  app = await makeNotesApp(server)
})
after(async () => {
  globalThis.fetch = realFetch
  await using _ = server
  await neonctl?.[Symbol.asyncDispose]()
  await assertQuiet(server)
})

test('neon-js signs in and reads what is its own', async () => {
  const idOf = async (email: string): Promise<string> => {
    globalThis.fetch = new CookieJar().fetchFrom(page)
    const client = createClient({ auth: { url: app.authUrl }, dataApi: { url: app.url } })
    await client.auth.signOut().catch(() => {})
    const { data, error } = await client.auth.signUp.email({ email, password: 'correct horse battery', name: 'N' })
    assert.equal(error, null)
    const id = data?.user.id ?? ''
    const added = await client
      .from('notes')
      .insert({ body: `of ${email}` })
      .select('user_id, body')
      .single()
    assert.deepEqual([added.error, added.data], [null, { user_id: id, body: `of ${email}` }])
    const forged = await client.from('notes').insert({ body: 'forged', user_id: 'somebody' })
    assert.equal(forged.error?.code, '42501')
    const { data: own } = await client.from('notes').select('body')
    assert.deepEqual(own, [{ body: `of ${email}` }])
    await client.auth.signOut()
    return id
  }
  const [ada, bob] = [await idOf('ada@example.com'), await idOf('bob@example.com')]
  assert.notEqual(ada, bob)
  globalThis.fetch = new CookieJar().fetchFrom(page)
  const stranger = createClient({ auth: { url: app.authUrl, allowAnonymous: true }, dataApi: { url: app.url } })
  const { data, error } = await stranger.from('notes').select('body')
  assert.deepEqual([data, error?.code], [null, '42501'])
  globalThis.fetch = realFetch
})

test("PostgREST's own clients with a token", async () => {
  const token = await tokenOf(app.authUrl, 'cid@example.com')
  const headers = { authorization: `Bearer ${token}` }
  for (const client of [
    new PostgrestClient(app.url, { headers }),
    new NeonPostgrestClient({ dataApiUrl: app.url, options: { global: { headers, fetch } } }),
  ]) {
    const added = await client.from('notes').insert({ body: 'hello' }).select('body').single()
    assert.deepEqual(added.data, { body: 'hello' })
    const { count } = await client.from('notes').select('*', { count: 'exact', head: true })
    assert.equal(count, 1)
    assert.equal((await client.from('notes').delete().eq('body', 'hello')).status, 204)
  }
})

test('neonctl', async () => {
  const project = await makeProject(server)
  const place = `--project-id ${project.id} --branch ${project.branchId} --database ${project.database}`
  const made = await neonctl.json<{ url: string }>(
    `data-api create --auth-provider neon_auth --add-default-grants ${place}`,
  )
  assert.match(made.url, /\/rest\/v1$/)
  await query(project.uri, 'CREATE TABLE things (id int)')
  await query(project.uri, 'GRANT SELECT ON things TO anonymous')
  await query(project.uri, 'INSERT INTO things SELECT generate_series(1, 3)')
  const read = async (): Promise<unknown> => await (await realFetch(`${made.url}/things`)).json()
  assert.deepEqual(await read(), [{ id: 1 }, { id: 2 }, { id: 3 }])
  await neonctl.text(`data-api update --db-max-rows 2 ${place}`)
  await neonctl.text(`data-api update --server-timing-enabled ${place}`)
  assert.deepEqual(await read(), [{ id: 1 }, { id: 2 }])
  const shown = await neonctl.json<{ status: string; settings: Record<string, unknown> }>(`data-api get ${place}`)
  assert.equal(shown.status, 'active')
  assert.deepEqual([shown.settings['db_max_rows'], shown.settings['server_timing_enabled']], [2, true])
  await query(project.uri, 'ALTER TABLE things ADD name text')
  await neonctl.text(`data-api refresh-schema ${place}`)
  assert.deepEqual(await read(), [
    { id: 1, name: null },
    { id: 2, name: null },
  ])
  await neonctl.text(`data-api delete ${place}`)
  assert.equal((await realFetch(`${made.url}/things`)).status, 404)
})

test('the example: two users see their own rows, and nobody else any', async () => {
  const env = { PGROVE_API_URL: server.apiUrl, NEON_API_KEY: server.apiKey }
  const { stdout } = await run(process.execPath, [join(packageRoot, 'examples', 'own-rows.ts')], {
    env,
    timeoutMs: 60_000,
  })
  assert.deepEqual(stdout.split('\n').slice(1), [
    'ada        water the plants, call Bob',
    'bob        call Ada',
    'anonymous  nothing (permission denied for table notes)',
    'forged     new row violates row-level security policy for table "notes"',
    'done',
    '',
  ])
})
