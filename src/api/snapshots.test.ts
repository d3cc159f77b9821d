import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Control } from '../control/control.ts'
import { silentLogger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import { parseLsn } from '../model/lsn.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { contractCacheFolder } from './contract/coverage-page.ts'
import { loadContract } from './contract/load.ts'
import * as fake from './fake-control.ts'
import { createApiServer } from './server.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })
const projectPath = `/projects/${fake.project.id}`
const branchPath = `${projectPath}/branches/${fake.rootBranch.id}`
const snapshotPath = `${projectPath}/snapshots/${fake.snapshot.id}`

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

function api(t: TestContext, control: Control) {
  const server = createApiServer({ control, contract, log: silentLogger, checkResponses: true })
  t.after(() => server.close())
  return async (method: Method, path: string, body?: object) => {
    const answer = await server.inject({
      method,
      url: `/api/v2${path}`,
      headers: { authorization: `Bearer ${fake.validKey}` },
      ...(body ? { payload: body } : {}),
    })
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() }
  }
}

/** A control plane that notes what it is asked for. */
function noting() {
  const inputs: unknown[] = []
  const note = (...input: unknown[]): void => void inputs.push(input)
  const plain = fake.fakeControl()
  const control = fake.fakeControl({
    branches: {
      restore: async (_caller, project, branch, input) => {
        note(project, branch, input)
        return await plain.branches.restore(_caller, project, branch, input)
      },
      finalizeRestore: async (_caller, project, branch, input) => {
        note(project, branch, input)
        return { operations: [fake.operation] }
      },
      setSnapshotSchedule: async (_caller, project, branch, schedule) => note(project, branch, schedule),
    },
    snapshots: {
      create: async (_caller, project, branch, input) => {
        note(project, branch, input)
        return { snapshot: fake.snapshot, operations: [fake.operation] }
      },
      update: async (_caller, project, snapshot, input) => {
        note(project, snapshot, input)
        return fake.snapshot
      },
      restore: async (caller, project, snapshot, input) => {
        note(project, snapshot, input)
        return await plain.snapshots.restore(caller, project, snapshot, input)
      },
    },
  })
  return { inputs, control }
}

const nothing = { name: undefined, lsn: undefined, timestamp: undefined, expiresAt: undefined, metadata: undefined }

test('the options of a new snapshot are taken from the query, from a body, and from the query where both have one', async (t) => {
  const { inputs, control } = noting()
  const call = api(t, control)
  const at = '2026-01-02T03:04:05.678Z'
  const calls: [query: string, body: object | undefined, input: object][] = [
    ['', undefined, {}],
    [
      '?name=version-1.0&expires_at=2030-12-31T23:59:59Z',
      undefined,
      { name: 'version-1.0', expiresAt: '2030-12-31T23:59:59Z' },
    ],
    ['?name=&lsn=0/1DE2850', undefined, { lsn: '0/1DE2850' }],
    ['', { timestamp: at, name: 'v1' }, { timestamp: at, name: 'v1' }],
    ['?name=q', { name: 'b', lsn: '0/1', metadata: { a: 'b' } }, { name: 'q', lsn: '0/1', metadata: { a: 'b' } }],
    ['', { name: null, expires_at: null, metadata: null }, {}],
  ]
  for (const [query, body] of calls) {
    assert.equal((await call('POST', `${branchPath}/snapshot${query}`, body)).status, 200, query)
  }
  assert.deepEqual(
    inputs,
    calls.map(([, , input]) => [fake.project.id, fake.rootBranch.id, { ...nothing, ...input }]),
  )
})

test('a body of the wrong shape is refused though the contract has none', async (t) => {
  const { inputs, control } = noting()
  const call = api(t, control)
  const refused: [method: Method, path: string, body: object, message: RegExp][] = [
    ['POST', `${branchPath}/snapshot`, { name: 7 }, /name \(must be string,null\)/],
    ['POST', `${branchPath}/snapshot`, { metadata: ['a'] }, /metadata/],
    ['POST', `${branchPath}/snapshot`, [], /body \(must be object\)/],
    ['PATCH', snapshotPath, { snapshot: { expires_at: 7 } }, /snapshot\.expires_at/],
    ['PATCH', snapshotPath, { snapshot: { name: 7 } }, /snapshot\.name/],
    ['PATCH', snapshotPath, { name: 'v2' }, /snapshot \(field required\)/],
    ['PUT', `${branchPath}/backup_schedule`, { schedule: [{ frequency: 'often' }] }, /schedule\.0\.frequency .*daily/],
    ['PUT', `${branchPath}/backup_schedule`, { schedule: [{ frequency: 'daily', hour: 24 }] }, /schedule\.0\.hour/],
    ['POST', `${branchPath}/restore`, {}, /source_branch_id \(field required\)/],
  ]
  for (const [method, path, body, message] of refused) {
    const answer = await call(method, path, body)
    assert.equal(answer.status, 400, JSON.stringify(body))
    assert.match(String(answer.body['message']), message)
  }
  assert.deepEqual(inputs, [])
})

test('a snapshot has the fields of the contract and those of the guide for agents', async (t) => {
  const asked: Snapshot = {
    ...fake.snapshot,
    requestedLsn: parseLsn('0/1DE2850'),
    requestedAt: fake.snapshot.pointAt,
    expiresAt: new Date('2030-12-31T23:59:59Z'),
    fullSizeBytes: undefined,
  }
  const call = api(t, fake.fakeControl({ snapshots: { list: async () => [fake.snapshot, asked] } }))
  const { snapshots } = (await call('GET', `${projectPath}/snapshots`)).body as { snapshots: object[] }
  const common = {
    id: fake.snapshot.id,
    name: 'v1',
    source_branch_id: fake.rootBranch.id,
    parent_id: fake.rootBranch.id,
    parent_lsn: '0/1DE2850',
    parent_timestamp: '2026-01-02T03:04:05.678Z',
    created_at: '2026-01-02T03:04:05Z',
    manual: true,
    metadata: { revision: 'a1b2c3' },
  }
  assert.deepEqual(snapshots, [
    { ...common, full_size: 30_000_000 },
    {
      ...common,
      lsn: '0/1DE2850',
      timestamp: '2026-01-02T03:04:05.678Z',
      expires_at: '2030-12-31T23:59:59Z',
    },
  ])
})

test('renaming leaves the expiry alone, and null clears it', async (t) => {
  const { inputs, control } = noting()
  const call = api(t, control)
  const changes = [{ name: 'v2' }, { expires_at: null }, { metadata: { a: 'b' } }]
  for (const snapshot of changes) assert.equal((await call('PATCH', snapshotPath, { snapshot })).status, 200)
  assert.deepEqual(
    inputs,
    [
      { name: 'v2', expiresAt: undefined, metadata: undefined },
      { name: undefined, expiresAt: null, metadata: undefined },
      { name: undefined, expiresAt: undefined, metadata: { a: 'b' } },
    ].map((input) => [fake.project.id, fake.snapshot.id, input]),
  )
})

test('a restore needs no body, and its name may stand in the query', async (t) => {
  const { inputs, control } = noting()
  const call = api(t, control)
  const body = { name: 'b', target_branch_id: fake.rootBranch.id, finalize_restore: true }
  const answers = [
    await call('POST', `${snapshotPath}/restore`),
    await call('POST', `${snapshotPath}/restore?name=q`),
    await call('POST', `${snapshotPath}/restore?name=q`, body),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  )
  const [{ body: answer } = { body: {} }] = answers
  const { branch, endpoints } = answer as { branch: Record<string, unknown>; endpoints: unknown[] }
  assert.ok(!('parent_id' in branch))
  const { restore_status: status, restored_from: from, restored_as: as, init_source: source } = branch
  assert.deepEqual([status, from, as, source], ['restored', fake.snapshot.id, fake.rootBranch.id, 'parent-data'])
  assert.equal(endpoints.length, 1)
  const common = { targetBranchId: undefined, finalize: false, creationSource: 'api' }
  assert.deepEqual(
    inputs,
    [
      { ...common, name: undefined },
      { ...common, name: 'q' },
      { ...common, name: 'b', targetBranchId: fake.rootBranch.id, finalize: true },
    ].map((input) => [fake.project.id, fake.snapshot.id, input]),
  )
})

test('branch restore, finalization and schedules reach control as they were sent', async (t) => {
  const { inputs, control } = noting()
  const call = api(t, control)
  const source = { source_branch_id: fake.childBranch.id, source_timestamp: '2026-01-02T03:04:05.678Z' }
  await call('POST', `${branchPath}/restore`, { ...source, preserve_under_name: 'before' })
  await call('POST', `${branchPath}/finalize_restore`)
  await call('POST', `${branchPath}/finalize_restore`, { name: 'before' })
  const set = await call('PUT', `${branchPath}/backup_schedule`, {
    schedule: [{ frequency: 'weekly', day: 1, hour: 2, retention_seconds: 3600 }],
  })
  assert.deepEqual(set, { status: 200, body: {} })
  assert.deepEqual((await call('GET', `${branchPath}/backup_schedule`)).body, {
    schedule: [{ frequency: 'daily', hour: 3, retention_seconds: 604_800 }],
  })
  assert.deepEqual(
    inputs,
    [
      {
        sourceBranchId: fake.childBranch.id,
        lsn: undefined,
        timestamp: source.source_timestamp,
        preserveUnderName: 'before',
      },
      { name: undefined },
      { name: 'before' },
      [{ frequency: 'weekly', hour: 2, day: 1, month: undefined, retentionSeconds: 3600 }],
    ].map((input) => [fake.project.id, fake.rootBranch.id, input]),
  )
})

test('a deletion is accepted', async (t) => {
  const { status, body } = await api(t, fake.fakeControl())('DELETE', snapshotPath)
  assert.equal(status, 202)
  assert.equal((body['operations'] as unknown[]).length, 1)
})

test('the paths without a project find it, and say nothing of what is not the caller’s', async (t) => {
  const { inputs, control } = noting()
  const call = api(t, control)
  const paths = [`/branches/${fake.rootBranch.id}/snapshot`, `/snapshots/${fake.snapshot.id}/restore`]
  for (const path of paths) assert.equal((await call('POST', path, { name: 'v1' })).status, 200, path)
  assert.deepEqual(
    inputs.map((input) => (input as unknown[]).slice(0, 2)),
    [
      [fake.project.id, fake.rootBranch.id],
      [fake.project.id, fake.snapshot.id],
    ],
  )
  const gone = (what: string) => Promise.reject(new AppError('not_found', `${what} not found`))
  const blind = api(
    t,
    fake.fakeControl({ aliases: { projectOfBranch: () => gone('branch'), projectOfSnapshot: () => gone('snapshot') } }),
  )
  for (const path of paths) {
    const { status, body } = await blind('POST', path)
    assert.equal(status, 404, path)
    assert.match(String(body['message']), /^(?:branch|snapshot) not found$/)
  }
  for (const path of ['/branches/a%00b/snapshot', '/branches/x/y/snapshot', '/snapshots//restore']) {
    assert.equal((await call('POST', path)).status, 404, path)
  }
})

test('a deleted branch says until when it can be had back, by the window that is configured', async (t) => {
  const deleted = { ...fake.childBranch, deletedAt: fake.childBranch.createdAt, deletionMethod: 'ttl' as const }
  const control = fake.fakeControl({
    branches: {
      list: async () => ({
        branches: [deleted, fake.rootBranch],
        creators: new Map(),
        usage: new Map(),
        next: undefined,
      }),
    },
  })
  control.recoveryWindowSeconds = 3600
  const { branches } = (await api(t, control)('GET', `${projectPath}/branches?include_deleted=true`)).body as {
    branches: Record<string, unknown>[]
  }
  assert.deepEqual(
    branches.map(({ recovery }) => recovery),
    [
      {
        deleted_at: '2026-01-02T03:04:05Z',
        recoverable_until: '2026-01-02T04:04:05Z',
        deletion_method: 'ttl',
      },
      undefined,
    ],
  )
})
