// Branches: what a child starts with, and what it keeps to itself. On the storage that pgrove chooses here.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EndpointType, type BranchCreateRequest } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import {
  assertRefused,
  makeChild,
  makeProject,
  readWrite,
  settled,
  type NeonApi,
  type TestBranch,
  type TestProject,
} from '../support/neon.ts'
import { changed, connect, loginError, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer()
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

async function stateOf(project: TestProject, endpointId: string): Promise<string> {
  return (await api.getProjectEndpoint(project.id, endpointId)).data.endpoint.current_state
}

test('a branch that says nothing is a child of the default branch, without a compute', async () => {
  const project = await makeProject(server)
  const { status, data } = await api.createProjectBranch(project.id)
  assert.equal(status, 201)
  const { branch } = data
  assert.match(branch.id, /^br-[a-z0-9]+-[a-z0-9]+-[a-z0-9]{8}$/)
  assert.equal(branch.name, branch.id)
  assert.equal(branch.parent_id, project.branchId)
  assert.equal(branch.current_state, 'init')
  assert.equal(branch.pending_state, 'ready')
  assert.equal(branch.default, false)
  assert.equal(branch.init_source, 'parent-data')
  assert.deepEqual(data.endpoints, [])
  assert.equal(data.connection_uris, undefined)
  assert.deepEqual(
    data.operations.map(({ action, status, branch_id, endpoint_id }) => ({ action, status, branch_id, endpoint_id })),
    [{ action: 'create_branch', status: 'running', branch_id: branch.id, endpoint_id: undefined }],
  )
  assert.deepEqual(
    data.roles.map(({ name, branch_id, password }) => ({ name, branch_id, password })),
    [{ name: project.role, branch_id: branch.id, password: undefined }],
  )
  assert.deepEqual(
    data.databases.map(({ name, owner_name, branch_id }) => ({ name, owner_name, branch_id })),
    [{ name: project.database, owner_name: project.role, branch_id: branch.id }],
  )
  const parents = (await api.listProjectBranchDatabases(project.id, project.branchId)).data.databases
  assert.notEqual(data.databases[0]?.id, parents[0]?.id)
  await eventually('the branch to be ready', async () => {
    const { data: now } = await api.getProjectBranch(project.id, branch.id)
    return now.branch.current_state === 'ready' && now.branch
  })
  const { data: ready } = await api.getProjectBranch(project.id, branch.id)
  assert.match(ready.branch.parent_lsn ?? '', /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/)
  assert.ok(Date.parse(ready.branch.parent_timestamp ?? '') > 0)
  assert.equal(typeof ready.branch.created_by?.name, 'string')
  assert.deepEqual(ready.annotation, { object: { type: 'console/branch', id: branch.id }, value: {} })
})

test('a child of a running parent has every row committed before the call, and from then on a life of its own', async () => {
  const project = await makeProject(server)
  await using parent = await connect(project.uri)
  await parent.query('create table t (n int primary key)')
  await parent.query('insert into t select generate_series(1, 1000)')
  // Committed, and nowhere but in memory and the log.
  await parent.query('insert into t values (1001)')
  const { data } = await api.createProjectBranch(project.id, { branch: { name: 'child' }, endpoints: [readWrite] })
  assert.deepEqual(
    data.operations.map(({ action, status, endpoint_id }) => ({ action, status, endpoint_id })),
    [
      { action: 'create_branch', status: 'running', endpoint_id: undefined },
      { action: 'start_compute', status: 'scheduling', endpoint_id: data.endpoints[0]?.id },
    ],
  )
  assert.equal(data.endpoints[0]?.current_state, 'init')
  assert.equal(data.endpoints[0]?.pending_state, 'active')
  const parameters = data.connection_uris?.[0]?.connection_parameters
  assert.equal(parameters?.password, project.password, 'a child opens with the passwords of its parent')
  const uri = data.connection_uris?.[0]?.connection_uri ?? ''
  await using child = await connect(uri)
  assert.deepEqual(await child.query('select count(*)::int as n, max(n) as last from t'), [{ n: 1001, last: 1001 }])

  await child.query('delete from t where n <= 500')
  await child.query('create table only_here ()')
  await parent.query('insert into t values (5000)')
  assert.deepEqual(await parent.query('select count(*)::int as n from t'), [{ n: 1002 }])
  assert.deepEqual(await child.query('select count(*)::int as n, max(n) as last from t'), [{ n: 501, last: 1001 }])
  assert.deepEqual(await parent.query(`select to_regclass('only_here')::text as name`), [{ name: null }])
})

test('a branch taken in the middle of writing is one moment of its parent', async () => {
  const project = await makeProject(server)
  await using setup = await connect(project.uri)
  await setup.query('create table a (n int primary key); create table b (n int primary key)')
  const stop = new AbortController()
  const writing = (async () => {
    await using writer = await connect(project.uri)
    let n = 0
    while (!stop.signal.aborted) {
      n++
      await writer.query(`begin; insert into a values (${n}); insert into b values (${n}); commit`)
    }
    return n
  })()
  try {
    const children: TestBranch[] = []
    for (let i = 0; i < 3; i++) children.push(await makeChild(server, project))
    let before = 0
    for (const { uri } of children) {
      const [row] = await query<{ a: number; b: number; gaps: number }>(
        uri,
        'select (select count(*)::int from a) as a, (select count(*)::int from b) as b, (select max(n) - count(*)::int from a) as gaps',
      )
      assert.ok(row && row.a >= before && row.a === row.b && (row.gaps ?? 0) === 0, JSON.stringify({ row, before }))
      before = row.a
    }
    assert.ok(before > 0)
  } finally {
    stop.abort()
    await writing
  }
})

test('a child of a sleeping parent has its rows too, and the parent goes on sleeping', async () => {
  const project = await makeProject(server)
  await query(project.uri, `create table t as select 'kept' as word`)
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  assert.equal(await stateOf(project, project.endpointId), 'idle')
  const child = await makeChild(server, project)
  assert.deepEqual(await query(child.uri, 'select word from t'), [{ word: 'kept' }])
  assert.equal(await stateOf(project, project.endpointId), 'idle')
  assert.deepEqual(await query(project.uri, 'select word from t'), [{ word: 'kept' }])
})

test('a branch of a branch of a branch has what each of them added', async () => {
  const project = await makeProject(server)
  await query(project.uri, 'create table t (depth int); insert into t values (0)')
  let parentId = project.branchId
  for (let depth = 1; depth <= 3; depth++) {
    const child = await makeChild(server, project, { parent_id: parentId })
    assert.equal(child.branch.parent_id, parentId)
    await query(child.uri, `insert into t values (${depth})`)
    const rows = await query<{ depth: number }>(child.uri, 'select depth from t order by depth')
    assert.deepEqual(
      rows.map((row) => row.depth),
      Array.from({ length: depth + 1 }, (_, i) => i),
    )
    parentId = child.branch.id
  }
  assert.deepEqual(await query(project.uri, 'select count(*)::int as n from t'), [{ n: 1 }])
})

test('a child without an endpoint gets one later, and then opens with what it was made of', async () => {
  const project = await makeProject(server)
  await query(project.uri, 'create table t as select 1 as n')
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  await query(project.uri, 'drop table t')
  await settled(
    server,
    api.createProjectEndpoint(project.id, { endpoint: { branch_id: branch.id, type: EndpointType.ReadWrite } }),
  )
  const { data } = await api.getConnectionUri({
    projectId: project.id,
    branch_id: branch.id,
    database_name: project.database,
    role_name: project.role,
  })
  assert.deepEqual(await query(data.uri, 'select n from t'), [{ n: 1 }])
})

test('a child of a protected branch has passwords of its own', async () => {
  const project = await makeProject(server)
  await api.updateProjectBranch(project.id, project.branchId, { branch: { protected: true } })
  const child = await makeChild(server, project)
  assert.equal(child.branch.protected, false)
  const { data } = await api.getProjectBranchRolePassword(project.id, child.branch.id, project.role)
  assert.notEqual(data.password, project.password)
  assert.equal(new URL(child.uri).password, data.password)
  assert.equal(await loginError(child.uri), undefined)
  assert.equal(await loginError(changed(child.uri, { password: project.password })), '28P01')
  assert.equal(await loginError(project.uri), undefined)
  assert.equal(await loginError(changed(project.uri, { password: data.password })), '28P01')
})

test('what has no answer yet is refused before anything is written', async () => {
  const project = await makeProject(server)
  const refused: [body: BranchCreateRequest, status: number, message: RegExp][] = [
    [{ branch: { parent_id: 'br-no-such-00000000' } }, 404, /parent branch not found/],
    [{ branch: { parent_lsn: 'FF/1DE2850' } }, 400, /outside the history/],
    [{ branch: { parent_lsn: 'nonsense' } }, 400, /LSN/],
    [{ branch: { parent_timestamp: '2026-01-01T00:00:00Z' } }, 400, /outside the history/],
    [{ branch: { parent_timestamp: '2099-01-01T00:00:00Z' } }, 400, /future/],
    [{ branch: { parent_lsn: '0/1DE2850', parent_timestamp: '2026-01-01T00:00:00Z' } }, 400, /not both/],
    [{ branch: { init_source: 'import' } }, 400, /init_source/],
    [{ branch: { expires_at: '2020-01-01T00:00:00Z' } }, 400, /expires_at/],
    [{ branch: { expires_at: '2099-01-01T00:00:00Z' } }, 400, /30 days/],
    [{ branch: { archived: true } }, 501, /archived/],
    [{ branch: { name: '' } }, 400, /name/],
    [{ branch: { name: 'x'.repeat(257) } }, 400, /name/],
    [{ endpoints: [{ type: EndpointType.ReadOnly }] }, 501, /read_only/],
    [{ endpoints: [readWrite, readWrite] }, 422, /only one read_write/],
    [{ endpoints: [{ ...readWrite, autoscaling_limit_min_cu: 99 }] }, 400, /autoscaling_limit_min_cu/],
  ]
  for (const [body, status, message] of refused) {
    await assertRefused(api.createProjectBranch(project.id, body), status, message)
  }
  const other = await makeProject(server)
  await assertRefused(
    api.createProjectBranch(project.id, { branch: { parent_id: other.branchId } }),
    404,
    /parent branch not found/,
  )
  assert.equal((await api.countProjectBranches({ projectId: project.id })).data.count, 1)
})

test('services that are off are not found, as clients ask to learn whether they are on', async () => {
  const project = await makeProject(server)
  await assertRefused(api.getNeonAuth(project.id, project.branchId), 404, /not enabled/)
  await assertRefused(api.getProjectBranchDataApi(project.id, project.branchId, project.database), 404, /not enabled/)
  await assertRefused(api.getNeonAuth(project.id, 'br-no-such-00000000'), 404, /branch not found/)
  await assertRefused(
    api.getProjectBranchDataApi(project.id, 'br-no-such-00000000', project.database),
    404,
    /branch not found/,
  )
})
