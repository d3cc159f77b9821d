// `kill -9` of pgrove while it creates projects.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CrashBench } from '../support/crash-bench.ts'
import { call, madeOf, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import type { TestServer } from '../support/server.ts'

const alwaysReached = [
  'create_project.committed',
  'create_project.create_timeline.before',
  'create_project.create_timeline.after',
  'create_project.create_timeline.recorded',
  'create_project.start_compute.before',
  'create_project.claim',
  'create_project.start_compute.after',
  'create_project.start_compute.recorded',
]
const fromThePool = [
  'pool.cloned',
  'pool.personalised',
  'pool.reconfigured',
  'pool.recorded',
  'journal.appended',
  'wake.serving',
  'wake.assigned',
]
const withoutPool = [
  'create_project.placed',
  'storage.clone.draft',
  'storage.clone.renamed',
  'compute.start.spawned',
  'compute.start.ready',
  'pool.personalised',
  'pool.reconfigured',
  'pool.recorded',
  'journal.recorded',
]

for (const [title, pool, failpoints] of [
  ['from the warm pool', '1,2', [...alwaysReached, ...fromThePool]],
  ['without a pool', '0,0', [...alwaysReached.filter((name) => name.endsWith('before')), ...withoutPool]],
] as const) {
  describe(`a crash while a project is created ${title}`, () => {
    let bench: CrashBench
    const acknowledged: Made[] = []
    before(async () => {
      bench = await CrashBench.open({ PGROVE_WARM_POOL: pool })
    })
    after(async () => {
      await bench?.[Symbol.asyncDispose]()
    })

    for (const failpoint of failpoints) {
      test(`at ${failpoint}`, async () => {
        const name = `at ${failpoint}`
        const answer = await bench.crashAt(failpoint, async (server) => {
          const made = madeOf(await call(server, 'POST', '/projects', { project: { name } }))
          acknowledged.push(made)
          return made
        })
        await settled(bench.server)
        const found = await findProject(bench.server, name)
        if (answer) assert.equal(found, answer.projectId, 'what was acknowledged is there')
        if (found) assert.deepEqual(await query(await uriOf(bench.server, found), 'select 1 as one'), [{ one: 1 }])
        await assertNothingLeft(bench.server)
      })
    }

    test('all that was acknowledged is there at the end', async () => {
      for (const { projectId, branchId, endpointId } of acknowledged) {
        const { body } = await call(bench.server, 'GET', `/projects/${projectId}/branches/${branchId}`)
        assert.equal((body['branch'] as { current_state: string }).current_state, 'ready')
        await call(bench.server, 'GET', `/projects/${projectId}/endpoints/${endpointId}`)
        const { body: operations } = await call(bench.server, 'GET', `/projects/${projectId}/operations`)
        for (const { action, status } of operations['operations'] as { action: string; status: string }[])
          assert.equal(status, 'finished', action)
      }
    })
  })
}

async function findProject(server: TestServer, name: string): Promise<string | undefined> {
  const { body } = await call(server, 'GET', `/projects?search=${encodeURIComponent(name)}`)
  const found = body['projects'] as { id: string; name: string }[]
  assert.ok(found.length <= 1, 'it was made once')
  return found.find((project) => project.name === name)?.id
}
