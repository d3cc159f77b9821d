// The string that is pasted into a program, for any branch, endpoint, role and database.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, makeChild, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
  project = await makeProject(server, { branch: { role_name: 'app_user', database_name: 'app_db' } })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

type Query = Omit<Parameters<NeonApi['getConnectionUri']>[0], 'projectId'>
const named = { database_name: 'app_db', role_name: 'app_user' }
const get = (query: Query) => api.getConnectionUri({ projectId: project.id, ...query })
const uriOf = async (query: Query): Promise<string> => (await get(query)).data.uri

test('it is the one that creation gave, and it opens the database', async () => {
  const uri = await uriOf(named)
  assert.equal(uri, project.uri)
  assert.deepEqual(await query(uri, 'select current_user as role, current_database() as database'), [
    { role: 'app_user', database: 'app_db' },
  ])
})

test('pooled is another label of the same endpoint, and opens too', async () => {
  const pooled = await uriOf({ ...named, pooled: true })
  assert.ok(pooled.includes(`${project.endpointId}-pooler`))
  assert.equal(pooled.replaceAll('-pooler', ''), project.uri)
  assert.deepEqual(await query(pooled, 'select current_user as role'), [{ role: 'app_user' }])
  assert.equal(await uriOf({ ...named, pooled: false }), project.uri)
})

test('a branch and an endpoint may be named, alone or together', async () => {
  const child = await makeChild(server, project)
  assert.equal(await uriOf({ ...named, branch_id: child.branch.id }), child.uri)
  assert.equal(await uriOf({ ...named, endpoint_id: child.endpointId }), child.uri)
  assert.equal(await uriOf({ ...named, branch_id: child.branch.id, endpoint_id: child.endpointId }), child.uri)
  await assertRefused(get({ ...named, branch_id: project.branchId, endpoint_id: child.endpointId }), 404, /endpoint/)
})

test('what is not there is not found', async () => {
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  await assertRefused(get({ ...named, role_name: 'nobody' }), 404, /role not found/)
  await assertRefused(get({ ...named, database_name: 'nothing' }), 404, /database not found/)
  await assertRefused(get({ ...named, branch_id: 'br-no-such-00000000' }), 404, /branch not found/)
  await assertRefused(get({ ...named, endpoint_id: 'ep-no-such-00000000' }), 404, /endpoint not found/)
  await assertRefused(get({ ...named, branch_id: branch.id }), 404, /has no endpoint/)
  const other = await makeProject(server)
  await assertRefused(get({ ...named, branch_id: other.branchId }), 404, /branch not found/)
  await assertRefused(get({ ...named, endpoint_id: other.endpointId }), 404, /endpoint not found/)
})

test('both names have to be said', async () => {
  for (const [query, message] of [
    ['role_name=app_user', /database_name/],
    ['database_name=app_db', /role_name/],
    ['database_name=&role_name=app_user', /database_name/],
    ['database_name=app_db&role_name=app_user&pooled=perhaps', /pooled/],
  ] as const) {
    const { status, body } = await request(server, 'GET', `/projects/${project.id}/connection_uri?${query}`)
    assert.equal(status, 400, query)
    assert.match(String(body['message']), message)
  }
})

test('names that need it are encoded', async () => {
  const [role, database] = ['us:er/@ é', 'da ta%']
  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: role } }))
  await settled(
    server,
    api.createProjectBranchDatabase(project.id, project.branchId, { database: { name: database, owner_name: role } }),
  )
  const uri = await uriOf({ database_name: database, role_name: role })
  assert.doesNotMatch(uri, /[^\x21-\x7e]/)
  assert.deepEqual(await query(uri, 'select current_user as role, current_database() as database'), [
    { role, database },
  ])
})

test('a role made by SQL has a string without a password', async () => {
  await query(project.uri, `create role by_sql login password 'known to its maker only'`)
  const uri = new URL(await uriOf({ ...named, role_name: 'by_sql' }))
  assert.equal(uri.username, 'by_sql')
  assert.equal(uri.password, '')
})
