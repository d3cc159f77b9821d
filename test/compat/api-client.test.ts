// The official client, unmodified, through every operation that is written.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  ConsumptionHistoryGranularity,
  createApiClient,
  EndpointType,
  MemberRole,
  type Api,
} from '@neondatabase/api-client'
import { isOwnOperation } from '../../src/api/contract/own-operations.ts'
import { handlers } from '../../src/api/handlers.ts'
import { makeUser, must } from '../support/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { makeProject, refusal, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { apiClient, startServer, waitForOperations, type TestServer } from '../support/server.ts'

let server: TestServer
let api: Api<unknown>
const called = new Set<string>()

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = recorded(apiClient(server))
})
after(() => server?.[Symbol.asyncDispose]())

/** Notes which operations a test asks for. */
function recorded(client: Api<unknown>): Api<unknown> {
  return new Proxy(client, {
    get(target, name) {
      if (typeof name === 'string') called.add(name)
      return Reflect.get(target, name) as unknown
    },
  })
}

const settle = (operations: readonly { id: string; project_id: string }[]): Promise<void> =>
  waitForOperations(server, operations)

const makeTenant = (): Promise<TestProject> =>
  makeProject(server, { branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' } })

test('the caller, its organization, and the regions', async () => {
  const { data: user } = await api.getCurrentUserInfo()
  const { data: auth } = await api.getAuthDetails()
  assert.equal(auth.account_id, user.id)
  const { organizations } = (await api.getCurrentUserOrganizations()).data
  assert.deepEqual(
    organizations.map(({ name }) => name),
    ['sponsored', 'paid'],
  )
  const [organization] = organizations
  assert.ok(organization)
  assert.deepEqual((await api.getOrganization(organization.id)).data, organization)
  const { members } = (await api.getOrganizationMembers({ orgId: organization.id })).data
  assert.deepEqual(
    members.map(({ member, user: { email } }) => [member.user_id, member.org_id, email]),
    [[user.id, organization.id, user.email]],
  )
  const { regions } = (await api.getActiveRegions({})).data
  assert.deepEqual(
    regions.filter((region) => region.default).map((region) => region.region_id),
    ['aws-us-east-2'],
  )
})

test('an API key works until it is revoked', async () => {
  const { data: made } = await api.createApiKey({ key_name: 'second' })
  const second = createApiClient({ apiKey: made.key, baseURL: server.apiUrl })
  assert.equal((await second.getCurrentUserInfo()).status, 200)
  assert.ok((await api.listApiKeys()).data.some(({ id, name }) => id === made.id && name === 'second'))
  assert.equal((await api.revokeApiKey(made.id)).data.revoked, true)
  const error = await refusal(second.getCurrentUserInfo())
  assert.equal(error.status, 401)
  assert.ok(!(await api.listApiKeys()).data.some(({ id }) => id === made.id))
})

test('a project is created, read, listed, changed, deleted and had back', async () => {
  const { data: made } = await api.createProject({
    project: {
      name: 'agent-example-tenant-prod',
      branch: { name: 'trunk', role_name: 'app_user', database_name: 'app_db' },
      default_endpoint_settings: {
        autoscaling_limit_min_cu: 0.25,
        autoscaling_limit_max_cu: 1,
        suspend_timeout_seconds: 300,
      },
      pg_version: 17,
      region_id: 'aws-us-east-2',
    },
  })
  const projectId = made.project.id
  const uri = made.connection_uris[0]?.connection_uri ?? ''
  assert.equal(made.branch.name, 'trunk')
  assert.ok(!('parent_id' in made.branch))
  assert.deepEqual(await query(uri, 'select current_user::text as role, current_database()::text as database'), [
    { role: 'app_user', database: 'app_db' },
  ])
  await settle(made.operations)
  await query(uri, `create table kept as select 'still here' as what`)

  const { data: got } = await api.getProject(projectId)
  assert.equal(got.project.name, 'agent-example-tenant-prod')
  assert.equal(got.project.pg_version, 17)
  assert.equal(got.project.default_endpoint_settings?.suspend_timeout_seconds, 300)
  assert.deepEqual((await api.listSharedProjects({})).data.projects, [])

  const { data: changed } = await api.updateProject(projectId, {
    project: { name: 'renamed', default_endpoint_settings: { suspend_timeout_seconds: 60 } },
  })
  await settle(changed.operations)
  assert.equal(changed.project.name, 'renamed')
  assert.deepEqual(changed.project.default_endpoint_settings, {
    autoscaling_limit_min_cu: 0.25,
    autoscaling_limit_max_cu: 1,
    suspend_timeout_seconds: 60,
  })
  const { libraries } = (await api.getAvailablePreloadLibraries(projectId)).data
  assert.ok(libraries?.some(({ library_name: name }) => name === 'pg_stat_statements'))

  await api.deleteProject(projectId)
  assert.equal((await refusal(api.getProject(projectId))).status, 404)
  assert.ok(!(await allProjects()).some(({ id }) => id === projectId))
  const { data: recoverable } = await api.listProjects({ recoverable: true })
  assert.ok(recoverable.projects.some(({ id }) => id === projectId))
  await onceUnlocked(() => api.recoverProject(projectId))
  assert.deepEqual(await query(uri, 'select what from kept'), [{ what: 'still here' }])
})

/** Asks again while the project is locked, as clients do where they cannot wait for operations. */
async function onceUnlocked(call: () => Promise<unknown>): Promise<void> {
  await eventually('the project is free', () =>
    call().then(
      () => true,
      (error: { response?: { status: number } }) => {
        if (error.response?.status === 423) return false
        throw error
      },
    ),
  )
}

/** In pages of one, as a client with very many projects would. */
async function allProjects() {
  const found = []
  for (let cursor: string | undefined; ;) {
    const { data } = await api.listProjects({ limit: 1, ...(cursor === undefined ? {} : { cursor }) })
    if (data.projects.length === 0) return found
    found.push(...data.projects)
    cursor = data.pagination?.cursor
    if (cursor === undefined) return found
  }
}

test('connection strings come for each branch, endpoint and database, pooled or not', async () => {
  const project = await makeTenant()
  const wanted = { projectId: project.id, database_name: 'app_db', role_name: 'app_user' }
  for (const target of [{}, { branch_id: project.branchId }, { endpoint_id: project.endpointId }]) {
    for (const pooled of [false, true]) {
      const { uri } = (await api.getConnectionUri({ ...wanted, ...target, pooled })).data
      assert.equal(uri.includes(`${project.endpointId}-pooler`), pooled, uri)
      assert.deepEqual(await query(uri, 'select 1 as one'), [{ one: 1 }])
    }
  }
  assert.equal((await refusal(api.getConnectionUri({ ...wanted, role_name: 'nobody' }))).status, 404)
})

test('a branch is created, read, listed, changed, made the default, deleted and had back', async () => {
  const project = await makeTenant()
  const projectId = project.id
  await query(project.uri, 'create table notes as select 1 as id')

  const { data: made } = await api.createProjectBranch(projectId, {
    branch: { parent_id: project.branchId, name: 'dev-to-be-found' },
    endpoints: [{ type: EndpointType.ReadWrite }],
    annotation_value: { 'git-commit': 'abc' },
  })
  await settle(made.operations)
  const branchId = made.branch.id
  assert.equal(made.branch.parent_id, project.branchId)
  const uri = made.connection_uris?.[0]?.connection_uri ?? ''
  assert.deepEqual(await query(uri, 'insert into notes values (2) returning id'), [{ id: 2 }])
  assert.deepEqual(await query(project.uri, 'select id from notes'), [{ id: 1 }])

  const { data: got } = await api.getProjectBranch(projectId, branchId)
  assert.equal(got.branch.current_state, 'ready')
  assert.deepEqual(got.annotation?.value, { 'git-commit': 'abc' })
  const { data: listed } = await api.listProjectBranches({ projectId, search: 'to-be-fou' })
  assert.deepEqual(
    listed.branches.map(({ id }) => id),
    [branchId],
  )
  assert.deepEqual(Object.keys(listed.annotations), [branchId])
  assert.equal((await api.countProjectBranches({ projectId })).data.count, 2)
  const { endpoints } = (await api.listProjectBranchEndpoints(projectId, branchId)).data
  assert.deepEqual(
    endpoints.map(({ id }) => id),
    made.endpoints.map(({ id }) => id),
  )

  const renamed = await api.updateProjectBranch(projectId, branchId, { branch: { name: 'next', protected: true } })
  assert.deepEqual([renamed.data.branch.name, renamed.data.branch.protected], ['next', true])
  await settle(renamed.data.operations)
  const promoted = await api.setDefaultProjectBranch(projectId, branchId)
  assert.equal(promoted.data.branch.default, true)
  await settle(promoted.data.operations)
  const back = await api.setDefaultProjectBranch(projectId, project.branchId)
  await settle(back.data.operations)
  const opened = await api.updateProjectBranch(projectId, branchId, { branch: { protected: false } })
  await settle(opened.data.operations)

  const deleted = await api.deleteProjectBranch({ projectId, branchId })
  await settle(deleted.data.operations)
  assert.equal((await refusal(api.getProjectBranch(projectId, branchId))).status, 404)
  await api.recoverProjectBranch(projectId, branchId)
  assert.equal((await api.getProjectBranch(projectId, branchId)).data.branch.name, 'next')
  assert.deepEqual(await query(uri, 'select count(*)::int as count from notes'), [{ count: 2 }])
})

test('an endpoint is created, read, listed, changed, stopped, started, restarted and deleted', async () => {
  const project = await makeTenant()
  const projectId = project.id
  const branch = await api.createProjectBranch(projectId, { branch: { name: 'bare' } })
  await settle(branch.data.operations)
  assert.deepEqual(branch.data.endpoints, [])

  const made = await api.createProjectEndpoint(projectId, {
    endpoint: { branch_id: branch.data.branch.id, type: EndpointType.ReadWrite, name: 'reporting' },
  })
  await settle(made.data.operations)
  const endpointId = made.data.endpoint.id
  const { data: listed } = await api.listProjectEndpoints(projectId)
  assert.deepEqual(listed.endpoints.map(({ id }) => id).toSorted(), [project.endpointId, endpointId].toSorted())
  const state = async (): Promise<string> =>
    (await api.getProjectEndpoint(projectId, endpointId)).data.endpoint.current_state
  assert.equal(await state(), 'active')

  const changed = await api.updateProjectEndpoint(projectId, endpointId, {
    endpoint: { autoscaling_limit_max_cu: 1, suspend_timeout_seconds: -1 },
  })
  await settle(changed.data.operations)
  assert.equal(changed.data.endpoint.suspend_timeout_seconds, -1)
  for (const [act, expected] of [
    [api.suspendProjectEndpoint, 'idle'],
    [api.startProjectEndpoint, 'active'],
    [api.restartProjectEndpoint, 'active'],
  ] as const) {
    await settle((await act(projectId, endpointId)).data.operations)
    assert.equal(await state(), expected)
  }
  await settle((await api.deleteProjectEndpoint(projectId, endpointId)).data.operations)
  assert.equal((await refusal(api.getProjectEndpoint(projectId, endpointId))).status, 404)
})

test('a role is created, read, listed, given another password and deleted', async () => {
  const project = await makeTenant()
  const { id: projectId, branchId } = project
  const made = await api.createProjectBranchRole(projectId, branchId, { role: { name: 'Röle "1"' } })
  await settle(made.data.operations)
  const name = made.data.role.name
  assert.equal(name, 'Röle "1"')
  assert.equal((await api.getProjectBranchRole(projectId, branchId, name)).data.role.name, name)
  const { roles } = (await api.listProjectBranchRoles(projectId, branchId)).data
  assert.deepEqual(roles.map((role) => role.name).toSorted(), ['Röle "1"', 'app_user'].toSorted())

  const revealed = await api.getProjectBranchRolePassword(projectId, branchId, name)
  assert.equal(revealed.data.password, made.data.role.password)
  const reset = await api.resetProjectBranchRolePassword(projectId, branchId, name)
  await settle(reset.data.operations)
  assert.notEqual(reset.data.role.password, made.data.role.password)
  const { uri } = (await api.getConnectionUri({ projectId, database_name: 'app_db', role_name: name })).data
  assert.deepEqual(await query(uri, 'select current_user::text as role'), [{ role: name }])

  await settle((await api.deleteProjectBranchRole(projectId, branchId, name)).data.operations)
  await assert.rejects(query(uri, 'select 1'), { code: '28P01' })
})

test('a database is created, read, listed, renamed and deleted', async () => {
  const project = await makeTenant()
  const { id: projectId, branchId } = project
  const made = await api.createProjectBranchDatabase(projectId, branchId, {
    database: { name: "o'db", owner_name: 'app_user' },
  })
  await settle(made.data.operations)
  const { data: got } = await api.getProjectBranchDatabase(projectId, branchId, "o'db")
  assert.deepEqual([got.database.name, got.database.owner_name], ["o'db", 'app_user'])

  const renamed = await api.updateProjectBranchDatabase(projectId, branchId, "o'db", {
    database: { name: 'reports' },
  })
  await settle(renamed.data.operations)
  const { databases } = (await api.listProjectBranchDatabases(projectId, branchId)).data
  assert.deepEqual(databases.map((database) => database.name).toSorted(), ['app_db', 'reports'])
  const { uri } = (await api.getConnectionUri({ projectId, database_name: 'reports', role_name: 'app_user' })).data
  await query(uri, 'create table owners_may (what text)')

  await settle((await api.deleteProjectBranchDatabase(projectId, branchId, 'reports')).data.operations)
  await assert.rejects(query(uri, 'select 1'), { code: '3D000' })
})

test('snapshots: create, list, update, restore, finalize, delete', async () => {
  const project = await makeTenant()
  const { id: projectId, branchId } = project
  await query(project.uri, 'create table t as select 1 as n')
  const { data: made } = await api.createSnapshot({ projectId, branchId, name: 'v1' })
  await settle(made.operations)
  await query(project.uri, 'drop table t')
  const snapshotId = made.snapshot.id
  const { data: renamed } = await api.updateSnapshot(projectId, snapshotId, { snapshot: { name: 'version one' } })
  assert.deepEqual((await api.listSnapshots(projectId)).data.snapshots, [renamed.snapshot])
  const { data: restored } = await api.restoreSnapshot({ projectId, snapshotId }, { name: 'preview' })
  await settle(restored.operations)
  await settle((await api.finalizeRestoreBranch(projectId, restored.branch.id)).data.operations)
  assert.deepEqual(await query(project.uri, 'select n from t'), [{ n: 1 }])
  await settle((await api.deleteSnapshot(projectId, snapshotId)).data.operations)
  assert.deepEqual((await api.listSnapshots(projectId)).data.snapshots, [])
})

test('a schedule of snapshots: get, set', async () => {
  const { id, branchId } = await makeTenant()
  const schedule = [{ frequency: 'daily', hour: 3, retention_seconds: 86_400 }]
  await api.setSnapshotSchedule(id, branchId, { schedule })
  assert.deepEqual((await api.getSnapshotSchedule(id, branchId)).data, { schedule })
})

test('a branch is restored, and its schema compared', async () => {
  const { id: projectId, branchId, uri } = await makeTenant()
  const { data: child } = await api.createProjectBranch(projectId, { branch: { name: 'dev' } })
  await settle(child.operations)
  await query(uri, 'create table t (n int)')
  const compared = { projectId, branchId: child.branch.id, db_name: 'app_db' }
  assert.match((await api.getProjectBranchSchemaComparison(compared)).data.diff ?? '', /^-CREATE TABLE public\.t/m)
  const { data: reset } = await api.restoreProjectBranch(projectId, child.branch.id, { source_branch_id: branchId })
  await settle(reset.operations)
  assert.equal((await api.getProjectBranchSchemaComparison(compared)).data.diff, '')
  assert.match((await api.getProjectBranchSchema(compared)).data.sql ?? '', /CREATE TABLE public\.t/)
})

test('key sets of a project', async () => {
  const { id: projectId } = await makeTenant()
  const { data } = await api.addProjectJwks(projectId, {
    jwks_url: 'https://example.com/.well-known/jwks.json',
    provider_name: 'Example',
  })
  assert.deepEqual((await api.getProjectJwks(projectId)).data.jwks, [data.jwks])
  assert.equal((await api.deleteProjectJwks(projectId, data.jwks.id)).data.id, data.jwks.id)
  assert.deepEqual((await api.getProjectJwks(projectId)).data.jwks, [])
})

test('an organization: who is invited and becomes a member, what its keys open, with whom a project is shared', async () => {
  const { organizations } = (await api.getCurrentUserOrganizations()).data
  const orgId = organizations.find(({ name }) => name === 'paid')?.id ?? ''
  const colleague = await makeUser(server, 'colleague@example.com')
  const invitations = [{ email: colleague.email, role: MemberRole.Member }]
  const { data: invited } = await api.createOrganizationInvitations(orgId, { invitations })
  assert.deepEqual((await api.getOrganizationInvitations(orgId)).data, invited)
  await must(colleague.server, 'POST', `/invitations/${invited.invitations[0]?.id}/accept`)
  const { members } = (await api.getOrganizationMembers({ orgId, sort_by: 'joined_at' })).data
  const memberId = members[0]?.member.id ?? ''
  assert.equal((await api.getOrganizationMember(orgId, memberId)).data.user_id, colleague.id)
  const { data: viewer } = await api.updateOrganizationMember(orgId, memberId, { role: MemberRole.Viewer })
  assert.equal(viewer.role, MemberRole.Viewer)
  assert.equal((await api.removeOrganizationMember(orgId, memberId)).status, 200)

  const project = await makeTenant()
  const { data: made } = await api.createOrgApiKey(orgId, { key_name: 'one project', project_id: project.id })
  const key = createApiClient({ apiKey: made.key, baseURL: server.apiUrl })
  assert.equal((await key.getProject(project.id)).data.project.id, project.id)
  assert.deepEqual(
    (await api.listOrgApiKeys(orgId)).data.map(({ id, project_id }) => [id, project_id]),
    [[made.id, project.id]],
  )
  assert.equal((await api.revokeOrgApiKey(orgId, made.id)).data.revoked, true)

  const { data: granted } = await api.grantPermissionToProject(project.id, { email: colleague.email })
  assert.deepEqual((await api.listProjectPermissions(project.id)).data.project_permissions, [granted])
  assert.equal((await colleague.api.listSharedProjects({})).data.projects[0]?.id, project.id)
  assert.ok((await api.revokePermissionFromProject(project.id, granted.id)).data.revoked_at)
})

test('a limit of spending', async () => {
  const orgId = (await api.getCurrentUserOrganizations()).data.organizations[0]?.id ?? ''
  const limit = { spending_limit_cents: 12_345 }
  assert.deepEqual((await api.setOrganizationSpendingLimit(orgId, limit)).data, limit)
  assert.deepEqual((await api.getOrganizationSpendingLimit(orgId)).data, limit)
  assert.equal((await api.deleteOrganizationSpendingLimit(orgId)).status, 200)
  assert.deepEqual((await api.getOrganizationSpendingLimit(orgId)).data, { spending_limit_cents: null })
})

test('what was used: of this month, and by the day', async () => {
  const { id: projectId, branchId } = await makeTenant()
  const { data } = await api.getProject(projectId)
  assert.equal(data.project.consumption_period_start.slice(8), '01T00:00:00Z')
  const orgId = data.project.org_id ?? ''
  const to = new Date(Date.now() + 86_400_000).toISOString()
  const stretch = {
    from: new Date().toISOString(),
    to,
    granularity: ConsumptionHistoryGranularity.Daily,
    org_id: orgId,
  }
  const { projects: older } = (await api.getConsumptionHistoryPerProject({ ...stretch, project_ids: [projectId] })).data
  assert.deepEqual(
    older.map(({ project_id: id, periods }) => [id, periods.length]),
    [[projectId, 1]],
  )
  const metrics = ['compute_unit_seconds', 'root_branch_bytes_month']
  const query = { ...stretch, project_ids: [projectId], metrics }
  const { projects } = (await api.getConsumptionHistoryPerProjectV2(query)).data
  assert.deepEqual(
    projects[0]?.periods[0]?.consumption[0]?.metrics?.map((metric) => metric.metric_name),
    metrics,
  )
  const { branches } = (await api.getConsumptionHistoryPerBranchV2(query)).data
  assert.deepEqual(
    branches.map((branch) => branch.branch_id),
    [branchId],
  )
})

test('projects change hands: between organizations, and by an offer', async () => {
  const { organizations } = (await api.getCurrentUserOrganizations()).data
  const idOf = (wanted: string): string => organizations.find(({ name }) => name === wanted)?.id ?? ''
  const [sponsored, paid] = [idOf('sponsored'), idOf('paid')]
  const project = await makeProject(server, { org_id: sponsored })
  const toPaid = { destination_org_id: paid, project_ids: [project.id] }
  assert.deepEqual((await api.transferProjectsFromOrgToOrg(sponsored, toPaid)).data, {})
  assert.equal((await api.getProject(project.id)).data.project.org_id, paid)
  const { data: offer } = await api.createProjectTransferRequest(project.id, { ttl_seconds: 60 })
  assert.equal(offer.project_id, project.id)
  const accepted = await api.acceptProjectTransferRequest(project.id, offer.id, { org_id: sponsored })
  assert.equal(accepted.status, 204)
  assert.equal((await api.getProject(project.id)).data.project.org_id, sponsored)
  const { status } = await refusal(api.transferProjectsFromUserToOrg(toPaid))
  assert.equal(status, 400, 'the default organization is the destination already')
})

test('operations are listed newest first, and each can be polled', async () => {
  const project = await makeTenant()
  const projectId = project.id
  await settle((await api.suspendProjectEndpoint(projectId, project.endpointId)).data.operations)
  const { data } = await api.listProjectOperations({ projectId })
  assert.deepEqual(
    data.operations.map(({ action, status }) => [action, status]),
    [
      ['suspend_compute', 'finished'],
      ['start_compute', 'finished'],
      ['create_timeline', 'finished'],
    ],
  )
  const [newest] = data.operations
  assert.ok(newest)
  assert.deepEqual((await api.getProjectOperation(projectId, newest.id)).data.operation, newest)
})

test('what is refused says so in the client’s error', async () => {
  const unknown = await refusal(api.getProject('quiet-river-00000000'))
  assert.equal(unknown.status, 404)
  assert.match(unknown.message, /project not found/)
  const stranger = createApiClient({ apiKey: 'napi_stranger', baseURL: server.apiUrl })
  assert.equal((await refusal(stranger.listProjects({}))).status, 401)
  const project = await makeTenant()
  const { status, message } = await refusal(api.getMaskingRules(project.id, project.branchId))
  assert.equal(status, 501)
  assert.match(message, /getMaskingRules/)
  const [nowhere, nothing] = await Promise.all([
    refusal(api.getNeonAuth('quiet-river-00000000', 'br-quiet-river-00000000')),
    refusal(api.getProjectBranchDataApi('quiet-river-00000000', 'br-quiet-river-00000000', 'neondb')),
  ])
  assert.deepEqual([nowhere.status, nothing.status], [404, 404])
})

/** Methods that the client spells otherwise than their operations. */
const respelled: Readonly<Record<string, string>> = {
  getConnectionUri: 'getConnectionURI',
  addProjectJwks: 'addProjectJWKS',
  getProjectJwks: 'getProjectJWKS',
  deleteProjectJwks: 'deleteProjectJWKS',
}

/** They are called in `api-client-auth.test.ts` and `test/api/data-api.test.ts`. */
const isOfServices = (name: string): boolean => name.includes('NeonAuth') || name.includes('DataAPI')

test('nothing that is written was left out', () => {
  const asked = new Set([...called].map((name) => respelled[name] ?? name))
  assert.deepEqual(
    Object.keys(handlers).filter((name) => !isOwnOperation(name) && !isOfServices(name) && !asked.has(name)),
    [],
  )
})
