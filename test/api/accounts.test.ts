// The caller: who he is, how he proved it, the organizations of the first start, and the regions he may choose from.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, makeProject, refusal, type NeonApi } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

test('the caller has a user', async () => {
  const { data } = await api.getCurrentUserInfo()
  assert.match(data.id, uuid)
  assert.match(data.email, /@/)
  assert.equal(data.login, data.email)
  assert.ok(data.projects_limit > 0 && data.branches_limit > 0)
  assert.deepEqual(data.auth_accounts, [])
})

test('a personal key is of its user', async () => {
  const { data: me } = await api.getCurrentUserInfo()
  const { data } = await api.getAuthDetails()
  assert.deepEqual(data, { account_id: me.id, auth_method: 'api_key_user' })
})

test('the first start makes an organization for who pays nothing and one for who pays', async () => {
  const { data } = await api.getCurrentUserOrganizations()
  assert.deepEqual(
    data.organizations.map(({ name, plan }) => [name, plan]),
    [
      ['sponsored', 'free_v3'],
      ['paid', 'scale_v3'],
    ],
  )
  for (const organization of data.organizations) {
    assert.match(organization.id, /^org-[a-z]+-[a-z]+-\d{8}$/)
    assert.equal(organization.handle, `${organization.name}-${organization.id}`)
    assert.deepEqual((await api.getOrganization(organization.id)).data, organization)
  }
  await assertRefused(api.getOrganization('org-of-nobody-00000000'), 404, /organization not found/)
})

test('projects are created in the default organization, listed from all, and the default is changed', async () => {
  const [sponsored, paid] = (await api.getCurrentUserOrganizations()).data.organizations
  assert.ok(sponsored && paid)
  const made: string[] = []
  for (const { id, plan } of [sponsored, paid]) {
    const { status, body } = await request(server, 'PATCH', '/users/me', { default_org_id: id })
    assert.equal(status, 200)
    assert.equal(body['default_org_id'], id)
    assert.equal((await api.getCurrentUserInfo()).data.plan, plan)
    const { data: got } = await api.getProject((await makeProject(server)).id)
    assert.equal(got.project.org_id, id)
    assert.equal(got.project.owner_id, id)
    made.push(got.project.id)
  }
  const named = await makeProject(server, { org_id: sponsored.id })
  assert.equal((await api.getProject(named.id)).data.project.org_id, sponsored.id)
  const listed = (await api.listProjects({ limit: 400 })).data.projects.map(({ id }) => id)
  for (const id of [...made, named.id]) assert.ok(listed.includes(id))
  for (const id of ['org-of-nobody-00000000', '', 'Not An Id']) {
    assert.equal((await request(server, 'PATCH', '/users/me', { default_org_id: id })).status, 404, id)
  }
  assert.equal((await request(server, 'PATCH', '/users/me', { default_org_id: 7 })).status, 400)
})

test('its members are listed in any order', async () => {
  const { data: me } = await api.getCurrentUserInfo()
  const orgId = (await api.getCurrentUserOrganizations()).data.organizations[0]?.id ?? ''
  const { data } = await api.getOrganizationMembers({ orgId })
  assert.equal(data.members.length, 1)
  const [entry] = data.members
  assert.equal(entry?.member.user_id, me.id)
  assert.equal(entry?.member.org_id, orgId)
  assert.equal(entry?.member.role, 'admin')
  assert.equal(entry?.user.email, me.email)
  assert.equal(data.pagination?.next, undefined)
  for (const sort_by of ['email', 'role', 'joined_at'] as const) {
    const sorted = await api.getOrganizationMembers({ orgId, sort_by, sort_order: 'asc' })
    assert.deepEqual(sorted.data.members, data.members)
  }
  await assertRefused(api.getOrganizationMembers({ orgId: 'org-of-nobody-00000000' }), 404, /organization not found/)
})

test('every region that is listed takes projects, and one is the default', async () => {
  const { data } = await api.getActiveRegions({})
  assert.equal(data.regions.filter((region) => region.default).length, 1)
  const ids = data.regions.map(({ region_id }) => region_id)
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ['aws-us-east-1', 'aws-us-east-2', 'aws-us-west-2', 'aws-eu-central-1', 'azure-eastus2']) {
    assert.ok(ids.includes(id), `${id} is in the list that the Neon CLI carries`)
  }
  for (const { geo_lat, geo_long } of data.regions) {
    assert.ok(Math.abs(Number(geo_lat)) <= 90 && Math.abs(Number(geo_long)) <= 180)
  }
  for (const id of ids) {
    const { data: made } = await api.createProject({ project: { region_id: id } })
    assert.equal(made.project.region_id, id)
    assert.equal(made.project.platform_id, id.split('-')[0])
    assert.equal(made.endpoints[0]?.region_id, id)
  }
})

test('a pgrove that nobody has changed creates in the sponsored organization; one that asks for it wants org_id', async () => {
  await using strict = await startServer({
    env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0', PGROVE_REQUIRE_ORG_ID: '1' },
    defaultOrganization: 'sponsored',
  })
  const own = apiClient(strict)
  const [sponsored, paid] = (await own.getCurrentUserOrganizations()).data.organizations
  assert.ok(sponsored && paid)
  for (const call of [() => own.listProjects({}), () => own.createProject({ project: {} })]) {
    const { status, code, message } = await refusal(call())
    assert.deepEqual([status, code, message], [400, '', 'org_id is required'])
  }
  const examples = (await own.listProjects({ org_id: sponsored.id })).data.projects.map(({ name }) => name)
  assert.deepEqual(examples, ['example'], 'what the first start makes is there all the same')
  assert.equal((await own.createProject({ project: { org_id: paid.id } })).data.project.org_id, paid.id)
  const key = await request(strict, 'POST', `/organizations/${paid.id}/api_keys`, { key_name: 'infers' })
  const inferring = apiClient({ ...strict, apiKey: String(key.body['key']) })
  assert.equal((await inferring.listProjects({})).data.projects.length, 1)
  await assertQuiet(strict)
})
