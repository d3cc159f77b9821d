// Projects change hands: between organizations, and to whoever was given an offer. Nobody who is connected notices.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, makeProject, refusal, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { makeOrganization, makeUser, withKey, type Person } from '../support/accounts.ts'
import { addMember, firstOrganizations, newOrganization, setLimits } from '../support/organizations.ts'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import { connect } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let sponsored: string
let paid: string

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '1,2', PGROVE_RATE_LIMIT: 'off' } })
  api = apiClient(server)
  ;({ sponsored, paid } = await firstOrganizations(server))
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const transfer = (from: string, to: string, ids: string[], client = api) =>
  client.transferProjectsFromOrgToOrg(from, { destination_org_id: to, project_ids: ids })

const orgOf = async (id: string): Promise<string | undefined> => (await api.getProject(id)).data.project.org_id

/** Of refusals that carry more than Neon's error form. */
async function bodyOf(call: Promise<unknown>): Promise<Record<string, unknown>> {
  return await call.then(
    () => assert.fail('the call succeeded'),
    (error: { response: { data: Record<string, unknown> } }) => error.response.data,
  )
}

test('a transferred project is the same to everybody who is connected: in a transaction, pooled and listening', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const { data: pooled } = await api.getConnectionUri({
    projectId: project.id,
    database_name: project.database,
    role_name: project.role,
    pooled: true,
  })
  await using writing = await connect(project.uri)
  await using pool = await connect(pooled.uri)
  await using listening = await connect(project.uri)
  const heard: string[] = []
  listening.client.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await listening.query('listen news')
  await writing.query('create table t (v int)')
  await writing.query('begin')
  await writing.query('insert into t values (1)')
  const [backend] = await writing.query<{ pid: number }>('select pg_backend_pid() as pid')
  await pool.query('select count(*) from t')
  const { data: before } = await api.getProjectEndpoint(project.id, project.endpointId)

  const answer = await transfer(sponsored, paid, [project.id])
  assert.deepEqual([answer.status, answer.data], [200, {}])

  await writing.query('insert into t values (2)')
  assert.deepEqual(await writing.query('select pg_backend_pid() as pid'), [backend])
  await writing.query('commit')
  assert.deepEqual(await pool.query('select v from t order by v'), [{ v: 1 }, { v: 2 }])
  await pool.query("select pg_notify('news', 'moved')")
  await eventually('the listener hears of it', async () => heard.includes('moved'))
  await using later = await connect(project.uri)
  assert.deepEqual(await later.query('select count(*)::int as rows from t'), [{ rows: 2 }])

  const { data: got } = await api.getProject(project.id)
  assert.deepEqual([got.project.org_id, got.project.owner_id], [paid, paid])
  assert.equal(got.project.owner?.subscription_type, 'scale_v3')
  // What it was given by its first organization is its own.
  assert.equal(got.project.settings?.quota?.active_time_seconds, 360_000)
  const { data: after } = await api.getProjectEndpoint(project.id, project.endpointId)
  assert.equal(after.endpoint.host, before.endpoint.host)
  assert.equal(after.endpoint.started_at, before.endpoint.started_at)
  assert.equal(after.endpoint.current_state, 'active')
  const { data: listed } = await api.listProjects({ org_id: paid, limit: 400 })
  assert.ok(listed.projects.some(({ id }) => id === project.id))
  // The limits of its new organization hold from now on.
  await api.updateProject(project.id, { project: { history_retention_seconds: 604_800 } })
})

test('what the old organization gave to others ends: a project’s keys and its shares', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const key = await request(server, 'POST', `/organizations/${sponsored}/api_keys`, {
    key_name: 'of one project',
    project_id: project.id,
  })
  const keyed = apiClient(withKey(server, key.body['key'] as string))
  const friend = await makeUser(server, 'friend@example.com')
  await api.grantPermissionToProject(project.id, { email: friend.email })
  await keyed.getProject(project.id)
  await friend.api.getProject(project.id)
  await transfer(sponsored, paid, [project.id])
  assert.equal((await refusal(keyed.getProject(project.id))).status, 401)
  assert.equal((await refusal(friend.api.getProject(project.id))).status, 404)
  assert.deepEqual(
    (await api.listProjectPermissions(project.id)).data.project_permissions.filter((each) => !each.revoked_at),
    [],
  )
})

test('a request that comes while a project moves is judged by what its caller is where it went', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const viewer = await makeUser(server, 'soon-a-viewer@example.com')
  await addMember(server, sponsored, viewer, 'admin')
  await addMember(server, paid, viewer, 'viewer')
  const path = `/projects/${project.id}`
  const late = await withControlDatabase(server.home, async (rows) => {
    await rows.query('begin')
    await rows.query('select from projects where id = $1 for update', [project.id])
    // Each has been let in, and waits for the row.
    const waiting = [
      request(viewer.server, 'POST', `${path}/permissions`, { email: 'friend@example.com' }),
      request(viewer.server, 'POST', `${path}/transfer_requests`, {}),
      request(viewer.server, 'PATCH', path, { project: { name: 'mine' } }),
      request(viewer.server, 'DELETE', path),
    ]
    await eventually('all of them wait', async () => {
      const { rows: found } = await rows.query<{ count: string }>(
        'select count(distinct pid) from pg_locks where not granted',
      )
      return Number(found[0]?.count) >= waiting.length
    })
    await rows.query('update projects set org_id = $2 where id = $1', [project.id, paid])
    await rows.query('commit')
    return await Promise.all(waiting)
  })
  assert.deepEqual(
    late.map(({ status }) => status),
    [403, 403, 403, 403],
  )
  assert.equal((await viewer.api.getProject(project.id)).data.project.name, project.id)
})

test('all or nothing: one project that cannot go keeps all others', async () => {
  const here = await makeProject(server, { org_id: sponsored })
  const there = await makeProject(server, { org_id: paid })
  const deleted = await makeProject(server, { org_id: sponsored })
  await api.deleteProject(deleted.id)
  for (const other of [there.id, deleted.id, 'quiet-nobody-00000000'])
    await assertRefused(transfer(sponsored, paid, [here.id, other]), 404, new RegExp(`project ${other} not found`))
  await assertRefused(transfer(sponsored, paid, [here.id, here.id]), 400, /more than once/)
  await assertRefused(transfer(sponsored, sponsored, [here.id]), 400, /in already/)
  await assertRefused(transfer(sponsored, paid, []), 400, /project_ids/)
  const many = Array.from({ length: 401 }, (_, index) => `quiet-river-${10_000_000 + index}`)
  await assertRefused(transfer(sponsored, paid, [...many.slice(1), here.id]), 400, /project_ids/)
  assert.equal(await orgOf(here.id), sponsored)
})

test('a destination that would have too many projects is told so in the contract’s words', async () => {
  const org = await newOrganization(server, 'nearly full')
  const projects = [await makeProject(server, { org_id: sponsored }), await makeProject(server, { org_id: sponsored })]
  const ids = projects.map(({ id }) => id)
  await setLimits(server, org, { projects: 1 })
  const call = transfer(sponsored, org, ids)
  assert.equal((await refusal(call)).status, 406)
  assert.deepEqual((await bodyOf(call))['limits'], [{ name: 'projects_count', expected: '1', actual: '2' }])
  for (const id of ids) assert.equal(await orgOf(id), sponsored)
  // Two that fit alone, at once: one of them stays.
  const outcomes = await Promise.allSettled(ids.map((id) => transfer(sponsored, org, [id])))
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  assert.deepEqual(new Set(await Promise.all(ids.map(orgOf))), new Set([org, sponsored]))
  assert.equal((await setLimits(server, org, { projects: null })).projects_count, 1)
})

test('forth and back at once by many: every project ends in one place, and the counts agree', async () => {
  const [a, b] = [await newOrganization(server, 'one side'), await newOrganization(server, 'other side')]
  const projects: TestProject[] = []
  for (let i = 0; i < 4; i++) projects.push(await makeProject(server, { org_id: i % 2 === 0 ? a : b }))
  const ids = projects.map(({ id }) => id)
  const tries = Array.from({ length: 24 }, (_, index) => {
    const id = ids[index % ids.length] ?? ''
    return index % 3 === 0 ? transfer(a, b, [id]) : transfer(b, a, [id])
  })
  for (const outcome of await Promise.allSettled(tries)) {
    if (outcome.status === 'rejected')
      assert.equal((outcome.reason as { response: { status: number } }).response.status, 404)
  }
  const counts = new Map([
    [a, 0],
    [b, 0],
  ])
  for (const id of ids) {
    const org = (await orgOf(id)) ?? ''
    counts.set(org, (counts.get(org) ?? 0) + 1)
  }
  for (const org of [a, b]) assert.equal((await setLimits(server, org, {})).projects_count, counts.get(org))
})

test('it takes an admin in person, who is a member of the destination', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const orgKey = (await request(server, 'POST', `/organizations/${sponsored}/api_keys`, { key_name: 'admin key' })).body
  const byKey = await refusal(
    transfer(sponsored, paid, [project.id], apiClient(withKey(server, orgKey['key'] as string))),
  )
  assert.equal(byKey.status, 403)
  const member = await makeUser(server, 'member.of.both@example.com')
  for (const org of [sponsored, paid]) await addMember(server, org, member)
  assert.equal((await refusal(transfer(sponsored, paid, [project.id], member.api))).status, 403)
  const foreign = await makeUser(server, 'foreign@example.com')
  assert.equal((await refusal(transfer(sponsored, paid, [project.id], foreign.api))).status, 404)
  await addMember(server, sponsored, foreign, 'admin')
  await assertRefused(transfer(sponsored, paid, [project.id], foreign.api), 404, /organization not found/)
  await addMember(server, paid, foreign, 'viewer')
  assert.equal((await refusal(transfer(sponsored, paid, [project.id], foreign.api))).status, 403)
  assert.equal(await orgOf(project.id), sponsored)
})

test('the older call takes projects out of the default organization', async () => {
  await request(server, 'PATCH', '/users/me', { default_org_id: sponsored })
  const project = await makeProject(server)
  const { status, data } = await api.transferProjectsFromUserToOrg({
    destination_org_id: paid,
    project_ids: [project.id],
  })
  assert.deepEqual([status, data], [200, {}])
  assert.equal(await orgOf(project.id), paid)
})

const offer = async (project: TestProject, body: { ttl_seconds?: number } = {}): Promise<{ id: string }> =>
  (await api.createProjectTransferRequest(project.id, body)).data

/** Somebody who has signed up, with an organization of his own. */
async function newTenant(name: string): Promise<Person & { orgId: string }> {
  const person = await makeUser(server, `${name.replaceAll(' ', '.')}@example.com`)
  return { ...person, orgId: await makeOrganization(server, name, person) }
}

test('a database that was handed out before sign-up is claimed by whoever signs up later', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  await using handedOut = await connect(project.uri)
  await handedOut.query('create table drafts (v text)')
  const made = await api.createProjectTransferRequest(project.id, {})
  assert.equal(made.status, 201)
  assert.equal(made.data.project_id, project.id)
  assert.equal(Date.parse(made.data.expires_at) - Date.parse(made.data.created_at), 86_400_000)

  const newcomer = await newTenant('newcomer')
  assert.equal((await refusal(newcomer.api.getProject(project.id))).status, 404)
  const { status } = await newcomer.api.acceptProjectTransferRequest(project.id, made.data.id, {})
  assert.equal(status, 204)
  const { data: mine } = await newcomer.api.getProject(project.id)
  assert.equal(mine.project.org_id, newcomer.orgId)
  await handedOut.query("insert into drafts values ('still connected')")
  await using again = await connect(project.uri)
  assert.equal((await again.query('select v from drafts')).length, 1)
  // The platform that made it has no more to do with it, and the offer is used up.
  assert.equal((await refusal(api.getProject(project.id))).status, 404)
  assert.equal((await refusal(api.acceptProjectTransferRequest(project.id, made.data.id, {}))).status, 404)
})

test('an offer may be taken into any organization that one may create projects in', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const { id } = await offer(project)
  const tenant = await newTenant('two organizations')
  const accept = (body: { org_id?: string }) => tenant.api.acceptProjectTransferRequest(project.id, id, body)
  await assertRefused(accept({ org_id: paid }), 404, /organization not found/)
  await addMember(server, paid, tenant, 'viewer')
  assert.equal((await refusal(accept({ org_id: paid }))).status, 403)
  await assertRefused(api.acceptProjectTransferRequest(project.id, id, { org_id: sponsored }), 422, /already/)
  await setLimits(server, tenant.orgId, { projects: 0 })
  const full = accept({})
  assert.equal((await refusal(full)).status, 406)
  const [reason] = (await bodyOf(full))['reasons'] as { code: string; message: string }[]
  assert.equal(reason?.code, 'PROJECTS_LIMIT_EXCEEDED')
  assert.match(reason?.message ?? '', /projects limit of 0 exceeded/)
  // Nothing of that used it up.
  await setLimits(server, tenant.orgId, { projects: null })
  const outcomes = await Promise.allSettled([accept({}), accept({}), accept({})])
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('an offer is void when it has expired, was withdrawn, or who made it may no longer', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const tenant = await newTenant('too late')
  const accept = (id: string) => tenant.api.acceptProjectTransferRequest(project.id, id, {})
  const gone = /transfer request not found/
  await assertRefused(accept('00000000-0000-4000-8000-000000000000'), 404, gone)
  const short = await offer(project, { ttl_seconds: 1 })
  await withControlDatabase(server.home, (client) =>
    eventually('the offer expires', async () => {
      const open = 'select from transfer_requests where project_id = $1 and expires_at > now()'
      return (await client.query(open, [project.id])).rowCount === 0
    }),
  )
  await assertRefused(accept(short.id), 404, gone)
  const withdrawn = await offer(project)
  await offer(project)
  const answer = await request(server, 'DELETE', `/projects/${project.id}/transfer_requests`)
  assert.deepEqual([answer.status, answer.body], [200, { withdrawn: 2 }])
  await assertRefused(accept(withdrawn.id), 404, gone)

  const leaver = await makeUser(server, 'leaver@example.com')
  const membership = await addMember(server, sponsored, leaver, 'admin')
  const his = (await leaver.api.createProjectTransferRequest(project.id, {})).data
  await api.removeOrganizationMember(sponsored, membership)
  await assertRefused(accept(his.id), 404, gone)

  const key = (await request(server, 'POST', `/organizations/${sponsored}/api_keys`, { key_name: 'offers' })).body
  const byKey = apiClient(withKey(server, key['key'] as string))
  const [first, second] = [
    (await byKey.createProjectTransferRequest(project.id, {})).data,
    (await byKey.createProjectTransferRequest(project.id, {})).data,
  ]
  await request(server, 'DELETE', `/organizations/${sponsored}/api_keys/${String(key['id'])}`)
  await assertRefused(accept(first.id), 404, gone)
  // A transfer ends the offers of the organization that the project leaves.
  await transfer(sponsored, paid, [project.id])
  await assertRefused(accept(second.id), 404, gone)
  for (const ttl_seconds of [0, -1, 7_776_001])
    await assertRefused(api.createProjectTransferRequest(project.id, { ttl_seconds }), 400, /ttl_seconds must be/)
})

test('only who may share a project offers it, and the secret of an offer is written down nowhere', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const member = await makeUser(server, 'plain.member@example.com')
  await addMember(server, sponsored, member)
  assert.equal((await refusal(member.api.createProjectTransferRequest(project.id, {}))).status, 403)
  const { id } = await offer(project)
  const tenant = await newTenant('nobody hears')
  await setLimits(server, tenant.orgId, { projects: 0 })
  assert.equal((await refusal(tenant.api.acceptProjectTransferRequest(project.id, id, {}))).status, 406)
  const { body } = await request(tenant.server, 'GET', `/organizations/${tenant.orgId}/audit_log`)
  assert.ok(JSON.stringify(body).includes('acceptProjectTransferRequest'))
  assert.ok(!JSON.stringify(body).includes(id))
  assert.ok(!(await server.log()).includes(id))
})

test('a project with operations at work is waited for, or stays for now; it moves when they have ended', async () => {
  const project = await makeProject(server, { org_id: sponsored })
  const creating = api.createProjectBranch(project.id, { branch: { name: 'at work' } })
  await creating
  await eventually('it is transferred', async () => {
    const outcome = await request(server, 'POST', `/organizations/${sponsored}/projects/transfer`, {
      destination_org_id: paid,
      project_ids: [project.id],
    })
    if (outcome.status === 200) return true
    assert.equal(outcome.status, 423)
    assert.equal(await orgOf(project.id), sponsored)
    return false
  })
  assert.equal(await orgOf(project.id), paid)
  await settled(server, creating)
})
