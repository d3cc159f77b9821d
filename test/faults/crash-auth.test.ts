// `kill -9` of pgrove while sign-in is set up, copied with a branch, and moved with a restore. The next start completes what was begun: there is one
// integration where one was, with the id it had, and no session in data that is a copy.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CrashBench } from '../support/crash-bench.ts'
import { atPort, createBranch, createProject, settled, uriOf, type Made } from '../support/faults.ts'
import { query } from '../support/postgres.ts'
import { request, type TestServer } from '../support/server.ts'

const session = `INSERT INTO neon_auth."session" ("expiresAt", "token", "updatedAt", "userId") SELECT now() + '1 day', gen_random_uuid()::text, now(), "id" FROM neon_auth."user"`

describe('sign-in where pgrove is killed', () => {
  let bench: CrashBench
  before(async () => {
    bench = await CrashBench.open({ PGROVE_STORAGE: 'copy' })
  })
  after(() => bench?.[Symbol.asyncDispose]())

  const authPath = (made: Pick<Made, 'projectId' | 'branchId'>): string =>
    `/projects/${made.projectId}/branches/${made.branchId}/auth`
  const idAt = async (server: TestServer, made: Pick<Made, 'projectId' | 'branchId'>): Promise<string | undefined> => {
    const { status, body } = await request(server, 'GET', authPath(made))
    return status === 200 ? (body['auth_provider_project_id'] as string) : undefined
  }
  const enabled = async (name: string): Promise<Made & { id: string }> => {
    const made = await createProject(bench.server, name)
    await settled(bench.server)
    const { status, body } = await request(bench.server, 'POST', authPath(made), { auth_provider: 'stack' })
    assert.equal(status, 201, JSON.stringify(body))
    assert.equal((await addUser(made, 'ann@example.com')).status, 201)
    await query(made.uri, session)
    return { ...made, id: body['auth_provider_project_id'] as string }
  }
  const addUser = (made: Pick<Made, 'projectId' | 'branchId'>, email: string) =>
    request(bench.server, 'POST', `${authPath(made)}/users`, { email })
  const sessionsOf = async (uri: string): Promise<number> =>
    (
      await query<{ n: number }>(atPort(uri, bench.server.pgPort), 'SELECT count(*)::int AS n FROM neon_auth."session"')
    )[0]?.n ?? -1

  for (const [failpoint, there] of [
    ['auth.create.provisioned', false],
    ['auth.create.committed', true],
  ] as const) {
    test(`being enabled, at ${failpoint}`, async () => {
      const made = await createProject(bench.server, failpoint)
      await settled(bench.server)
      await bench.crashAt(failpoint, (server) => request(server, 'POST', authPath(made), { auth_provider: 'stack' }))
      assert.equal((await idAt(bench.server, made)) !== undefined, there)
      if (!there)
        assert.equal((await request(bench.server, 'POST', authPath(made), { auth_provider: 'stack' })).status, 201)
      assert.equal((await addUser(made, 'ann@example.com')).status, 201)
    })
  }

  for (const failpoint of ['auth.copy.cleaned', 'create_branch.create_branch.after']) {
    test(`being copied with its branch, at ${failpoint}`, async () => {
      const made = await enabled(failpoint)
      await bench.crashAt(failpoint, (server) =>
        request(server, 'POST', `/projects/${made.projectId}/branches`, {
          branch: { name: 'child' },
          endpoints: [{ type: 'read_write' }],
        }),
      )
      await settled(bench.server)
      const { body } = await request(bench.server, 'GET', `/projects/${made.projectId}/branches?search=child`)
      const [child] = body['branches'] as { id: string }[]
      assert.ok(child)
      const copy = { projectId: made.projectId, branchId: child.id }
      const id = await idAt(bench.server, copy)
      assert.ok(id !== undefined && id !== made.id)
      assert.equal(await idAt(bench.server, made), made.id)
      assert.equal(await sessionsOf(await uriOf(bench.server, made.projectId, child.id)), 0)
      assert.equal((await addUser(copy, 'bob@example.com')).status, 201)
      assert.equal(await sessionsOf(made.uri), 1)
    })
  }

  test('being made ready, before that is written down', async () => {
    const made = await enabled('prepared')
    const child = await createBranch(bench.server, made, 'child')
    await settled(bench.server)
    await bench.crashAt('auth.copy.prepared', () => addUser(child, 'bob@example.com'))
    assert.equal((await addUser(child, 'bob@example.com')).status, 201)
    await query(atPort(child.uri, bench.server.pgPort), session)
    assert.equal((await addUser(child, 'eve@example.com')).status, 201)
    assert.equal(await sessionsOf(child.uri), 2)
  })

  for (const failpoint of ['swap.suspended', 'swap.committed']) {
    test(`being moved with its branch's place, at ${failpoint}`, async () => {
      const made = await enabled(failpoint)
      const { body } = await request(
        bench.server,
        'POST',
        `/projects/${made.projectId}/branches/${made.branchId}/snapshot`,
        { name: 's' },
      )
      await settled(bench.server)
      const { id: snapshotId } = body['snapshot'] as { id: string }
      const restored = await bench.crashAt(failpoint, async (server) => {
        return await request(server, 'POST', `/projects/${made.projectId}/snapshots/${snapshotId}/restore`, {
          finalize_restore: true,
        })
      })
      await settled(bench.server)
      assert.ok(restored)
      const branchId = (restored.body['branch'] as { id: string }).id
      assert.equal(await idAt(bench.server, { ...made, branchId }), made.id)
      assert.equal(await idAt(bench.server, made), undefined)
      assert.equal((await addUser({ ...made, branchId }, 'bob@example.com')).status, 201)
      assert.equal(await sessionsOf(made.uri), 0)
    })
  }

  test('being reset with its branch', async () => {
    const made = await enabled('reset')
    const child = await createBranch(bench.server, made, 'child')
    await settled(bench.server)
    const id = await idAt(bench.server, child)
    assert.equal((await addUser(child, 'bob@example.com')).status, 201)
    await bench.crashAt('restore_branch.exchanged', (server) =>
      request(server, 'POST', `/projects/${made.projectId}/branches/${child.branchId}/restore`, {
        source_branch_id: made.branchId,
      }),
    )
    await settled(bench.server)
    assert.equal(await idAt(bench.server, child), id)
    assert.equal(await sessionsOf(child.uri), 0)
    assert.equal((await addUser(child, 'bob@example.com')).status, 201)
  })
})
