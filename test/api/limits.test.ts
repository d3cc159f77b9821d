// What an organization may have: defaults of its plan for new projects, and refusals of what goes beyond, also when many ask at once.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { EndpointType } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import { settled as everythingSettled } from '../support/faults.ts'
import { assertRefused, makeChild, makeProject, readWrite, refusal, settled, type NeonApi } from '../support/neon.ts'
import { makeUser } from '../support/accounts.ts'
import { firstOrganizations, newOrganization, setLimits } from '../support/organizations.ts'
import { connect, loginError } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, request, startServer, waitForOperations, type TestServer } from '../support/server.ts'

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

/** All are asked at once: what those were told that succeeded, and how the others were refused. */
async function atOnce<Data>(calls: readonly Promise<{ status: number; data: Data }>[]): Promise<{
  made: Data[]
  refused: string[]
}> {
  const made: Data[] = []
  const refused: string[] = []
  for (const [index, outcome] of (await Promise.allSettled(calls)).entries()) {
    const call = calls[index]
    if (outcome.status === 'fulfilled') made.push(outcome.value.data)
    else if (call) refused.push(await refusal(call).then(({ status, code }) => `${status} ${code}`))
  }
  return { made, refused }
}

test('a new project of the sponsored organization begins with its defaults', async () => {
  const { data } = await api.createProject({ project: { org_id: sponsored } })
  assert.deepEqual(data.project.settings?.quota, {
    active_time_seconds: 360_000,
    compute_time_seconds: 360_000,
    data_transfer_bytes: 5_368_709_120,
    logical_size_bytes: 536_870_912,
  })
  assert.equal(data.project.history_retention_seconds, 86_400)
  assert.equal(data.project.default_endpoint_settings?.autoscaling_limit_max_cu, 2)
  assert.equal(data.project.branch_logical_size_limit, 512)
  assert.equal(data.project.branch_logical_size_limit_bytes, 536_870_912)
  const { data: got } = await api.getProject(data.project.id)
  assert.equal(got.project.owner?.branches_limit, 10)
  assert.equal(got.project.owner?.subscription_type, 'free_v3')
  await waitForOperations(server, data.operations)
})

test('one of the paid organization begins with no quota', async () => {
  const { data } = await api.createProject({ project: { org_id: paid } })
  assert.equal(data.project.settings?.quota, undefined)
  assert.equal(data.project.branch_logical_size_limit, 16_777_216)
  const { data: got } = await api.getProject(data.project.id)
  assert.equal(got.project.owner?.branches_limit, 1000)
  assert.equal(got.project.owner?.subscription_type, 'scale_v3')
  await waitForOperations(server, data.operations)
})

test('what the caller says of quotas, history and sizes counts before the defaults', async () => {
  const { data } = await api.createProject({
    project: {
      org_id: sponsored,
      history_retention_seconds: 3600,
      settings: { quota: { active_time_seconds: 60, logical_size_bytes: 1_073_741_824 } },
      default_endpoint_settings: { autoscaling_limit_max_cu: 1 },
    },
  })
  assert.deepEqual(data.project.settings?.quota, {
    active_time_seconds: 60,
    compute_time_seconds: 360_000,
    data_transfer_bytes: 5_368_709_120,
    logical_size_bytes: 1_073_741_824,
  })
  assert.equal(data.project.history_retention_seconds, 3600)
  assert.equal(data.endpoints[0]?.autoscaling_limit_max_cu, 1)
  assert.equal(data.project.branch_logical_size_limit, 1024)
  await waitForOperations(server, data.operations)
})

test('GET /users/me tells the limits of the organization that projects are created in', async () => {
  for (const [orgId, plan, branches, cu] of [
    [sponsored, 'free_v3', 10, 2],
    [paid, 'scale_v3', 1000, 8],
  ] as const) {
    assert.equal((await request(server, 'PATCH', '/users/me', { default_org_id: orgId })).status, 200)
    const { data } = await api.getCurrentUserInfo()
    assert.equal(data.plan, plan)
    assert.equal(data.projects_limit, 10_000)
    assert.equal(data.branches_limit, branches)
    assert.equal(data.max_autoscaling_limit, cu)
  }
})

test('sizes and history beyond the organization’s range are refused, at creation and later', async () => {
  const create = (project: object) => api.createProject({ project: { org_id: sponsored, ...project } })
  assert.equal((await refusal(create({ history_retention_seconds: 86_401 }))).code, 'HISTORY_RETENTION_LIMIT_EXCEEDED')
  const tooLarge = await refusal(create({ default_endpoint_settings: { autoscaling_limit_max_cu: 4 } }))
  assert.deepEqual([tooLarge.status, tooLarge.code], [422, 'COMPUTE_UNITS_LIMIT_EXCEEDED'])
  assert.match(tooLarge.message, /autoscaling_limit_max_cu must be between 0.25 and 2 in this organization, got 4/)
  // What no organization may have is no matter of limits.
  await assertRefused(create({ history_retention_seconds: 9_999_999 }), 400, /history_retention_seconds/)

  const project = await makeProject(server, { org_id: sponsored })
  await assertRefused(
    api.updateProject(project.id, { project: { history_retention_seconds: 100_000 } }),
    422,
    /history_retention_seconds limit of 86400 exceeded/,
  )
  await assertRefused(
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { autoscaling_limit_max_cu: 8 } }),
    422,
    /between 0.25 and 2/,
  )
  await setLimits(server, sponsored, { max_cu: 4, history_retention_seconds: 200_000 })
  await settled(
    server,
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { autoscaling_limit_max_cu: 4 } }),
  )
  await api.updateProject(project.id, { project: { history_retention_seconds: 100_000 } })
  await setLimits(server, sponsored, { max_cu: null, history_retention_seconds: null })
  // What is there stays, and can be changed downwards or elsewhere.
  const kept = await settled(
    server,
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { suspend_timeout_seconds: 60 } }),
  )
  assert.equal(kept.endpoint.autoscaling_limit_max_cu, 4)
  const lower = await api.updateProject(project.id, { project: { history_retention_seconds: 90_000 } })
  assert.equal(lower.data.project.history_retention_seconds, 90_000)
})

test('projects: the last place goes to one of those who ask at once, and to nobody twice', async () => {
  const org = await newOrganization(server, 'few projects')
  await setLimits(server, org, { projects: 2 })
  const calls = Array.from({ length: 5 }, () => api.createProject({ project: { org_id: org } }))
  const { made, refused } = await atOnce(calls)
  assert.equal(made.length, 2)
  assert.deepEqual(
    refused,
    Array.from({ length: 3 }, () => '422 PROJECTS_LIMIT_EXCEEDED'),
  )
  const beyond = await refusal(api.createProject({ project: { org_id: org } }))
  assert.match(beyond.message, /projects limit of 2 exceeded/)

  for (const { operations } of made) await waitForOperations(server, operations)
  const [first] = made
  assert.ok(first)
  await api.deleteProject(first.project.id)
  await everythingSettled(server)
  await settled(server, api.createProject({ project: { org_id: org } }))
  // Its place is taken, so it cannot come back.
  await assertRefused(api.recoverProject(first.project.id), 422, /projects limit of 2 exceeded/)

  const raised = await setLimits(server, org, { projects: 3 })
  assert.equal(raised.projects_count, 2)
  await api.recoverProject(first.project.id)
  // What is there when a limit is lowered stays.
  assert.equal((await setLimits(server, org, { projects: 1 })).projects_count, 3)
  assert.equal((await api.listProjects({ org_id: org })).data.projects.length, 3)
  await assertRefused(api.createProject({ project: { org_id: org } }), 422, /projects limit of 1 exceeded/)
})

test('branches, and those without a parent, of a project', async () => {
  const org = await newOrganization(server, 'few branches')
  const project = await makeProject(server, { org_id: org })
  await setLimits(server, org, { branches: 3, root_branches: 2 })
  const schemaOnly = { branch: { init_source: 'schema-only' as const }, endpoints: [readWrite] }
  const root = await settled(server, api.createProjectBranch(project.id, schemaOnly))
  const roots = await refusal(api.createProjectBranch(project.id, schemaOnly))
  assert.deepEqual([roots.status, roots.code], [422, 'ROOT_BRANCHES_LIMIT_EXCEEDED'])
  assert.match(roots.message, /root branches limit of 2 exceeded/)

  const snapshot = await settled(server, api.createSnapshot({ projectId: project.id, branchId: project.branchId }))
  const preview = await refusal(
    api.restoreSnapshot({ projectId: project.id, snapshotId: snapshot.snapshot.id }, { finalize_restore: false }),
  )
  assert.equal(preview.code, 'ROOT_BRANCHES_LIMIT_EXCEEDED')

  const child = await settled(server, api.createProjectBranch(project.id, { branch: {} }))
  const full = await refusal(api.createProjectBranch(project.id, { branch: {} }))
  assert.deepEqual([full.status, full.code], [422, 'BRANCHES_LIMIT_EXCEEDED'])
  assert.match(full.message, /branches limit of 3 exceeded/)
  const backup = await refusal(
    api.restoreProjectBranch(project.id, child.branch.id, {
      source_branch_id: project.branchId,
      preserve_under_name: 'kept',
    }),
  )
  assert.equal(backup.code, 'BRANCHES_LIMIT_EXCEEDED')

  await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: root.branch.id }))
  await settled(server, api.createProjectBranch(project.id, { branch: { name: 'in its place' } }))
  await assertRefused(api.recoverProjectBranch(project.id, root.branch.id), 422, /branches limit of 3 exceeded/)
})

test('protected branches: none in the sponsored organization, so many in others', async () => {
  const tenant = await makeProject(server, { org_id: sponsored })
  const none = await refusal(api.updateProjectBranch(tenant.id, tenant.branchId, { branch: { protected: true } }))
  assert.deepEqual([none.status, none.code], [422, 'BRANCHES_PROTECTED_LIMIT_EXCEEDED'])
  await assertRefused(
    api.createProjectBranch(tenant.id, { branch: { protected: true } }),
    422,
    /protected branches limit of 0 exceeded/,
  )
  const org = await newOrganization(server, 'one protected')
  await setLimits(server, org, { protected_branches: 1 })
  const project = await makeProject(server, { org_id: org })
  await api.updateProjectBranch(project.id, project.branchId, { branch: { protected: true } })
  await api.updateProjectBranch(project.id, project.branchId, { branch: { protected: true } })
  const second = await refusal(api.createProjectBranch(project.id, { branch: { protected: true } }))
  assert.equal(second.code, 'BRANCHES_PROTECTED_LIMIT_EXCEEDED')
})

test('snapshots, roles and databases', async () => {
  const org = await newOrganization(server, 'little of all')
  const project = await makeProject(server, { org_id: org })
  await setLimits(server, org, { snapshots: 1, roles: 2, databases: 2 })
  const of = { projectId: project.id, branchId: project.branchId }
  const { snapshot } = await settled(server, api.createSnapshot(of))
  const second = await refusal(api.createSnapshot(of))
  assert.deepEqual([second.status, second.code], [422, 'SNAPSHOTS_LIMIT_EXCEEDED'])
  assert.match(second.message, /snapshots limit of 1 exceeded: delete a snapshot/)
  await settled(server, api.deleteSnapshot(project.id, snapshot.id))
  await settled(server, api.createSnapshot(of))

  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'second' } }))
  const role = await refusal(api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'third' } }))
  assert.deepEqual([role.status, role.code], [422, 'ROLES_LIMIT_EXCEEDED'])
  const database = (name: string) =>
    api.createProjectBranchDatabase(project.id, project.branchId, { database: { name, owner_name: 'second' } })
  await settled(server, database('more'))
  const third = await refusal(database('most'))
  assert.deepEqual([third.status, third.code], [422, 'DATABASES_LIMIT_EXCEEDED'])
})

test('storage: a project that has more than it may adds neither branches nor snapshots', async () => {
  const org = await newOrganization(server, 'little storage')
  const project = await makeProject(server, { org_id: org })
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  await setLimits(server, org, { storage_bytes: 1_000_000 })
  const branch = () => api.createProjectBranch(project.id, { branch: {} })
  // Sizes are measured a moment after the compute has been suspended.
  const refused = await eventually('it is measured', async () => {
    const made = await branch().catch(() => undefined)
    if (!made) return await refusal(branch())
    await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: made.data.branch.id }))
    return undefined
  })
  assert.deepEqual([refused.status, refused.code], [422, 'STORAGE_LIMIT_EXCEEDED'])
  assert.match(refused.message, /storage limit of 1000000 bytes exceeded: the project has \d+/)
  const snapshot = api.createSnapshot({ projectId: project.id, branchId: project.branchId })
  assert.equal((await refusal(snapshot)).code, 'STORAGE_LIMIT_EXCEEDED')
  await setLimits(server, org, { storage_bytes: 0 })
  await settled(server, branch())
})

test('computes that run at once: refused to calls and to clients, and free again when one is suspended', async () => {
  const org = await newOrganization(server, 'one compute')
  await setLimits(server, org, { active_computes: 1 })
  const project = await makeProject(server, { org_id: org })
  // The default branch's compute, which runs, does not count.
  const one = await makeChild(server, project, { name: 'one' })
  const branch = await refusal(api.createProjectBranch(project.id, { branch: { name: 'two' }, endpoints: [readWrite] }))
  assert.deepEqual([branch.status, branch.code], [422, 'ACTIVE_ENDPOINTS_LIMIT_EXCEEDED'])
  assert.match(branch.message, /active computes limit of 1 exceeded/)
  const two = await settled(server, api.createProjectBranch(project.id, { branch: { name: 'two' } }))
  const { data: idle } = await api.createProjectEndpoint(project.id, {
    endpoint: { branch_id: two.branch.id, type: EndpointType.ReadWrite, disabled: true },
  })
  await api.updateProjectEndpoint(project.id, idle.endpoint.id, { endpoint: { disabled: false } })
  const started = await refusal(api.startProjectEndpoint(project.id, idle.endpoint.id))
  assert.equal(started.code, 'ACTIVE_ENDPOINTS_LIMIT_EXCEEDED')
  const { data } = await api.getConnectionUri({
    projectId: project.id,
    branch_id: two.branch.id,
    database_name: project.database,
    role_name: project.role,
  })
  assert.equal(await loginError(data.uri), '53400')
  await assert.rejects(connect(data.uri), /active computes limit of 1 exceeded in organization/)
  await using still = await connect(one.uri)
  assert.deepEqual(await still.query('select 1 as here'), [{ here: 1 }])

  await settled(server, api.suspendProjectEndpoint(project.id, one.endpointId))
  await using woken = await connect(data.uri)
  assert.deepEqual(await woken.query('select 1 as here'), [{ here: 1 }])
  // The session of the first compute was set aside, and now there is no place to come back to.
  await assert.rejects(still.query('select 1'), /active computes limit of 1 exceeded/)
  await setLimits(server, org, { active_computes: null })
  await using back = await connect(one.uri)
  assert.deepEqual(await back.query('select 1 as here'), [{ here: 1 }])
})

test('where default branches count as well, a project beyond is not even created', async () => {
  const org = await newOrganization(server, 'counts all')
  await setLimits(server, org, { active_computes: 1, default_branches_exempt: false })
  const calls = Array.from({ length: 3 }, () => api.createProject({ project: { org_id: org } }))
  const { made, refused } = await atOnce(calls)
  assert.deepEqual(refused, ['422 ACTIVE_ENDPOINTS_LIMIT_EXCEEDED', '422 ACTIVE_ENDPOINTS_LIMIT_EXCEEDED'])
  const [only] = made
  assert.ok(only && made.length === 1)
  await waitForOperations(server, only.operations)
  await settled(server, api.suspendProjectEndpoint(only.project.id, only.endpoints[0]?.id ?? ''))
  await settled(server, api.createProject({ project: { org_id: org } }))
})

test('the operator’s route shows what holds, changes it, and says what is wrong with a wish', async () => {
  const org = await newOrganization(server, 'looked at', 'free_v3')
  const path = `/operator/organizations/${org}/limits`
  const shown = (await request(server, 'GET', path)).body
  assert.equal(shown['plan'], 'free_v3')
  assert.equal(shown['projects_count'], 0)
  assert.deepEqual(shown['overridden'], [])
  const limits = shown['limits'] as Record<string, unknown>
  assert.deepEqual([limits['branches'], limits['outbound'], limits['max_cu']], [10, false, 2])

  const { body } = await request(server, 'PATCH', path, { plan: 'scale_v3', limits: { branches: 7, outbound: true } })
  assert.deepEqual(body['overridden'], ['branches', 'outbound'])
  assert.deepEqual((body['limits'] as Record<string, unknown>)['max_cu'], 8)
  const back = await setLimits(server, org, { branches: null })
  assert.deepEqual(back.overridden, ['outbound'])
  assert.equal(back.limits['branches'], 1000)

  for (const [change, message] of [
    [{ limits: { brnches: 3 } }, /no limit "brnches"; there are projects, branches/],
    [{ limits: { branches: 'many' } }, /branches must be a whole number from 0 to 5000/],
    [{ limits: { branches: 1, outbound: 1 } }, /outbound is a switch/],
    [{ plan: 'golden' }, /no plan "golden"; there are free_v3/],
  ] as const) {
    const refused = await request(server, 'PATCH', path, change)
    assert.equal(refused.status, 400)
    assert.match(String(refused.body['message']), message)
  }
  // Nothing of a wish that is wrong in one place is done.
  assert.equal((await setLimits(server, org, {})).limits['branches'], 1000)
  const nobodys = await request(server, 'GET', '/operator/organizations/org-of-nobody-00000000/limits')
  assert.equal(nobodys.status, 404)
  const somebody = await makeUser(server, 'no.operator@example.com')
  assert.equal((await request(somebody.server, 'GET', path)).status, 403)
  assert.equal((await request(somebody.server, 'PATCH', path, { limits: { branches: 1 } })).status, 403)
})

test('pgrove org: list, limits and create at the machine itself', async () => {
  const pgrove = async (...args: string[]): Promise<{ ok: boolean; text: string }> => {
    const env = { PATH: process.env['PATH'] ?? '', PGROVE_HOME: server.home }
    const run = promisify(execFile)(join(packageRoot, 'bin', 'pgrove'), ['org', ...args], { env })
    return await run.then(
      ({ stdout }) => ({ ok: true, text: stdout }),
      ({ stderr }: { stderr: string }) => ({ ok: false, text: stderr }),
    )
  }
  assert.match((await pgrove('create', 'made here', '--plan', 'free_v3')).text, /made org-\S+ \(made here, free_v3\)/)
  const listed = await pgrove('list')
  assert.match(listed.text, /org-\S+ {2}made here {2}free_v3 {2}0 of 10000 projects\n/)
  const set = await pgrove('limits', 'made here', 'projects=5', 'outbound=on')
  assert.match(set.text, /projects +5 \(the plan's is 10000\)/)
  assert.match(set.text, /outbound +on \(the plan's is off\)/)
  assert.match((await pgrove('list')).text, /made here {2}free_v3 {2}0 of 5 projects {2}changed: projects, outbound/)
  assert.match((await pgrove('limits', 'made here', 'projects=default')).text, /projects +10000 {2}/)
  assert.match((await pgrove('limits', 'made here', 'plan=scale_v3')).text, /max_cu +8 {2}/)

  const failures = [
    [['limits', 'nobody'], /there is no organization "nobody"; `pgrove org list`/],
    [['limits', 'made here', 'projcts=5'], /there is no limit "projcts"/],
    [['drop'], /there is no "drop"/],
  ] as const
  for (const [args, message] of failures) {
    const { ok, text } = await pgrove(...args)
    assert.equal(ok, false)
    assert.match(text, message)
  }
  // Two of one name: only an id tells which.
  await pgrove('create', 'made here')
  assert.match(
    (await pgrove('limits', 'made here')).text,
    /2 organizations are called "made here": name one by its id, org-/,
  )
})
