// What happens to branches and snapshots by themselves: they expire, and schedules make them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EndpointType, OperationAction } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { assertRefused, makeProject, settled, type NeonApi } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
})
after(() => server[Symbol.asyncDispose]())

/** In whole seconds, as the API keeps it. */
const inSeconds = (seconds: number): string =>
  new Date(Math.ceil(Date.now() / 1000 + seconds) * 1000).toISOString().replace('.000Z', 'Z')

test('a branch that expires goes by itself, and can be had back without its limit', async () => {
  const project = await makeProject(server)
  const expiresAt = inSeconds(2)
  const { branch } = await settled(
    server,
    api.createProjectBranch(project.id, { branch: { name: 'short', expires_at: expiresAt } }),
  )
  assert.equal(branch.expires_at, expiresAt)
  await eventually('it is gone', async () => {
    const { data } = await api.listProjectBranches({ projectId: project.id })
    return !data.branches.some(({ id }) => id === branch.id)
  })
  const { data } = await api.listProjectBranches({ projectId: project.id, include_deleted: true })
  assert.equal(data.branches.find(({ id }) => id === branch.id)?.recovery?.deletion_method, 'ttl')
  const recovered = (await api.recoverProjectBranch(project.id, branch.id)).data.branch
  assert.equal(recovered.expires_at, undefined)
})

test('a limit can be set, moved and cleared, and not on what others stand on', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'dev' } }))
  const update = (expires_at: string | null) =>
    api.updateProjectBranch(project.id, branch.id, { branch: { expires_at } })
  const tomorrow = inSeconds(86_400)
  const changed = (await update(tomorrow)).data.branch
  assert.equal(changed.expires_at, tomorrow)
  assert.ok(Math.abs((changed.ttl_interval_seconds ?? 0) - 86_400) < 10)
  await assertRefused(api.createProjectBranch(project.id, { branch: { parent_id: branch.id } }), 422, /expires/)
  await assertRefused(api.setDefaultProjectBranch(project.id, branch.id), 422, /expires/)
  await assertRefused(
    api.updateProjectBranch(project.id, branch.id, { branch: { protected: true } }),
    422,
    /clear its expires_at/,
  )
  assert.equal((await update(null)).data.branch.expires_at, undefined)
  await settled(server, api.createProjectBranch(project.id, { branch: { parent_id: branch.id, name: 'leaf' } }))
  await assertRefused(update(tomorrow), 422, /children/)
  await assertRefused(
    api.updateProjectBranch(project.id, project.branchId, { branch: { expires_at: tomorrow } }),
    422,
    /default/,
  )
})

test('a snapshot that expires goes by itself, with its files', async () => {
  const project = await makeProject(server)
  const { snapshot } = await settled(
    server,
    api.createSnapshot({ projectId: project.id, branchId: project.branchId, name: 'short', expires_at: inSeconds(2) }),
  )
  await eventually('it is gone', async () => {
    const { snapshots } = (await api.listSnapshots(project.id)).data
    return !snapshots.some(({ id }) => id === snapshot.id)
  })
  await assertNothingLeft(server)
})

test('what a schedule asks for is made, once, and kept for as long as it says', async () => {
  const project = await makeProject(server)
  await api.setSnapshotSchedule(project.id, project.branchId, {
    schedule: [{ frequency: 'daily', hour: 0, retention_seconds: 7200 }],
  })
  // As if pgrove had last looked three days ago.
  await withControlDatabase(server.home, (client) =>
    client.query(`update snapshot_schedules set done_until = now() - interval '3 days' where branch_id = $1`, [
      project.branchId,
    ]),
  )
  const [made] = await eventually(
    'it is made',
    async () => {
      const { snapshots } = (await api.listSnapshots(project.id)).data
      return snapshots.length > 0 ? snapshots : undefined
    },
    60_000,
  )
  assert.equal(made?.manual, false)
  const left = Date.parse(made?.expires_at ?? '') - Date.now()
  assert.ok(left > 7_000_000 && left <= 7_200_000, String(left))
  await assertNothingLeft(server)
  assert.equal((await api.listSnapshots(project.id)).data.snapshots.length, 1)
})

test('a branch with the schema only is a root that has no row of its parent, now or in its past', async () => {
  const project = await makeProject(server)
  await query(
    project.uri,
    'create table t (n integer primary key, s serial); insert into t select generate_series(1, 9)',
  )
  const made = await settled(
    server,
    api.createProjectBranch(project.id, {
      branch: { name: 'bare', init_source: 'schema-only' },
      endpoints: [{ type: EndpointType.ReadWrite }],
    }),
  )
  assert.equal(made.branch.parent_id, undefined)
  assert.equal(made.branch.init_source, 'schema-only')
  assert.ok(made.operations.some(({ action }) => action === OperationAction.ApplySchemaFromBranch))
  const uri = made.connection_uris?.[0]?.connection_uri ?? ''
  assert.deepEqual(await query(uri, 'select count(*)::integer as n from t'), [{ n: 0 }])
  assert.deepEqual(await query(uri, 'insert into t (n) values (1) returning s'), [{ s: 1 }])
  await assertRefused(
    api.createProjectBranch(project.id, { branch: { parent_id: made.branch.id, parent_lsn: '0/1000000' } }),
    400,
    /outside the history/,
  )
  assert.deepEqual(await query(project.uri, 'select count(*)::integer as n from t'), [{ n: 9 }])
})
