// The caller: who he is, how he proved it, the one organization there is, and the regions he may choose from.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, makeProject, type NeonApi } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

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

test('there is one organization, and projects are its', async () => {
  const { data } = await api.getCurrentUserOrganizations()
  assert.equal(data.organizations.length, 1)
  const [organization] = data.organizations
  assert.ok(organization)
  assert.match(organization.id, /^org-[a-z]+-[a-z]+-\d{8}$/)
  assert.ok(organization.handle.startsWith(organization.name))
  assert.deepEqual((await api.getOrganization(organization.id)).data, organization)

  const project = await makeProject(server)
  const { data: got } = await api.getProject(project.id)
  assert.equal(got.project.org_id, organization.id)
  assert.equal(got.project.owner_id, organization.id)
  await assertRefused(api.getOrganization('org-of-nobody-00000000'), 404, /organization not found/)
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
