// One chain of operations a project at a time: who has to wait, who is refused, and who is not concerned.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, makeProject, refusal, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { changed, loginError, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, waitForOperations, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject

before(async () => {
  const pauses = { 'create_branch.create_branch.before': 4000, 'create_role.apply_config.before': 300 }
  const failpoints = Object.entries(pauses).map(([name, ms]) => `${name}=pause:${ms}`)
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_FAILPOINTS: failpoints.join(';') } })
  api = apiClient(server)
  project = await makeProject(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const prohibited = 'project already has running operations, scheduling of new ones is prohibited'

test('while a chain is at work, another one is refused in the words of Neon, and nothing of it is written', async () => {
  const { data } = await api.createProjectBranch(project.id, { branch: { name: 'slow' } })
  const locked = await refusal(api.createProjectBranch(project.id, { branch: { name: 'second' } }))
  assert.deepEqual(locked, { status: 423, code: '', message: prohibited, retryAfter: '1' })
  const others = [
    () => api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'r' } }),
    () => api.suspendProjectEndpoint(project.id, project.endpointId),
    () => api.deleteProject(project.id),
  ]
  const refused = await Promise.all(others.map((call) => refusal(call())))
  assert.deepEqual(
    refused.map(({ status, message }) => ({ status, message })),
    others.map(() => ({ status: 423, message: prohibited })),
  )

  // Who only looks, or changes no more than a row, does not wait.
  assert.equal((await api.getProject(project.id)).status, 200)
  assert.equal((await api.listProjectBranches({ projectId: project.id })).data.branches.length, 2)
  const renamed = await api.updateProjectBranch(project.id, project.branchId, { branch: { name: 'trunk' } })
  assert.deepEqual(renamed.data.operations, [])
  assert.equal((await api.startProjectEndpoint(project.id, project.endpointId)).data.operations.length, 0)
  const { data: operation } = await api.getProjectOperation(project.id, data.operations[0]?.id ?? '')
  assert.equal(operation.operation.status, 'running', 'all of this took place while the chain was at work')

  await waitForOperations(server, data.operations)
  const { data: list } = await api.listProjectBranches({ projectId: project.id, sort_by: 'name', sort_order: 'asc' })
  assert.deepEqual(
    list.branches.map(({ name }) => name),
    ['slow', 'trunk'],
  )
  const roles = (await api.listProjectBranchRoles(project.id, project.branchId)).data.roles
  assert.ok(roles.every(({ name }) => name !== 'r'))
})

test('a chain holds up neither other projects nor the wake of a branch it does not touch', async () => {
  const sleeper = await makeProject(server)
  await query(sleeper.uri, 'create table t as select 1 as n')
  await settled(server, api.suspendProjectEndpoint(sleeper.id, sleeper.endpointId))
  const { data } = await api.createProjectBranch(sleeper.id)
  assert.deepEqual(await query(sleeper.uri, 'select n from t'), [{ n: 1 }])
  const other = await makeProject(server)
  assert.equal(await loginError(other.uri), undefined)
  const { data: operation } = await api.getProjectOperation(sleeper.id, data.operations[0]?.id ?? '')
  assert.equal(operation.operation.status, 'running', 'both happened while the chain was at work')
  await waitForOperations(server, data.operations)
})

test('a call that comes a moment too early waits instead of being refused', async () => {
  const own = await makeProject(server)
  const create = (name: string) => api.createProjectBranchRole(own.id, own.branchId, { role: { name } })
  const [first, second] = await Promise.all([create('first'), create('second')])
  await waitForOperations(server, [...first.data.operations, ...second.data.operations])
  for (const { data } of [first, second]) {
    const uri = changed(own.uri, { role: data.role.name, password: data.role.password ?? '' })
    assert.equal(await loginError(uri), undefined)
  }
})

test('a call that is wrong is told so at once, however busy the project', async () => {
  const own = await makeProject(server)
  const { data } = await api.createProjectBranch(own.id, { branch: { name: 'busy' } })
  await assertRefused(api.createProjectBranch(own.id, { branch: { parent_id: 'br-no-such-00000000' } }), 404, /parent/)
  await assertRefused(api.createProjectBranch(own.id, { branch: { name: 'busy' } }), 409, /already exists/)
  await assertRefused(api.createProjectBranchRole(own.id, own.branchId, { role: { name: 'pg_x' } }), 400, /reserved/)
  const { data: operation } = await api.getProjectOperation(own.id, data.operations[0]?.id ?? '')
  assert.equal(operation.operation.status, 'running')
  await waitForOperations(server, data.operations)
})
