// Projects: created with everything a client may say, read, listed, changed, deleted and recovered.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actionsOf, assertRefused, makeProject, settled, type NeonApi } from '../support/neon.ts'
import { loginError, query } from '../support/postgres.ts'
import { eventually } from '../support/eventually.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, waitForOperations, type TestServer } from '../support/server.ts'

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

const idPattern = /^[a-z]+-[a-z]+-\d{8}$/
const zeroTime = '0001-01-01T00:00:00Z'

test('a created project is a Postgres that its connection string opens', async () => {
  const { data } = await api.createProject({
    project: { name: 'first', branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' } },
  })
  const uri = data.connection_uris[0]?.connection_uri ?? ''
  // Without waiting for the operations: the connection waits for them.
  const rows = await query(uri, 'select current_user as role, current_database() as database')
  assert.deepEqual(rows, [{ role: 'app_user', database: 'app_db' }])
})

test('a project that says nothing gets the defaults of Neon', async () => {
  const { status, data } = await api.createProject({ project: {} })
  assert.equal(status, 201)
  const { project, branch, endpoints, roles, databases, operations, connection_uris: uris } = data
  assert.match(project.id, idPattern)
  assert.equal(project.name, project.id)
  assert.equal(project.pg_version, 17)
  assert.equal(project.region_id, 'aws-us-east-2')
  assert.equal(project.platform_id, 'aws')
  assert.equal(project.provisioner, 'k8s-neonvm')
  assert.equal(project.store_passwords, true)
  assert.equal(project.history_retention_seconds, 86_400)
  assert.deepEqual(project.default_endpoint_settings, {
    autoscaling_limit_min_cu: 0.25,
    autoscaling_limit_max_cu: 2,
    suspend_timeout_seconds: 0,
  })
  assert.equal(project.consumption_period_start, zeroTime)
  assert.equal(project.consumption_period_end, zeroTime)
  assert.equal(project.owner_id, project.org_id)
  assert.equal(project.owner, undefined)

  assert.match(branch.id, /^br-[a-z0-9]+-[a-z0-9]+-[a-z0-9]{8}$/)
  assert.equal(branch.name, 'main')
  assert.ok(!('parent_id' in branch), 'a root has no parent_id, not even null')
  assert.ok(!('parent_lsn' in branch))
  assert.equal(branch.current_state, 'init')
  assert.equal(branch.pending_state, 'ready')
  assert.equal(branch.default, true)
  assert.equal(branch.primary, true)
  assert.equal(branch.protected, false)

  const [endpoint, ...others] = endpoints
  assert.deepEqual(others, [])
  assert.match(endpoint?.id ?? '', /^ep-[a-z0-9]+-[a-z0-9]+-[a-z0-9]{8}$/)
  assert.ok(endpoint?.host.startsWith(`${endpoint.id}.`))
  assert.equal(endpoint?.proxy_host, endpoint?.host.slice(endpoint.id.length + 1))
  assert.equal(endpoint?.proxy_host, project.proxy_host)
  assert.equal(endpoint?.type, 'read_write')
  assert.equal(endpoint?.current_state, 'init')
  assert.equal(endpoint?.pending_state, 'active')
  assert.equal(endpoint?.branch_id, branch.id)
  assert.deepEqual(endpoint?.settings, {})
  assert.equal(endpoint?.disabled, false)
  assert.equal(endpoint?.passwordless_access, true)
  assert.equal(endpoint?.pooler_enabled, false)
  assert.equal(endpoint?.pooler_mode, 'transaction')

  assert.deepEqual(
    roles.map(({ name, protected: isProtected, branch_id }) => ({ name, isProtected, branch_id })),
    [{ name: 'neondb_owner', isProtected: false, branch_id: branch.id }],
  )
  assert.match(roles[0]?.password ?? '', /^npg_[A-Za-z0-9]{12,}$/)
  assert.deepEqual(
    databases.map(({ name, owner_name, branch_id }) => ({ name, owner_name, branch_id })),
    [{ name: 'neondb', owner_name: 'neondb_owner', branch_id: branch.id }],
  )
  assert.ok(Number.isInteger(databases[0]?.id))

  assert.deepEqual(
    operations.map(({ action, status, branch_id, endpoint_id }) => ({ action, status, branch_id, endpoint_id })),
    [
      { action: 'create_timeline', status: 'running', branch_id: branch.id, endpoint_id: undefined },
      { action: 'start_compute', status: 'scheduling', branch_id: branch.id, endpoint_id: endpoint?.id },
    ],
  )
  for (const { project_id, failures_count } of operations) {
    assert.equal(project_id, project.id)
    assert.equal(failures_count, 0)
  }

  assert.equal(uris.length, 1)
  assert.deepEqual(uris[0]?.connection_parameters, {
    database: 'neondb',
    role: 'neondb_owner',
    password: roles[0]?.password,
    host: endpoint?.host,
    pooler_host: endpoint?.host.replace(endpoint.id, `${endpoint.id}-pooler`),
  })

  await waitForOperations(server, operations)
  const { data: ready } = await api.getProjectBranch(project.id, branch.id)
  assert.equal(ready.branch.current_state, 'ready')
  assert.equal(ready.branch.pending_state, undefined)
  const { data: started } = await api.getProjectEndpoint(project.id, endpoint?.id ?? '')
  assert.equal(started.endpoint.current_state, 'active')
  assert.equal(started.endpoint.pending_state, undefined)
})

test('a project keeps what it was created with', async () => {
  const organizations = (await api.getCurrentUserOrganizations()).data.organizations
  const asked = {
    name: 'agent-example-tenant-prod',
    branch: { name: 'trunk', role_name: 'app_user', database_name: 'app_db', annotations: { stage: 'prod' } },
    default_endpoint_settings: {
      autoscaling_limit_min_cu: 0.25,
      autoscaling_limit_max_cu: 1,
      suspend_timeout_seconds: 120,
      pg_settings: { work_mem: '8MB' },
    },
    pg_version: 17,
    region_id: 'aws-us-east-2',
    history_retention_seconds: 3600,
    org_id: organizations[0]?.id ?? '',
    settings: { allowed_ips: { ips: ['10.0.0.0/8'], protected_branches_only: true } },
  }
  const made = await makeProject(server, asked)
  const { data } = await api.getProject(made.id)
  const { project } = data
  assert.equal(project.name, asked.name)
  assert.equal(project.history_retention_seconds, 3600)
  assert.equal(project.org_id, asked.org_id)
  assert.deepEqual(project.default_endpoint_settings, asked.default_endpoint_settings)
  assert.deepEqual(project.settings?.allowed_ips, asked.settings.allowed_ips)
  assert.equal(project.settings?.enable_logical_replication, false)
  assert.deepEqual(Object.keys(project.settings?.maintenance_window ?? {}).toSorted(), [
    'end_time',
    'start_time',
    'weekdays',
  ])
  assert.ok(project.consumption_period_start > zeroTime)
  assert.ok(project.consumption_period_end > project.consumption_period_start)
  assert.equal(typeof project.owner?.email, 'string')
  const { data: branch } = await api.getProjectBranch(made.id, made.branchId)
  assert.equal(branch.branch.name, 'trunk')
  assert.deepEqual(branch.annotation, {
    object: { type: 'console/branch', id: made.branchId },
    value: { stage: 'prod' },
  })
  const { data: endpoint } = await api.getProjectEndpoint(made.id, made.endpointId)
  assert.equal(endpoint.endpoint.autoscaling_limit_max_cu, 1)
  assert.equal(endpoint.endpoint.suspend_timeout_seconds, 120)
  assert.deepEqual(endpoint.endpoint.settings.pg_settings, { work_mem: '8MB' })
  assert.deepEqual(await query(made.uri, 'show work_mem'), [{ work_mem: '8MB' }])
})

test('a list shows short items, and ends with an empty page that has no cursor', async () => {
  for (const name of ['list-one', 'list-two', 'LIST-three']) await makeProject(server, { name })
  const seen: string[] = []
  let cursor: string | undefined
  for (;;) {
    const { data } = await api.listProjects({ search: 'list-', limit: 2, ...(cursor === undefined ? {} : { cursor }) })
    assert.deepEqual(data.applications, {})
    assert.deepEqual(data.integrations, {})
    if (data.projects.length === 0) {
      assert.ok(!data.pagination?.cursor)
      break
    }
    assert.equal(data.pagination?.cursor, data.projects.at(-1)?.id)
    cursor = data.pagination?.cursor
    for (const project of data.projects) {
      seen.push(project.name)
      assert.equal(typeof project.active_time, 'number')
      assert.ok(!('consumption_period_start' in project))
      assert.equal(project.deleted_at, undefined)
    }
  }
  assert.deepEqual(seen.toSorted(), ['LIST-three', 'list-one', 'list-two'])
})

test('a list is searched by name and by id, and taken by organization', async () => {
  const { id } = await makeProject(server, { name: 'needle 100% _under' })
  const names = async (search: string): Promise<string[]> =>
    (await api.listProjects({ search })).data.projects.map(({ name }) => name)
  assert.deepEqual(await names('NEEDLE'), ['needle 100% _under'])
  assert.deepEqual(await names('100% _'), ['needle 100% _under'])
  assert.deepEqual(await names(id), ['needle 100% _under'])
  assert.deepEqual(await names('no such project'), [])
  const { organizations } = (await api.getCurrentUserOrganizations()).data
  for (const organization of organizations) {
    const { data } = await api.listProjects({ search: 'needle', org_id: organization.id })
    const found = organization.name === 'paid' ? ['paid'] : []
    assert.deepEqual(
      data.projects.map(({ org_name }) => org_name),
      found,
    )
  }
  await assertRefused(api.listProjects({ org_id: 'org-of-nobody-00000000' }), 404, /organization not found/)
})

test('a change touches what it names and merges settings', async () => {
  const made = await makeProject(server, {
    name: 'before',
    settings: { quota: { active_time_seconds: 1000 }, allowed_ips: { ips: ['192.168.0.0/16'] } },
  })
  const renamed = await api.updateProject(made.id, { project: { name: 'after' } })
  assert.equal(renamed.status, 200)
  assert.equal(renamed.data.project.name, 'after')
  assert.deepEqual(renamed.data.operations, [])
  const { data } = await api.updateProject(made.id, {
    project: {
      settings: { quota: { written_data_bytes: 5 }, allowed_ips: { ips: [] } },
      default_endpoint_settings: { suspend_timeout_seconds: 7 },
      history_retention_seconds: 0,
    },
  })
  assert.deepEqual(data.project.settings?.quota, { active_time_seconds: 1000, written_data_bytes: 5 })
  assert.deepEqual(data.project.settings?.allowed_ips, { ips: [], protected_branches_only: false })
  assert.equal(data.project.name, 'after')
  assert.equal(data.project.history_retention_seconds, 0)
  assert.deepEqual(data.project.default_endpoint_settings, {
    autoscaling_limit_min_cu: 0.25,
    autoscaling_limit_max_cu: 2,
    suspend_timeout_seconds: 7,
  })
  // What endpoints there are already keeps its own.
  const { data: endpoint } = await api.getProjectEndpoint(made.id, made.endpointId)
  assert.equal(endpoint.endpoint.suspend_timeout_seconds, 0)
  assert.deepEqual((await api.getProject(made.id)).data.project.settings, data.project.settings)
})

test('logical replication is a one-way switch that suspends what runs', async () => {
  const made = await makeProject(server)
  assert.deepEqual(await query(made.uri, 'show wal_level'), [{ wal_level: 'replica' }])
  const data = await settled(
    server,
    api.updateProject(made.id, { project: { settings: { enable_logical_replication: true } } }),
  )
  assert.deepEqual(actionsOf(data), ['suspend_compute'])
  assert.equal(data.project.settings?.enable_logical_replication, true)
  assert.equal((await api.getProjectEndpoint(made.id, made.endpointId)).data.endpoint.current_state, 'idle')
  assert.deepEqual(await query(made.uri, 'show wal_level'), [{ wal_level: 'logical' }])
  const again = await api.updateProject(made.id, { project: { settings: { enable_logical_replication: true } } })
  assert.deepEqual(again.data.operations, [])
  await assertRefused(
    api.updateProject(made.id, { project: { settings: { enable_logical_replication: false } } }),
    422,
    /cannot be turned off/,
  )
})

test('libraries of a project are preloaded by its computes', async () => {
  const made = await makeProject(server)
  const { data: available } = await api.getAvailablePreloadLibraries(made.id)
  const library = available.libraries?.find(({ library_name }) => library_name === 'pg_stat_statements')
  assert.ok(library, JSON.stringify(available))
  await api.updateProject(made.id, {
    project: { settings: { preload_libraries: { enabled_libraries: ['pg_stat_statements'] } } },
  })
  await settled(server, api.restartProjectEndpoint(made.id, made.endpointId))
  const [row] = await query<{ libraries: string }>(
    made.uri,
    `select current_setting('shared_preload_libraries') as libraries`,
  )
  assert.match(row?.libraries ?? '', /pg_stat_statements/)
  await assertRefused(
    api.updateProject(made.id, { project: { settings: { preload_libraries: { enabled_libraries: ['/tmp/evil'] } } } }),
    400,
    /cannot be preloaded/,
  )
})

test('a project without stored passwords shows each once and never again', async () => {
  const made = await makeProject(server, { store_passwords: false })
  assert.equal(await loginError(made.uri), undefined)
  await assertRefused(
    api.getProjectBranchRolePassword(made.id, made.branchId, made.role),
    412,
    /password of this role is not stored/,
  )
  const { data } = await api.getConnectionUri({
    projectId: made.id,
    database_name: made.database,
    role_name: made.role,
  })
  assert.equal(new URL(data.uri).password, '')
  const reset = await settled(server, api.resetProjectBranchRolePassword(made.id, made.branchId, made.role))
  assert.match(reset.role.password ?? '', /^npg_/)
})

test('a deleted project is gone, can be recovered, and then answers as before', async () => {
  const made = await makeProject(server, { name: 'phoenix' })
  await query(made.uri, 'create table t as select 42 as answer')
  const { status, data } = await api.deleteProject(made.id)
  assert.equal(status, 200)
  assert.equal(data.project.id, made.id)
  await assertRefused(api.getProject(made.id), 404, /project not found/)
  await assertRefused(api.deleteProject(made.id), 404, /project not found/)
  await assertRefused(api.listProjectBranches({ projectId: made.id }), 404, /project not found/)
  assert.deepEqual((await api.listProjects({ search: 'phoenix' })).data.projects, [])
  assert.ok((await loginError(made.uri)) !== undefined)

  const { data: deleted } = await api.listProjects({ search: 'phoenix', recoverable: true })
  assert.equal(deleted.projects[0]?.id, made.id)
  const week = 7 * 86_400_000
  const [at, until] = [deleted.projects[0]?.deleted_at ?? '', deleted.projects[0]?.recoverable_until ?? '']
  assert.equal(Date.parse(until) - Date.parse(at), week)

  // The operations that stop its computes can still be followed.
  await eventually('the deletion to have ended', async () => {
    const { data: page } = await api.listProjectOperations({ projectId: made.id })
    return page.operations.every((operation) => ['finished', 'skipped'].includes(operation.status))
  })
  const recovered = await api.recoverProject(made.id)
  assert.equal(recovered.data.project.id, made.id)
  assert.deepEqual(
    recovered.data.branches.map(({ id }) => id),
    [made.branchId],
  )
  assert.equal((await api.getProjectEndpoint(made.id, made.endpointId)).data.endpoint.current_state, 'idle')
  assert.deepEqual(await query(made.uri, 'select answer from t'), [{ answer: 42 }])
  await assertRefused(api.recoverProject(made.id), 422, /not deleted/)
})

test('a project with a protected branch cannot be deleted', async () => {
  const made = await makeProject(server)
  await api.updateProjectBranch(made.id, made.branchId, { branch: { protected: true } })
  await assertRefused(api.deleteProject(made.id), 422, /protected branch/)
  await api.updateProjectBranch(made.id, made.branchId, { branch: { protected: false } })
  assert.equal((await api.deleteProject(made.id)).status, 200)
})

test('settings that cannot be are refused before anything is written', async () => {
  const count = async (): Promise<number> => (await api.listProjects({ limit: 400 })).data.projects.length
  const before = await count()
  const refused: [project: Record<string, unknown>, message: RegExp][] = [
    [{ pg_version: 13 }, /pg_version/],
    [{ pg_version: 14.5 }, /pg_version/],
    [{ region_id: 'aws-mars-1' }, /region/],
    [{ name: '' }, /name/],
    [{ name: 'x'.repeat(257) }, /name/],
    [{ history_retention_seconds: 2_592_001 }, /history_retention_seconds/],
    [{ history_retention_seconds: -1 }, /history_retention_seconds/],
    [{ branch: { role_name: 'pg_monitor' } }, /reserved/],
    [{ branch: { role_name: 'neon_superuser' } }, /reserved/],
    [{ branch: { database_name: 'template1' } }, /reserved/],
    [{ branch: { database_name: 'é'.repeat(32) } }, /64 bytes/],
    [{ branch: { name: '' } }, /branch.name/],
    [{ default_endpoint_settings: { autoscaling_limit_min_cu: 0.1 } }, /autoscaling_limit_min_cu/],
    [{ default_endpoint_settings: { autoscaling_limit_max_cu: 64 } }, /autoscaling_limit_max_cu/],
    [{ default_endpoint_settings: { autoscaling_limit_min_cu: 2, autoscaling_limit_max_cu: 1 } }, /greater/],
    [{ default_endpoint_settings: { suspend_timeout_seconds: -2 } }, /suspend_timeout_seconds/],
    [{ default_endpoint_settings: { suspend_timeout_seconds: 604_801 } }, /suspend_timeout_seconds/],
    [{ default_endpoint_settings: { pg_settings: { archive_command: 'id' } } }, /archive_command/],
    [{ settings: { preload_libraries: { enabled_libraries: ['nothing'] } } }, /cannot be preloaded/],
  ]
  for (const [project, message] of refused) {
    const { status, body } = await request(server, 'POST', '/projects', { project })
    assert.equal(status, 400, JSON.stringify(project))
    assert.match(String(body['message']), message, JSON.stringify(project))
  }
  await assertRefused(api.createProject({ project: { org_id: 'org-of-nobody-00000000' } }), 404, /organization/)
  assert.equal(await count(), before)
})

test('the client is remembered as the source of a creation', async () => {
  const { body } = await request(server, 'POST', '/projects', { project: {} }, { 'user-agent': 'neonctl v5.0.1' })
  assert.equal((body['project'] as Record<string, unknown>)['creation_source'], 'neonctl')
})
