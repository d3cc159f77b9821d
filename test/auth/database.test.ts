// Users in the tenant's own database, through a real pgrove: what SQL sees of them, who may not get at them, and what databases do that are
// renamed, deleted or locked. What is in the schema itself is tried in `src/compute/auth/auth.test.ts`.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { getMigrations } from 'better-auth/db/migration'
import { options } from '../../src/auth/better-auth/engine.ts'
import { openSurface } from '../support/auth-surface.ts'
import { arm, armable } from '../support/crash-bench.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { connect, loginError, query } from '../support/postgres.ts'
import { apiClient, request, startServer, waitForOperations, type Answer, type TestServer } from '../support/server.ts'

type Operations = { id: string; project_id: string }[]

test("the library's own migrator finds nothing to make in our schema", async () => {
  await using surface = await openSurface({
    settings(settings) {
      settings.organization.enabled = true
      settings.magicLink.enabled = true
      settings.phoneNumber.enabled = true
      settings.emailAndPassword.enabled = true
    },
  })
  const migrations = await getMigrations(options(surface.instance))
  assert.deepEqual(migrations.toBeCreated, [])
  assert.deepEqual(migrations.toBeAdded, [])
  assert.match(await migrations.compileMigrations(), /^;?$/)
})

describe('sign-in in a database', () => {
  let server: TestServer
  let project: TestProject
  before(async () => {
    server = await startServer({ env: { ...armable, PGROVE_STORAGE: 'copy' } })
    project = await makeProject(server)
  })
  after(() => server?.[Symbol.asyncDispose]())

  const branchPath = (): string => `/projects/${project.id}/branches/${project.branchId}`
  const authPath = (): string => `${branchPath()}/auth`
  const enable = async (database?: string): Promise<Answer> =>
    await request(server, 'POST', authPath(), { auth_provider: 'stack', database_name: database })
  const addUser = async (email: string): Promise<Answer> =>
    await request(server, 'POST', `${authPath()}/users`, { email, name: email.split('@')[0] })
  const inDatabase = (database: string): string => project.uri.replace(`/${project.database}?`, `/${database}?`)

  test('is enabled with one call, and users of the management API are there for SQL at once', async () => {
    const enabled = await enable()
    assert.equal(enabled.status, 201, JSON.stringify(enabled.body))
    const made = await request(server, 'POST', '/projects/auth/user', {
      project_id: project.id,
      auth_provider: 'stack',
      email: 'Seed@Example.com',
      name: 'Seed',
    })
    assert.equal(made.status, 201, JSON.stringify(made.body))
    const id = made.body['id'] as string
    const seed = `SELECT id, email, name, signed_in_at FROM neon_auth.users_sync WHERE email_verified = true ORDER BY created_at DESC`
    assert.deepEqual(await query(project.uri, seed), [])
    assert.deepEqual(await query(project.uri, seed.replace('= true', '= false')), [
      { id, email: 'seed@example.com', name: 'Seed', signed_in_at: null },
    ])
    await query(project.uri, 'CREATE TABLE posts (author text REFERENCES neon_auth.users_sync (id))')
    await query(project.uri, 'INSERT INTO posts VALUES ($1)', [id])
    assert.equal((await request(server, 'DELETE', `${authPath()}/users/${id}`)).status, 204)
    assert.deepEqual(
      await query(
        project.uri,
        `SELECT deleted_at IS NOT NULL AS gone, (SELECT count(*)::int FROM posts) AS posts FROM neon_auth.users_sync`,
      ),
      [{ gone: true, posts: 1 }],
    )
    assert.deepEqual(await query(project.uri, 'SELECT auth.user_id() AS id, auth.session() AS session'), [
      { id: null, session: null },
    ])
  })

  test('its role is for nobody else: no login, no entry in lists, no call that touches it', async () => {
    const as = (user: string): string => project.uri.replace(`//${project.role}:`, `//${user}:`)
    assert.equal(await loginError(as('pgrove_auth')), '28P01')
    const { data } = await apiClient(server).listProjectBranchRoles(project.id, project.branchId)
    assert.deepEqual(
      data.roles.map(({ name }) => name),
      [project.role],
    )
    const roles = `${branchPath()}/roles`
    for (const [method, path, body] of [
      ['POST', roles, { role: { name: 'pgrove_auth' } }],
      ['GET', `${roles}/pgrove_auth`, undefined],
      ['POST', `${roles}/pgrove_auth/reset_password`, undefined],
      ['GET', `${roles}/pgrove_auth/reveal_password`, undefined],
      ['PATCH', `${branchPath()}/databases/${project.database}`, { database: { owner_name: 'pgrove_auth' } }],
    ] as const) {
      const { status } = await request(server, method, path, body)
      assert.ok([400, 404, 422].includes(status), `${method} ${path}: ${status}`)
    }
    // Its verifier may be read, as all data may; it opens nothing.
    const [row] = await query<{ rolpassword: string }>(
      project.uri,
      `SELECT rolpassword FROM pg_authid WHERE rolname = 'pgrove_auth'`,
    )
    assert.match(row?.rolpassword ?? '', /^SCRAM-SHA-256\$1:/)
    const { data: schema } = await apiClient(server).getProjectBranchSchema({
      projectId: project.id,
      branchId: project.branchId,
      db_name: project.database,
    })
    assert.match(schema.sql ?? '', /CREATE TABLE neon_auth\.users_sync/)
    assert.doesNotMatch(schema.sql ?? '', /pgrove/)
  })

  test('a database that is renamed takes its users along, and so it does back where that fails', async () => {
    const rename = async (from: string, to: string): Promise<void> => {
      const { status, body } = await request(server, 'PATCH', `${branchPath()}/databases/${from}`, {
        database: { name: to },
      })
      assert.equal(status, 200, JSON.stringify(body))
      await waitForOperations(server, body['operations'] as Operations)
    }
    await rename(project.database, 'renamed')
    assert.equal((await request(server, 'GET', authPath())).body['db_name'], 'renamed')
    assert.equal((await addUser('renamed@example.com')).status, 201)
    assert.deepEqual(
      await query(
        inDatabase('renamed'),
        `SELECT count(*)::int AS n FROM neon_auth.users_sync WHERE email = 'renamed@example.com'`,
      ),
      [{ n: 1 }],
    )
    await rename('renamed', project.database)
    assert.equal((await request(server, 'GET', authPath())).body['db_name'], project.database)
    await arm(server, 'update_database.apply_config.before=error')
    const { body } = await request(server, 'PATCH', `${branchPath()}/databases/${project.database}`, {
      database: { name: 'never' },
    })
    await waitForOperations(server, (body['operations'] ?? []) as Operations).catch(() => {})
    await arm(server, '')
    assert.equal((await request(server, 'GET', authPath())).body['db_name'], project.database)
    assert.equal((await addUser('back@example.com')).status, 201)
  })

  test('a database whose owner lets nobody in is said to be one', async () => {
    await using session = await connect(project.uri)
    await session.query(`ALTER DATABASE ${project.database} CONNECTION LIMIT 0`)
    const locked = await addUser('locked@example.com')
    assert.equal(locked.status, 422)
    assert.match(String(locked.body['message']), /lets nobody in/)
    await session.query(`ALTER DATABASE ${project.database} CONNECTION LIMIT -1`)
    assert.equal((await addUser('unlocked@example.com')).status, 201)
  })

  test('survives a suspension', async () => {
    const api = apiClient(server)
    await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
    assert.equal((await addUser('woken@example.com')).status, 201)
  })

  test('what was made by a call that died is found by the next one', async () => {
    const other = await makeProject(server)
    const path = `/projects/${other.id}/branches/${other.branchId}/auth`
    await arm(server, 'auth.create.provisioned=error')
    assert.ok((await request(server, 'POST', path, { auth_provider: 'stack' })).status >= 500)
    await arm(server, '')
    assert.equal((await request(server, 'GET', path)).status, 404)
    assert.deepEqual(await query(other.uri, 'SELECT count(*)::int AS n FROM neon_auth.users_sync'), [{ n: 0 }])
    assert.equal((await request(server, 'POST', path, { auth_provider: 'stack' })).status, 201)
  })

  test('a schema of the same name that a tenant made is left alone, and so is his schema auth', async () => {
    const other = await makeProject(server)
    const path = `/projects/${other.id}/branches/${other.branchId}/auth`
    await query(
      other.uri,
      'CREATE SCHEMA neon_auth; CREATE TABLE neon_auth."user" (id int); CREATE SCHEMA auth; CREATE TABLE auth.mine (id int)',
    )
    const refused = await request(server, 'POST', path, { auth_provider: 'better_auth' })
    assert.equal(refused.status, 409, JSON.stringify(refused.body))
    assert.match(String(refused.body['message']), /schema neon_auth/)
    await query(other.uri, 'ALTER SCHEMA neon_auth RENAME TO before')
    assert.equal((await request(server, 'POST', path, { auth_provider: 'better_auth' })).status, 201)
    assert.deepEqual(await query(other.uri, 'SELECT count(*)::int AS n FROM auth.mine'), [{ n: 0 }])
    assert.deepEqual(
      await query(other.uri, `SELECT count(*)::int AS n FROM pg_extension WHERE extname = 'pg_session_jwt'`),
      [{ n: 0 }],
    )
  })

  test('is disabled with its users or without them, and goes with its database', async () => {
    assert.equal((await request(server, 'DELETE', authPath(), {})).status, 200)
    assert.deepEqual(
      await query(project.uri, `SELECT count(*)::int AS n FROM neon_auth.users_sync WHERE email = 'woken@example.com'`),
      [{ n: 1 }],
    )
    assert.equal((await enable()).status, 201)
    assert.deepEqual(
      await query(project.uri, `SELECT count(*)::int AS n FROM neon_auth.users_sync WHERE email = 'woken@example.com'`),
      [{ n: 1 }],
    )
    assert.equal((await request(server, 'DELETE', authPath(), { delete_data: true })).status, 200)
    assert.deepEqual(
      await query(
        project.uri,
        `SELECT (SELECT count(*)::int FROM pg_namespace WHERE nspname = 'neon_auth') AS schemas, (SELECT count(*)::int FROM pg_roles WHERE rolname = 'pgrove_auth') AS roles, (SELECT count(*)::int FROM posts) AS posts`,
      ),
      [{ schemas: 0, roles: 0, posts: 1 }],
    )
    const made = await request(server, 'POST', `${branchPath()}/databases`, {
      database: { name: 'second', owner_name: project.role },
    })
    await waitForOperations(server, made.body['operations'] as Operations)
    assert.equal((await enable('second')).status, 201)
    const deleted = await request(server, 'DELETE', `${branchPath()}/databases/second`)
    await waitForOperations(server, deleted.body['operations'] as Operations)
    assert.equal((await request(server, 'GET', authPath())).status, 404)
    assert.equal((await enable()).status, 201)
  })
})
