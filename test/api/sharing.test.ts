// Keys of organizations and of single projects, and projects that are shared with people outside.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { join, makeOrganization, makeOrganizationKey, makeUser, type Person } from '../support/accounts.ts'
import { assertRefused, makeProject, type TestProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let admin: Person
let orgId: string
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  admin = await makeUser(server, 'admin@example.com')
  orgId = await makeOrganization(server, 'sharing', admin)
  project = await makeProject(admin.server, { org_id: orgId, name: 'shared' })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

test("an organization's keys are listed with who made them, and end when they are revoked", async () => {
  const { status, data: made } = await admin.api.createOrgApiKey(orgId, { key_name: 'ci' })
  assert.equal(status, 200)
  assert.match(made.key, /^napi_[a-z0-9]{64}$/)
  assert.equal(made.created_by, admin.id)
  assert.ok(!('project_id' in made))
  const { data: scoped } = await admin.api.createOrgApiKey(orgId, { key_name: 'one', project_id: project.id })
  assert.equal(scoped.project_id, project.id)

  const { data: listed } = await admin.api.listOrgApiKeys(orgId)
  assert.ok(Array.isArray(listed))
  assert.deepEqual(
    listed.map(({ id, name, project_id, created_by }) => [id, name, project_id, created_by.id]),
    [
      [made.id, 'ci', undefined, admin.id],
      [scoped.id, 'one', project.id, admin.id],
    ],
  )
  assert.ok(listed.every((key) => !('key' in key)))
  assert.ok(
    (await admin.api.listApiKeys()).data.every(({ id }) => id !== made.id),
    'it is none of his own',
  )
  await assertRefused(admin.api.revokeApiKey(made.id), 404, /API key not found/)

  const key = apiClient({ ...server, apiKey: made.key })
  assert.deepEqual((await key.getAuthDetails()).data, { account_id: orgId, auth_method: 'api_key_org' })
  const used = (await admin.api.listOrgApiKeys(orgId)).data.find(({ id }) => id === made.id)
  assert.ok(Date.parse(String(used?.last_used_at)) > 0)
  assert.match(used?.last_used_from_addr ?? '', /127\.0\.0\.1|::1/)
  const { data: revoked } = await admin.api.revokeOrgApiKey(orgId, scoped.id)
  assert.deepEqual([revoked.id, revoked.revoked, revoked.project_id], [scoped.id, true, project.id])
  assert.equal((await admin.api.revokeOrgApiKey(orgId, made.id)).data.revoked, true)
  await assertRefused(key.listProjects({}), 401, /API key/)
  await assertRefused(admin.api.revokeOrgApiKey(orgId, made.id), 404, /API key not found/)
  for (const body of [{}, { key_name: '' }, { key_name: 'x'.repeat(65) }])
    assert.equal((await request(admin.server, 'POST', `/organizations/${orgId}/api_keys`, body)).status, 400)
})

test("an organization's key creates and lists in its organization without naming it, and in no other", async () => {
  const key = await makeOrganizationKey(admin, orgId)
  const { data: made } = await key.api.createProject({ project: { name: 'by key' } })
  assert.equal(made.project.org_id, orgId)
  const { data } = await key.api.listProjects({ limit: 100 })
  assert.deepEqual(new Set(data.projects.map(({ org_id }) => org_id)), new Set([orgId]))
  assert.ok(data.projects.some(({ id }) => id === made.project.id))
  assert.deepEqual((await key.api.listSharedProjects({})).data.projects, [])
  const elsewhere = (await apiClient(server).getCurrentUserOrganizations()).data.organizations[0]?.id ?? ''
  for (const org_id of [elsewhere, 'org-no-such-00000000']) {
    await assertRefused(key.api.createProject({ project: { org_id } }), 404, /^organization not found$/)
    await assertRefused(key.api.listProjects({ org_id }), 404, /^organization not found$/)
  }
  assert.equal((await key.api.createOrgApiKey(orgId, { key_name: 'a key by a key' })).data.created_by, admin.id)
})

test("a project's key works in its project and is told that all else is outside of it", async () => {
  const other = await makeProject(admin.server, { org_id: orgId })
  const key = await makeOrganizationKey(admin, orgId, project.id)
  assert.equal((await key.api.getProject(project.id)).data.project.id, project.id)
  assert.match(
    (
      await key.api.getConnectionUri({
        projectId: project.id,
        database_name: project.database,
        role_name: project.role,
      })
    ).data.uri,
    /^postgresql:/,
  )
  await key.api.updateProject(project.id, { project: { name: 'renamed by its key' } })
  assert.deepEqual((await key.api.getAuthDetails()).data, { account_id: orgId, auth_method: 'api_key_org' })
  for (const [call, status] of [
    [() => key.api.listProjects({}), 403],
    [() => key.api.createProject({ project: {} }), 403],
    [() => key.api.getOrganization(orgId), 403],
    [() => key.api.createOrgApiKey(orgId, { key_name: 'more' }), 403],
    [() => key.api.getProject(other.id), 404],
    [() => key.api.getProject('no-such-project-00000000'), 404],
  ] as const)
    await assertRefused(call(), status, /project-scoped.*outside the project/)
  await assertRefused(key.api.deleteProject(project.id), 403, /role admin/)
  await assertRefused(key.api.grantPermissionToProject(project.id, { email: 'x@example.com' }), 403, /role admin/)
})

test('members make and revoke keys for projects, admins those of the organization', async () => {
  const [member, viewer] = [await makeUser(server, 'member@example.com'), await makeUser(server, 'viewer@example.com')]
  await join(admin, orgId, member, 'member')
  await join(admin, orgId, viewer, 'viewer')
  await assertRefused(member.api.createOrgApiKey(orgId, { key_name: 'k' }), 403, /role admin/)
  await assertRefused(viewer.api.createOrgApiKey(orgId, { key_name: 'k', project_id: project.id }), 403, /role viewer/)
  const own = await makeOrganizationKey(member, orgId, project.id)
  const admins = await makeOrganizationKey(admin, orgId)
  await assertRefused(member.api.revokeOrgApiKey(orgId, admins.id), 403, /role admin/)
  await assertRefused(viewer.api.revokeOrgApiKey(orgId, own.id), 403, /role viewer/)
  assert.equal((await member.api.revokeOrgApiKey(orgId, own.id)).data.revoked, true)
  const theirs = await makeOrganization(server, 'theirs', viewer)
  await assertRefused(viewer.api.createOrgApiKey(theirs, { key_name: 'k', project_id: project.id }), 403, /role viewer/)
  await join(viewer, theirs, member, 'admin')
  await assertRefused(
    member.api.createOrgApiKey(theirs, { key_name: 'k', project_id: project.id }),
    404,
    /project not found/,
  )
})

test('a project is shared with an address, whose user works in it until that ends', async () => {
  const friend = await makeUser(server, 'friend@example.com')
  await assertRefused(friend.api.getProject(project.id), 404, /^project not found$/)
  const { status, data: granted } = await admin.api.grantPermissionToProject(project.id, {
    email: 'Friend@Example.com',
  })
  assert.equal(status, 200)
  assert.equal(granted.granted_to_email, 'friend@example.com')
  assert.equal((await admin.api.grantPermissionToProject(project.id, { email: friend.email })).data.id, granted.id)
  assert.deepEqual((await admin.api.listProjectPermissions(project.id)).data.project_permissions, [granted])

  const { data } = await friend.api.listSharedProjects({})
  assert.deepEqual(
    data.projects.map(({ id, org_id }) => [id, org_id]),
    [[project.id, orgId]],
  )
  assert.deepEqual((await friend.api.listSharedProjects({ search: 'no such' })).data.projects, [])
  assert.deepEqual((await friend.api.listProjects({})).data.projects, [], 'they are listed apart')
  assert.equal((await friend.api.updateProject(project.id, { project: { name: 'by a friend' } })).status, 200)
  assert.equal((await friend.api.listProjectBranches({ projectId: project.id })).data.branches.length, 1)
  await assertRefused(friend.api.deleteProject(project.id), 403, /role admin/)
  await assertRefused(friend.api.grantPermissionToProject(project.id, { email: 'x@example.com' }), 403, /role admin/)
  await assertRefused(friend.api.getOrganization(orgId), 404, /organization not found/)

  const { data: ended } = await admin.api.revokePermissionFromProject(project.id, granted.id)
  assert.equal(ended.id, granted.id)
  assert.ok(ended.revoked_at)
  await assertRefused(friend.api.getProject(project.id), 404, /^project not found$/)
  assert.deepEqual((await admin.api.listProjectPermissions(project.id)).data.project_permissions, [])
  assert.deepEqual((await friend.api.listSharedProjects({})).data.projects, [])
  await assertRefused(admin.api.revokePermissionFromProject(project.id, granted.id), 404, /permission not found/)
  await assertRefused(
    admin.api.revokePermissionFromProject(project.id, 'not-a-permission'),
    404,
    /permission not found/,
  )
  assert.equal((await admin.api.grantPermissionToProject(project.id, { email: friend.email })).status, 200, 'anew')
})

test('an Idempotency-Key of one kind of key says nothing to another', async () => {
  const [scoped, whole] = [await makeOrganizationKey(admin, orgId, project.id), await makeOrganizationKey(admin, orgId)]
  const create = (who: TestServer) =>
    request(
      who,
      'POST',
      `/projects/${project.id}/jwks`,
      { jwks_url: 'https://example.com/jwks', provider_name: 'p' },
      { 'idempotency-key': 'same' },
    )
  const answers = [await create(admin.server), await create(whole.server), await create(scoped.server)]
  assert.deepEqual(
    answers.map(({ status, headers }) => [status, headers.get('idempotency-replayed')]),
    answers.map(() => [201, null]),
  )
  assert.equal((await create(scoped.server)).headers.get('idempotency-replayed'), 'true')
})

test('whoever was only handed a project does not choose what it may use', async () => {
  const { data: scoped } = await admin.api.createOrgApiKey(orgId, { key_name: 'tenant', project_id: project.id })
  const { data: whole } = await admin.api.createOrgApiKey(orgId, { key_name: 'platform' })
  const guest = await makeUser(server, 'guest-of-quotas@example.com')
  await admin.api.grantPermissionToProject(project.id, { email: 'guest-of-quotas@example.com' })
  const quota = { written_data_bytes: 1_000_000_000 }
  const tenant = apiClient({ ...server, apiKey: scoped.key })
  for (const api of [tenant, guest.api]) {
    await assertRefused(api.updateProject(project.id, { project: { settings: { quota } } }), 403, /quotas/)
    assert.equal((await api.updateProject(project.id, { project: { name: 'renamed' } })).data.project.name, 'renamed')
  }
  const platform = apiClient({ ...server, apiKey: whole.key })
  const { data } = await platform.updateProject(project.id, { project: { settings: { quota } } })
  assert.equal(data.project.settings?.quota?.written_data_bytes, quota.written_data_bytes)
})

test('an organization has as many keys as it may', async () => {
  const there = (await admin.api.listOrgApiKeys(orgId)).data.length
  const path = `/operator/organizations/${orgId}/limits`
  assert.equal((await request(server, 'PATCH', path, { limits: { api_keys: there + 1 } })).status, 200)
  const outcomes = await Promise.all(
    ['a', 'b', 'c'].map((key_name) => request(admin.server, 'POST', `/organizations/${orgId}/api_keys`, { key_name })),
  )
  assert.deepEqual(outcomes.map(({ status }) => String(status)).toSorted(), ['200', '422', '422'])
  assert.match(String(outcomes.find(({ status }) => status === 422)?.body['message']), /API keys.*revoke some/)
})
