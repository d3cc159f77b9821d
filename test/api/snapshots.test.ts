// Snapshots: made of a branch's present or past, listed, changed, deleted, expired; and the paths that leave out their project.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation, Snapshot } from '@neondatabase/api-client'
import { parseLsn } from '../../src/model/lsn.ts'
import { eventually } from '../support/eventually.ts'
import {
  actionsOf,
  assertRefused,
  makeChild,
  makeProject,
  settled,
  type NeonApi,
  type TestProject,
} from '../support/neon.ts'
import { connect, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, waitForOperations, type Answer, type TestServer } from '../support/server.ts'

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

const tomorrow = (): string => new Date(Date.now() + 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z')

/** Beyond the contract. */
type OurSnapshot = Snapshot & {
  parent_id: string
  parent_lsn?: string
  parent_timestamp: string
  metadata: Record<string, string>
}
type Made = { snapshot: OurSnapshot; operations: Operation[] }

const pathOf = (project: TestProject): string => `/projects/${project.id}/branches/${project.branchId}/snapshot`

async function make(project: TestProject, body?: object, search = ''): Promise<Made> {
  const answer = await request(server, 'POST', `${pathOf(project)}${search}`, body)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  const made = answer.body as Made
  await waitForOperations(server, made.operations)
  return made
}

const list = async (project: TestProject): Promise<OurSnapshot[]> =>
  (await api.listSnapshots(project.id)).data.snapshots as OurSnapshot[]

function assertAnswer({ status, body }: Answer, wanted: number, message: RegExp): void {
  assert.equal(status, wanted, JSON.stringify(body))
  assert.match(String(body['message']), message)
}

/** What a branch restored from a snapshot says. */
async function rowsOf(project: TestProject, snapshotId: string): Promise<number[]> {
  const { branch } = await settled(server, api.restoreSnapshot({ projectId: project.id, snapshotId }))
  const { data } = await api.getConnectionUri({
    projectId: project.id,
    branch_id: branch.id,
    database_name: project.database,
    role_name: project.role,
  })
  const rows = await query<{ n: number }>(data.uri, 'select n from t order by n')
  await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: branch.id }))
  return rows.map(({ n }) => n)
}

test('a snapshot is made at once, by Neon’s operations on a branch that no list shows', async () => {
  const project = await makeProject(server)
  const { status, data } = await api.createSnapshot({
    projectId: project.id,
    branchId: project.branchId,
    name: 'version-1.0',
    expires_at: '2099-12-31T23:59:59Z',
  })
  assert.equal(status, 200)
  const snapshot = data.snapshot as OurSnapshot
  assert.match(snapshot.id, /^snap-[a-z]+-[a-z]+-[a-z0-9]{8}$/)
  assert.equal(snapshot.name, 'version-1.0')
  assert.equal(snapshot.source_branch_id, project.branchId)
  assert.equal(snapshot.expires_at, '2099-12-31T23:59:59Z')
  assert.equal(snapshot.manual, true)
  assert.ok(!('lsn' in snapshot) && !('timestamp' in snapshot), 'neither was asked for')
  assert.equal(snapshot.parent_id, project.branchId)
  assert.match(snapshot.parent_lsn ?? '', /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/)
  assert.ok(Math.abs(Date.parse(snapshot.parent_timestamp) - Date.now()) < 60_000)
  assert.deepEqual(
    data.operations.map(({ action, status }) => ({ action, status })),
    [
      { action: 'create_branch', status: 'running' },
      { action: 'timeline_archive', status: 'scheduling' },
    ],
  )
  const backing = data.operations[0]?.branch_id ?? ''
  assert.match(backing, /^br-/)
  assert.equal(data.operations[1]?.branch_id, backing)
  await waitForOperations(server, data.operations)
  const { branches } = (await api.listProjectBranches({ projectId: project.id })).data
  assert.deepEqual(
    branches.map(({ id }) => id),
    [project.branchId],
  )
  assert.deepEqual(await list(project), [snapshot])
})

test('its options come in the query or in a body, and the query counts where both have one', async () => {
  const project = await makeProject(server)
  const at = tomorrow()
  const inQuery = await make(project, undefined, `?name=query&expires_at=${encodeURIComponent(at)}`)
  const inBody = await make(project, { name: 'body', expires_at: at })
  const inBoth = await make(project, { name: 'body', expires_at: at, metadata: { a: 'b' } }, '?name=query')
  const inNeither = await make(project)
  const shown = [inQuery, inBody, inBoth].map(({ snapshot }) => [snapshot.name, snapshot.expires_at])
  assert.deepEqual(shown, [
    ['query', at],
    ['body', at],
    ['query', at],
  ])
  assert.deepEqual(inBoth.snapshot.metadata, { a: 'b' })
  assert.notEqual(inNeither.snapshot.name, '')
  assert.ok(!('expires_at' in inNeither.snapshot))
})

test('it holds what was committed before the call, and its source goes on being written', async () => {
  const project = await makeProject(server)
  await using session = await connect(project.uri)
  await session.query('create table t (n int); insert into t values (1)')
  const { data } = await api.createSnapshot({ projectId: project.id, branchId: project.branchId })
  await session.query('insert into t values (2)')
  await waitForOperations(server, data.operations)
  await session.query('insert into t values (3)')
  assert.equal(session.ended(), undefined)
  assert.deepEqual(await rowsOf(project, data.snapshot.id), [1])
  assert.deepEqual(await session.query('select count(*)::int as n from t'), [{ n: 3 }])
})

test('it can be of a place in the log, or of a moment, that is past', async () => {
  const project = await makeProject(server)
  await using session = await connect(project.uri)
  await session.query('create table t (n int); insert into t values (1)')
  const [first] = await session.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
  await session.query('insert into t values (2)')
  const [second] = await session.query<{ at: Date }>(`select clock_timestamp() + interval '2 ms' as at`)
  await session.query('select pg_sleep(0.01)')
  await session.query('insert into t values (3)')

  const lsn = first?.lsn ?? ''
  const atLsn = await make(project, undefined, `?lsn=${encodeURIComponent(lsn)}`)
  assert.equal(atLsn.snapshot.lsn, lsn)
  assert.ok(!('timestamp' in atLsn.snapshot))
  assert.deepEqual(await rowsOf(project, atLsn.snapshot.id), [1])

  const timestamp = second?.at.toISOString() ?? ''
  const atTime = await make(project, { timestamp })
  assert.equal(atTime.snapshot.timestamp, timestamp)
  assert.ok(!('lsn' in atTime.snapshot))
  assert.deepEqual(await rowsOf(project, atTime.snapshot.id), [1, 2])
})

test('what was committed before a client looked at its clock is in, though clocks of clients have milliseconds only', async () => {
  const project = await makeProject(server)
  await using session = await connect(project.uri)
  await session.query('create table t (n int)')
  for (let n = 0; n < 20; n++) {
    await session.query('insert into t values (1)')
    const timestamp = new Date().toISOString()
    const [row] = await session.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    await session.query('insert into t values (2)')
    const { snapshot } = await make(project, { timestamp })
    const point = parseLsn(snapshot.parent_lsn ?? '')
    const committed = parseLsn(row?.lsn ?? '')
    assert.ok(point && committed && point >= committed, `${timestamp}: ${snapshot.parent_lsn} is before ${row?.lsn}`)
    await settled(server, api.deleteSnapshot(project.id, snapshot.id))
  }
})

test('a sleeping branch is not woken for it', async () => {
  const project = await makeProject(server)
  await query(project.uri, 'create table t as select 1 as n')
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  const { snapshot } = await make(project)
  const { data } = await api.getProjectEndpoint(project.id, project.endpointId)
  assert.equal(data.endpoint.current_state, 'idle')
  assert.deepEqual(await rowsOf(project, snapshot.id), [1])
})

test('only branches without a parent have snapshots', async () => {
  const project = await makeProject(server)
  const child = await makeChild(server, project)
  const source = { projectId: project.id, branchId: child.branch.id }
  await assertRefused(api.createSnapshot(source), 422, /root branches/)
  await assertRefused(api.createSnapshot({ ...source, branchId: 'br-no-such-00000000' }), 404, /branch not found/)
  await assertRefused(
    api.createSnapshot({ projectId: 'no-such-00000000', branchId: project.branchId }),
    404,
    /project not found/,
  )
  assert.deepEqual(await list(project), [])
})

test('a branch that was restored from a snapshot is a root, and can have snapshots', async () => {
  const project = await makeProject(server)
  const { snapshot } = await make(project)
  const restored = await settled(server, api.restoreSnapshot({ projectId: project.id, snapshotId: snapshot.id }))
  const again = await settled(server, api.createSnapshot({ projectId: project.id, branchId: restored.branch.id }))
  assert.equal(again.snapshot.source_branch_id, restored.branch.id)
})

test('what is wrong is said, and leaves neither snapshot nor operation', async () => {
  const project = await makeProject(server)
  const operations = async (): Promise<number> =>
    (await api.listProjectOperations({ projectId: project.id })).data.operations.length
  const before = await operations()
  const now = new Date().toISOString()
  const tooMany = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`key${n}`, 'x']))
  const refused: [body: object, message: RegExp][] = [
    [{ lsn: '0/1DE2850', timestamp: now }, /not both/],
    [{ lsn: 'here' }, /LSN/],
    [{ timestamp: 'yesterday' }, /timestamp/],
    [{ timestamp: '2026-01-31T12:30:00' }, /time zone/],
    [{ timestamp: tomorrow() }, /future/],
    [{ name: '' }, /name/],
    [{ name: 'x'.repeat(257) }, /name/],
    [{ name: 7 }, /name/],
    [{ expires_at: 'soon' }, /expires_at/],
    [{ expires_at: '2030-12-31' }, /expires_at/],
    [{ expires_at: '2020-12-31T23:59:59Z' }, /expires_at.*future/],
    [{ metadata: { a: 7 } }, /metadata/],
    [{ metadata: { a: null } }, /metadata/],
    [{ metadata: ['a'] }, /metadata/],
    [{ metadata: 'a' }, /metadata/],
    [{ metadata: tooMany }, /metadata.*50/],
  ]
  for (const [body, message] of refused) {
    assertAnswer(await request(server, 'POST', pathOf(project), body), 400, message)
  }
  assert.deepEqual(await list(project), [])
  assert.equal(await operations(), before)
})

test('a point outside the history is refused with the history in the message', async () => {
  const project = await makeProject(server)
  const { created_at: createdAt } = (await api.getProject(project.id)).data.project
  const before = new Date(Date.parse(createdAt) - 3_600_000).toISOString()
  const outside: [search: string, what: RegExp][] = [
    [`?timestamp=${encodeURIComponent(before)}`, /timestamp/],
    ['?lsn=0/1', /0\/1/],
    ['?lsn=FFFFFFFF/FFFFFFFF', /FFFFFFFF\/FFFFFFFF/],
  ]
  for (const [search, what] of outside) {
    const answer = await request(server, 'POST', `${pathOf(project)}${search}`)
    assertAnswer(answer, 400, what)
    assertAnswer(answer, 400, /from \d{4}-\d\d-\d\dT\S+Z \([0-9A-F]+\/[0-9A-F]+\) to now \([0-9A-F]+\/[0-9A-F]+\)/)
  }
  assert.deepEqual(await list(project), [])
})

test('a list has the newest first, and those of its project only', async () => {
  const [project, other] = [await makeProject(server), await makeProject(server)]
  for (const name of ['one', 'two', 'three']) await make(project, { name })
  const { snapshot } = await make(other, { name: 'other' })
  const names = async (of: TestProject) => (await list(of)).map(({ name }) => name)
  assert.deepEqual(await names(project), ['three', 'two', 'one'])
  assert.deepEqual(await names(other), ['other'])
  const change = { snapshot: { name: 'stolen' } }
  await assertRefused(api.updateSnapshot(project.id, snapshot.id, change), 404, /snapshot not found/)
  await assertRefused(api.deleteSnapshot(project.id, snapshot.id), 404, /snapshot not found/)
  await assertRefused(
    api.restoreSnapshot({ projectId: project.id, snapshotId: snapshot.id }),
    404,
    /snapshot not found/,
  )
  await assertRefused(api.listSnapshots('no-such-00000000'), 404, /project not found/)
})

test('names repeat and change; an expiry is set and cleared; metadata is replaced', async () => {
  const project = await makeProject(server)
  const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`key${n}`, `значение ${n}`]))
  const { snapshot } = await make(project, { name: 'v1', metadata })
  assert.deepEqual(snapshot.metadata, metadata)
  const second = await make(project, { name: 'v1' })
  assert.notEqual(second.snapshot.id, snapshot.id)

  const path = `/projects/${project.id}/snapshots/${snapshot.id}`
  const change = async (to: object): Promise<OurSnapshot> => {
    const answer = await request(server, 'PATCH', path, { snapshot: to })
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body['snapshot'] as OurSnapshot
  }
  const at = tomorrow()
  assert.equal(
    (await api.updateSnapshot(project.id, snapshot.id, { snapshot: { name: 'v2' } })).data.snapshot.name,
    'v2',
  )
  assert.equal((await change({ expires_at: at })).expires_at, at)
  assert.equal((await change({ name: 'v3' })).expires_at, at, 'what is not named stays')
  assert.deepEqual((await change({ metadata: { revision: 'a1b2c3' } })).metadata, { revision: 'a1b2c3' })
  const cleared = await change({ expires_at: null })
  assert.ok(!('expires_at' in cleared))
  assert.deepEqual(
    (await list(project)).find(({ id }) => id === snapshot.id),
    { ...snapshot, name: 'v3', metadata: { revision: 'a1b2c3' } },
  )
  for (const to of [{ name: '' }, { expires_at: '2020-01-01T00:00:00Z' }, { metadata: { a: 1 } }, { expires_at: 7 }]) {
    assertAnswer(await request(server, 'PATCH', path, { snapshot: to }), 400, /name|expires_at|metadata/)
  }
})

test('a deletion is accepted once', async () => {
  const project = await makeProject(server)
  const { snapshot } = await make(project)
  const kept = await make(project)
  const { status, data } = await api.deleteSnapshot(project.id, snapshot.id)
  assert.equal(status, 202)
  assert.deepEqual(actionsOf(data), ['delete_timeline'])
  assert.deepEqual(
    (await list(project)).map(({ id }) => id),
    [kept.snapshot.id],
  )
  await waitForOperations(server, data.operations)
  await assertRefused(api.deleteSnapshot(project.id, snapshot.id), 404, /snapshot not found/)
  await assertRefused(
    api.restoreSnapshot({ projectId: project.id, snapshotId: snapshot.id }),
    404,
    /snapshot not found/,
  )
})

test('it outlives its branch, and can be deleted then too', async () => {
  const project = await makeProject(server)
  await query(project.uri, 'create table t as select 1 as n')
  const { snapshot } = await make(project)
  const replaced = await settled(
    server,
    api.restoreSnapshot({ projectId: project.id, snapshotId: snapshot.id }, { finalize_restore: true }),
  )
  const source = { projectId: project.id, branchId: project.branchId, hard_delete: true }
  await settled(server, api.deleteProjectBranch(source))
  const [still] = await list(project)
  assert.equal(still?.source_branch_id, project.branchId)
  const name = { name: 'still here' }
  assert.equal((await api.updateSnapshot(project.id, snapshot.id, { snapshot: name })).data.snapshot.name, 'still here')
  assert.deepEqual(await rowsOf({ ...project, branchId: replaced.branch.id }, snapshot.id), [1])
  await settled(server, api.deleteSnapshot(project.id, snapshot.id))
  assert.deepEqual(await list(project), [])
})

test('one whose time is over goes by itself', async () => {
  const project = await makeProject(server)
  const soon = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000).toISOString()
  await make(project, { name: 'short', expires_at: soon })
  await make(project, { name: 'long' })
  await eventually('the snapshot to expire', async () => (await list(project)).length === 1)
  assert.deepEqual(
    (await list(project)).map(({ name }) => name),
    ['long'],
  )
})

test('a schedule is kept as it was set, and an empty one is none', async () => {
  const project = await makeProject(server)
  const schedules = async () => (await api.getSnapshotSchedule(project.id, project.branchId)).data
  assert.deepEqual(await schedules(), { schedule: [] })
  const schedule = [
    { frequency: 'daily', hour: 3, retention_seconds: 604_800 },
    { frequency: 'weekly', day: 1, hour: 2 },
    { frequency: 'monthly', day: 31, hour: 0 },
  ]
  const { status, data } = await api.setSnapshotSchedule(project.id, project.branchId, { schedule })
  assert.deepEqual([status, data], [200, {}])
  assert.deepEqual(await schedules(), { schedule })
  await assertRefused(
    api.setSnapshotSchedule(project.id, project.branchId, { schedule: [{ frequency: 'often' }] }),
    400,
    /frequency/,
  )
  await assertRefused(
    api.setSnapshotSchedule(project.id, project.branchId, {
      schedule: [{ frequency: 'daily', retention_seconds: 60 }],
    }),
    400,
    /retention_seconds/,
  )
  assert.deepEqual(await schedules(), { schedule })
  await api.setSnapshotSchedule(project.id, project.branchId, { schedule: [] })
  assert.deepEqual(await schedules(), { schedule: [] })
  await assertRefused(api.getSnapshotSchedule(project.id, 'br-no-such-00000000'), 404, /branch not found/)
  const child = await makeChild(server, project)
  await assertRefused(api.setSnapshotSchedule(project.id, child.branch.id, { schedule }), 422, /root/)
})
