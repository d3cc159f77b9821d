// The audit log: what was done and what was refused, by whom and to what, for the admins of the organization and for nobody else.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { join, makeOrganization, makeOrganizationKey, makeUser, must, type Person } from '../support/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { makeProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { request, startServer, type TestServer } from '../support/server.ts'

type Entry = {
  id: number
  at: string
  actor: { kind: string; user_id: string; user_email: string; key_id: number; key_name: string }
  operation_id: string
  resources: Record<string, string>
  status: number
  request_id: string
  remote_address: string
}
type Page = { entries: Entry[]; pagination: { next?: string } }

let server: TestServer
let admin: Person
let orgId: string
let projectId: string

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  admin = await makeUser(server, 'admin@example.com')
  orgId = await makeOrganization(server, 'audited', admin)
  projectId = (await makeProject(admin.server, { org_id: orgId })).id
})
after(() => server?.[Symbol.asyncDispose]())

const logOf = async (id: string, who: Person, query = ''): Promise<Page> =>
  (await must(who.server, 'GET', `/organizations/${id}/audit_log${query}`)) as Page

const entriesOf = async (operationId: string, id = orgId): Promise<Entry[]> =>
  (await logOf(id, admin, '?limit=1000')).entries.filter((entry) => entry.operation_id === operationId)

test('a change is there at once: who, with which key, what, to what, from where, and how it ended', async () => {
  const { headers } = await request(admin.server, 'PATCH', `/projects/${projectId}`, { project: { name: 'audited' } })
  const [entry] = await entriesOf('updateProject')
  assert.ok(entry)
  assert.equal(entry.actor.kind, 'user')
  assert.equal(entry.actor.user_id, admin.id)
  assert.equal(entry.actor.user_email, 'admin@example.com')
  assert.equal(entry.actor.key_name, 'first key')
  assert.ok(entry.actor.key_id > 0)
  assert.deepEqual(entry.resources, { project_id: projectId, org_id: orgId })
  assert.equal(entry.status, 200)
  assert.equal(entry.request_id, headers.get('x-request-id'))
  assert.match(entry.remote_address, /127\.0\.0\.1|::1/)
  assert.ok(Math.abs(Date.parse(entry.at) - Date.now()) < 600_000)
})

test('what was made is named, also where only the answer says whose it is', async () => {
  const [created] = await entriesOf('createProject')
  assert.deepEqual(
    [created?.resources['project_id'], created?.resources['org_id'], created?.status],
    [projectId, orgId, 201],
  )
  assert.ok(created?.resources['branch_id'])
})

test('refusals are there as well: the gate’s, and those of what lies behind it', async () => {
  const viewer = await makeUser(server, 'viewer@example.com')
  await join(admin, orgId, viewer, 'viewer')
  assert.equal((await request(viewer.server, 'DELETE', `/projects/${projectId}`)).status, 403)
  assert.equal((await request(viewer.server, 'POST', '/projects', { project: { org_id: orgId } })).status, 403)
  assert.equal((await request(admin.server, 'PATCH', `/projects/${projectId}`, [])).status, 400)
  const key = await makeOrganizationKey(admin, orgId, projectId)
  assert.equal((await request(key.server, 'DELETE', '/projects/no-such-project-00000000')).status, 404)
  const said = async (operationId: string): Promise<[string, number] | undefined> => {
    const [entry] = await entriesOf(operationId)
    return entry && [entry.actor.user_email, entry.status]
  }
  const [byKey, byViewer] = await entriesOf('deleteProject')
  assert.deepEqual([byKey?.actor.kind, byKey?.actor.key_name, byKey?.status], ['project', 'project', 404])
  assert.deepEqual([byViewer?.actor.user_email, byViewer?.status], ['viewer@example.com', 403])
  assert.deepEqual(await said('createProject'), ['viewer@example.com', 403])
  assert.deepEqual(await said('updateProject'), ['admin@example.com', 400])
})

test('whoever hangs up before he is answered is there as well', async () => {
  const key = await makeOrganizationKey(admin, orgId)
  const { hostname, port, pathname } = new URL(server.apiUrl)
  const socket = connect(Number(port), hostname)
  const closed = once(socket, 'close')
  socket.end(
    `DELETE ${pathname}/organizations/${orgId}/api_keys/${key.id} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${admin.server.apiKey}\r\n\r\n`,
  )
  socket.resume()
  await closed
  const entry = await eventually('what was done is logged', async () => (await entriesOf('revokeOrgApiKey'))[0])
  assert.deepEqual([entry.resources['key_id'], entry.status], [String(key.id), 200])
})

test('names of any length take up little room', async () => {
  const name = '😀'.repeat(1000)
  const path = `/projects/${projectId}/branches/br-none-00000000/roles/x${encodeURIComponent(name)}`
  await request(admin.server, 'DELETE', path)
  const [entry] = await entriesOf('deleteProjectBranchRole')
  assert.equal(entry?.resources['role_name'], `x${name.slice(0, 98)}\ufffd`)
})

test('what an operator does to an organization is said there too', async () => {
  await must(server, 'PATCH', `/operator/organizations/${orgId}/limits`, { limits: { api_keys: 5000 } })
  assert.equal((await request(admin.server, 'PATCH', `/operator/organizations/${orgId}/limits`, {})).status, 403)
  const entries = await entriesOf('updateOrganizationLimits')
  assert.deepEqual(
    entries.map(({ actor, status }) => [actor.user_email, status]),
    [['admin@pgrove.local', 200]],
  )
})

test('reading is not logged, except for what shows a password', async () => {
  const before = (await logOf(orgId, admin)).entries[0]?.id
  await must(admin.server, 'GET', `/projects/${projectId}`)
  await must(admin.server, 'GET', `/organizations/${orgId}/members`)
  assert.equal((await logOf(orgId, admin)).entries[0]?.id, before)
  await must(admin.server, 'GET', `/projects/${projectId}/connection_uri?database_name=neondb&role_name=neondb_owner`)
  assert.equal((await entriesOf('getConnectionURI')).length, 1)
})

test('nobody reads another organization’s, writes into it, or learns from it that he was seen', async () => {
  const stranger = await makeUser(server, 'stranger@example.com')
  const theirs = await makeOrganization(server, 'theirs', stranger)
  const last = (await logOf(orgId, admin)).entries[0]?.id
  assert.equal((await request(stranger.server, 'DELETE', `/projects/${projectId}`)).status, 404)
  assert.equal((await request(stranger.server, 'POST', '/projects', { project: { org_id: orgId } })).status, 404)
  assert.equal((await request(stranger.server, 'GET', `/organizations/${orgId}/audit_log`)).status, 404)
  assert.equal((await request(server, 'GET', `/organizations/${orgId}/audit_log`)).status, 404)
  assert.equal((await logOf(orgId, admin)).entries[0]?.id, last)
  assert.deepEqual(
    (await logOf(theirs, stranger)).entries.map((entry) => entry.operation_id),
    ['createOrganization'],
  )
})

test('it is read page by page, newest first', async () => {
  for (const name of ['a', 'b', 'c']) await must(admin.server, 'PATCH', `/projects/${projectId}`, { project: { name } })
  const all = (await logOf(orgId, admin, '?limit=1000')).entries.map(({ id }) => id)
  assert.deepEqual(
    all,
    all.toSorted((a, b) => b - a),
  )
  const seen: number[] = []
  for (let cursor: string | undefined = ''; cursor !== undefined;) {
    const page: Page = await logOf(orgId, admin, `?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
    seen.push(...page.entries.map(({ id }) => id))
    cursor = page.pagination.next
  }
  assert.deepEqual(seen, all)
  for (const query of ['?limit=0', '?limit=1001', '?limit=x', '?cursor=x', '?cursor=-1', '?cursor=9999999999999999999'])
    assert.equal((await request(admin.server, 'GET', `/organizations/${orgId}/audit_log${query}`)).status, 400, query)
})

test('no secret and no body is in it', async () => {
  const made = await must(admin.server, 'POST', `/organizations/${orgId}/api_keys`, { key_name: 'not for the log' })
  const text = JSON.stringify(await logOf(orgId, admin, '?limit=1000'))
  assert.ok(!text.includes(String(made['key'])))
  assert.doesNotMatch(text, /napi_|postgresql:|SCRAM|not for the log/)
})

test('what was done is kept over an orderly end', async () => {
  await must(admin.server, 'PATCH', `/projects/${projectId}`, { project: { name: 'last words' } })
  const count = (await entriesOf('updateProject')).length
  const answered = await request(admin.server, 'PATCH', `/projects/${projectId}`, {
    project: { name: 'the very last' },
  })
  const id = answered.headers.get('x-request-id')
  await assertQuiet(server)
  await server.stop()
  const again = await startServer({
    home: server.home,
    keepHome: true,
    env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' },
  })
  try {
    const reader = { ...admin, server: { ...again, apiKey: admin.server.apiKey } }
    const { entries } = await logOf(orgId, reader, '?limit=1000')
    const found = entries.filter((entry) => entry.operation_id === 'updateProject')
    assert.equal(found.length, count + 1)
    assert.equal(found[0]?.request_id, id)
  } finally {
    await again.stop()
  }
})
