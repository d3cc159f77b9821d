// Each step of each chain fails for good: it is tried a bounded number of times, the operation ends as `error` and the later ones as `cancelled`,
// and what had been done is undone. The project is free for the next call.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { arm, CrashBench } from '../support/crash-bench.ts'
import { call, createBranch, createProject, settled, uriOf, withControlDatabase, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { request, type Answer, type TestServer } from '../support/server.ts'

type Failure = {
  failpoint: string
  /** Before anything fails. */
  prepare?: (server: TestServer, base: Made) => Promise<void>
  act: (server: TestServer, base: Made) => Promise<unknown>
  /** What the rows must look like afterwards. */
  check?: (server: TestServer, base: Made) => Promise<void>
}

const branchPath = ({ projectId, branchId }: Made): string => `/projects/${projectId}/branches/${branchId}`
const endpointPath = ({ projectId, endpointId }: Made): string => `/projects/${projectId}/endpoints/${endpointId}`

async function namesOf(server: TestServer, path: string, list: string): Promise<string[]> {
  const { body } = await call(server, 'GET', path)
  return (body[list] as { name: string }[]).map(({ name }) => name)
}

const lacks = (list: string, name: string) => async (server: TestServer, base: Made) => {
  assert.ok(!(await namesOf(server, `${branchPath(base)}/${list}`, list)).includes(name))
}
const keeps = (list: string, name: string) => async (server: TestServer, base: Made) => {
  assert.ok((await namesOf(server, `${branchPath(base)}/${list}`, list)).includes(name))
}

const makeProject = (failpoint: string): Failure => ({
  failpoint,
  act: (server) => call(server, 'POST', '/projects', { project: { name: 'doomed' } }),
  check: async (server) => {
    assert.ok(!(await namesOf(server, '/projects', 'projects')).includes('doomed'))
  },
})
const makeBranch = (failpoint: string): Failure => ({
  failpoint,
  act: (server, base) =>
    call(server, 'POST', `/projects/${base.projectId}/branches`, {
      branch: { name: 'doomed' },
      endpoints: [{ type: 'read_write' }],
    }),
  check: async (server, base) => {
    assert.ok(!(await namesOf(server, `/projects/${base.projectId}/branches`, 'branches')).includes('doomed'))
  },
})

const makeSnapshot = (server: TestServer, base: Made): Promise<Answer> =>
  call(server, 'POST', `${branchPath(base)}/snapshot`, { name: 'doomed' })
const snapshotIn = ({ body }: Answer): string => (body['snapshot'] as { id: string }).id
const hasNoSnapshot = async (server: TestServer, base: Made): Promise<void> => {
  assert.deepEqual(await namesOf(server, `/projects/${base.projectId}/snapshots`, 'snapshots'), [])
}
const hasOneBranch = async (server: TestServer, base: Made): Promise<void> => {
  assert.equal((await namesOf(server, `/projects/${base.projectId}/branches`, 'branches')).length, 1)
}

const createSnapshot = (failpoint: string): Failure => ({ failpoint, act: makeSnapshot, check: hasNoSnapshot })
/** What failed to be removed in its operation goes soon after. */
const deleteSnapshot = (failpoint: string): Failure => ({
  failpoint,
  async act(server, base) {
    const id = snapshotIn(await makeSnapshot(server, base))
    await settled(server)
    return await call(server, 'DELETE', `/projects/${base.projectId}/snapshots/${id}`)
  },
  check: hasNoSnapshot,
})

/** Its snapshot is made before anything fails, and goes when all is looked at. */
const restoring = (failpoint: string, body: object): Failure => {
  let id = ''
  const path = ({ projectId }: Made): string => `/projects/${projectId}/snapshots/${id}`
  return {
    failpoint,
    async prepare(server, base) {
      id = snapshotIn(await makeSnapshot(server, base))
      await settled(server)
    },
    act: (server, base) => call(server, 'POST', `${path(base)}/restore`, body),
    async check(server, base) {
      await hasOneBranch(server, base)
      await call(server, 'DELETE', path(base))
      await settled(server)
    },
  }
}
const restoreSnapshot = (failpoint: string): Failure => restoring(failpoint, { name: 'doomed' })
const restoreInPlace = (failpoint: string): Failure => restoring(failpoint, { finalize_restore: true })

/** The restored branch stays what it was, and may be finalized again. */
const finalizeRestore = (failpoint: string): Failure => {
  let preview = ''
  const { prepare, act, check } = restoring(failpoint, { name: 'preview' })
  return {
    failpoint,
    async prepare(server, base) {
      await prepare?.(server, base)
      preview = ((await act(server, base)) as { body: { branch: { id: string } } }).body.branch.id
      await settled(server)
    },
    act: (server, base) => call(server, 'POST', `/projects/${base.projectId}/branches/${preview}/finalize_restore`),
    async check(server, base) {
      const path = `/projects/${base.projectId}/branches/${preview}`
      const { body } = await call(server, 'GET', path)
      assert.equal((body['branch'] as { restore_status: string }).restore_status, 'restored')
      await call(server, 'DELETE', `${path}?hard_delete=true`)
      await settled(server)
      await check?.(server, base)
    },
  }
}

const restoreBranch = (failpoint: string): Failure => {
  let lsn = ''
  return {
    failpoint,
    async prepare(server, base) {
      const [place] = await query<{ lsn: string }>(
        await uriOf(server, base.projectId),
        'select pg_current_wal_lsn()::text as lsn',
      )
      lsn = place?.lsn ?? ''
      // What a restore that fails must not take away.
      await query(await uriOf(server, base.projectId), 'drop table if exists later; create table later ()')
    },
    act: (server, base) =>
      call(server, 'POST', `${branchPath(base)}/restore`, {
        source_branch_id: base.branchId,
        source_lsn: lsn,
        preserve_under_name: 'doomed',
      }),
    async check(server, base) {
      await hasOneBranch(server, base)
      await query(await uriOf(server, base.projectId), 'select from later')
    },
  }
}

const failures: Failure[] = [
  ...[
    'create_project.create_timeline.before',
    'create_project.create_timeline.after',
    'create_project.claim',
    'create_project.start_compute.after',
  ].map(makeProject),
  ...[
    'placing.placed',
    'storage.clone.draft',
    'storage.clone.renamed',
    'create_branch.create_branch.after',
    'compute.start.ready',
    'placing.recovered',
    'placing.durable',
    'create_branch.start_compute.after',
  ].map(makeBranch),
  {
    failpoint: 'create_role.apply_config.before',
    act: (server, base) => call(server, 'POST', `${branchPath(base)}/roles`, { role: { name: 'doomed' } }),
    check: lacks('roles', 'doomed'),
  },
  {
    failpoint: 'delete_role.apply_config.before',
    act: (server, base) => call(server, 'DELETE', `${branchPath(base)}/roles/kept`),
    check: keeps('roles', 'kept'),
  },
  {
    failpoint: 'reset_password.apply_config.before',
    act: (server, base) => call(server, 'POST', `${branchPath(base)}/roles/neondb_owner/reset_password`),
    check: async (server, base) => void (await query(await uriOf(server, base.projectId), 'select 1')),
  },
  {
    failpoint: 'create_database.apply_config.before',
    act: (server, base) =>
      call(server, 'POST', `${branchPath(base)}/databases`, {
        database: { name: 'doomed', owner_name: 'neondb_owner' },
      }),
    check: lacks('databases', 'doomed'),
  },
  {
    failpoint: 'update_database.apply_config.before',
    act: (server, base) =>
      call(server, 'PATCH', `${branchPath(base)}/databases/kept_db`, { database: { name: 'other' } }),
    check: keeps('databases', 'kept_db'),
  },
  {
    failpoint: 'delete_database.apply_config.before',
    act: (server, base) => call(server, 'DELETE', `${branchPath(base)}/databases/kept_db`),
    check: keeps('databases', 'kept_db'),
  },
  {
    failpoint: 'suspend_endpoint.suspend_compute.before',
    act: (server, base) => call(server, 'POST', `${endpointPath(base)}/suspend`),
  },
  {
    failpoint: 'restart_endpoint.start_compute.before',
    act: (server, base) => call(server, 'POST', `${endpointPath(base)}/restart`),
  },
  {
    failpoint: 'update_endpoint.apply_config.before',
    act: (server, base) =>
      call(server, 'PATCH', endpointPath(base), { endpoint: { settings: { pg_settings: { work_mem: '8192' } } } }),
  },
  ...[
    'create_snapshot.create_branch.before',
    'snapshot.pointed',
    'snapshot.kept',
    'create_snapshot.timeline_archive.before',
  ].map(createSnapshot),
  ...['delete_snapshot.delete_timeline.before', 'snapshot.removed'].map(deleteSnapshot),
  ...[
    'restore_snapshot.timeline_unarchive.before',
    'placing.placed',
    'storage.clone.draft',
    'storage.clone.renamed',
    'restore_snapshot.create_branch.after',
    'compute.start.ready',
    'placing.recovered',
    'placing.durable',
    'restore_snapshot.start_compute.before',
  ].map(restoreSnapshot),
  ...['placing.recovered', 'restore_snapshot.suspend_compute.before', 'swap.suspended'].map(restoreInPlace),
  ...['finalize_restore.suspend_compute.before', 'swap.suspended'].map(finalizeRestore),
  ...[
    'restore_branch.suspend_compute.before',
    'restore_branch.create_branch.before',
    'placing.placed',
    'storage.clone.draft',
    'storage.clone.renamed',
    'placing.recovered',
    'placing.durable',
    'restore_branch.suspended',
  ].map(restoreBranch),
]

describe('a step that fails', () => {
  let bench: CrashBench
  let base: Made
  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '0,1' })
    base = await createProject(bench.server, 'base')
    await call(bench.server, 'POST', `${branchPath(base)}/roles`, { role: { name: 'kept' } })
    await settled(bench.server)
    const database = { name: 'kept_db', owner_name: 'neondb_owner' }
    await call(bench.server, 'POST', `${branchPath(base)}/databases`, { database })
    await settled(bench.server)
    await query(await uriOf(bench.server, base.projectId), 'create table kept as select 1 as n')
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (const [number, { failpoint, prepare, act, check }] of failures.entries()) {
    test(`${number + 1}. at ${failpoint} leaves nothing behind`, async () => {
      const { server } = bench
      // A compute that sleeps would be started first, and fail there.
      await query(await uriOf(server, base.projectId), 'select 1')
      await prepare?.(server, base)
      await arm(server, `${failpoint}=error`)
      const answer = (await act(server, base)) as { body: { operations: { id: string }[] } }
      await settled(server)
      await arm(server, '')
      const operations = await operationsOf(bench.home, answer.body.operations)
      const failed = operations.filter(({ status }) => status === 'error')
      assert.equal(failed.length, 1, JSON.stringify(operations))
      assert.ok((failed[0]?.failures ?? 0) < 5)
      const later = operations.slice(operations.findIndex(({ status }) => status === 'error') + 1)
      assert.deepEqual(
        later.map(({ status }) => status),
        later.map(() => 'cancelled'),
      )
      await check?.(server, base)
      await assertNothingLeft(server)
      assert.deepEqual(await query(await uriOf(server, base.projectId), 'select n from kept'), [{ n: 1 }])
    })
  }

  test('and everything works again', async () => {
    const child = await createBranch(bench.server, base, 'doomed')
    const uri = await uriOf(bench.server, base.projectId, child.branchId)
    assert.deepEqual(await query(uri, 'select n from kept'), [{ n: 1 }])
    const project = await createProject(bench.server, 'doomed')
    assert.deepEqual(await query(project.uri, 'select 1 as one'), [{ one: 1 }])
    assert.equal((await request(bench.server, 'DELETE', branchPath(child))).status, 200)
    await settled(bench.server)
    await assertNothingLeft(bench.server)
  })

  test('and so does an undo that fails at first', async () => {
    await arm(bench.server, 'create_branch.start_compute.before=error;create_branch.create_branch.undo=error')
    await call(bench.server, 'POST', `/projects/${base.projectId}/branches`, {
      branch: { name: 'undone late' },
      endpoints: [{ type: 'read_write' }],
    })
    await settled(bench.server)
    await arm(bench.server, '')
    await assertNothingLeft(bench.server)
  })
})

async function operationsOf(
  home: string,
  made: readonly { id: string }[],
): Promise<{ action: string; status: string; failures: number }[]> {
  return await withControlDatabase(home, async (client) => {
    const { rows } = await client.query<{ action: string; status: string; failures: number }>(
      'select action, status, failures_count as failures from operations where id = any($1) order by position',
      [made.map(({ id }) => id)],
    )
    return rows
  })
}
