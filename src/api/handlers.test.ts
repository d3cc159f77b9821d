import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import { contractCacheFolder, implementedOperations } from './contract/coverage-page.ts'
import { loadContract } from './contract/load.ts'
import type { ContractOperation } from './contract/operations.ts'
import * as fake from './fake-control.ts'
import { createApiServer } from './server.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })
const server = createApiServer({ control: fake.fakeControl(), contract, log: silentLogger, checkResponses: true })
const authorization = `Bearer ${fake.validKey}`

const params: Readonly<Record<string, string>> = {
  project_id: fake.project.id,
  branch_id: fake.rootBranch.id,
  endpoint_id: fake.endpoint.id,
  operation_id: fake.operation.id,
  snapshot_id: fake.snapshot.id,
  org_id: fake.organization.id,
  key_id: '7',
  member_id: fake.member.id,
  permission_id: fake.permission.id,
  role_name: fake.role.name,
  database_name: fake.database.name,
  oauth_provider_id: 'google',
  auth_provider: 'stack',
}

const transfer = { destination_org_id: 'org-other-river-12345678', project_ids: ['quiet-river-12345678'] }

const authProvider = { auth_provider: 'stack' }
const authOfProject = { ...authProvider, project_id: fake.project.id }
const authDomain = { ...authProvider, domain: 'https://example.com' }
const authDomains = { ...authProvider, domains: [{ domain: 'https://example.com' }] }
const mailServer = {
  host: 'h',
  port: 587,
  username: 'u',
  password: 'p',
  sender_email: 'a@example.com',
  sender_name: 'a',
}

const bodies: Readonly<Record<string, object>> = {
  transferProjectsFromOrgToOrg: transfer,
  transferProjectsFromUserToOrg: transfer,
  createProject: { project: { name: 'a' } },
  updateProject: { project: { name: 'a' } },
  createProjectBranch: { branch: { name: 'dev' }, endpoints: [{ type: 'read_write' }], annotation_value: { a: 'b' } },
  updateProjectBranch: { branch: { protected: true } },
  createProjectEndpoint: { endpoint: { branch_id: fake.rootBranch.id, type: 'read_write' } },
  updateProjectEndpoint: { endpoint: { suspend_timeout_seconds: -1 } },
  createProjectBranchRole: { role: { name: 'r' } },
  createProjectBranchDatabase: { database: { name: 'd', owner_name: 'r' } },
  updateProjectBranchDatabase: { database: { owner_name: 'r' } },
  createApiKey: { key_name: 'k' },
  createOrgApiKey: { key_name: 'k', project_id: fake.project.id },
  updateOrganizationMember: { role: 'member' },
  createOrganizationInvitations: { invitations: [{ email: 'invited@example.com', role: 'member' }] },
  grantPermissionToProject: { email: 'friend@example.com' },
  addProjectJWKS: { jwks_url: 'https://example.com/jwks.json', provider_name: 'p' },
  restoreProjectBranch: { source_branch_id: fake.childBranch.id },
  updateSnapshot: { snapshot: { name: 'v2' } },
  setOrganizationSpendingLimit: { spending_limit_cents: 1 },
  createNeonAuth: authProvider,
  createNeonAuthIntegration: { ...authOfProject, branch_id: fake.rootBranch.id },
  createNeonAuthProviderSDKKeys: authOfProject,
  transferNeonAuthProviderProject: authOfProject,
  createNeonAuthNewUser: { ...authOfProject, email: 'somebody@example.com' },
  createBranchNeonAuthNewUser: { email: 'somebody@example.com' },
  updateNeonAuthUserRole: { roles: ['admin'] },
  addNeonAuthDomainToRedirectURIWhitelist: authDomain,
  addBranchNeonAuthTrustedDomain: authDomain,
  deleteNeonAuthDomainFromRedirectURIWhitelist: authDomains,
  deleteBranchNeonAuthTrustedDomain: authDomains,
  addNeonAuthOauthProvider: { id: 'google' },
  addBranchNeonAuthOauthProvider: { id: 'google' },
  updateNeonAuthOauthProvider: { client_id: 'a' },
  updateBranchNeonAuthOauthProvider: { client_id: 'a' },
  updateNeonAuthEmailServer: { type: 'shared' },
  updateNeonAuthEmailProvider: { type: 'custom', ...mailServer },
  sendNeonAuthTestEmail: { ...mailServer, recipient_email: 'b@example.com' },
  updateNeonAuthEmailAndPasswordConfig: { enabled: true },
  updateNeonAuthAllowLocalhost: { allow_localhost: true },
  updateNeonAuthOrganizationPlugin: { enabled: true },
  updateNeonAuthMagicLinkPlugin: { enabled: true },
  updateNeonAuthPhoneNumberPlugin: { enabled: true },
  updateNeonAuthConfig: { name: 'a' },
  updateNeonAuthWebhookConfig: { enabled: false },
  setSnapshotSchedule: { schedule: [{ frequency: 'daily', hour: 3 }] },
}

const stretch = 'from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&granularity=daily'
const queries: Readonly<Record<string, string>> = {
  getConnectionURI: '?database_name=neondb&role_name=neondb_owner&pooled=true',
  getProjectBranchSchema: '?db_name=neondb',
  getProjectBranchSchemaComparison: '?db_name=neondb',
  getConsumptionHistoryPerProject: `?${stretch}`,
  getConsumptionHistoryPerProjectV2: `?${stretch}&org_id=${fake.organization.id}&metrics=compute_unit_seconds`,
  getConsumptionHistoryPerBranchV2: `?${stretch}&org_id=${fake.organization.id}&metrics=compute_unit_seconds&project_ids=p`,
}

function request(operation: ContractOperation) {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? 'anything')
  const query = queries[operation.id] ?? ''
  return { method: operation.method, url: `/api/v2${path}${query}` }
}

async function call(operationId: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const operation = contract.operations.find(({ id }) => id === operationId)
  assert.ok(operation, operationId)
  const body = bodies[operationId]
  const answer = await server.inject({
    ...request(operation),
    headers: { authorization },
    ...(body ? { payload: body } : {}),
  })
  return { status: answer.statusCode, body: answer.body === '' ? {} : answer.json<Record<string, unknown>>() }
}

test('every operation of the contract is routed: 401 without a key, and with one either answered or 501', async () => {
  assert.equal(contract.operations.length, 163)
  const implemented = implementedOperations()
  for (const operation of contract.operations) {
    assert.equal((await server.inject(request(operation))).statusCode, 401, operation.id)
    const { status, body } = await call(operation.id)
    if (implemented.has(operation.id))
      assert.ok(
        status === 200 || status === 201 || status === 202 || status === 204,
        `${operation.id}: ${status} ${JSON.stringify(body)}`,
      )
    else {
      assert.equal(status, 501, operation.id)
      assert.match(String(body['message']), new RegExp(`${operation.id} `))
    }
  }
})

test('a created project has what the toolkit reads: endpoints, a connection string, passwords', async () => {
  const { status, body } = await call('createProject')
  assert.equal(status, 201)
  assert.deepEqual(Object.keys(body), [
    'project',
    'connection_uris',
    'roles',
    'databases',
    'operations',
    'branch',
    'endpoints',
  ])
  const created = body as {
    project: {
      consumption_period_start: string
      created_at: string
      settings: object
      default_endpoint_settings: object
    }
    roles: { password: string }[]
    operations: { created_at: string; total_duration_ms: number }[]
    endpoints: { current_state: string; pending_state: string; settings: object }[]
  }
  assert.equal(created.project.consumption_period_start, '0001-01-01T00:00:00Z')
  assert.equal(created.project.created_at, '2026-01-02T03:04:05Z', 'whole seconds')
  assert.deepEqual(created.project.default_endpoint_settings, {
    autoscaling_limit_min_cu: 0.25,
    autoscaling_limit_max_cu: 2,
    suspend_timeout_seconds: 0,
  })
  assert.deepEqual(created.project.settings, {
    allowed_ips: { ips: [], protected_branches_only: false },
    enable_logical_replication: false,
    maintenance_window: { weekdays: [5], start_time: '07:00', end_time: '08:00' },
    block_public_connections: false,
    block_vpc_connections: false,
    hipaa: false,
    quota: { active_time_seconds: 3600 },
  })
  assert.equal(created.roles[0]?.password, 'secret')
  assert.equal(created.operations[0]?.created_at, '2026-01-02T03:04:05.678Z', 'milliseconds')
  assert.equal(created.operations[0]?.total_duration_ms, 12)
  assert.equal(created.endpoints[0]?.current_state, 'init')
  assert.equal(created.endpoints[0]?.pending_state, 'active')
  assert.deepEqual(created.endpoints[0]?.settings, {
    pg_settings: { work_mem: '8MB' },
    preload_libraries: { enabled_libraries: ['pg_stat_statements'] },
  })
})

test('GET of a project has its owner and the month', async () => {
  const { project } = (await call('getProject')).body as { project: Record<string, unknown> }
  assert.match(String(project['consumption_period_start']), /^\d{4}-\d{2}-01T00:00:00Z$/)
  assert.equal(project['quota_reset_at'], project['consumption_period_end'])
  assert.deepEqual(project['owner'], {
    email: fake.user.email,
    name: fake.user.name,
    branches_limit: 5000,
    subscription_type: 'scale_v3',
  })
  assert.ok(!('compute_last_active_at' in project))
})

test('annotations are always an object, and a root branch has no parent_id, not even null', async () => {
  const list = (await call('listProjectBranches')).body as {
    branches: Record<string, unknown>[]
    annotations: Record<string, unknown>
    pagination: object
  }
  assert.deepEqual(list.annotations, {
    [fake.childBranch.id]: { object: { type: 'console/branch', id: fake.childBranch.id }, value: { ticket: 'A-1' } },
  })
  assert.deepEqual(list.pagination, { sort_by: 'updated_at', sort_order: 'DESC' })
  const [root, child] = list.branches
  assert.ok(root && !('parent_id' in root) && !('parent_lsn' in root))
  assert.equal(child?.['parent_lsn'], '0/1DE2850')
  assert.deepEqual(child?.['created_by'], { name: 'Somebody', image: '' })
  assert.deepEqual((await call('getProjectBranch')).body['annotation'], {
    object: { type: 'console/branch', id: fake.rootBranch.id },
    value: {},
  })
})

test('a page of branches leads to the next by its cursor alone', async (t) => {
  const queries: unknown[] = []
  const control = fake.fakeControl({
    branches: {
      list: async (_caller, _project, query) => {
        queries.push(query)
        return {
          branches: [fake.childBranch],
          creators: new Map(),
          usage: new Map(),
          next: { branchId: fake.childBranch.id, value: 'dev' },
        }
      },
    },
  })
  const server = createApiServer({ control, contract, log: silentLogger, checkResponses: true })
  t.after(() => server.close())
  const list = async (query: string) =>
    await server.inject({ url: `/api/v2/projects/p/branches?${query}`, headers: { authorization } })
  const page = (await list('sort_by=name&sort_order=asc&limit=1')).json<{
    pagination: { next: string; sort_order: string }
  }>()
  assert.equal(page.pagination.sort_order, 'ASC')
  await list(`cursor=${page.pagination.next}`)
  const common = { search: undefined, sortBy: 'name', descending: false, includeDeleted: false }
  assert.deepEqual(queries, [
    { ...common, limit: 1, after: undefined },
    { ...common, limit: 10_000, after: { branchId: fake.childBranch.id, value: 'dev' } },
  ])
  assert.equal((await list('cursor=nonsense')).statusCode, 400)
})

test('lists that page by cursor omit `pagination` when there is nothing', async (t) => {
  const control = fake.fakeControl({
    projects: { list: async () => ({ projects: [], usage: new Map(), cursor: undefined }) },
    operations: { list: async () => ({ operations: [], cursor: undefined }) },
  })
  const server = createApiServer({ control, contract, log: silentLogger, checkResponses: true })
  t.after(() => server.close())
  const get = async (path: string) =>
    (await server.inject({ url: `/api/v2${path}`, headers: { authorization } })).json<object>()
  assert.deepEqual(await get('/projects'), { projects: [], applications: {}, integrations: {} })
  assert.deepEqual(await get('/projects/p/operations'), { operations: [] })
})

test('an endpoint says why it is awake, and its host begins with its id', async () => {
  const { endpoint } = (await call('getProjectEndpoint')).body as { endpoint: Record<string, unknown> }
  assert.deepEqual(endpoint['awake_reasons'], [{ kind: 'recent_activity', idle_seconds: 1, suspends_in_seconds: 299 }])
  assert.equal(endpoint['host'], `${fake.endpoint.id}.localhost`)
  assert.deepEqual(endpoint['hosts'], {
    read_write_host: `${fake.endpoint.id}.localhost`,
    read_write_pooled_host: `${fake.endpoint.id}-pooler.localhost`,
  })
})

test('passwords are shown where they were just made, and nowhere else', async () => {
  for (const id of ['createProjectBranchRole', 'resetProjectBranchRolePassword'])
    assert.equal(((await call(id)).body as { role: { password: string } }).role.password, 'secret')
  for (const id of [
    'getProjectBranchRole',
    'listProjectBranchRoles',
    'deleteProjectBranchRole',
    'createProjectBranch',
  ]) {
    const { role, roles = [] } = (await call(id)).body as { role?: object; roles?: object[] }
    for (const shown of role ? [role] : roles) assert.ok(!('password' in shown), id)
  }
})

test('deleting what is gone answers 204 without a body', async (t) => {
  const gone = { delete: async () => undefined }
  const control = fake.fakeControl({ branches: gone, endpoints: gone, roles: gone, databases: gone })
  const server = createApiServer({ control, contract, log: silentLogger, checkResponses: true })
  t.after(() => server.close())
  for (const id of [
    'deleteProjectBranch',
    'deleteProjectEndpoint',
    'deleteProjectBranchRole',
    'deleteProjectBranchDatabase',
  ]) {
    const operation = contract.operations.find((operation) => operation.id === id)
    assert.ok(operation)
    const answer = await server.inject({ ...request(operation), headers: { authorization } })
    assert.equal(answer.statusCode, 204, id)
    assert.equal(answer.body, '')
  }
})

test('the older place of the compute limits still counts', async (t) => {
  const inputs: unknown[] = []
  const plain = fake.fakeControl()
  const control = fake.fakeControl({
    projects: {
      create: async (caller, input) => {
        inputs.push(input.endpointDefaults)
        return await plain.projects.create(caller, input)
      },
    },
  })
  const server = createApiServer({ control, contract, log: silentLogger, checkResponses: true })
  t.after(() => server.close())
  const project = {
    autoscaling_limit_min_cu: 1,
    autoscaling_limit_max_cu: 2,
    default_endpoint_settings: { autoscaling_limit_max_cu: 4 },
  }
  await server.inject({ method: 'POST', url: '/api/v2/projects', headers: { authorization }, payload: { project } })
  assert.deepEqual(inputs, [
    { autoscalingLimitMinCu: 1, autoscalingLimitMaxCu: 4, suspendTimeoutSeconds: undefined, pgSettings: undefined },
  ])
})
