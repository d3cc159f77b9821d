// `kill -9` of pgrove while branches and projects are deleted, softly and for good.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { CrashBench } from '../support/crash-bench.ts'
import { call, createBranch, createProject, settled, uriOf, withControlDatabase, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { request } from '../support/server.ts'

const branchDeletion = [
  'delete_branch.committed',
  'compute.stop.signalled',
  'delete_branch.suspend_compute.recorded',
  'delete_branch.delete_timeline.after',
  'delete_branch.delete_timeline.recorded',
]
const purge = ['purge.rows_deleted', 'timeline.stopped', 'storage.destroy.renamed', 'timeline.forgotten']
const projectDeletion = ['suspend_computes.committed', 'suspend_computes.suspend_compute.before', 'purge.rows_deleted']

describe('a crash while a branch is deleted', () => {
  let bench: CrashBench
  let parent: Made
  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '0,1' })
    parent = await createProject(bench.server, 'parent')
    await query(await uriOf(bench.server, parent.projectId), 'create table kept as select 1 as n')
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (const [hard, failpoint] of [
    ...branchDeletion.map((name) => [false, name] as const),
    ...[...branchDeletion.slice(0, 1), ...purge].map((name) => [true, name] as const),
  ]) {
    test(`${hard ? 'for good' : 'softly'}, at ${failpoint}`, async () => {
      const { projectId } = parent
      const child = await createBranch(bench.server, parent, `child of ${failpoint}`)
      const path = `/projects/${projectId}/branches/${child.branchId}`
      const answer = await bench.crashAt(failpoint, (server) =>
        call(server, 'DELETE', `${path}${hard ? '?hard_delete=true' : ''}`),
      )
      await settled(bench.server)
      const { status } = await request(bench.server, 'GET', path)
      // Every failpoint lies behind the commit.
      assert.equal(status, 404, `deleted, ${answer ? 'and acknowledged' : 'though nobody was told'}`)
      if (!hard) {
        await call(bench.server, 'POST', `${path}/recover`)
        const rows = await query(await uriOf(bench.server, projectId, child.branchId), 'select n from kept')
        assert.deepEqual(rows, [{ n: 1 }], 'what can be recovered has its data')
        await call(bench.server, 'DELETE', `${path}?hard_delete=true`)
        await settled(bench.server)
      }
      await eventually('its row is gone', async () => (await countBranches(bench.home, child)) === 0)
      await assertNothingLeft(bench.server)
      assert.deepEqual(await query(await uriOf(bench.server, projectId), 'select n from kept'), [{ n: 1 }])
    })
  }
})

describe('a crash while a project is deleted', () => {
  let bench: CrashBench
  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '0,1', PGROVE_RECOVERY_WINDOW_SECONDS: '0' })
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (const failpoint of [...projectDeletion, 'storage.destroy.renamed']) {
    test(`at ${failpoint}`, async () => {
      const project = await createProject(bench.server, failpoint)
      await createBranch(bench.server, project, 'child')
      await bench.crashAt(failpoint, (server) => call(server, 'DELETE', `/projects/${project.projectId}`))
      await settled(bench.server)
      assert.equal((await request(bench.server, 'GET', `/projects/${project.projectId}`)).status, 404)
      // Its own row stays for a while, so that clients can read how its operations ended.
      await eventually(
        'its branches are gone',
        async () => (await countBranches(bench.home, { projectId: project.projectId })) === 0,
      )
      await assertNothingLeft(bench.server)
    })
  }
})

/** A branch with its project is that branch, a project alone all of its branches. */
async function countBranches(
  home: string,
  { projectId, branchId }: Pick<Made, 'projectId'> & { branchId?: string },
): Promise<number> {
  return await withControlDatabase(home, async (client) => {
    const { rowCount } = await client.query(
      'select from branches where project_id = $1 and ($2::text is null or id = $2)',
      [projectId, branchId ?? null],
    )
    return rowCount ?? 0
  })
}
