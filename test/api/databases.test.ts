// Databases of a branch: created, renamed, given to another owner and deleted, each looked at by connecting.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Database } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import { actionsOf, assertRefused, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { changed, connect, loginError, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
  project = await makeProject(server, { branch: { role_name: 'owner', database_name: 'app' } })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const noSuchDatabase = '3D000'

const createDatabase = (name: string, owner_name = 'owner') =>
  settled(server, api.createProjectBranchDatabase(project.id, project.branchId, { database: { name, owner_name } }))

const update = (name: string, database: { name?: string; owner_name?: string }) =>
  api.updateProjectBranchDatabase(project.id, project.branchId, name, { database })

async function databases(): Promise<Database[]> {
  return (await api.listProjectBranchDatabases(project.id, project.branchId)).data.databases
}

const names = async (): Promise<string[]> => (await databases()).map(({ name }) => name)
const uriOf = (database: string): string => changed(project.uri, { database })

test('a database is made, shown and opened', async () => {
  assert.equal(await loginError(uriOf('second')), noSuchDatabase)
  const { status, data } = await api.createProjectBranchDatabase(project.id, project.branchId, {
    database: { name: 'second', owner_name: 'owner' },
  })
  assert.equal(status, 201)
  assert.equal(data.database.name, 'second')
  assert.equal(data.database.owner_name, 'owner')
  assert.equal(data.database.branch_id, project.branchId)
  assert.ok(Number.isInteger(data.database.id))
  assert.deepEqual(
    data.operations.map(({ action, status, branch_id, endpoint_id }) => ({ action, status, branch_id, endpoint_id })),
    [{ action: 'apply_config', status: 'running', branch_id: project.branchId, endpoint_id: project.endpointId }],
  )
  await settled(server, Promise.resolve({ data }))
  await query(uriOf('second'), 'create table t ()')
  const { data: got } = await api.getProjectBranchDatabase(project.id, project.branchId, 'second')
  assert.equal(got.database.id, data.database.id)
  assert.deepEqual(await names(), ['app', 'second'])
  const [row] = await query(
    project.uri,
    `select pg_get_userbyid(datdba) as owner, pg_encoding_to_char(encoding) as encoding from pg_database where datname = 'second'`,
  )
  assert.deepEqual(row, { owner: 'owner', encoding: 'UTF8' })
})

test('a database is renamed with what is in it, and keeps its id', async () => {
  const { database } = await createDatabase('before')
  await query(uriOf('before'), 'create table t as select 11 as n')
  await using session = await connect(uriOf('before'))
  const data = await settled(server, update('before', { name: 'after' }))
  assert.deepEqual(actionsOf(data), ['apply_config'])
  assert.equal(data.database.name, 'after')
  assert.equal(data.database.id, database.id)
  assert.ok(await eventually('the session in its way to be ended', async () => session.ended()))
  assert.deepEqual(await query(uriOf('after'), 'select n from t'), [{ n: 11 }])
  assert.equal(await loginError(uriOf('before')), noSuchDatabase)
  await assertRefused(api.getProjectBranchDatabase(project.id, project.branchId, 'before'), 404, /database not found/)
  await assertRefused(update('after', { name: 'app' }), 409, /already exists/)
  const { data: same } = await update('after', { name: 'after', owner_name: 'owner' })
  assert.deepEqual(same.operations, [])
})

test('a database changes its owner', async () => {
  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'heir' } }))
  await createDatabase('estate')
  const data = await settled(server, update('estate', { owner_name: 'heir' }))
  assert.equal(data.database.owner_name, 'heir')
  const rows = await query(
    project.uri,
    `select pg_get_userbyid(datdba) as owner from pg_database where datname = 'estate'`,
  )
  assert.deepEqual(rows, [{ owner: 'heir' }])
  await assertRefused(update('estate', { owner_name: 'nobody' }), 404, /role "nobody" not found/)
  const both = await settled(server, update('estate', { name: 'manor', owner_name: 'owner' }))
  assert.deepEqual([both.database.name, both.database.owner_name], ['manor', 'owner'])
})

test('a deleted database is gone, whoever is connected', async () => {
  await createDatabase('doomed')
  await using session = await connect(uriOf('doomed'))
  const { status, data } = await api.deleteProjectBranchDatabase(project.id, project.branchId, 'doomed')
  assert.equal(status, 200)
  assert.equal(data.database.name, 'doomed')
  assert.deepEqual(actionsOf(data), ['apply_config'])
  await settled(server, Promise.resolve({ data }))
  assert.ok(await eventually('the session to be ended', async () => session.ended()))
  assert.equal(await loginError(uriOf('doomed')), noSuchDatabase)
  assert.ok(!(await names()).includes('doomed'))
  assert.equal((await api.deleteProjectBranchDatabase(project.id, project.branchId, 'doomed')).status, 204)
  const { database } = await createDatabase('doomed')
  assert.notEqual(database.id, data.database.id)
})

test('the last database may go, and another may come', async () => {
  const bare = await makeProject(server)
  await settled(server, api.deleteProjectBranchDatabase(bare.id, bare.branchId, bare.database))
  assert.deepEqual((await api.listProjectBranchDatabases(bare.id, bare.branchId)).data.databases, [])
  assert.equal(await loginError(bare.uri), noSuchDatabase)
  await settled(
    server,
    api.createProjectBranchDatabase(bare.id, bare.branchId, { database: { name: 'anew', owner_name: bare.role } }),
  )
  assert.equal(await loginError(changed(bare.uri, { database: 'anew' })), undefined)
})

test('a database of a sleeping compute is made by waking it, and it sleeps again', async () => {
  const sleeper = await makeProject(server)
  await settled(server, api.suspendProjectEndpoint(sleeper.id, sleeper.endpointId))
  const data = await settled(
    server,
    api.createProjectBranchDatabase(sleeper.id, sleeper.branchId, {
      database: { name: 'late', owner_name: sleeper.role },
    }),
  )
  assert.deepEqual(actionsOf(data), ['apply_config', 'suspend_compute'])
  const { data: endpoint } = await api.getProjectEndpoint(sleeper.id, sleeper.endpointId)
  assert.equal(endpoint.endpoint.current_state, 'idle')
  assert.equal(await loginError(changed(sleeper.uri, { database: 'late' })), undefined)
})

const strangeNames = [
  'with space',
  `it's`,
  'dou"ble',
  'semi;colon -- comment',
  'slash/and\\back',
  'percent%41',
  'Groß & Klein 漢字 🌿',
  'UPPER',
  'x'.repeat(63),
]

for (const name of strangeNames) {
  test(`a database may be called ${JSON.stringify(name)}`, async () => {
    const { database } = await createDatabase(name)
    assert.equal(database.name, name)
    const path = `/projects/${project.id}/branches/${project.branchId}/databases/${encodeURIComponent(name)}`
    const got = await request(server, 'GET', path)
    assert.equal((got.body['database'] as { name: string }).name, name)
    const { data } = await api.getConnectionUri({
      projectId: project.id,
      database_name: name,
      role_name: project.role,
    })
    assert.deepEqual(await query(data.uri, 'select current_database() as name'), [{ name }])
    const deleted = await request(server, 'DELETE', path)
    assert.equal(deleted.status, 200)
    await settled(server, Promise.resolve({ data: deleted.body as never }))
    assert.ok(!(await names()).includes(name))
  })
}

test('a string says a name with a question mark in it as libpq reads it', async () => {
  const name = 'what? #1'
  await createDatabase(name)
  const { data } = await api.getConnectionUri({
    projectId: project.id,
    database_name: name,
    role_name: project.role,
  })
  const url = new URL(data.uri)
  assert.equal(url.hash, '')
  assert.equal(decodeURIComponent(url.pathname), `/${name}`)
})

test('names that belong to others, names that are none, and owners that are not there are refused', async () => {
  const refused: [database: Record<string, unknown>, status: number, message: RegExp][] = [
    [{ name: '', owner_name: 'owner' }, 400, /name/],
    [{ name: 'x'.repeat(64), owner_name: 'owner' }, 400, /64 bytes/],
    [{ name: 'a\u0000b', owner_name: 'owner' }, 400, /null character/],
    [{ name: 'postgres', owner_name: 'owner' }, 400, /reserved/],
    [{ name: 'template0', owner_name: 'owner' }, 400, /reserved/],
    [{ name: 'template1', owner_name: 'owner' }, 400, /reserved/],
    [{ name: 'orphan' }, 400, /owner_name/],
    [{ owner_name: 'owner' }, 400, /name/],
    [{ name: ['a'], owner_name: 'owner' }, 400, /name/],
    [{ name: 'orphan', owner_name: 'nobody' }, 404, /role "nobody" not found/],
    [{ name: 'orphan', owner_name: 'neon_superuser' }, 404, /not found/],
    [{ name: 'app', owner_name: 'owner' }, 409, /already exists/],
  ]
  const before = await names()
  for (const [database, status, message] of refused) {
    const answer = await request(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/databases`, {
      database,
    })
    assert.equal(answer.status, status, JSON.stringify([database, answer.body]))
    assert.match(String(answer.body['message']), message)
  }
  assert.deepEqual(await names(), before)
})

test('the databases of Postgres itself are not shown and cannot be touched', async () => {
  for (const name of ['postgres', 'template0', 'template1']) {
    assert.ok(!(await names()).includes(name))
    await assertRefused(api.getProjectBranchDatabase(project.id, project.branchId, name), 404, /database not found/)
    await assertRefused(update(name, { name: 'mine' }), 404, /database not found/)
    assert.equal((await api.deleteProjectBranchDatabase(project.id, project.branchId, name)).status, 204)
  }
  const rows = await query(
    project.uri,
    `select count(*)::int as n from pg_database where datname in ('postgres', 'template0', 'template1')`,
  )
  assert.deepEqual(rows, [{ n: 3 }])
})

test('databases made, renamed and dropped by SQL are seen', async () => {
  await query(project.uri, 'create database by_sql')
  const made = (await databases()).find(({ name }) => name === 'by_sql')
  assert.equal(made?.owner_name, 'owner')
  await query(project.uri, 'create database taken')
  await assertRefused(
    api.createProjectBranchDatabase(project.id, project.branchId, { database: { name: 'taken', owner_name: 'owner' } }),
    409,
    /already exists/,
  )
  await query(project.uri, 'drop database by_sql')
  assert.ok(!(await names()).includes('by_sql'))
  await query(project.uri, 'create database unseen')
  assert.equal((await api.deleteProjectBranchDatabase(project.id, project.branchId, 'unseen')).status, 200)
})

test('a database is of its branch', async () => {
  const other = await makeProject(server)
  await assertRefused(api.getProjectBranchDatabase(project.id, other.branchId, other.database), 404, /branch not found/)
  await assertRefused(
    api.createProjectBranchDatabase(project.id, other.branchId, { database: { name: 'x', owner_name: other.role } }),
    404,
    /branch not found/,
  )
})
