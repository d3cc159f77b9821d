// Branches: what a child starts with, what it keeps to itself, and what may be done with it. On the storage that pgrove chooses here.

import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { EndpointType, type Branch, type BranchCreateRequest } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import { actionsOf, assertRefused, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { changed, connect, loginError, query } from '../support/postgres.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer()
  api = apiClient(server)
})
after(() => server[Symbol.asyncDispose]())

const readWrite = { type: EndpointType.ReadWrite }

type Child = { branch: Branch; endpointId: string; uri: string }

/** A child with an endpoint, ready. */
async function makeChild(project: TestProject, branch: BranchCreateRequest['branch'] = {}): Promise<Child> {
  const data = await settled(server, api.createProjectBranch(project.id, { branch, endpoints: [readWrite] }))
  const { data: fresh } = await api.getProjectBranch(project.id, data.branch.id)
  return {
    branch: fresh.branch,
    endpointId: data.endpoints[0]?.id ?? '',
    uri: data.connection_uris?.[0]?.connection_uri ?? '',
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

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
  let stop = false
  const writing = (async () => {
    await using writer = await connect(project.uri)
    let n = 0
    while (!stop) {
      n++
      await writer.query(`begin; insert into a values (${n}); insert into b values (${n}); commit`)
    }
    return n
  })()
  try {
    const children: Child[] = []
    for (let i = 0; i < 3; i++) children.push(await makeChild(project))
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
    stop = true
    await writing
  }
})

test('a child of a sleeping parent has its rows too, and the parent goes on sleeping', async () => {
  const project = await makeProject(server)
  await query(project.uri, `create table t as select 'kept' as word`)
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  assert.equal(await stateOf(project, project.endpointId), 'idle')
  const child = await makeChild(project)
  assert.deepEqual(await query(child.uri, 'select word from t'), [{ word: 'kept' }])
  assert.equal(await stateOf(project, project.endpointId), 'idle')
  assert.deepEqual(await query(project.uri, 'select word from t'), [{ word: 'kept' }])
})

test('a branch of a branch of a branch has what each of them added', async () => {
  const project = await makeProject(server)
  await query(project.uri, 'create table t (depth int); insert into t values (0)')
  let parentId = project.branchId
  for (let depth = 1; depth <= 3; depth++) {
    const child = await makeChild(project, { parent_id: parentId })
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
  const child = await makeChild(project)
  assert.equal(child.branch.protected, false)
  const { data } = await api.getProjectBranchRolePassword(project.id, child.branch.id, project.role)
  assert.notEqual(data.password, project.password)
  assert.equal(new URL(child.uri).password, data.password)
  assert.equal(await loginError(child.uri), undefined)
  assert.equal(await loginError(changed(child.uri, { password: project.password })), '28P01')
  assert.equal(await loginError(project.uri), undefined)
  assert.equal(await loginError(changed(project.uri, { password: data.password })), '28P01')
})

test('a list is sorted, searched, and paged to its end', async () => {
  const project = await makeProject(server)
  for (const name of ['bravo', 'alpha', 'Charlie 100%']) {
    await settled(
      server,
      api.createProjectBranch(project.id, { branch: { name }, annotation_value: name === 'alpha' ? { pr: '7' } : {} }),
    )
  }
  type Query = Omit<Parameters<NeonApi['listProjectBranches']>[0], 'projectId'>
  const list = async (query: Query) => (await api.listProjectBranches({ projectId: project.id, ...query })).data
  const names = async (query: Query): Promise<string[]> => (await list(query)).branches.map(({ name }) => name)

  const all = await list({})
  assert.deepEqual(
    all.branches.map(({ name }) => name),
    ['Charlie 100%', 'alpha', 'bravo', 'main'],
    'the last changed comes first',
  )
  assert.deepEqual(all.pagination, { sort_by: 'updated_at', sort_order: 'DESC' })
  assert.ok('annotations' in all && typeof all.annotations === 'object')
  const alpha = all.branches.find(({ name }) => name === 'alpha')?.id ?? ''
  assert.deepEqual(all.annotations, { [alpha]: { object: { type: 'console/branch', id: alpha }, value: { pr: '7' } } })
  for (const branch of all.branches) assert.equal('parent_id' in branch, branch.name !== 'main')

  assert.deepEqual(await names({ sort_by: 'created_at', sort_order: 'asc' }), ['main', 'bravo', 'alpha', 'Charlie 100%'])
  const byName = await names({ sort_by: 'name', sort_order: 'asc' })
  assert.deepEqual(byName.toSorted(), ['Charlie 100%', 'alpha', 'bravo', 'main'].toSorted())
  assert.deepEqual(await names({ sort_by: 'name', sort_order: 'desc' }), byName.toReversed())
  assert.deepEqual(await names({ search: 'ALPHA' }), ['alpha'])
  assert.deepEqual(await names({ search: '100%' }), ['Charlie 100%'])
  assert.deepEqual(await names({ search: alpha }), ['alpha'])
  assert.deepEqual(await names({ search: '%' }), ['Charlie 100%'])

  for (const sort_by of ['name', 'created_at', 'updated_at'] as const) {
    for (const sort_order of ['asc', 'desc'] as const) {
      const paged: string[] = []
      let cursor: string | undefined
      for (let page = 0; page < 4; page++) {
        const data = await list({ sort_by, sort_order, limit: 1, ...(cursor === undefined ? {} : { cursor }) })
        assert.equal(data.branches.length, 1)
        paged.push(...data.branches.map(({ name }) => name))
        cursor = data.pagination?.next
        assert.equal(cursor === undefined, page === 3)
      }
      assert.deepEqual(paged, await names({ sort_by, sort_order }), `${sort_by} ${sort_order}`)
    }
  }
  assert.deepEqual(await names({ limit: 10_000 }), await names({}))
  const count = async (search?: string): Promise<number> =>
    (await api.countProjectBranches({ projectId: project.id, ...(search === undefined ? {} : { search }) })).data.count
  assert.equal(await count(), 4)
  assert.equal(await count('char'), 1)
  await assertRefused(api.listProjectBranches({ projectId: project.id, cursor: 'nonsense' }), 400, /cursor/)
  await assertRefused(api.listProjectBranches({ projectId: project.id, limit: 10_001 }), 400, /limit/)
  await assertRefused(api.listProjectBranches({ projectId: project.id, limit: 0 }), 400, /limit/)
})

test('names are unique in a project, and renaming schedules nothing', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'dev' } }))
  const name = `Zoë's "branch"; -- ✓ 🌿`
  const { status, data } = await api.updateProjectBranch(project.id, branch.id, { branch: { name } })
  assert.equal(status, 200)
  assert.equal(data.branch.name, name)
  assert.deepEqual(data.operations, [])
  assert.equal((await api.getProjectBranch(project.id, branch.id)).data.branch.name, name)
  await assertRefused(api.createProjectBranch(project.id, { branch: { name } }), 409, /already exists/)
  await assertRefused(api.updateProjectBranch(project.id, branch.id, { branch: { name: 'main' } }), 409, /already exists/)
  // To its own name.
  assert.equal((await api.updateProjectBranch(project.id, branch.id, { branch: { name } })).status, 200)
  const other = await makeProject(server)
  await settled(server, api.createProjectBranch(other.id, { branch: { name } }))
})

test('exactly one branch is the default, and the default stays', async () => {
  const project = await makeProject(server)
  const child = await makeChild(project, { name: 'next' })
  await assertRefused(
    api.deleteProjectBranch({ projectId: project.id, branchId: project.branchId }),
    422,
    /default branch cannot be deleted/,
  )
  const { data } = await api.setDefaultProjectBranch(project.id, child.branch.id)
  assert.equal(data.branch.default, true)
  assert.equal(data.branch.primary, true)
  assert.deepEqual(data.operations, [])
  const { data: list } = await api.listProjectBranches({ projectId: project.id })
  assert.deepEqual(
    list.branches.filter((branch) => branch.default).map(({ id }) => id),
    [child.branch.id],
  )
  const { data: uri } = await api.getConnectionUri({
    projectId: project.id,
    database_name: project.database,
    role_name: project.role,
  })
  assert.equal(uri.uri, child.uri)
  const { branch: grandchild } = await settled(server, api.createProjectBranch(project.id))
  assert.equal(grandchild.parent_id, child.branch.id)
})

test('a branch with children, and a protected one, cannot be deleted', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'middle' } }))
  const { branch: leaf } = await settled(server, api.createProjectBranch(project.id, { branch: { parent_id: branch.id } }))
  const remove = (branchId: string) => api.deleteProjectBranch({ projectId: project.id, branchId })
  await assertRefused(remove(branch.id), 422, /has children/)
  await api.updateProjectBranch(project.id, leaf.id, { branch: { protected: true } })
  await assertRefused(remove(leaf.id), 422, /protected/)
  await api.updateProjectBranch(project.id, leaf.id, { branch: { protected: false } })
  await settled(server, remove(leaf.id))
  await settled(server, remove(branch.id))
  assert.equal((await api.countProjectBranches({ projectId: project.id })).data.count, 1)
})

test('a deleted branch is gone, can be recovered, and then opens with the same string', async () => {
  const project = await makeProject(server)
  const child = await makeChild(project, { name: 'ghost' })
  await query(child.uri, 'create table t as select 7 as n')
  const deleted = await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id }))
  assert.deepEqual(actionsOf(deleted), ['suspend_compute', 'delete_timeline'])
  assert.equal(deleted.operations[0]?.status, 'running')
  assert.equal(deleted.operations[0]?.endpoint_id, child.endpointId)
  assert.equal(deleted.operations[1]?.status, 'scheduling')
  assert.equal(deleted.branch.pending_state, 'storage_deleted')
  await assertRefused(api.getProjectBranch(project.id, child.branch.id), 404, /branch not found/)
  await assertRefused(api.getProjectEndpoint(project.id, child.endpointId), 404, /endpoint not found/)
  assert.equal(await loginError(child.uri), '28000')
  const again = await api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id })
  assert.equal(again.status, 204)
  assert.ok(!again.data)

  const list = async (include_deleted: boolean): Promise<Branch[]> =>
    (await api.listProjectBranches({ projectId: project.id, search: 'ghost', include_deleted })).data.branches
  assert.deepEqual(await list(false), [])
  const [ghost] = await list(true)
  assert.equal(ghost?.recovery?.deletion_method, 'user')
  assert.ok(Date.parse(ghost?.recovery?.recoverable_until ?? '') > Date.now() + 6 * 86_400_000)

  const recovered = await api.recoverProjectBranch(project.id, child.branch.id)
  assert.equal(recovered.status, 200)
  assert.equal(recovered.data.branch.current_state, 'ready')
  assert.deepEqual(
    recovered.data.endpoints?.map(({ id, current_state }) => ({ id, current_state })),
    [{ id: child.endpointId, current_state: 'idle' }],
  )
  assert.deepEqual(await query(child.uri, 'select n from t'), [{ n: 7 }])
  await assertRefused(api.recoverProjectBranch(project.id, child.branch.id), 422, /not deleted/)
})

test('the deletion of a sleeping branch suspends nothing, and its name is free at once', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'again' } }))
  const deleted = await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: branch.id }))
  assert.deepEqual(actionsOf(deleted), ['delete_timeline'])
  const { branch: second } = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'again' } }))
  await assertRefused(api.recoverProjectBranch(project.id, branch.id), 409, /already exists/)
  await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: second.id, hard_delete: true }))
  assert.equal((await api.recoverProjectBranch(project.id, branch.id)).data.branch.name, 'again')
})

test('a hard deletion takes the data from the disk and nothing brings it back', async () => {
  const project = await makeProject(server)
  const child = await makeChild(project, { name: 'dust' })
  const [row] = await query<{ folder: string }>(child.uri, `select current_setting('data_directory') as folder`)
  const folder = row?.folder ?? ''
  assert.ok(await isThere(folder), folder)
  await settled(
    server,
    api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id, hard_delete: true }),
  )
  await eventually('the folder to be gone', async () => !(await isThere(folder)))
  const { data } = await api.listProjectBranches({ projectId: project.id, search: 'dust', include_deleted: true })
  assert.deepEqual(data.branches, [])
  await assertRefused(api.recoverProjectBranch(project.id, child.branch.id), 404, /branch not found/)
  const again = await api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id })
  assert.equal(again.status, 204)
  assert.equal(await loginError(child.uri), '28000')
  assert.equal(await loginError(project.uri), undefined)
})

test('a soft deletion can be made a hard one', async () => {
  const project = await makeProject(server)
  const child = await makeChild(project)
  const [row] = await query<{ folder: string }>(child.uri, `select current_setting('data_directory') as folder`)
  await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id }))
  assert.ok(await isThere(row?.folder ?? ''), 'what can be recovered stays')
  const hard = await api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id, hard_delete: true })
  assert.equal(hard.status, 204)
  await eventually('the folder to be gone', async () => !(await isThere(row?.folder ?? '')))
})

test('what has no answer yet is refused before anything is written', async () => {
  const project = await makeProject(server)
  const refused: [body: BranchCreateRequest, status: number, message: RegExp][] = [
    [{ branch: { parent_id: 'br-no-such-00000000' } }, 404, /parent branch not found/],
    [{ branch: { parent_lsn: '0/1DE2850' } }, 501, /parent_lsn/],
    [{ branch: { parent_timestamp: '2026-01-01T00:00:00Z' } }, 501, /parent_timestamp/],
    [{ branch: { init_source: 'schema-only' } }, 501, /schema-only/],
    [{ branch: { expires_at: '2030-01-01T00:00:00Z' } }, 501, /expires_at/],
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
