// `kill -9` of pgrove while it branches: a running parent, a sleeping one, a protected one, with an endpoint and without. On a pool where
// the machine can have one, so that a mounted file system is found again each time.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { mountsUnder, obstacleTo } from '../storage/file-systems.ts'
import { CrashBench } from '../support/crash-bench.ts'
import { call, createProject, madeOf, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import type { TestServer } from '../support/server.ts'

const storage = obstacleTo('xfs') === undefined ? 'pool' : 'copy'

type ParentState = 'running' | 'sleeping' | 'protected'
/** `again`: where it dies once more, while it recovers from the first time. */
type Case = { failpoint: string; parent: ParentState; endpoint: boolean; again?: string }

const whileItRuns = (failpoint: string): Case => ({ failpoint, parent: 'running', endpoint: true })
const cases: Case[] = [
  ...[
    'create_branch.committed',
    'create_branch.create_branch.before',
    'placing.recorded',
    'placing.placed',
    'storage.clone.draft',
    'storage.clone.renamed',
    'create_branch.create_branch.after',
    'create_branch.create_branch.recorded',
    'create_branch.start_compute.before',
    'compute.start.spawned',
    'compute.start.ready',
    'placing.recovered',
    'compute.reload.signalled',
    'placing.durable',
    'wake.serving',
    'create_branch.start_compute.after',
    'create_branch.start_compute.recorded',
  ].map(whileItRuns),
  { failpoint: 'storage.clone.draft', parent: 'sleeping', endpoint: true },
  { failpoint: 'create_branch.create_branch.after', parent: 'sleeping', endpoint: false },
  { failpoint: 'create_branch.create_branch.recorded', parent: 'running', endpoint: false },
  { failpoint: 'compute.start.ready', parent: 'protected', endpoint: true },
  { failpoint: 'compute.stop.signalled', parent: 'protected', endpoint: false },
  { ...whileItRuns('placing.placed'), again: 'storage.clone.renamed' },
  { ...whileItRuns('placing.recovered'), again: 'timeline.stopped' },
  { ...whileItRuns('storage.clone.renamed'), again: 'timeline.forgotten' },
  { ...whileItRuns('placing.durable'), again: 'placing.recovered' },
]

describe(`a crash while a branch is made (${storage})`, () => {
  let bench: CrashBench
  let parent: Made
  let written = 0

  before(async () => {
    bench = await CrashBench.open({ PGROVE_STORAGE: storage, PGROVE_WARM_POOL: '0,1' })
    parent = await createProject(bench.server, 'parent')
    await query(await uriOf(bench.server, parent.projectId), 'create table kept (n integer primary key)')
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
    if (bench) assert.deepEqual(mountsUnder(bench.home), [], 'nothing stays mounted')
  })

  for (const [number, { failpoint, parent: state, endpoint, again }] of cases.entries()) {
    const words = [
      `at ${failpoint} of a ${state} parent`,
      endpoint ? '' : 'without an endpoint',
      again ? `and then at ${again}` : '',
    ]
    test(words.filter(Boolean).join(', '), async () => {
      const { projectId, branchId } = parent
      const name = `branch-${number}`
      written += 1
      await query(await uriOf(bench.server, projectId), `insert into kept values (${written})`)
      await bring(bench.server, parent, state)
      const answer = await bench.crashAt(
        failpoint,
        async (server) =>
          madeOf(
            await call(server, 'POST', `/projects/${projectId}/branches`, {
              branch: { name, parent_id: branchId },
              endpoints: endpoint ? [{ type: 'read_write' }] : [],
            }),
          ),
        { again },
      )
      await settled(bench.server)
      if (state === 'protected') await protect(bench.server, parent, false)
      const found = await findBranch(bench.server, projectId, name)
      if (answer) assert.equal(found, answer.branchId, 'what was acknowledged is there')
      const of = (uri: string): Promise<number | undefined> =>
        query<{ n: string }>(uri, 'select count(*) as n from kept').then(([row]) => Number(row?.n))
      if (found) {
        if (!endpoint) {
          await call(bench.server, 'POST', `/projects/${projectId}/endpoints`, {
            endpoint: { branch_id: found, type: 'read_write' },
          })
          await settled(bench.server)
        }
        assert.equal(
          await of(await uriOf(bench.server, projectId, found)),
          written,
          'the child has what its parent had',
        )
        const { body } = await call(bench.server, 'GET', `/projects/${projectId}/branches/${found}`)
        assert.equal((body['branch'] as { current_state: string }).current_state, 'ready')
      }
      assert.equal(await of(await uriOf(bench.server, projectId)), written, 'the parent has what it had')
      await assertNothingLeft(bench.server)
      if (found) await call(bench.server, 'DELETE', `/projects/${projectId}/branches/${found}?hard_delete=true`)
      await settled(bench.server)
    })
  }

  test('and what was deleted between the crashes is gone', async () => {
    await assertNothingLeft(bench.server)
    const { body } = await call(bench.server, 'GET', `/projects/${parent.projectId}/branches`)
    assert.equal((body['branches'] as unknown[]).length, 1)
  })
})

async function bring(server: TestServer, { projectId, branchId, endpointId }: Made, state: ParentState): Promise<void> {
  switch (state) {
    case 'running':
      await query(await uriOf(server, projectId), 'select 1')
      return
    case 'sleeping':
      await call(server, 'POST', `/projects/${projectId}/endpoints/${endpointId}/suspend`)
      return await settled(server)
    case 'protected':
      await protect(server, { projectId, branchId }, true)
  }
}

async function protect(
  server: TestServer,
  branch: { projectId: string; branchId: string },
  on: boolean,
): Promise<void> {
  await call(server, 'PATCH', `/projects/${branch.projectId}/branches/${branch.branchId}`, {
    branch: { protected: on },
  })
}

async function findBranch(server: TestServer, projectId: string, name: string): Promise<string | undefined> {
  const { body } = await call(server, 'GET', `/projects/${projectId}/branches`)
  return (body['branches'] as { id: string; name: string }[]).find((branch) => branch.name === name)?.id
}
