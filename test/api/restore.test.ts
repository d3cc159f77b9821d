// Restores: a snapshot as a branch to look at, a snapshot in the place of a branch, and a branch with other data than it had.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Branch, Endpoint } from '@neondatabase/api-client'
import {
  actionsOf,
  assertRefused,
  makeChild,
  makeProject,
  refusal,
  settled,
  type NeonApi,
  type TestProject,
} from '../support/neon.ts'
import { changed, connect, loginError, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, waitForOperations, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const tenant = { branch: { name: 'main' } }

/** A table whose rows tell the versions apart. */
async function makeApp(): Promise<TestProject> {
  const project = await makeProject(server, tenant)
  await query(project.uri, 'create table t (n int)')
  return project
}

const add = (uri: string, n: number) => query(uri, 'insert into t values ($1)', [n])

async function rows(uri: string): Promise<number[]> {
  return (await query<{ n: number }>(uri, 'select n from t order by n')).map(({ n }) => n)
}

async function snapshotOf(project: TestProject, branchId = project.branchId, name?: string): Promise<string> {
  const wanted = { projectId: project.id, branchId, ...(name === undefined ? {} : { name }) }
  return (await settled(server, api.createSnapshot(wanted))).snapshot.id
}

type RestoreBody = NonNullable<Parameters<NeonApi['restoreSnapshot']>[1]>

const restore = (project: TestProject, snapshotId: string, body?: RestoreBody) =>
  settled(server, api.restoreSnapshot({ projectId: project.id, snapshotId }, body))

const branchOf = async (project: TestProject, id: string): Promise<Branch> =>
  (await api.getProjectBranch(project.id, id)).data.branch

async function branches(project: TestProject): Promise<Map<string, Branch>> {
  const { data } = await api.listProjectBranches({ projectId: project.id })
  return new Map(data.branches.map((branch) => [branch.name, branch]))
}

const endpointsOf = async (project: TestProject, branchId: string): Promise<Endpoint[]> =>
  (await api.listProjectBranchEndpoints(project.id, branchId)).data.endpoints

async function uriOf(project: TestProject, branchId: string): Promise<string> {
  const { data } = await api.getConnectionUri({
    projectId: project.id,
    branch_id: branchId,
    database_name: project.database,
    role_name: project.role,
  })
  return data.uri
}

const remove = (project: TestProject, branchId: string) =>
  settled(server, api.deleteProjectBranch({ projectId: project.id, branchId }))

/** Where the log is now, and a moment after everything that is committed. */
async function pointOf(uri: string): Promise<{ lsn: string; timestamp: string }> {
  const [row] = await query<{ lsn: string; at: Date }>(
    uri,
    `select pg_current_wal_lsn()::text as lsn, clock_timestamp() + interval '2 ms' as at, pg_sleep(0.01)`,
  )
  return { lsn: row?.lsn ?? '', timestamp: row?.at.toISOString() ?? '' }
}

test('a preview is a root with an endpoint of its own, and nothing happens to the branch that it is of', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  await using session = await connect(project.uri)
  await session.query('insert into t values (2)')

  const { status, data } = await api.restoreSnapshot(
    { projectId: project.id, snapshotId },
    { name: 'preview-version-1.0', finalize_restore: false },
  )
  assert.equal(status, 200)
  const [endpoint] = data.endpoints ?? []
  assert.equal(data.branch.name, 'preview-version-1.0')
  assert.equal(data.branch.current_state, 'init')
  assert.ok(!('parent_id' in data.branch))
  assert.deepEqual(
    data.operations.map(({ action, status, branch_id, endpoint_id }) => ({ action, status, branch_id, endpoint_id })),
    [
      {
        action: 'timeline_unarchive',
        status: 'running',
        branch_id: data.operations[0]?.branch_id,
        endpoint_id: undefined,
      },
      { action: 'create_branch', status: 'scheduling', branch_id: data.branch.id, endpoint_id: undefined },
      { action: 'start_compute', status: 'scheduling', branch_id: data.branch.id, endpoint_id: endpoint?.id },
    ],
  )
  await waitForOperations(server, data.operations)

  const branch = await branchOf(project, data.branch.id)
  assert.equal(branch.current_state, 'ready')
  assert.ok(!('parent_id' in branch))
  assert.match(branch.parent_lsn ?? '', /^[0-9A-F]+\/[0-9A-F]+$/)
  assert.equal(branch.init_source, 'parent-data')
  assert.equal(branch.restore_status, 'restored')
  assert.equal(branch.restored_from, snapshotId)
  assert.equal(branch.restored_as, project.branchId)
  assert.deepEqual([branch.default, branch.protected], [false, false])
  const [own, ...others] = await endpointsOf(project, branch.id)
  assert.deepEqual(others, [])
  assert.notEqual(own?.id, project.endpointId)
  assert.deepEqual([own?.type, own?.current_state], ['read_write', 'active'])

  const preview = await uriOf(project, branch.id)
  assert.equal(new URL(preview).password, project.password)
  assert.deepEqual(await rows(preview), [1])
  await add(preview, 10)
  assert.equal(session.ended(), undefined, 'the session on the branch has lived through all this')
  assert.deepEqual(await session.query('select n from t order by n'), [{ n: 1 }, { n: 2 }])
  assert.deepEqual([...(await branches(project)).keys()].toSorted(), ['main', 'preview-version-1.0'])
  await remove(project, branch.id)
  assert.deepEqual([...(await branches(project)).keys()], ['main'])
})

test('a preview without a name gets one, in the query it is older and counts, and a taken one is refused', async () => {
  const project = await makeApp()
  const snapshotId = await snapshotOf(project)
  const [first, second] = [await restore(project, snapshotId), await restore(project, snapshotId)]
  assert.notEqual(first.branch.name, '')
  assert.notEqual(first.branch.name, second.branch.name)
  const older = await settled(server, api.restoreSnapshot({ projectId: project.id, snapshotId, name: 'older' }))
  assert.equal(older.branch.name, 'older')
  const taken = { projectId: project.id, snapshotId }
  await assertRefused(api.restoreSnapshot(taken, { name: 'main' }), 409, /already exists/)
  await assertRefused(api.restoreSnapshot(taken, { name: 'x'.repeat(257) }), 400, /name/)
  await assertRefused(api.restoreSnapshot({ ...taken, snapshotId: 'snap-no-such-00000000' }), 404, /snapshot not found/)
  await assertRefused(
    api.restoreSnapshot(taken, { target_branch_id: 'br-no-such-00000000' }),
    404,
    /target branch not found/,
  )
})

test('a finalized restore gives one connection string the older data, and keeps the newer as "(old)"', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  await add(project.uri, 2)
  await settled(server, api.updateProjectBranch(project.id, project.branchId, { branch: { protected: true } }))
  const child = await makeChild(server, project, { name: 'child' })
  const [endpointBefore] = await endpointsOf(project, project.branchId)
  await using session = await connect(project.uri)

  const { data } = await api.restoreSnapshot(
    { projectId: project.id, snapshotId },
    { name: `restored_${Date.now()}`, finalize_restore: true, target_branch_id: project.branchId },
  )
  assert.deepEqual(actionsOf(data), ['timeline_unarchive', 'create_branch', 'suspend_compute', 'start_compute'])
  assert.equal(data.operations[0]?.status, 'running')
  assert.equal(data.operations[2]?.endpoint_id, project.endpointId)
  await waitForOperations(server, data.operations)

  const now = await branches(project)
  assert.deepEqual([...now.keys()].toSorted(), ['child', 'main', 'main (old)'])
  const [main, old] = [now.get('main'), now.get('main (old)')]
  assert.equal(main?.id, data.branch.id)
  assert.equal(old?.id, project.branchId)
  assert.deepEqual([main?.default, main?.protected, old?.default, old?.protected], [true, true, false, false])
  assert.deepEqual([main?.restore_status, main?.restored_from], ['finalized', snapshotId])
  assert.equal(main?.restored_as, project.branchId)
  assert.ok(main && !('parent_id' in main))
  assert.equal(old?.restore_status, undefined)
  assert.equal(now.get('child')?.parent_id, old?.id, 'children stay with the branch that they are of')

  const [endpointAfter, ...others] = await endpointsOf(project, main.id)
  assert.deepEqual(others, [])
  assert.equal(endpointAfter?.id, project.endpointId)
  assert.equal(endpointAfter?.host, endpointBefore?.host)
  assert.deepEqual(await endpointsOf(project, old?.id ?? ''), [])
  assert.deepEqual(await rows(project.uri), [1])
  assert.deepEqual(
    await session.query('select n from t order by n'),
    [{ n: 1 }],
    'a session goes on, with the data of now',
  )
  assert.deepEqual(await rows(child.uri), [1, 2])
  const [snapshot] = (await api.listSnapshots(project.id)).data.snapshots
  assert.equal(snapshot?.source_branch_id, project.branchId)

  await assertRefused(
    api.deleteProjectBranch({ projectId: project.id, branchId: project.branchId }),
    422,
    /has children/,
  )
  await remove(project, child.branch.id)
  await remove(project, project.branchId)
  assert.deepEqual(await rows(project.uri), [1])
  await add(project.uri, 3)
  assert.deepEqual(await rows(project.uri), [1, 3])
})

test('what was replaced can be read through an endpoint of its own', async () => {
  const project = await makeApp()
  const snapshotId = await snapshotOf(project)
  await add(project.uri, 2)
  await restore(project, snapshotId, { finalize_restore: true })
  const old = (await branches(project)).get('main (old)')
  assert.ok(old)
  const endpoint = { branch_id: old.id, type: 'read_write' }
  const made = await request(server, 'POST', `/projects/${project.id}/endpoints`, { endpoint })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  await waitForOperations(server, made.body['operations'] as { id: string; project_id: string }[])
  assert.deepEqual(await rows(await uriOf(project, old.id)), [2])
  assert.deepEqual(await rows(project.uri), [])
})

test('a sleeping branch is replaced too, and wakes with the older data', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  await add(project.uri, 2)
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  await restore(project, snapshotId, { finalize_restore: true })
  assert.deepEqual(await rows(project.uri), [1])
})

test('names that are taken get a suffix, and the restore goes on', async () => {
  const project = await makeApp()
  const [first, second] = [await snapshotOf(project), await snapshotOf(project)]
  await settled(server, api.createProjectBranch(project.id, { branch: { name: 'main (old)' } }))
  const { branch } = await restore(project, first, { finalize_restore: true })
  await restore(project, second, { finalize_restore: true, target_branch_id: branch.id })
  const names = [...(await branches(project)).keys()].toSorted()
  assert.equal(names.length, 4)
  assert.equal(new Set(names).size, 4)
  assert.ok(names.includes('main'))
  assert.ok(names.every((name) => name.startsWith('main')))
})

test('a preview is finalized later, under the address of what it replaces', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  await add(project.uri, 2)
  const { branch } = await restore(project, snapshotId, { name: 'preview' })
  const preview = await uriOf(project, branch.id)
  await add(preview, 10)
  const { status, data } = await api.finalizeRestoreBranch(project.id, branch.id, { name: 'before' })
  assert.equal(status, 200)
  assert.deepEqual(Object.keys(data), ['operations'])
  assert.deepEqual(actionsOf(data), ['suspend_compute', 'start_compute'])
  await waitForOperations(server, data.operations)

  const now = await branches(project)
  assert.deepEqual([...now.keys()].toSorted(), ['before', 'main'])
  assert.equal(now.get('main')?.id, branch.id)
  assert.equal(now.get('main')?.restore_status, 'finalized')
  assert.equal(now.get('main')?.default, true)
  assert.equal(now.get('before')?.id, project.branchId)
  const endpoints = await endpointsOf(project, branch.id)
  assert.ok(endpoints.some(({ id }) => id === project.endpointId))
  assert.deepEqual(await rows(project.uri), [1, 10])

  await assertRefused(api.finalizeRestoreBranch(project.id, branch.id), 422, /finalized already/)
  await assertRefused(api.finalizeRestoreBranch(project.id, project.branchId), 422, /restored from a snapshot/)
  await assertRefused(api.finalizeRestoreBranch(project.id, 'br-no-such-00000000'), 404, /branch not found/)
})

test('the target that a preview names is what its finalization replaces', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  const dev = await makeChild(server, project, { name: 'dev' })
  await add(dev.uri, 2)
  const { branch } = await restore(project, snapshotId, { target_branch_id: dev.branch.id })
  assert.equal(branch.restored_as, dev.branch.id)
  await settled(server, api.finalizeRestoreBranch(project.id, branch.id))
  const now = await branches(project)
  assert.deepEqual([...now.keys()].toSorted(), ['dev', 'dev (old)', 'main'])
  assert.equal(now.get('dev')?.id, branch.id)
  assert.equal(now.get('dev (old)')?.id, dev.branch.id)
  assert.equal(now.get('main')?.default, true)
  assert.deepEqual(await rows(dev.uri), [1])
  const [endpoint] = await endpointsOf(project, branch.id)
  assert.equal(endpoint?.id, dev.endpointId)
})

test('without a target, what is replaced is the branch of the snapshot, wherever that is by now', async () => {
  const project = await makeApp()
  const [first, second] = [await snapshotOf(project), await snapshotOf(project)]
  await add(project.uri, 1)
  const { branch: production } = await restore(project, first, { finalize_restore: true })
  await add(project.uri, 5)
  const { branch } = await restore(project, second, { finalize_restore: true })
  const now = await branches(project)
  assert.equal(now.get('main')?.id, production.id, 'production is not touched')
  assert.equal(now.get('main (old)')?.id, branch.id)
  assert.equal(now.size, 3)
  assert.deepEqual(await rows(project.uri), [5])
})

test('versions go back and forth behind one connection string, while the leftovers go', async () => {
  const project = await makeApp()
  const versions = new Map<number, string>()
  for (const n of [1, 2, 3]) {
    await query(project.uri, `alter table t add column c${n} int default ${n}`)
    await add(project.uri, n)
    versions.set(n, await snapshotOf(project, project.branchId, `v${n}`))
  }
  let current = project.branchId
  for (const n of [1, 3, 2, 1]) {
    const body = { finalize_restore: true, target_branch_id: current }
    const { branch } = await restore(project, versions.get(n) ?? '', body)
    assert.equal((await branches(project)).get('main')?.id, branch.id)
    await remove(project, current)
    current = branch.id
    const expected = Array.from({ length: n }, (_, i) => i + 1)
    assert.deepEqual(await rows(project.uri), expected)
    const [{ columns } = { columns: 0 }] = await query<{ columns: number }>(
      project.uri,
      `select count(*)::int as columns from information_schema.columns where table_name = 't'`,
    )
    assert.equal(columns, 1 + n)
  }
  const { snapshots } = (await api.listSnapshots(project.id)).data
  assert.deepEqual(
    snapshots.map(({ name }) => name),
    ['v3', 'v2', 'v1'],
  )
  // A version that was gone back to can be a version again.
  await add(project.uri, 7)
  const again = await snapshotOf(project, current, 'v4')
  await add(project.uri, 8)
  await restore(project, again, { finalize_restore: true, target_branch_id: current })
  assert.deepEqual(await rows(project.uri), [1, 7])
})

test('roles and passwords come back with the data', async () => {
  const project = await makeApp()
  const { role } = await settled(
    server,
    api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'reader' } }),
  )
  const reader = changed(project.uri, { role: 'reader', password: role.password ?? '' })
  const snapshotId = await snapshotOf(project)
  await settled(server, api.resetProjectBranchRolePassword(project.id, project.branchId, 'reader'))
  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'late' } }))
  assert.equal(await loginError(reader), '28P01')
  const { branch } = await restore(project, snapshotId, { finalize_restore: true })
  assert.equal(await loginError(reader), undefined)
  const { roles } = (await api.listProjectBranchRoles(project.id, branch.id)).data
  assert.deepEqual(roles.map(({ name }) => name).toSorted(), [project.role, 'reader'].toSorted())
  const { data } = await api.getProjectBranchRolePassword(project.id, branch.id, 'reader')
  assert.equal(data.password, role.password)
  const known = await query<{ name: string }>(
    project.uri,
    `select rolname as name from pg_roles where rolname in ('reader', 'late')`,
  )
  assert.deepEqual(known, [{ name: 'reader' }])
})

test('what SQL has made comes back like what the API has made', async () => {
  const project = await makeApp()
  await query(project.uri, `create role by_sql login password 'a-long-enough-password'`)
  await query(project.uri, 'create database sql_db')
  await query(changed(project.uri, { database: 'sql_db' }), 'create table there as select 1 as n')
  const snapshotId = await snapshotOf(project)
  await query(project.uri, 'drop database sql_db')
  await query(project.uri, 'drop role by_sql')
  const { branch } = await restore(project, snapshotId, { finalize_restore: true })
  const { databases } = (await api.listProjectBranchDatabases(project.id, branch.id)).data
  assert.deepEqual(databases.map(({ name }) => name).toSorted(), [project.database, 'sql_db'].toSorted())
  const { roles } = (await api.listProjectBranchRoles(project.id, branch.id)).data
  assert.ok(roles.some(({ name }) => name === 'by_sql'))
  assert.deepEqual(await query(changed(project.uri, { database: 'sql_db' }), 'select n from there'), [{ n: 1 }])
  assert.equal(
    await loginError(changed(project.uri, { role: 'by_sql', password: 'a-long-enough-password' })),
    undefined,
  )
})

test('what was restored from a snapshot needs it no longer', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  const { branch } = await restore(project, snapshotId, { name: 'preview' })
  const preview = await uriOf(project, branch.id)
  await settled(server, api.deleteSnapshot(project.id, snapshotId))
  assert.deepEqual(await rows(preview), [1])
  await settled(server, api.finalizeRestoreBranch(project.id, branch.id))
  assert.deepEqual(await rows(project.uri), [1])
  await settled(server, api.restartProjectEndpoint(project.id, project.endpointId))
  assert.deepEqual(await rows(project.uri), [1])
})

test('a preview that is not finalized yet gets no other data, and none takes the place of a branch that is gone', async () => {
  const project = await makeApp()
  const snapshotId = await snapshotOf(project)
  const dev = await makeChild(server, project, { name: 'dev' })
  const { branch } = await restore(project, snapshotId, { name: 'preview', target_branch_id: dev.branch.id })
  await assertRefused(
    api.restoreProjectBranch(project.id, branch.id, { source_branch_id: project.branchId }),
    422,
    /restore from snapshot on target branch is still ongoing/,
  )
  await remove(project, dev.branch.id)
  await assertRefused(api.finalizeRestoreBranch(project.id, branch.id), 422, /gone/)
  assert.deepEqual([...(await branches(project)).keys()].toSorted(), ['main', 'preview'])
})

test('two previews of one snapshot take the place of one branch after the other', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  const first = await restore(project, snapshotId, { name: 'first' })
  const second = await restore(project, snapshotId, { name: 'second' })
  await settled(server, api.finalizeRestoreBranch(project.id, first.branch.id))
  await settled(server, api.finalizeRestoreBranch(project.id, second.branch.id))
  const now = await branches(project)
  assert.equal(now.get('main')?.id, first.branch.id, 'what the second is to replace is by now the old one')
  assert.equal(now.get('main (old)')?.id, second.branch.id)
  assert.equal(now.size, 3)
  assert.equal([...now.values()].filter((branch) => branch.default).length, 1)
  assert.deepEqual(await rows(project.uri), [1])
})

test('where the branch of a snapshot is gone, a finalized restore has to name its target', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const snapshotId = await snapshotOf(project)
  const { branch } = await restore(project, snapshotId, { finalize_restore: true })
  await remove(project, project.branchId)
  await add(project.uri, 2)
  await assertRefused(
    api.restoreSnapshot({ projectId: project.id, snapshotId }, { finalize_restore: true }),
    404,
    /target_branch_id/,
  )
  assert.deepEqual(await rows(project.uri), [1, 2])
  const preview = await restore(project, snapshotId)
  assert.equal(preview.branch.restored_as, undefined)
  await restore(project, snapshotId, { finalize_restore: true, target_branch_id: branch.id })
  assert.deepEqual(await rows(project.uri), [1])
})

test('a branch gets the head of another, with its own passwords and address', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const child = await makeChild(server, project, { name: 'dev' })
  await add(child.uri, 2)
  await add(project.uri, 3)
  const { role } = await settled(server, api.resetProjectBranchRolePassword(project.id, child.branch.id, project.role))
  const uri = changed(child.uri, { password: role.password ?? '' })
  await using session = await connect(uri)
  const { status, data } = await api.restoreProjectBranch(project.id, child.branch.id, {
    source_branch_id: project.branchId,
  })
  assert.equal(status, 200)
  assert.deepEqual([data.branch.id, data.branch.name], [child.branch.id, 'dev'])
  assert.equal(data.branch.current_state, 'resetting')
  assert.equal(data.branch.pending_state, 'ready')
  assert.deepEqual(actionsOf(data), ['suspend_compute', 'create_branch', 'delete_timeline', 'start_compute'])
  assert.equal(data.operations[0]?.status, 'running')
  await waitForOperations(server, data.operations)

  const branch = await branchOf(project, child.branch.id)
  assert.equal(branch.current_state, 'ready')
  assert.equal(branch.parent_id, project.branchId)
  assert.ok(Math.abs(Date.parse(branch.last_reset_at ?? '') - Date.now()) < 60_000)
  const [endpoint, ...others] = await endpointsOf(project, branch.id)
  assert.deepEqual([endpoint?.id, others], [child.endpointId, []])
  assert.deepEqual(await rows(uri), [1, 3])
  assert.deepEqual(await session.query('select n from t order by n'), [{ n: 1 }, { n: 3 }], 'a session goes on')
  assert.equal(await loginError(child.uri), '28P01', 'the password is the one it had before')
  assert.deepEqual(await rows(project.uri), [1, 3])
  assert.deepEqual([...(await branches(project)).keys()].toSorted(), ['dev', 'main'])

  await add(uri, 4)
  await settled(server, api.restoreProjectBranch(project.id, branch.id, { source_branch_id: project.branchId }))
  assert.deepEqual(await rows(uri), [1, 3], 'and again')
})

test('a branch gets another’s past', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const point = await pointOf(project.uri)
  await add(project.uri, 2)
  const child = await makeChild(server, project, { name: 'dev' })
  const source = { source_branch_id: project.branchId }
  for (const at of [{ source_lsn: point.lsn }, { source_timestamp: point.timestamp }]) {
    await add(child.uri, 10)
    await settled(server, api.restoreProjectBranch(project.id, child.branch.id, { ...source, ...at }))
    assert.deepEqual(await rows(child.uri), [1])
  }
})

test('a root goes back to its own past, and what it had stays as a root of its own', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const point = await pointOf(project.uri)
  await add(project.uri, 2)
  const restored = await settled(
    server,
    api.restoreProjectBranch(project.id, project.branchId, {
      source_branch_id: project.branchId,
      source_timestamp: point.timestamp,
      preserve_under_name: 'before',
    }),
  )
  assert.equal(restored.branch.id, project.branchId)
  const now = await branches(project)
  const [main, before] = [now.get('main'), now.get('before')]
  assert.ok(main && before && now.size === 2)
  assert.ok(!('parent_id' in main) && !('parent_id' in before))
  assert.deepEqual([main.default, before.default], [true, false])
  assert.deepEqual(await rows(project.uri), [1])
  assert.deepEqual(await endpointsOf(project, before.id), [])
  const made = await request(server, 'POST', `/projects/${project.id}/endpoints`, {
    endpoint: { branch_id: before.id, type: 'read_write' },
  })
  await waitForOperations(server, made.body['operations'] as { id: string; project_id: string }[])
  assert.deepEqual(await rows(await uriOf(project, before.id)), [1, 2])

  // What was preserved can be gone back to as well.
  await settled(server, api.restoreProjectBranch(project.id, project.branchId, { source_branch_id: before.id }))
  assert.deepEqual(await rows(project.uri), [1, 2])
})

test('what a child had lies between it and its parent, and its own children go along', async () => {
  const project = await makeApp()
  await add(project.uri, 1)
  const child = await makeChild(server, project, { name: 'dev' })
  await add(child.uri, 2)
  const point = await pointOf(child.uri)
  await add(child.uri, 3)
  const grandchild = await makeChild(server, project, { name: 'feature', parent_id: child.branch.id })
  const source = { source_branch_id: child.branch.id, source_lsn: point.lsn }
  const { branch } = await settled(
    server,
    api.restoreProjectBranch(project.id, child.branch.id, { ...source, preserve_under_name: 'dev before' }),
  )
  const now = await branches(project)
  const backup = now.get('dev before')
  assert.equal(branch.parent_id, backup?.id, 'the Neon CLI takes the backup from the answer')
  assert.equal(now.get('dev')?.parent_id, backup?.id)
  assert.equal(backup?.parent_id, project.branchId)
  assert.equal(now.get('feature')?.parent_id, backup?.id)
  assert.deepEqual(await rows(child.uri), [1, 2])
  assert.deepEqual(await rows(grandchild.uri), [1, 2, 3])
})

test('what cannot be restored is said, and nothing happens', async () => {
  const [project, other] = [await makeApp(), await makeProject(server)]
  await add(project.uri, 1)
  const point = await pointOf(project.uri)
  await add(project.uri, 2)
  const child = await makeChild(server, project, { name: 'dev' })
  const target = (branchId: string, body: Parameters<NeonApi['restoreProjectBranch']>[2]) =>
    api.restoreProjectBranch(project.id, branchId, body)
  const self = { source_branch_id: project.branchId }
  const lsn = { source_lsn: point.lsn }
  await assertRefused(target(project.branchId, self), 400, /source_lsn or source_timestamp/)
  await assertRefused(target(project.branchId, { ...self, preserve_under_name: 'b' }), 400, /source_lsn/)
  await assertRefused(target(project.branchId, { ...self, ...lsn }), 400, /preserve_under_name/)
  await assertRefused(
    target(project.branchId, { ...self, ...lsn, source_timestamp: point.timestamp, preserve_under_name: 'b' }),
    400,
    /not both/,
  )
  await assertRefused(target(project.branchId, { ...self, ...lsn, preserve_under_name: 'dev' }), 409, /already exists/)
  await assertRefused(target(project.branchId, { source_branch_id: child.branch.id }), 422, /has children/)
  await assertRefused(
    target(project.branchId, { ...self, source_lsn: '0/1', preserve_under_name: 'b' }),
    400,
    /from \d{4}-\S+ \([0-9A-F]+\/[0-9A-F]+\) to now/,
  )
  await assertRefused(
    target(child.branch.id, { source_branch_id: child.branch.id, ...lsn, preserve_under_name: 'b' }),
    400,
    /history of the branch/,
  )
  await assertRefused(target(child.branch.id, { source_branch_id: 'br-no-such-00000000' }), 404, /source branch/)
  await assertRefused(target(child.branch.id, { source_branch_id: other.branchId }), 404, /source branch/)
  await assertRefused(target('br-no-such-00000000', self), 404, /branch not found/)
  await api.updateProjectBranch(project.id, child.branch.id, { branch: { protected: true } })
  await assertRefused(target(child.branch.id, self), 422, /protected/)
  assert.deepEqual([...(await branches(project)).keys()].toSorted(), ['dev', 'main'])
  assert.equal((await branchOf(project, child.branch.id)).last_reset_at, undefined)
  assert.deepEqual(await rows(project.uri), [1, 2])
})

test('a time limit begins anew with a reset', async () => {
  const project = await makeApp()
  const at = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z')
  const child = await makeChild(server, project, { name: 'dev', expires_at: at })
  assert.equal(child.branch.expires_at, at)
  const interval = child.branch.ttl_interval_seconds ?? 0
  assert.ok(interval > 3500 && interval <= 3600, String(interval))
  // Its end is in whole seconds: in a second it has moved for certain.
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await settled(server, api.restoreProjectBranch(project.id, child.branch.id, { source_branch_id: project.branchId }))
  const branch = await branchOf(project, child.branch.id)
  assert.equal(branch.ttl_interval_seconds, interval)
  assert.ok(Date.parse(branch.expires_at ?? '') > Date.parse(at), branch.expires_at)
})

test('while a restore is at work, another call that would change the project is refused', async (t) => {
  const pauses = ['restore_snapshot.create_branch.before', 'restore_branch.create_branch.before']
  const failpoints = pauses.map((name) => `${name}=pause:3000`).join(';')
  await using own = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_FAILPOINTS: failpoints } })
  const api = apiClient(own)
  const project = await makeProject(own, tenant)
  await query(project.uri, 'create table t as select 1 as n')
  const { snapshot } = await settled(own, api.createSnapshot({ projectId: project.id, branchId: project.branchId }))
  const snapshotId = snapshot.id
  const child = await makeChild(own, project)
  const attempts = {
    'a snapshot': () => api.createSnapshot({ projectId: project.id, branchId: project.branchId }),
    'another restore': () => api.restoreSnapshot({ projectId: project.id, snapshotId }),
    'a branch restore': () =>
      api.restoreProjectBranch(project.id, child.branch.id, { source_branch_id: project.branchId }),
    'the deletion of the snapshot': () => api.deleteSnapshot(project.id, snapshotId),
  }
  const works = {
    'a snapshot restore': () => api.restoreSnapshot({ projectId: project.id, snapshotId }, { finalize_restore: true }),
    'a branch restore': () =>
      api.restoreProjectBranch(project.id, child.branch.id, { source_branch_id: project.branchId }),
  }
  for (const [work, start] of Object.entries(works)) {
    await t.test(work, async () => {
      const { data } = await start()
      // At once, since each waits a while before it is refused.
      const refused = await Promise.all(Object.values(attempts).map((attempt) => refusal(attempt())))
      for (const { status, message, retryAfter } of refused) {
        assert.equal(status, 423, message)
        assert.match(message, /already has running operations|restore from snapshot on target branch is still ongoing/)
        assert.equal(retryAfter, '1')
      }
      assert.equal((await api.listSnapshots(project.id)).data.snapshots.length, 1)
      await waitForOperations(own, data.operations)
    })
  }
  await assertQuiet(own)
})
