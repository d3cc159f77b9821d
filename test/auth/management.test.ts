// Sign-in as the management API sets it up: what the seed asks for, call by call, and then each thing on its own.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  NeonAuthOauthProviderId,
  NeonAuthSupportedAuthProvider as Provider,
  type NeonAuthCreateIntegrationResponse,
} from '@neondatabase/api-client'
import { makeOrganization, makeOrganizationKey, makeUser, must } from '../support/accounts.ts'
import { assertRefused, makeChild, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

async function enable(project: TestProject, provider = Provider.Stack): Promise<NeonAuthCreateIntegrationResponse> {
  const { data, status } = await api.createNeonAuth(project.id, project.branchId, { auth_provider: provider })
  assert.equal(status, 201)
  return data
}

test("the seed's calls, and its query", async () => {
  const project = await makeProject(server)
  const post = (path: string, body: unknown): Promise<Record<string, unknown>> => must(server, 'POST', path, body)
  const roles = api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'app_user' } })
  await settled(server, roles)
  const database = { name: 'app_db', owner_name: 'app_user' }
  await settled(server, api.createProjectBranchDatabase(project.id, project.branchId, { database }))
  const { uri } = (
    await api.getConnectionUri({ projectId: project.id, database_name: 'app_db', role_name: 'app_user' })
  ).data

  const made = await post('/projects/auth/create', {
    auth_provider: 'stack',
    project_id: project.id,
    branch_id: project.branchId,
    database_name: 'app_db',
    role_name: 'app_user',
  })
  const { auth_provider_project_id: id, pub_client_key, secret_server_key, jwks_url, base_url, ...rest } = made
  assert.deepEqual(rest, { auth_provider: 'stack', schema_name: 'neon_auth', table_name: 'users_sync' })
  assert.match(String(id), uuid)
  assert.match(String(pub_client_key), /^pck_[a-z2-7]{52}$/)
  assert.match(String(secret_server_key), /^ssk_[a-z2-7]{52}$/)
  assert.equal(base_url, server.origin)
  assert.equal(jwks_url, `${server.origin}/api/v1/projects/${String(id)}/.well-known/jwks.json`)

  const keys = await post('/projects/auth/keys', { project_id: project.id, auth_provider: 'stack' })
  assert.notEqual(keys['secret_server_key'], secret_server_key)
  assert.match(String(keys['secret_server_key']), /^ssk_/)
  assert.equal(keys['auth_provider_project_id'], id)

  // A new one has both shared; the seed adds them.
  const providers = `/projects/${project.id}/auth/oauth_providers`
  assert.deepEqual(await post(providers, { id: 'google' }), { id: 'google', type: 'shared' })
  const own = { id: 'github', client_id: 'Iv1.xxxxxxxxxxxx', client_secret: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }
  assert.deepEqual(await post(providers, own), { ...own, type: 'standard' })
  await assertRefused(
    api.addNeonAuthOauthProvider(project.id, { ...own, id: NeonAuthOauthProviderId.Github, client_id: 'another' }),
    409,
    /has credentials already; PATCH/,
  )

  const user = { email: 'Admin@Example.com', name: 'Admin User' }
  const { id: userId } = await post('/projects/auth/user', { project_id: project.id, auth_provider: 'stack', ...user })
  assert.match(String(userId), uuid)
  const seeds =
    'SELECT id, email, name, signed_in_at FROM neon_auth.users_sync WHERE email_verified = true ORDER BY created_at DESC'
  await query(uri, seeds)
  const rows = await query(uri, 'SELECT id, email, name, email_verified FROM neon_auth.users_sync')
  assert.deepEqual(rows, [{ id: userId, email: 'admin@example.com', name: 'Admin User', email_verified: false }])
})

test('enabled once a branch, shown without keys, disabled with or without its users', async () => {
  const project = await makeProject(server)
  const { id, branchId } = project
  await assertRefused(api.getNeonAuth(id, branchId), 404, /not enabled on this branch/)
  assert.deepEqual((await api.listNeonAuthIntegrations(id)).data, { data: [] })
  const made = await enable(project)
  const { data: shown } = await api.getNeonAuth(id, branchId)
  const { created_at, name, ...rest } = shown
  assert.deepEqual(rest, {
    auth_provider: 'stack',
    auth_provider_project_id: made.auth_provider_project_id,
    branch_id: branchId,
    db_name: project.database,
    owned_by: 'neon',
    jwks_url: made.jwks_url,
    base_url: made.base_url,
  })
  assert.ok(Date.parse(created_at) > 0)
  assert.equal(name, (await api.getProject(id)).data.project.name)
  assert.deepEqual((await api.listNeonAuthIntegrations(id)).data, { data: [shown] })
  // Neon's tools take this for "already enabled" and go on with GET.
  const again = { auth_provider: Provider.BetterAuth }
  await assertRefused(api.createNeonAuth(id, branchId, again), 409, /already enabled.*stack/)
  const legacy = { ...again, project_id: id, branch_id: branchId }
  await assertRefused(api.createNeonAuthIntegration(legacy), 409, /already enabled/)

  const { data: user } = await api.createBranchNeonAuthNewUser(id, branchId, { email: 'stays@example.com' })
  assert.equal((await api.disableNeonAuth(id, branchId, {})).status, 200)
  await assertRefused(api.getNeonAuth(id, branchId), 404, /not enabled/)
  await assertRefused(api.disableNeonAuth(id, branchId, {}), 404, /not enabled/)
  const users = 'SELECT id FROM neon_auth.users_sync'
  assert.deepEqual(await query(project.uri, users), [{ id: user.id }])

  // Another provider over the same users, with nothing of what opened the first.
  const better = await enable(project, Provider.BetterAuth)
  assert.notEqual(better.auth_provider_project_id, made.auth_provider_project_id)
  assert.deepEqual([better.pub_client_key, better.secret_server_key], ['', ''])
  assert.match(better.base_url ?? '', new RegExp(`${project.endpointId}.*/${project.database}/auth$`))
  assert.equal(better.jwks_url, `${better.base_url}/.well-known/jwks.json`)
  assert.deepEqual(await query(project.uri, users), [{ id: user.id }])
  const keys = { project_id: id, auth_provider: Provider.BetterAuth }
  assert.deepEqual((await api.createNeonAuthProviderSdkKeys(keys)).data, better)
  await assertRefused(
    api.createNeonAuthProviderSdkKeys({ ...keys, auth_provider: Provider.Stack }),
    404,
    /stack is not enabled/,
  )
  const answer = await api.deleteNeonAuthIntegration(id, Provider.BetterAuth, { delete_data: true })
  assert.equal(answer.status, 200)
  const schemas = "SELECT nspname FROM pg_namespace WHERE nspname = 'neon_auth'"
  assert.deepEqual(await query(project.uri, schemas), [])
  const { branch } = (await api.getProjectBranch(id, branchId)).data
  assert.equal(branch.id, branchId)
})

test('what cannot have sign-in is said before anything is made', async () => {
  const project = await makeProject(server)
  const wanted = { auth_provider: Provider.Stack }
  const nowhere = { ...wanted, database_name: 'no_such' }
  await assertRefused(api.createNeonAuth(project.id, project.branchId, nowhere), 404, /database "no_such" not found/)
  await assertRefused(api.createNeonAuth(project.id, 'br-no-such-00000000', wanted), 404, /branch not found/)
  await assertRefused(
    api.createNeonAuth(project.id, project.branchId, { auth_provider: 'auth0' as Provider }),
    400,
    /auth_provider/,
  )
  const bare = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'bare' } }))
  await assertRefused(api.createNeonAuth(project.id, bare.branch.id, wanted), 422, /no read-write endpoint/)
  await query(project.uri, 'CREATE SCHEMA neon_auth')
  await assertRefused(api.createNeonAuth(project.id, project.branchId, wanted), 409, /schema neon_auth/)
  await assertRefused(api.getNeonAuth(project.id, project.branchId), 404, /not enabled/)
})

test('a suspended compute is woken for it, and two who ask at once get one integration', async () => {
  const project = await makeProject(server)
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  const wanted = { auth_provider: Provider.Stack }
  const outcomes = await Promise.all(
    [1, 2, 3].map(() => request(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/auth`, wanted)),
  )
  assert.deepEqual(
    outcomes.map(({ status }) => status).toSorted((a, b) => a - b),
    [201, 409, 409],
  )
  assert.equal((await api.listNeonAuthIntegrations(project.id)).data.data.length, 1)
  assert.equal((await api.getProjectJwks(project.id)).data.jwks.length, 1)
})

test('users are made, given roles and removed', async () => {
  const project = await makeProject(server)
  const { id, branchId } = project
  const email = 'somebody@example.com'
  await assertRefused(api.createBranchNeonAuthNewUser(id, branchId, { email }), 404, /not enabled/)
  await enable(project)
  const { data: user, status } = await api.createBranchNeonAuthNewUser(id, branchId, { email, name: 'Some Body' })
  assert.equal(status, 201)
  await assertRefused(api.createBranchNeonAuthNewUser(id, branchId, { email }), 409, /exists already/)
  const same = 'SOMEBODY@Example.COM'
  await assertRefused(rawUser(id, branchId, same), 409, /exists already/)
  for (const bad of ['nobody', 'a@b@c', 'a b@example.com', 'a@example.com\nBcc: b@example.com', '<a@example.com>'])
    await assertRefused(rawUser(id, branchId, bad), 400, /email/)
  await assertRefused(rawUser(id, branchId, 'x@example.com', '\u0000'), 400, /null character/)

  const { data: role } = await api.updateNeonAuthUserRole(id, branchId, user.id, { roles: ['admin', 'editor'] })
  assert.equal(role.id, user.id)
  await assertRefused(api.updateNeonAuthUserRole(id, branchId, user.id, { roles: ['a,b'] }), 400, /roles/)
  await assertRefused(api.updateNeonAuthUserRole(id, branchId, user.id, { roles: [] }), 400, /roles/)
  for (const nobody of [crypto.randomUUID(), 'nonsense']) {
    await assertRefused(api.updateNeonAuthUserRole(id, branchId, nobody, { roles: ['admin'] }), 404, /user not found/)
    await assertRefused(api.deleteBranchNeonAuthUser(id, branchId, nobody), 404, /user not found/)
  }
  const read = 'SELECT id, deleted_at IS NOT NULL AS gone FROM neon_auth.users_sync ORDER BY created_at'
  assert.deepEqual(await query(project.uri, read), [{ id: user.id, gone: false }])
  assert.equal((await api.deleteBranchNeonAuthUser(id, branchId, user.id)).status, 204)
  const legacy = { project_id: id, auth_provider: Provider.Stack, email }
  const { data: second } = await api.createNeonAuthNewUser(legacy)
  assert.notEqual(second.id, user.id)
  assert.equal((await api.deleteNeonAuthUser(id, second.id)).status, 204)
  assert.deepEqual(
    (await query<{ gone: boolean }>(project.uri, read)).map(({ gone }) => gone),
    [true, true],
  )
})

async function rawUser(
  projectId: string,
  branchId: string,
  email: string,
  name?: string,
): Promise<{ status: number; data: unknown }> {
  return await api.createBranchNeonAuthNewUser(projectId, branchId, { email, ...(name === undefined ? {} : { name }) })
}

test('a name for mails, and nobody to hand the integration to', async () => {
  const project = await makeProject(server)
  await enable(project)
  const { id, branchId } = project
  assert.deepEqual((await api.updateNeonAuthConfig(id, branchId, { name: 'My App' })).data, { name: 'My App' })
  assert.equal((await api.getNeonAuth(id, branchId)).data.name, 'My App')
  await assertRefused(api.updateNeonAuthConfig(id, branchId, { name: 'My\r\nApp' }), 400, /one line/)
  await assertRefused(api.updateNeonAuthConfig(id, branchId, { name: '' }), 400, /name/)
  const transfer = { project_id: id, auth_provider: Provider.Stack }
  await assertRefused(api.transferNeonAuthProviderProject(transfer), 422, /goes along when the project is transferred/)
})

test('its key set is among those of the project, and goes with it alone', async () => {
  const project = await makeProject(server)
  const made = await enable(project, Provider.BetterAuth)
  const [set] = (await api.getProjectJwks(project.id)).data.jwks
  assert.ok(set)
  assert.equal(set.jwks_url, made.jwks_url)
  assert.equal(set.branch_id, project.branchId)
  assert.equal(set.provider_name, 'neon_auth')
  assert.deepEqual(set.role_names, ['authenticated', 'anonymous'])
  await assertRefused(api.deleteProjectJwks(project.id, set.id), 422, /belongs to the sign-in/)
  await api.disableNeonAuth(project.id, project.branchId, {})
  assert.deepEqual((await api.getProjectJwks(project.id)).data.jwks, [])
})

test('it follows its database, and goes with its branch and its project until they are recovered', async () => {
  const project = await makeProject(server)
  const { id, branchId } = project
  const database = { name: 'app', owner_name: project.role }
  await settled(server, api.createProjectBranchDatabase(id, branchId, { database }))
  const wanted = { auth_provider: Provider.BetterAuth, database_name: 'app' }
  const { data: made } = await api.createNeonAuth(id, branchId, wanted)
  await settled(server, api.updateProjectBranchDatabase(id, branchId, 'app', { database: { name: 'renamed' } }))
  const { data: renamed } = await api.getNeonAuth(id, branchId)
  assert.equal(renamed.db_name, 'renamed')
  assert.equal(renamed.auth_provider_project_id, made.auth_provider_project_id)
  assert.match(renamed.base_url ?? '', /\/renamed\/auth$/)
  assert.equal((await api.getProjectJwks(id)).data.jwks[0]?.jwks_url, renamed.jwks_url)

  const child = await makeChild(server, project, { name: 'child' })
  const { data: copied } = await api.getNeonAuth(id, child.branch.id)
  assert.notEqual(copied.auth_provider_project_id, made.auth_provider_project_id)
  // Older routes mean the default branch's.
  assert.equal((await api.listNeonAuthIntegrations(id)).data.data[0]?.branch_id, branchId)
  await settled(server, api.deleteProjectBranch({ projectId: id, branchId: child.branch.id }))
  await assertRefused(api.getNeonAuth(id, child.branch.id), 404, /branch not found/)
  assert.equal((await api.listNeonAuthIntegrations(id)).data.data.length, 1)
  await api.recoverProjectBranch(id, child.branch.id)
  assert.deepEqual((await api.getNeonAuth(id, child.branch.id)).data, copied)

  await api.deleteProject(id)
  await assertRefused(api.getNeonAuth(id, branchId), 404, /project not found/)
  await patiently(() => api.recoverProject(id))
  assert.deepEqual((await api.getNeonAuth(id, branchId)).data, renamed)

  await settled(
    server,
    patiently(() => api.deleteProjectBranchDatabase(id, branchId, 'renamed')),
  )
  await assertRefused(api.getNeonAuth(id, branchId), 404, /not enabled/)
})

/** Until what a deletion has begun is over. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if ((error as { status?: number }).status !== 423) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

test('who may see what, and a key of another project nothing', async () => {
  const admin = await makeUser(server, 'auth-admin@example.com')
  const orgId = await makeOrganization(server, 'auth', admin)
  const project = await makeProject(admin.server, { org_id: orgId })
  const other = await makeProject(admin.server, { org_id: orgId })
  const own = await makeOrganizationKey(admin, orgId, project.id)
  const foreign = await makeOrganizationKey(admin, orgId, other.id)
  const body = { auth_provider: 'stack', project_id: project.id, branch_id: project.branchId }
  const refused = await request(foreign.server, 'POST', '/projects/auth/create', body)
  assert.equal(refused.status, 404)
  assert.match(String(refused.body['message']), /project not found/)
  const made = await must(own.server, 'POST', '/projects/auth/create', body)
  const user = { project_id: project.id, auth_provider: 'stack', email: 'somebody@example.com' }
  assert.equal((await request(foreign.server, 'POST', '/projects/auth/user', user)).status, 404)
  assert.equal((await request(foreign.server, 'POST', '/projects/auth/keys', user)).status, 404)
  await must(own.server, 'POST', '/projects/auth/user', user)

  // What was done is in the log of the organization, and nothing of what opens anything.
  const path = `/projects/${project.id}/auth/oauth_providers/github`
  const secret = 'shown-to-nobody-ever'
  await must(own.server, 'PATCH', path, { client_id: 'mine', client_secret: secret })
  const { data } = await admin.api.listNeonAuthOauthProviders(project.id)
  assert.deepEqual(
    data.providers.find(({ id }) => id === NeonAuthOauthProviderId.Github),
    { id: 'github', type: 'standard', client_id: 'mine' },
  )
  const log = JSON.stringify(await must(admin.server, 'GET', `/organizations/${orgId}/audit_log`))
  assert.match(log, /updateNeonAuthOauthProvider/)
  for (const hidden of [secret, String(made['secret_server_key']), String(made['pub_client_key'])]) {
    assert.ok(!log.includes(hidden))
    assert.ok(!(await server.log()).includes(hidden))
  }
})
