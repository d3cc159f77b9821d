// Roles of a branch: what the API says of them is what a login finds.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  actionsOf,
  assertRefused,
  makeChild,
  makeProject,
  settled,
  type NeonApi,
  type TestProject,
} from '../support/neon.ts'
import { changed, loginError, query } from '../support/postgres.ts'
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

const wrongPassword = '28P01'

const createRole = (name: string, no_login?: boolean) =>
  settled(
    server,
    api.createProjectBranchRole(project.id, project.branchId, {
      role: { name, ...(no_login === undefined ? {} : { no_login }) },
    }),
  )

async function roleNames(): Promise<string[]> {
  const { data } = await api.listProjectBranchRoles(project.id, project.branchId)
  return data.roles.map(({ name }) => name)
}

const reveal = async (name: string): Promise<string> =>
  (await api.getProjectBranchRolePassword(project.id, project.branchId, name)).data.password

test('a role is made with a password that opens, and shown without it', async () => {
  const { status, data } = await api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'writer' } })
  assert.equal(status, 201)
  assert.equal(data.role.name, 'writer')
  assert.equal(data.role.branch_id, project.branchId)
  assert.equal(data.role.protected, false)
  assert.match(data.role.password ?? '', /^npg_[A-Za-z0-9]+$/)
  assert.deepEqual(
    data.operations.map(({ action, status, branch_id, endpoint_id }) => ({ action, status, branch_id, endpoint_id })),
    [{ action: 'apply_config', status: 'running', branch_id: project.branchId, endpoint_id: project.endpointId }],
  )
  await settled(server, Promise.resolve({ data }))
  const password = data.role.password ?? ''
  const uri = changed(project.uri, { role: 'writer', password })
  assert.deepEqual(await query(uri, 'select current_user as role'), [{ role: 'writer' }])
  assert.equal(await loginError(changed(uri, { password: `${password}x` })), wrongPassword)
  assert.equal(await loginError(changed(uri, { password: project.password })), wrongPassword)

  const { data: got } = await api.getProjectBranchRole(project.id, project.branchId, 'writer')
  assert.ok(!('password' in got.role))
  assert.equal(
    (await api.listProjectBranchRoles(project.id, project.branchId)).data.roles.some((r) => r.password),
    false,
  )
  assert.equal(await reveal('writer'), password)
})

test('a role of the API may do what Neon lets it, and is no superuser', async () => {
  const { role } = await createRole('builder')
  const uri = changed(project.uri, { role: 'builder', password: role.password ?? '' })
  const [row] = await query(
    uri,
    `select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, pg_has_role('neon_superuser', 'member') as member
       from pg_roles where rolname = current_user`,
  )
  assert.deepEqual(row, {
    rolsuper: false,
    rolcreatedb: true,
    rolcreaterole: true,
    rolreplication: true,
    rolbypassrls: true,
    member: true,
  })
})

test('a role that cannot log in has no password', async () => {
  const { role } = await createRole('group', true)
  assert.equal(role.password, undefined)
  assert.equal(role.authentication_method, 'no_login')
  await assertRefused(api.getProjectBranchRolePassword(project.id, project.branchId, 'group'), 412, /password/)
  await assertRefused(api.resetProjectBranchRolePassword(project.id, project.branchId, 'group'), 422, /cannot log in/)
  const rows = await query(project.uri, `select rolcanlogin from pg_roles where rolname = 'group'`)
  assert.deepEqual(rows, [{ rolcanlogin: false }])
})

test('a reset password takes the place of the old one', async () => {
  const { role } = await createRole('rotated')
  const before = role.password ?? ''
  const uri = changed(project.uri, { role: 'rotated', password: before })
  assert.equal(await loginError(uri), undefined)
  const reset = await settled(server, api.resetProjectBranchRolePassword(project.id, project.branchId, 'rotated'))
  assert.deepEqual(actionsOf(reset), ['apply_config'])
  const password = reset.role.password ?? ''
  assert.notEqual(password, before)
  assert.equal(await loginError(uri), wrongPassword)
  assert.equal(await loginError(changed(uri, { password })), undefined)
  assert.equal(await reveal('rotated'), password)
})

test('a deleted role cannot log in, and what it owned goes on', async () => {
  const { role } = await createRole('leaver')
  const uri = changed(project.uri, { role: 'leaver', password: role.password ?? '' })
  await query(project.uri, 'grant create on schema public to leaver')
  await query(uri, 'create table left_behind as select 5 as n')
  const { status, data } = await api.deleteProjectBranchRole(project.id, project.branchId, 'leaver')
  assert.equal(status, 200)
  assert.equal(data.role.name, 'leaver')
  assert.deepEqual(actionsOf(data), ['apply_config'])
  await settled(server, Promise.resolve({ data }))
  assert.equal(await loginError(uri), wrongPassword)
  assert.ok(!(await roleNames()).includes('leaver'))
  await assertRefused(api.getProjectBranchRole(project.id, project.branchId, 'leaver'), 404, /role not found/)
  const again = await api.deleteProjectBranchRole(project.id, project.branchId, 'leaver')
  assert.equal(again.status, 204)
  // The name is free again.
  assert.notEqual((await createRole('leaver')).role.password, role.password)
})

test('a role that owns a database stays until that has another owner', async () => {
  await createRole('landlord')
  await settled(
    server,
    api.createProjectBranchDatabase(project.id, project.branchId, {
      database: { name: 'house', owner_name: 'landlord' },
    }),
  )
  const remove = () => api.deleteProjectBranchRole(project.id, project.branchId, 'landlord')
  await assertRefused(remove(), 422, /owns database "house"/)
  await settled(
    server,
    api.updateProjectBranchDatabase(project.id, project.branchId, 'house', { database: { owner_name: 'owner' } }),
  )
  await settled(server, remove())
  assert.equal(await loginError(changed(project.uri, { database: 'house' })), undefined)
})

test('a role of a sleeping compute is made by waking it, and it sleeps again', async () => {
  const sleeper = await makeProject(server)
  await settled(server, api.suspendProjectEndpoint(sleeper.id, sleeper.endpointId))
  const data = await settled(
    server,
    api.createProjectBranchRole(sleeper.id, sleeper.branchId, { role: { name: 'late' } }),
  )
  assert.deepEqual(
    data.operations.map(({ action, status }) => ({ action, status })),
    [
      { action: 'apply_config', status: 'running' },
      { action: 'suspend_compute', status: 'scheduling' },
    ],
  )
  const { data: endpoint } = await api.getProjectEndpoint(sleeper.id, sleeper.endpointId)
  assert.equal(endpoint.endpoint.current_state, 'idle')
  assert.equal(await loginError(changed(sleeper.uri, { role: 'late', password: data.role.password ?? '' })), undefined)
})

test('a role of a branch without an endpoint is made all the same', async () => {
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  const data = await settled(server, api.createProjectBranchRole(project.id, branch.id, { role: { name: 'alone' } }))
  assert.deepEqual(actionsOf(data), ['apply_config'])
  assert.equal(data.operations[0]?.endpoint_id, undefined)
  const roles = (await api.listProjectBranchRoles(project.id, branch.id)).data.roles.map(({ name }) => name)
  assert.ok(roles.includes('alone'))
  assert.ok(!(await roleNames()).includes('alone'), 'the parent knows nothing of it')
})

test('children have the roles of their parent under the same passwords, and each its own from then on', async () => {
  const parent = await makeProject(server)
  const { role } = await settled(
    server,
    api.createProjectBranchRole(parent.id, parent.branchId, { role: { name: 'both' } }),
  )
  const child = await makeChild(server, parent)
  assert.equal(child.uri, '', 'two roles: which one the string should name is not for us to guess')
  const { data } = await api.getConnectionUri({
    projectId: parent.id,
    branch_id: child.branch.id,
    database_name: parent.database,
    role_name: 'both',
  })
  assert.equal(new URL(data.uri).password, role.password)
  assert.equal(await loginError(data.uri), undefined)
  await settled(server, api.resetProjectBranchRolePassword(parent.id, child.branch.id, 'both'))
  assert.equal(await loginError(data.uri), wrongPassword)
  assert.equal(await loginError(changed(parent.uri, { role: 'both', password: role.password ?? '' })), undefined)
})

const strangeNames = [
  'with space',
  `it's`,
  'dou"ble',
  'semi;colon -- comment',
  'slash/and\\back',
  'percent%41',
  'Groß & Klein 漢字 🌿',
  '$1',
  '../..',
  'UPPER',
  'x'.repeat(63),
  'é'.repeat(31),
]

for (const name of strangeNames) {
  test(`a role may be called ${JSON.stringify(name)}`, async () => {
    const { role } = await createRole(name)
    assert.equal(role.name, name)
    const encoded = encodeURIComponent(name)
    const path = `/projects/${project.id}/branches/${project.branchId}/roles/${encoded}`
    const got = await request(server, 'GET', path)
    assert.equal(got.status, 200)
    assert.equal((got.body['role'] as { name: string }).name, name)
    const { data } = await api.getConnectionUri({
      projectId: project.id,
      database_name: project.database,
      role_name: name,
    })
    assert.deepEqual(await query(data.uri, 'select current_user as role'), [{ role: name }])
    const reset = await request(server, 'POST', `${path}/reset_password`)
    assert.equal(reset.status, 200)
    await settled(server, Promise.resolve({ data: reset.body as never }))
    assert.equal(await loginError(data.uri), wrongPassword)
    const deleted = await request(server, 'DELETE', path)
    assert.equal(deleted.status, 200)
    await settled(server, Promise.resolve({ data: deleted.body as never }))
    assert.ok(!(await roleNames()).includes(name))
  })
}

test('names that belong to others, and names that are none, are refused', async () => {
  const refused: [name: unknown, message: RegExp][] = [
    ['', /name/],
    ['x'.repeat(64), /64 bytes/],
    ['é'.repeat(32), /64 bytes/],
    ['a\u0000b', /null character/],
    ['pg_read_all_data', /reserved/],
    ['neon_superuser', /reserved/],
    ['cloud_admin', /reserved/],
    ['postgres', /reserved/],
    ['public', /reserved/],
    ['none', /reserved/],
    [7, /name/],
    [null, /name/],
    [undefined, /name/],
  ]
  for (const [name, message] of refused) {
    const { status, body } = await request(
      server,
      'POST',
      `/projects/${project.id}/branches/${project.branchId}/roles`,
      { role: { name } },
    )
    assert.equal(status, 400, JSON.stringify([name, body]))
    assert.match(String(body['message']), message)
  }
  await assertRefused(
    api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'owner' } }),
    409,
    /already exists/,
  )
})

test('the roles that pgrove keeps for itself are not shown and cannot be touched', async () => {
  const names = await roleNames()
  const { branchId } = project
  const [row] = await query<{ names: string[] }>(
    project.uri,
    'select array_agg(rolname::text) as names from pg_roles where rolsuper',
  )
  const own = row?.names ?? []
  assert.ok(own.length > 0)
  for (const name of [...own, 'neon_superuser', 'pg_monitor']) {
    assert.ok(!names.includes(name), name)
    await assertRefused(api.getProjectBranchRolePassword(project.id, branchId, name), 404, /role not found/)
    await assertRefused(api.resetProjectBranchRolePassword(project.id, branchId, name), 404, /role not found/)
    assert.equal((await api.deleteProjectBranchRole(project.id, branchId, name)).status, 204)
  }
  const rows = await query<{ n: number }>(
    project.uri,
    'select count(*)::int as n from pg_roles where rolname = any($1)',
    [own],
  )
  assert.equal(rows[0]?.n, own.length)
})

test('roles made, changed and dropped by SQL are seen', async () => {
  await query(project.uri, `create role by_sql login password 'correct horse battery'`)
  assert.ok((await roleNames()).includes('by_sql'))
  await assertRefused(api.getProjectBranchRolePassword(project.id, project.branchId, 'by_sql'), 412, /not stored/)
  const reset = await settled(server, api.resetProjectBranchRolePassword(project.id, project.branchId, 'by_sql'))
  assert.equal(
    await loginError(changed(project.uri, { role: 'by_sql', password: reset.role.password ?? '' })),
    undefined,
  )
  await query(project.uri, 'create role taken login')
  await assertRefused(
    api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'taken' } }),
    409,
    /already exists/,
  )
  await query(project.uri, 'drop role taken')
  const { role } = await createRole('taken')
  // A password that was changed behind our back is no longer shown as the one that opens.
  const uri = changed(project.uri, { role: 'taken', password: role.password ?? '' })
  await query(uri, `alter role taken password 'another one'`)
  await assertRefused(api.getProjectBranchRolePassword(project.id, project.branchId, 'taken'), 412, /not stored/)
  await query(project.uri, 'create role unseen')
  assert.equal((await api.deleteProjectBranchRole(project.id, project.branchId, 'unseen')).status, 200)
})
