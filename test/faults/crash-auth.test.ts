// `kill -9` of pgrove while sign-in is enabled or disabled: afterwards it is not there, or it works, and the call that was cut off can be
// made again.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CrashBench } from '../support/crash-bench.ts'
import { call, createProject, settled, uriOf, withControlDatabase } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { request, type TestServer } from '../support/server.ts'

const wanted = { auth_provider: 'stack' }

/** Each integration has its key, its key set and its keys for clients, or there is none of all of it. */
async function assertWhole(server: TestServer): Promise<void> {
  const [row] = await withControlDatabase(server.home, async (client) => {
    const { rows } = await client.query<Record<string, number>>(
      `select (select count(*) from auth_integrations)::int as integrations,
              (select count(*) from auth_signing_keys)::int as signing,
              (select count(*) from project_jwks where auth_integration_id is not null)::int as sets,
              (select count(*) from auth_keys)::int as keys`,
    )
    return rows
  })
  const { integrations = 0, ...rest } = row ?? {}
  assert.deepEqual(rest, { signing: integrations, sets: integrations, keys: 2 * integrations })
}

describe('a crash while sign-in is enabled or disabled', () => {
  let bench: CrashBench
  let path: string
  let projectId: string
  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '1,2' })
    const made = await createProject(bench.server, 'project')
    projectId = made.projectId
    path = `/projects/${made.projectId}/branches/${made.branchId}/auth`
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })
  const status = async (): Promise<number> => (await request(bench.server, 'GET', path)).status

  test('before its rows are there, nobody is told of it and the call can be made again', async () => {
    await bench.crashAt('auth.create.provisioned', (server) => request(server, 'POST', path, wanted))
    await settled(bench.server)
    assert.equal(await status(), 404)
    await assertWhole(bench.server)
    await call(bench.server, 'POST', path, wanted)
    await call(bench.server, 'POST', `${path}/users`, { email: 'first@example.com' })
    await assertWhole(bench.server)
    await assertNothingLeft(bench.server)
    await call(bench.server, 'DELETE', path)
  })

  test('once they are there, all of it works', async () => {
    await bench.crashAt('auth.create.committed', (server) => request(server, 'POST', path, wanted))
    await settled(bench.server)
    assert.equal(await status(), 200)
    assert.equal((await request(bench.server, 'POST', path, wanted)).status, 409)
    await assertWhole(bench.server)
    await call(bench.server, 'POST', `${path}/users`, { email: 'second@example.com' })
  })

  test('what was to be deleted is deleted by the call that follows', async () => {
    const body = { delete_data: true }
    await bench.crashAt('auth.disable.deprovisioned', (server) => request(server, 'DELETE', path, body))
    await settled(bench.server)
    assert.equal(await status(), 200)
    await assertWhole(bench.server)
    await call(bench.server, 'DELETE', path, body)
    assert.equal(await status(), 404)
    await assertWhole(bench.server)
    const schemas = "select nspname from pg_namespace where nspname = 'neon_auth'"
    assert.deepEqual(await query(await uriOf(bench.server, projectId), schemas), [])
    await assertNothingLeft(bench.server)
  })
})
