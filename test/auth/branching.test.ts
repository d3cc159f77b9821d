// Sign-in where branches are copied, restored, swapped and deleted: users go with the data, sessions never, and what opens one branch's
// sign-in opens no other's.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { arm, armable } from '../support/crash-bench.ts'
import { makeChild, makeProject, readWrite, settled, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { apiClient, request, startServer, waitForOperations, type Answer, type TestServer } from '../support/server.ts'

type Operations = { id: string; project_id: string }[]
type Integration = {
  auth_provider_project_id: string
  base_url?: string
  jwks_url: string
  db_name: string
  branch_id: string
}

const password = 'correct horse battery'

describe('sign-in on branches', () => {
  let server: TestServer
  let project: TestProject
  const makeApp = async (): Promise<TestProject> => {
    project = await makeProject(server)
    const { status, body } = await request(server, 'POST', authPath(project.branchId), { auth_provider: 'better_auth' })
    assert.equal(status, 201, JSON.stringify(body))
    return project
  }
  before(async () => {
    server = await startServer({ env: { ...armable, PGROVE_STORAGE: 'copy' } })
    project = await makeApp()
  })
  after(() => server?.[Symbol.asyncDispose]())

  const authPath = (branchId: string): string => `/projects/${project.id}/branches/${branchId}/auth`
  const integrationOf = async (branchId: string): Promise<Integration | undefined> => {
    const { status, body } = await request(server, 'GET', authPath(branchId))
    return status === 200 ? (body as unknown as Integration) : undefined
  }
  const done = async (answer: Answer): Promise<Answer> => {
    assert.ok(answer.status < 300, JSON.stringify(answer.body))
    await waitForOperations(server, answer.body['operations'] as Operations)
    return answer
  }
  const surfaceOf = (endpointId: string): string => `${server.origin}/${endpointId}/${project.database}/auth`
  const post = async (endpointId: string, path: string, body: unknown): Promise<Response> =>
    await fetch(`${surfaceOf(endpointId)}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'http://localhost:3000' },
      body: JSON.stringify(body),
    })
  const cookiesOf = (response: Response): string =>
    response.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; ')
  const signUp = async (endpointId: string, email: string): Promise<string> => {
    const response = await post(endpointId, '/sign-up/email', { email, password, name: email })
    assert.equal(response.status, 200, await response.clone().text())
    return cookiesOf(response)
  }
  const signIn = async (endpointId: string, email: string): Promise<number> =>
    (await post(endpointId, '/sign-in/email', { email, password })).status
  const whoIs = async (endpointId: string, cookie: string): Promise<string | undefined> => {
    const response = await fetch(`${surfaceOf(endpointId)}/get-session`, { headers: { cookie } })
    assert.equal(response.status, 200, await response.clone().text())
    const session = (await response.json()) as { user: { email: string } } | null
    return session?.user.email
  }
  const keyIdsOf = async (endpointId: string): Promise<string[]> => {
    const response = await fetch(`${surfaceOf(endpointId)}/.well-known/jwks.json`)
    assert.equal(response.status, 200)
    return ((await response.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)
  }
  const emailsOf = async (uri: string): Promise<string[]> =>
    (
      await query<{ email: string }>(
        uri,
        `SELECT email FROM neon_auth.users_sync WHERE deleted_at IS NULL ORDER BY email`,
      )
    ).map(({ email }) => email)
  const sessionsOf = async (uri: string): Promise<number> =>
    (
      await query<{ n: number }>(
        uri,
        'SELECT ((SELECT count(*) FROM neon_auth."session") + (SELECT count(*) FROM neon_auth."verification") + (SELECT count(*) FROM neon_auth.user_events))::int AS n',
      )
    )[0]?.n ?? -1
  const keySets = async (): Promise<{ branch_id?: string; jwks_url: string }[]> =>
    (await request(server, 'GET', `/projects/${project.id}/jwks`)).body['jwks'] as {
      branch_id?: string
      jwks_url: string
    }[]

  test('a child has the users, its own keys, and nobody who is signed in', async () => {
    const cookie = await signUp(project.endpointId, 'ann@example.com')
    assert.equal(await whoIs(project.endpointId, cookie), 'ann@example.com')
    await request(server, 'PATCH', `${authPath(project.branchId)}/config`, { name: 'The app' })
    await request(server, 'POST', `${authPath(project.branchId)}/domains`, {
      domain: 'https://app.example.com',
      auth_provider: 'better_auth',
    })
    await request(server, 'PATCH', `${authPath(project.branchId)}/allow_localhost`, { allow_localhost: true })
    const provider = await request(server, 'POST', `${authPath(project.branchId)}/oauth_providers`, {
      id: 'github',
      client_id: 'id',
      client_secret: 'secret',
    })
    assert.equal(provider.status, 200, JSON.stringify(provider.body))
    const server1 = {
      type: 'standard',
      host: 'smtp.example.com',
      port: 587,
      username: 'u',
      password: 'p',
      sender_email: 'a@example.com',
      sender_name: 'A',
    }
    assert.equal((await request(server, 'PATCH', `${authPath(project.branchId)}/email_provider`, server1)).status, 200)
    await query(
      project.uri,
      `INSERT INTO neon_auth."verification" ("identifier", "value", "expiresAt") VALUES ('a', 'b', now() + '1 day')`,
    )
    const child = await makeChild(server, project)
    const [mine, its] = [await integrationOf(project.branchId), await integrationOf(child.branch.id)]
    assert.ok(mine && its)
    assert.notEqual(its.auth_provider_project_id, mine.auth_provider_project_id)
    assert.equal(its.base_url, surfaceOf(child.endpointId))
    assert.deepEqual(
      (await keySets()).filter(({ branch_id }) => branch_id === child.branch.id).map(({ jwks_url }) => jwks_url),
      [its.jwks_url],
    )
    // Nothing was asked of its sign-in yet: whoever reads the copy finds no token that would open the original.
    assert.equal(await sessionsOf(child.uri), 0)
    assert.deepEqual(await emailsOf(child.uri), ['ann@example.com'])
    assert.equal(await whoIs(child.endpointId, cookie), undefined)
    assert.equal(await signIn(child.endpointId, 'ann@example.com'), 200)
    const [keys, others] = [await keyIdsOf(project.endpointId), await keyIdsOf(child.endpointId)]
    assert.ok(keys.length > 0 && others.length > 0 && others.every((kid) => !keys.includes(kid)))
    for (const path of ['/domains', '/oauth_providers', '/email_provider', '/plugins', '/email_and_password']) {
      const [original, copy] = await Promise.all(
        [project.branchId, child.branch.id].map(
          async (id) => (await request(server, 'GET', `${authPath(id)}${path}`)).body,
        ),
      )
      assert.deepEqual(copy, original, path)
    }
    assert.equal(its['name' as keyof Integration], 'The app')
    // They go ways of their own.
    await signUp(child.endpointId, 'child@example.com')
    assert.deepEqual(await emailsOf(project.uri), ['ann@example.com'])
    assert.equal(await whoIs(project.endpointId, cookie), 'ann@example.com')
    await done(await request(server, 'DELETE', `/projects/${project.id}/branches/${child.branch.id}`))
    assert.equal((await fetch(`${surfaceOf(child.endpointId)}/get-session`)).status, 404)
    const recovered = await request(server, 'POST', `/projects/${project.id}/branches/${child.branch.id}/recover`)
    assert.ok(recovered.status < 300, JSON.stringify(recovered.body))
    assert.equal(await signIn(child.endpointId, 'child@example.com'), 200)
  })

  test('a child of the past before there were users has none, and none of it either', async () => {
    const other = await makeProject(server)
    const path = `/projects/${other.id}/branches`
    const [{ lsn } = { lsn: '' }] = await query<{ lsn: string }>(
      other.uri,
      'SELECT pg_current_wal_flush_lsn()::text AS lsn',
    )
    await query(other.uri, 'CREATE TABLE later (a int)')
    assert.equal(
      (await request(server, 'POST', `${path}/${other.branchId}/auth`, { auth_provider: 'stack' })).status,
      201,
    )
    const early = await done(
      await request(server, 'POST', path, { branch: { parent_lsn: lsn }, endpoints: [readWrite] }),
    )
    const late = await done(await request(server, 'POST', path, { endpoints: [readWrite] }))
    const idOf = ({ body }: Answer): string => (body['branch'] as { id: string }).id
    assert.equal((await request(server, 'GET', `${path}/${idOf(early)}/auth`)).status, 404)
    assert.equal((await request(server, 'GET', `${path}/${idOf(late)}/auth`)).status, 200)
  })

  test('a child with the schema alone has sign-in, and nobody who ever signed up', async () => {
    const { branch, endpointId, uri } = await makeChild(server, project, { init_source: 'schema-only' })
    assert.deepEqual(await emailsOf(uri), [])
    assert.ok(await integrationOf(branch.id))
    assert.notEqual(await signIn(endpointId, 'ann@example.com'), 200)
    await signUp(endpointId, 'ann@example.com')
    assert.deepEqual(await emailsOf(uri), ['ann@example.com'])
  })

  test('a reset to the parent keeps the keys, and signs everybody out', async () => {
    const child = await makeChild(server, project)
    const [before, keys] = [await integrationOf(child.branch.id), await keyIdsOf(child.endpointId)]
    const cookie = await signUp(child.endpointId, 'reset@example.com')
    const parents = await signUp(project.endpointId, 'parent@example.com')
    const raw = await query<{ token: string }>(project.uri, 'SELECT "token" FROM neon_auth."session"')
    assert.ok(raw.length > 0)
    await done(
      await request(server, 'POST', `/projects/${project.id}/branches/${child.branch.id}/restore`, {
        source_branch_id: project.branchId,
      }),
    )
    assert.equal(await sessionsOf(child.uri), 0)
    assert.deepEqual(await integrationOf(child.branch.id), before)
    assert.deepEqual(await keyIdsOf(child.endpointId), keys)
    assert.equal(await whoIs(child.endpointId, cookie), undefined)
    assert.equal(await whoIs(child.endpointId, parents), undefined)
    assert.equal(await signIn(child.endpointId, 'parent@example.com'), 200)
    assert.notEqual(await signIn(child.endpointId, 'reset@example.com'), 200)
    assert.equal(await whoIs(project.endpointId, parents), 'parent@example.com')
  })

  test('a branch restored to before there was sign-in has it again when it is asked', async () => {
    const other = await makeProject(server)
    const path = `/projects/${other.id}/branches/${other.branchId}`
    const [{ lsn } = { lsn: '' }] = await query<{ lsn: string }>(
      other.uri,
      'SELECT pg_current_wal_flush_lsn()::text AS lsn',
    )
    await query(other.uri, 'CREATE TABLE later (a int)')
    assert.equal((await request(server, 'POST', `${path}/auth`, { auth_provider: 'better_auth' })).status, 201)
    await done(
      await request(server, 'POST', `${path}/restore`, {
        source_branch_id: other.branchId,
        source_lsn: lsn,
        preserve_under_name: 'kept',
      }),
    )
    assert.equal((await request(server, 'POST', `${path}/auth/users`, { email: 'again@example.com' })).status, 201)
    assert.deepEqual(await emailsOf(other.uri), ['again@example.com'])
  })

  test('a snapshot that is looked at is a copy; one that takes its place keeps keys and addresses, and nobody stays signed in', async () => {
    const api = apiClient(server)
    project = await makeApp()
    const old = await signUp(project.endpointId, 'before@example.com')
    const snapshot = await done(
      await request(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/snapshot`, { name: 'one' }),
    )
    const snapshotId = (snapshot.body['snapshot'] as { id: string }).id
    const recent = await signUp(project.endpointId, 'after@example.com')
    const [before, keys] = [await integrationOf(project.branchId), await keyIdsOf(project.endpointId)]
    const restorePath = `/projects/${project.id}/snapshots/${snapshotId}/restore`

    const preview = await done(await request(server, 'POST', restorePath, { name: 'preview', finalize_restore: false }))
    const previewId = (preview.body['branch'] as { id: string }).id
    const { data } = await api.listProjectBranchEndpoints(project.id, previewId)
    const previewEndpoint = data.endpoints[0]?.id ?? ''
    const its = await integrationOf(previewId)
    assert.ok(its && before)
    assert.notEqual(its.auth_provider_project_id, before.auth_provider_project_id)
    assert.equal(await whoIs(previewEndpoint, old), undefined)
    assert.equal(await signIn(previewEndpoint, 'before@example.com'), 200)
    assert.notEqual(await signIn(previewEndpoint, 'after@example.com'), 200)
    assert.equal(await whoIs(project.endpointId, old), 'before@example.com')

    await done(await request(server, 'POST', `/projects/${project.id}/branches/${previewId}/finalize_restore`, {}))
    const finalized = await integrationOf(previewId)
    assert.deepEqual({ ...finalized, branch_id: before.branch_id }, before)
    assert.equal(await integrationOf(project.branchId), undefined)
    assert.deepEqual(await keyIdsOf(project.endpointId), keys)
    assert.equal(await whoIs(project.endpointId, old), undefined)
    assert.equal(await whoIs(project.endpointId, recent), undefined)
    assert.equal(await signIn(project.endpointId, 'before@example.com'), 200)
    assert.notEqual(await signIn(project.endpointId, 'after@example.com'), 200)
    assert.equal((await fetch(`${surfaceOf(previewEndpoint)}/get-session`)).status, 404)
    const moved = (await keySets()).filter(({ jwks_url }) => jwks_url === before.jwks_url)
    assert.deepEqual(
      moved.map(({ branch_id }) => branch_id),
      [previewId],
    )
    // What was there can go, and takes nothing along.
    await done(await request(server, 'DELETE', `/projects/${project.id}/branches/${project.branchId}?hard=true`))
    assert.deepEqual((await keySets()).filter(({ jwks_url }) => jwks_url === before.jwks_url).length, 1)
    project = { ...project, branchId: previewId }

    const again = await done(
      await request(server, 'POST', restorePath, { finalize_restore: true, target_branch_id: previewId }),
    )
    const nowId = (again.body['branch'] as { id: string }).id
    assert.deepEqual({ ...(await integrationOf(nowId)), branch_id: before.branch_id }, before)
    assert.equal(await whoIs(project.endpointId, old), undefined)
    assert.equal(await sessionsOf(project.uri), 0)
    assert.equal(await signIn(project.endpointId, 'before@example.com'), 200)
    project = { ...project, branchId: nowId }
  })

  test('copies whose sessions could not be removed serve nobody until they are', async () => {
    project = await makeApp()
    await signUp(project.endpointId, 'stuck@example.com')
    const limit = async (uri: string, most: number): Promise<void> => {
      const elsewhere = uri.replace(`/${project.database}?`, '/postgres?')
      await query(elsewhere, `ALTER DATABASE ${project.database} CONNECTION LIMIT ${most}`)
    }
    await limit(project.uri, 0)
    const child = await makeChild(server, project)
    assert.notEqual(await signIn(child.endpointId, 'stuck@example.com'), 200)
    await limit(child.uri, -1)
    const tokens = `SELECT "token" FROM neon_auth."session"`
    const left = await query(child.uri, tokens)
    assert.equal(left.length, 1)
    await arm(server, 'auth.copy.prepared=error')
    assert.notEqual(await signIn(child.endpointId, 'stuck@example.com'), 200)
    await arm(server, '')
    assert.equal(await signIn(child.endpointId, 'stuck@example.com'), 200)
    const now = await query(child.uri, tokens)
    assert.equal(now.length, 1)
    assert.notDeepEqual(now, left)
    // And never again: whoever is signed in now stays it.
    await settled(server, apiClient(server).suspendProjectEndpoint(project.id, child.endpointId))
    assert.equal(await signIn(child.endpointId, 'stuck@example.com'), 200)
    assert.equal((await query(child.uri, tokens)).length, 2)
  })
})
