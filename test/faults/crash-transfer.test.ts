// `kill -9` of pgrove while projects change hands: all of them have moved, or none, and an offer is used up exactly when it has worked.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { arm, CrashBench } from '../support/crash-bench.ts'
import { call, createProject, settled, uriOf, withControlDatabase, type Made } from '../support/faults.ts'
import { firstOrganizations } from '../support/organizations.ts'
import { query } from '../support/postgres.ts'
import { request, type TestServer } from '../support/server.ts'

describe('a crash while projects change hands', () => {
  let bench: CrashBench
  let made: Made[]
  let orgs: { sponsored: string; paid: string }

  before(async () => {
    bench = await CrashBench.open({ PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0', PGROVE_RATE_LIMIT: 'off' })
    orgs = await firstOrganizations(bench.server)
    await call(bench.server, 'PATCH', '/users/me', { default_org_id: orgs.sponsored })
    made = [await createProject(bench.server, 'one'), await createProject(bench.server, 'two')]
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  async function owners(server: TestServer): Promise<string[]> {
    const found = []
    for (const { projectId } of made) {
      const { body } = await call(server, 'GET', `/projects/${projectId}`)
      found.push((body['project'] as { org_id: string }).org_id)
    }
    return found
  }

  /** What triggers keep beside the rows says the same as the rows. */
  async function assertCounted(server: TestServer): Promise<void> {
    const wrong = await withControlDatabase(server.home, async (client) => {
      const { rows } = await client.query(
        `select c.org_id from organization_counts c where c.projects <>
           (select count(*) from projects p where p.org_id = c.org_id and p.deleted_at is null)`,
      )
      return rows
    })
    assert.deepEqual(wrong, [])
  }

  const transfer = (server: TestServer, from: string, to: string) =>
    request(server, 'POST', `/organizations/${from}/projects/transfer`, {
      destination_org_id: to,
      project_ids: made.map(({ projectId }) => projectId),
    })

  for (const failpoint of ['transfer.written', 'transfer.committed']) {
    test(`at ${failpoint}`, async () => {
      const [from = ''] = await owners(bench.server)
      const to = from === orgs.sponsored ? orgs.paid : orgs.sponsored
      await bench.crashAt(failpoint, (server) => transfer(server, from, to))
      const expected = failpoint === 'transfer.written' ? from : to
      assert.deepEqual(await owners(bench.server), [expected, expected])
      await assertCounted(bench.server)
      for (const { projectId } of made)
        assert.deepEqual(await query(await uriOf(bench.server, projectId), 'select 1 as one'), [{ one: 1 }])
    })

    test(`an offer, at ${failpoint}`, async () => {
      const [{ projectId }] = made as [Made]
      const [from = ''] = await owners(bench.server)
      const to = from === orgs.sponsored ? orgs.paid : orgs.sponsored
      const { body } = await call(bench.server, 'POST', `/projects/${projectId}/transfer_requests`, {})
      const accept = (server: TestServer) =>
        request(server, 'PUT', `/projects/${projectId}/transfer_requests/${String(body['id'])}`, { org_id: to })
      await bench.crashAt(failpoint, accept)
      const moved = (await owners(bench.server))[0] === to
      assert.equal(moved, failpoint === 'transfer.committed')
      assert.equal((await accept(bench.server)).status, moved ? 404 : 204)
      await assertCounted(bench.server)
      // Both are together again for what comes next.
      await request(bench.server, 'POST', `/organizations/${to}/projects/transfer`, {
        destination_org_id: from,
        project_ids: [projectId],
      })
      assert.deepEqual(await owners(bench.server), [from, from])
    })
  }

  test('operations that take longer than anybody waits: 423, and nothing has moved', async () => {
    const { server } = bench
    const [from = ''] = await owners(server)
    const to = from === orgs.sponsored ? orgs.paid : orgs.sponsored
    await arm(server, 'create_branch.create_branch.before=pause:4000')
    await call(server, 'POST', `/projects/${made[1]?.projectId}/branches`, { branch: { name: 'slow' } })
    const refused = await transfer(server, from, to)
    await arm(server, '')
    assert.equal(refused.status, 423)
    assert.match(String(refused.body['message']), /already has running operations/)
    assert.deepEqual(await owners(server), [from, from])
    await settled(server)
    assert.equal((await transfer(server, from, to)).status, 200)
    assert.deepEqual(await owners(server), [to, to])
  })
})
