// The Data API of branches: who is let in, what he sees, and what becomes of it when its compute sleeps, its data is copied or restored, its
// settings change, or it is turned off.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, dataApiPath, makeNotesApp, tokenOf, urlOf, type NotesApp } from '../support/data-api-app.ts'
import { eventually } from '../support/eventually.ts'
import { makeChild, makeProject } from '../support/neon.ts'
import { connect, query } from '../support/postgres.ts'
import { request, startServer, waitForOperations, type TestServer } from '../support/server.ts'

let server: TestServer
let app: NotesApp
let ann = ''
let bob = ''

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  app = await makeNotesApp(server)
  ann = await tokenOf(app.authUrl, 'ann@example.com')
  bob = await tokenOf(app.authUrl, 'bob@example.com')
})
after(() => server?.[Symbol.asyncDispose]())

const place = (): string => dataApiPath(app.project, app.project.branchId)
const change = async (settings?: Record<string, unknown>): Promise<void> => {
  const { status, body } = await request(server, 'PATCH', place(), settings ? { settings } : {})
  assert.deepEqual([status, body], [201, {}])
}
const stateOf = async (): Promise<string> => {
  const { body } = await request(server, 'GET', `/projects/${app.project.id}/endpoints/${app.project.endpointId}`)
  return (body['endpoint'] as { current_state: string }).current_state
}
const settle = async (answer: { status: number; body: Record<string, unknown> }): Promise<void> => {
  assert.ok(answer.status < 300, JSON.stringify(answer.body))
  await waitForOperations(server, answer.body['operations'] as { id: string; project_id: string }[])
}

test('two users see their own rows, somebody else none, and nobody writes in the name of another', async () => {
  const made = await ask(`${app.url}/notes?select=body`, {
    method: 'POST',
    token: ann,
    body: { body: "ann's" },
    headers: { prefer: 'return=representation' },
  })
  assert.deepEqual([made.status, made.json], [201, [{ body: "ann's" }]])
  assert.equal((await ask(`${app.url}/notes`, { method: 'POST', token: bob, body: { body: "bob's" } })).status, 201)
  assert.deepEqual((await ask(`${app.url}/notes?select=body`, { token: ann })).json, [{ body: "ann's" }])
  assert.deepEqual((await ask(`${app.url}/notes?select=body`, { token: bob })).json, [{ body: "bob's" }])
  const { user_id: annId } =
    (await query<{ user_id: string }>(app.project.uri, `SELECT user_id FROM notes ORDER BY id`))[0] ?? {}
  const forged = await ask(`${app.url}/notes`, { method: 'POST', token: bob, body: { body: 'forged', user_id: annId } })
  assert.deepEqual([forged.status, (forged.json as { code: string }).code], [403, '42501'])
  assert.equal((await ask(`${app.url}/notes?body=eq.ann's`, { method: 'DELETE', token: bob })).status, 204)
  assert.equal((await query(app.project.uri, 'SELECT FROM notes')).length, 2)

  const nobody = await ask(`${app.url}/notes`)
  assert.deepEqual([nobody.status, (nobody.json as { code: string }).code], [401, '42501'])
  const anonymous = (await (await fetch(`${app.authUrl}/token/anonymous`)).json()) as { token: string }
  assert.equal((await ask(`${app.url}/notes`, { token: anonymous.token })).status, 403)
  const garbled = await ask(`${app.url}/notes`, { token: `${ann.slice(0, -4)}AAAA` })
  assert.deepEqual([garbled.status, (garbled.json as { code: string }).code], [401, 'PGRST301'])
  assert.match(garbled.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/)
})

test('it shows itself, and a second time it is there already', async () => {
  const { status, body } = await request(server, 'GET', place())
  assert.equal(status, 200)
  assert.deepEqual(body, { url: app.url, status: 'active', settings: {}, available_schemas: ['public'] })
  assert.equal((await request(server, 'POST', place(), { auth_provider: 'neon_auth' })).status, 409)
  assert.equal(app.url, urlOf(server, app.project.endpointId, app.project.database))
})

test('a child has none until it is given one, and then its own users come in and no others', async () => {
  const child = await makeChild(server, app.project)
  const url = urlOf(server, child.endpointId, app.project.database)
  assert.equal((await ask(`${url}/notes`, { token: ann })).status, 404)
  assert.equal((await request(server, 'POST', dataApiPath(app.project, child.branch.id), {})).status, 201)
  const foreign = await ask(`${url}/notes`, { token: ann })
  assert.deepEqual([foreign.status, (foreign.json as { code: string }).code], [401, 'PGRST301'])
  const authUrl = app.authUrl.replace(app.project.endpointId, child.endpointId)
  const own = await tokenOf(authUrl, 'ann@example.com', '/sign-in/email')
  assert.deepEqual((await ask(`${url}/notes?select=body`, { token: own })).json, [{ body: "ann's" }])
  assert.equal((await ask(`${app.url}/notes`, { token: own })).status, 401)
})

test('changes of the schema are seen: where a name is missing, where somebody says so, and when it is asked for', async () => {
  const see = async (path: string): Promise<unknown> => (await ask(app.url + path, { token: ann })).json
  await query(app.project.uri, 'CREATE TABLE later (id int PRIMARY KEY)')
  await eventually('a new table', async () => (await ask(`${app.url}/later`, { token: ann })).status === 200)
  await query(app.project.uri, 'INSERT INTO later VALUES (1)')
  assert.deepEqual(await see('/later'), [{ id: 1 }])
  // Casts and functions of a domain are known to the cache alone: a column that is new is no miss.
  const domain = `CREATE DOMAIN shout AS text; CREATE FUNCTION shouted(shout) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT to_json(upper($1::text))';
    CREATE CAST (shout AS json) WITH FUNCTION shouted(shout) AS IMPLICIT; ALTER TABLE later ADD word shout DEFAULT 'hello'`
  await using session = await connect(app.project.uri)
  await session.client.query(domain)
  await session.query(`NOTIFY pgrst, 'reload schema'`)
  await eventually('the representation', async () => {
    const seen = (await see('/later?select=word')) as { word: string }[]
    return seen[0]?.word === 'HELLO'
  })
  await session.query('ALTER TABLE later DROP COLUMN word')
  await session.query('CREATE TABLE parts (id int PRIMARY KEY, later_id int REFERENCES later)')
  await change()
  assert.deepEqual(await see('/later?select=id,parts(id)'), [{ id: 1, parts: [] }])
})

test('settings are replaced as a whole, and hold from the next request on', async () => {
  await query(app.project.uri, 'CREATE SCHEMA api')
  await query(app.project.uri, 'GRANT USAGE ON SCHEMA api TO authenticated, anonymous')
  await query(app.project.uri, 'CREATE VIEW api.numbers AS SELECT n FROM generate_series(1, 5) n')
  await query(app.project.uri, 'GRANT SELECT ON api.numbers TO authenticated')
  await change({
    db_schemas: ['api', 'public'],
    db_max_rows: 2,
    db_anon_role: '',
    db_aggregates_enabled: false,
    server_timing_enabled: true,
    server_cors_allowed_origins: 'https://app.example.com',
  })
  const shown = await request(server, 'GET', place())
  assert.deepEqual((shown.body['settings'] as { db_max_rows: number }).db_max_rows, 2)
  assert.deepEqual(shown.body['available_schemas'], ['api', 'public'])
  const read = await ask(`${app.url}/numbers`, { token: ann, headers: { origin: 'https://app.example.com' } })
  assert.deepEqual(read.json, [{ n: 1 }, { n: 2 }])
  assert.equal(read.headers.get('content-profile'), 'api')
  assert.match(read.headers.get('server-timing') ?? '', /transaction;dur=/)
  assert.equal(read.headers.get('access-control-allow-origin'), 'https://app.example.com')
  const summed = await ask(`${app.url}/numbers?select=n.sum()`, { token: ann })
  assert.equal((summed.json as { code: string }).code, 'PGRST123')
  const nobody = await ask(`${app.url}/numbers`)
  assert.deepEqual([nobody.status, (nobody.json as { code: string }).code], [401, 'PGRST302'])
  const description = await ask(`${app.url}/`, { token: ann })
  assert.deepEqual([description.status, (description.json as { code: string }).code], [404, 'PGRST126'])
  await change({ openapi_mode: 'ignore-privileges' })
  for (const path of ['/', '/openapi.json']) {
    const { host, basePath, paths } = (await ask(app.url + path, { token: ann })).json as Record<string, unknown>
    assert.equal(`http://${String(host)}${String(basePath)}`, app.url)
    assert.ok('/notes' in (paths as object))
  }
  await change({ jwt_role_claim_key: '.nothing', db_anon_role: 'anonymous' })
  assert.equal((await ask(`${app.url}/notes`, { token: ann })).status, 403)
  await change({})
  assert.deepEqual((await request(server, 'GET', place())).body['settings'], {})
  assert.deepEqual((await ask(`${app.url}/notes?select=id.count()`, { token: ann })).json, [{ count: 1 }])
})

test('a restore brings back what there was, and is served at once', async () => {
  const [then] = await query<{ at: string }>(app.project.uri, 'SELECT now()::text AS at')
  await delay(50)
  assert.equal((await ask(`${app.url}/notes`, { method: 'POST', token: ann, body: { body: 'too late' } })).status, 201)
  await query(app.project.uri, 'ALTER TABLE notes RENAME body TO text')
  await eventually('the column', async () => (await ask(`${app.url}/notes?select=text`, { token: ann })).status === 200)
  const timestamp = new Date(then?.at ?? '').toISOString()
  await settle(
    await request(server, 'POST', `/projects/${app.project.id}/branches/${app.project.branchId}/restore`, {
      source_branch_id: app.project.branchId,
      source_timestamp: timestamp,
      preserve_under_name: 'before the restore',
    }),
  )
  const restored = await ask(`${app.url}/notes?select=body`, { token: ann })
  assert.deepEqual(restored.json, [{ body: "ann's" }])
})

test('data from before it was enabled is set up again', async () => {
  const early = await makeProject(server)
  await query(early.uri, 'CREATE TABLE things (id int)')
  const [then] = await query<{ lsn: string }>(early.uri, 'SELECT pg_current_wal_lsn()::text AS lsn')
  assert.equal(
    (
      await request(server, 'POST', dataApiPath(early, early.branchId), {
        add_default_grants: true,
        settings: { db_anon_role: 'authenticated' },
      })
    ).status,
    201,
  )
  await query(early.uri, 'INSERT INTO things VALUES (1)')
  const at = urlOf(server, early.endpointId, early.database)
  assert.deepEqual((await ask(`${at}/things`)).json, [{ id: 1 }])
  await settle(
    await request(server, 'POST', `/projects/${early.id}/branches/${early.branchId}/restore`, {
      source_branch_id: early.branchId,
      source_lsn: then?.lsn,
      preserve_under_name: 'old',
    }),
  )
  assert.deepEqual((await ask(`${at}/things`)).json, [])
})

test('who may not come in by address is refused', async () => {
  const allow = async (ips: string[]): Promise<void> => {
    const settings = { allowed_ips: { ips, protected_branches_only: false } }
    const answer = await request(server, 'PATCH', `/projects/${app.project.id}`, { project: { settings } })
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
  }
  await allow(['10.0.0.0/8'])
  const refused = await ask(`${app.url}/notes`, { token: ann, headers: { 'x-forwarded-for': '10.0.0.1' } })
  assert.equal(refused.status, 403)
  assert.match(refused.text, /IP address/)
  await allow([])
  assert.equal((await ask(`${app.url}/notes`, { token: ann })).status, 200)
})

test('requests and answers have bounds', async () => {
  const large = await ask(`${app.url}/notes`, {
    method: 'POST',
    token: ann,
    body: { body: 'x'.repeat(11 * 1024 * 1024) },
  })
  assert.equal(large.status, 413)
  await query(
    app.project.uri,
    `CREATE FUNCTION much(n int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT repeat(''x'', n)'`,
  )
  await change()
  const answer = async (n: number): Promise<number> => (await ask(`${app.url}/rpc/much?n=${n}`, { token: ann })).status
  assert.equal(await answer(9 * 1024 * 1024), 200)
  assert.equal(await answer(11 * 1024 * 1024), 413)
  assert.equal(await answer(30 * 1024 * 1024), 413)
  assert.equal(await answer(10), 200)
})

test('a tenant may take away what it needs, and has it back by asking', async () => {
  await query(app.project.uri, 'DROP ROLE authenticator')
  const before = await ask(`${app.url}/notes`, { token: ann })
  assert.ok(before.status === 403 || before.status === 401 || before.status === 503, before.text)
  await change()
  assert.equal((await ask(`${app.url}/notes`, { token: ann })).status, 200)
})

test('roles of ours are not shown, and are nobody to connect as', async () => {
  const { body } = await request(server, 'GET', `/projects/${app.project.id}/branches/${app.project.branchId}/roles`)
  const names = (body['roles'] as { name: string }[]).map(({ name }) => name)
  assert.ok(
    names.includes('authenticator') && names.includes('authenticated') && names.includes('anonymous'),
    names.join(),
  )
  assert.ok(!names.some((name) => name.startsWith('pgrove')), names.join())
  // What a tenant gives to all requests holds for them, though they come in as a role of ours.
  await query(app.project.uri, `ALTER ROLE authenticator SET statement_timeout = '4321ms'`)
  await query(
    app.project.uri,
    `CREATE FUNCTION patience() RETURNS text LANGUAGE sql STABLE AS $$SELECT current_setting('statement_timeout') || ' ' || session_user || ' ' || current_user$$`,
  )
  await settle(await request(server, 'POST', `/projects/${app.project.id}/endpoints/${app.project.endpointId}/restart`))
  const said = await ask(`${app.url}/rpc/patience`, { token: ann })
  assert.equal(said.json, '4321ms pgrove_data_api authenticated')
})

test('disabled, it answers no more', async () => {
  const { project, url } = await makeNotesApp(server)
  assert.equal((await ask(`${url}/notes`)).status, 401)
  assert.equal((await request(server, 'DELETE', dataApiPath(project, project.branchId))).status, 200)
  assert.equal((await ask(`${url}/notes`)).status, 404)
  // Whoever deletes the database, deletes it with it.
  assert.equal((await request(server, 'POST', dataApiPath(project, project.branchId))).status, 201)
  const databases = `/projects/${project.id}/branches/${project.branchId}/databases`
  await settle(await request(server, 'DELETE', `${databases}/${project.database}`))
  assert.equal((await ask(`${url}/notes`)).status, 404)
  assert.equal(await stateOf(), 'active')
})
