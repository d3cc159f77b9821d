// What may be done with a branch: listed, renamed, made the default, protected, deleted, recovered.

import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import type { Branch } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import { actionsOf, assertRefused, makeChild, makeProject, settled, type NeonApi } from '../support/neon.ts'
import { loginError, query } from '../support/postgres.ts'
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

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

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

  assert.deepEqual(await names({ sort_by: 'created_at', sort_order: 'asc' }), [
    'main',
    'bravo',
    'alpha',
    'Charlie 100%',
  ])
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
  await assertRefused(
    api.updateProjectBranch(project.id, branch.id, { branch: { name: 'main' } }),
    409,
    /already exists/,
  )
  // To its own name.
  assert.equal((await api.updateProjectBranch(project.id, branch.id, { branch: { name } })).status, 200)
  const other = await makeProject(server)
  await settled(server, api.createProjectBranch(other.id, { branch: { name } }))
})

test('exactly one branch is the default, and the default stays', async () => {
  const project = await makeProject(server)
  const child = await makeChild(server, project, { name: 'next' })
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
  const { branch: leaf } = await settled(
    server,
    api.createProjectBranch(project.id, { branch: { parent_id: branch.id } }),
  )
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
  const child = await makeChild(server, project, { name: 'ghost' })
  await query(child.uri, 'create table t as select 7 as n')
  const deleted = await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id }))
  assert.deepEqual(actionsOf(deleted), ['suspend_compute', 'delete_timeline'])
  assert.equal(deleted.operations[0]?.status, 'running')
  assert.equal(deleted.operations[0]?.endpoint_id, child.endpointId)
  assert.equal(deleted.operations[1]?.status, 'scheduling')
  assert.equal(deleted.branch.pending_state, 'storage_deleted')
  await assertRefused(api.getProjectBranch(project.id, child.branch.id), 404, /branch not found/)
  await assertRefused(api.getProjectEndpoint(project.id, child.endpointId), 404, /endpoint not found/)
  assert.equal(await loginError(child.uri), '28P01')
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
  const child = await makeChild(server, project, { name: 'dust' })
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
  assert.equal(await loginError(child.uri), '28P01')
  assert.equal(await loginError(project.uri), undefined)
})

test('a soft deletion can be made a hard one', async () => {
  const project = await makeProject(server)
  const child = await makeChild(server, project)
  const [row] = await query<{ folder: string }>(child.uri, `select current_setting('data_directory') as folder`)
  await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id }))
  assert.ok(await isThere(row?.folder ?? ''), 'what can be recovered stays')
  const hard = await api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id, hard_delete: true })
  assert.equal(hard.status, 204)
  await eventually('the folder to be gone', async () => !(await isThere(row?.folder ?? '')))
})
