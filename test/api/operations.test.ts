// Operations: what clients poll, what the history shows, and how one that failed ends.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import { assertRefused, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { loginError } from '../support/postgres.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject

before(async () => {
  const failing = ['create_database.apply_config.before', 'create_branch.start_compute.after']
  server = await startServer({
    env: { PGROVE_STORAGE: 'copy', PGROVE_FAILPOINTS: failing.map((name) => `${name}=error`).join(';') },
  })
  api = apiClient(server)
  project = await makeProject(server)
})
after(() => server[Symbol.asyncDispose]())

async function listAll(limit: number): Promise<Operation[]> {
  const found: Operation[] = []
  let cursor: string | undefined
  for (let page = 0; page < 100; page++) {
    const { data } = await api.listProjectOperations({
      projectId: project.id,
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    })
    if (data.operations.length === 0) return found
    assert.ok(data.operations.length <= limit)
    found.push(...data.operations)
    cursor = data.pagination?.cursor
    assert.ok(cursor, 'every page that is not empty says where the next begins')
  }
  return assert.fail('the list has no end')
}

/** Waits for the last operation, however it ends. */
async function ended(operations: Operation[]): Promise<Operation[]> {
  return await eventually('the operations to end', async () => {
    const now = await Promise.all(operations.map(({ project_id, id }) => api.getProjectOperation(project_id, id)))
    const all = now.map(({ data }) => data.operation)
    return all.every(({ status }) => ['finished', 'error', 'cancelled', 'skipped'].includes(status)) && all
  })
}

test('an operation is followed from its answer to its end', async () => {
  const { data } = await api.suspendProjectEndpoint(project.id, project.endpointId)
  const [scheduled] = data.operations
  assert.ok(scheduled)
  assert.equal(scheduled.status, 'running')
  const [finished] = await ended(data.operations)
  assert.equal(finished?.id, scheduled.id)
  assert.equal(finished?.status, 'finished')
  assert.equal(finished?.action, 'suspend_compute')
  assert.equal(finished?.branch_id, project.branchId)
  assert.equal(finished?.endpoint_id, project.endpointId)
  assert.equal(finished?.failures_count, 0)
  assert.equal(finished?.error, undefined)
  assert.ok(Number.isInteger(finished?.total_duration_ms))
  assert.ok((finished?.updated_at ?? '') >= (finished?.created_at ?? ''))
})

test('the history is newest first, whatever the page, and has what nobody asked for too', async () => {
  assert.equal(await loginError(project.uri), undefined)
  const actions = async (): Promise<string[]> => (await listAll(1000)).map(({ action }) => action)
  // Of the wake: it is written down after the fact.
  await eventually('the wake to be in the history', async () => (await actions())[0] === 'start_compute')
  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'one_more' } }))
  assert.deepEqual(await actions(), [
    'apply_config',
    'start_compute',
    'suspend_compute',
    'start_compute',
    'create_timeline',
  ])
  const all = await listAll(1000)
  for (const limit of [1, 2, 3, 5]) {
    const paged = await listAll(limit)
    assert.deepEqual(
      paged.map(({ id }) => id),
      all.map(({ id }) => id),
      `in pages of ${limit}`,
    )
  }
  const times = all.map(({ created_at }) => created_at)
  assert.deepEqual(times, times.toSorted().toReversed())
})

test('pages that cannot be are refused', async () => {
  const list = (query: { limit?: number; cursor?: string }) =>
    api.listProjectOperations({ projectId: project.id, ...query })
  await assertRefused(list({ limit: 0 }), 400, /limit/)
  await assertRefused(list({ limit: 1001 }), 400, /limit/)
  await assertRefused(list({ cursor: 'nonsense' }), 400, /cursor/)
  await assertRefused(list({ cursor: Buffer.from('{"id":"x"}').toString('base64url') }), 400, /cursor/)
  const id = crypto.randomUUID()
  const forged = [
    { created_at: '2026-01-01T00:00:00Z', id: 'no-uuid' },
    { created_at: '2026-01-01T00:00:00Z', id: 7 },
    { created_at: '2026-02-31T00:00:00Z', id },
    { created_at: '0000-01-01T00:00:00Z', id },
    { created_at: '2026-01-01T00:00:00+20:00', id },
    { created_at: 'infinity', id },
  ]
  for (const fields of forged) {
    const cursor = Buffer.from(JSON.stringify(fields)).toString('base64url')
    await assertRefused(list({ cursor }), 400, /cursor/)
  }
})

test('an operation that is not there, or is of another project, is not found', async () => {
  const other = await makeProject(server)
  const [foreign] = (await api.listProjectOperations({ projectId: other.id })).data.operations
  for (const id of [foreign?.id ?? '', crypto.randomUUID()]) {
    await assertRefused(api.getProjectOperation(project.id, id), 404, /operation not found/)
  }
  await assertRefused(api.getProjectOperation(project.id, 'op-123456'), 400, /operation_id/)
})

test('a change that Postgres never took ends as an error and is taken back', async () => {
  const { data } = await api.createProjectBranchDatabase(project.id, project.branchId, {
    database: { name: 'never', owner_name: project.role },
  })
  const [operation] = await ended(data.operations)
  assert.equal(operation?.status, 'error')
  assert.equal(typeof operation?.error, 'string')
  assert.ok((operation?.failures_count ?? 0) > 0, 'it was tried again')
  await eventually('the database to be forgotten', async () => {
    const { data: list } = await api.listProjectBranchDatabases(project.id, project.branchId)
    return list.databases.every(({ name }) => name !== 'never')
  })
  // The project is free for the next call.
  await settled(server, api.restartProjectEndpoint(project.id, project.endpointId))
})

test('a branch that could not be made is gone with all that belonged to it', async () => {
  const { data } = await api.createProjectBranch(project.id, {
    branch: { name: 'stillborn' },
    endpoints: [{ type: 'read_write' as never }],
  })
  const operations = await ended(data.operations)
  assert.deepEqual(
    operations.map(({ action, status }) => ({ action, status })),
    [
      { action: 'create_branch', status: 'finished' },
      { action: 'start_compute', status: 'error' },
    ],
  )
  await eventually('the branch to be gone', async () => {
    const { data: list } = await api.listProjectBranches({ projectId: project.id })
    return list.branches.length === 1
  })
  assert.deepEqual(
    (await api.listProjectEndpoints(project.id)).data.endpoints.map(({ id }) => id),
    [project.endpointId],
  )
  assert.ok((await loginError(data.connection_uris?.[0]?.connection_uri ?? '')) !== undefined)
  assert.equal(await loginError(project.uri), undefined)
})
