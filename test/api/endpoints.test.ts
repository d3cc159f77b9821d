// Endpoints: made, changed, started, suspended, disabled and deleted, each looked at from a database client too.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EndpointType, type Endpoint } from '@neondatabase/api-client'
import { eventually } from '../support/eventually.ts'
import {
  actionsOf,
  assertRefused,
  makeChild,
  makeProject,
  settled,
  type NeonApi,
  type TestProject,
} from '../support/neon.ts'
import { connect, loginError, query } from '../support/postgres.ts'
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

async function endpointOf(project: TestProject, endpointId = project.endpointId): Promise<Endpoint> {
  return (await api.getProjectEndpoint(project.id, endpointId)).data.endpoint
}

async function uriOf(project: TestProject, branchId: string): Promise<string> {
  const { data } = await api.getConnectionUri({
    projectId: project.id,
    branch_id: branchId,
    database_name: project.database,
    role_name: project.role,
  })
  return data.uri
}

const setting = async (uri: string, name: string): Promise<string | undefined> =>
  (await query<{ value: string }>(uri, 'select current_setting($1) as value', [name]))[0]?.value

test('an endpoint is made for a branch, starts, and shows where it is', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  const { status, data } = await api.createProjectEndpoint(project.id, {
    endpoint: { branch_id: branch.id, type: EndpointType.ReadWrite, region_id: 'aws-us-east-2', name: 'blue' },
  })
  assert.equal(status, 201)
  assert.deepEqual(
    data.operations.map(({ action, status, branch_id, endpoint_id }) => ({ action, status, branch_id, endpoint_id })),
    [{ action: 'start_compute', status: 'running', branch_id: branch.id, endpoint_id: data.endpoint.id }],
  )
  assert.equal(data.endpoint.current_state, 'init')
  assert.equal(data.endpoint.pending_state, 'active')
  assert.equal(data.endpoint.name, 'blue')
  assert.equal(data.endpoint.started_at, undefined)
  await settled(server, Promise.resolve({ data }))
  const endpoint = await endpointOf(project, data.endpoint.id)
  assert.equal(endpoint.current_state, 'active')
  assert.equal(endpoint.pending_state, undefined)
  const { hosts } = endpoint as Endpoint & { hosts: Record<string, string> }
  assert.deepEqual(hosts, {
    read_write_host: endpoint.host,
    read_write_pooled_host: endpoint.host.replace(endpoint.id, `${endpoint.id}-pooler`),
  })
  await eventually('the start to be on record', async () => (await endpointOf(project, endpoint.id)).started_at)
  assert.equal(await loginError(await uriOf(project, branch.id)), undefined)

  const { data: all } = await api.listProjectEndpoints(project.id)
  assert.deepEqual(all.endpoints.map(({ id }) => id).toSorted(), [project.endpointId, endpoint.id].toSorted())
  const { data: one } = await api.listProjectBranchEndpoints(project.id, branch.id)
  assert.deepEqual(
    one.endpoints.map(({ id }) => id),
    [endpoint.id],
  )
})

test('a new endpoint takes the defaults of its project, and what the call says goes before', async () => {
  const project = await makeProject(server, {
    default_endpoint_settings: {
      autoscaling_limit_min_cu: 0.25,
      autoscaling_limit_max_cu: 0.5,
      suspend_timeout_seconds: 90,
      pg_settings: { work_mem: '5MB' },
    },
  })
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  const { endpoint } = await settled(
    server,
    api.createProjectEndpoint(project.id, {
      endpoint: { branch_id: branch.id, type: EndpointType.ReadWrite, suspend_timeout_seconds: 45 },
    }),
  )
  assert.equal(endpoint.autoscaling_limit_min_cu, 0.25)
  assert.equal(endpoint.autoscaling_limit_max_cu, 0.5)
  assert.equal(endpoint.suspend_timeout_seconds, 45)
  assert.deepEqual(endpoint.settings.pg_settings, { work_mem: '5MB' })
})

test('what cannot be made is refused', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  const make = (endpoint: Record<string, unknown>) =>
    api.createProjectEndpoint(project.id, {
      endpoint: { branch_id: branch.id, type: EndpointType.ReadWrite, ...endpoint },
    })
  await assertRefused(make({ branch_id: project.branchId }), 409, /already has a read-write endpoint/)
  await assertRefused(make({ branch_id: 'br-no-such-00000000' }), 404, /branch not found/)
  await assertRefused(make({ type: 'read_only' }), 501, /read_only/)
  await assertRefused(make({ type: 'write_only' }), 400, /type/)
  await assertRefused(make({ region_id: 'aws-eu-central-1' }), 400, /region_id/)
  await assertRefused(make({ name: 'x'.repeat(65) }), 400, /name/)
  await assertRefused(make({ suspend_timeout_seconds: 604_801 }), 400, /suspend_timeout_seconds/)
  await assertRefused(make({ settings: { pg_settings: { shared_preload_libraries: 'x' } } }), 400, /shared_preload/)
  assert.equal((await api.listProjectEndpoints(project.id)).data.endpoints.length, 1)
})

test('start, suspend and restart schedule what is to be done, and nothing where nothing is', async () => {
  const project = await makeProject(server)
  const call = async (verb: 'start' | 'suspend' | 'restart') => {
    const calls = {
      start: () => api.startProjectEndpoint(project.id, project.endpointId),
      suspend: () => api.suspendProjectEndpoint(project.id, project.endpointId),
      restart: () => api.restartProjectEndpoint(project.id, project.endpointId),
    }
    return await settled(server, calls[verb]())
  }
  const state = async (): Promise<string> => (await endpointOf(project)).current_state

  const idle = await call('start')
  assert.deepEqual(idle.operations, [])
  assert.equal(idle.endpoint.current_state, 'active')

  await using session = await connect(project.uri)
  const suspended = await call('suspend')
  assert.deepEqual(actionsOf(suspended), ['suspend_compute'])
  assert.equal(suspended.operations[0]?.status, 'running')
  assert.equal(suspended.endpoint.pending_state, 'idle')
  assert.equal(await state(), 'idle')
  await eventually('the suspension to be on record', async () => (await endpointOf(project)).suspended_at)
  assert.deepEqual((await call('suspend')).operations, [])
  await assertRefused(api.restartProjectEndpoint(project.id, project.endpointId), 422, /not active/)

  const started = await call('start')
  assert.deepEqual(actionsOf(started), ['start_compute'])
  assert.equal(started.endpoint.pending_state, 'active')
  assert.deepEqual(await session.query('select 1 as n'), [{ n: 1 }], 'it was at rest and goes on')
  assert.equal(await state(), 'active')

  const pid = `select pg_postmaster_start_time()::text as at`
  const before = await query(project.uri, pid)
  const restarted = await call('restart')
  assert.deepEqual(actionsOf(restarted), ['suspend_compute', 'start_compute'])
  assert.deepEqual(
    restarted.operations.map(({ status }) => status),
    ['running', 'scheduling'],
  )
  assert.equal(await state(), 'active')
  assert.notDeepEqual(await query(project.uri, pid), before)
})

test('a suspend timeout is taken as it is said, and changes nothing else', async () => {
  const project = await makeProject(server)
  await using session = await connect(project.uri)
  const change = (suspend_timeout_seconds: number) =>
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { suspend_timeout_seconds } })
  for (const seconds of [-1, 0, 1, 59, 300, 604_800]) {
    const { data } = await change(seconds)
    assert.deepEqual(data.operations, [])
    assert.equal(data.endpoint.suspend_timeout_seconds, seconds)
    assert.equal((await endpointOf(project)).suspend_timeout_seconds, seconds)
  }
  for (const seconds of [-2, 604_801, 1.5]) await assertRefused(change(seconds), 400, /suspend_timeout_seconds/)
  assert.deepEqual(await session.query('select 1 as n'), [{ n: 1 }])
})

test('the size of a compute follows its minimum; a new maximum disturbs nobody', async () => {
  const project = await makeProject(server)
  const change = (endpoint: Record<string, number>) =>
    settled(server, api.updateProjectEndpoint(project.id, project.endpointId, { endpoint }))
  assert.equal(await setting(project.uri, 'max_connections'), '104')
  {
    await using session = await connect(project.uri)
    const larger = await change({ autoscaling_limit_max_cu: 4 })
    assert.deepEqual(actionsOf(larger), ['apply_config'])
    assert.equal(larger.operations[0]?.endpoint_id, project.endpointId)
    assert.equal(larger.endpoint.autoscaling_limit_max_cu, 4)
    assert.deepEqual(await session.query('select 1 as n'), [{ n: 1 }])
  }
  await change({ autoscaling_limit_min_cu: 1 })
  assert.equal(await setting(project.uri, 'max_connections'), '419')
  assert.equal(await setting(project.uri, 'shared_buffers'), '512MB')
  // A lone end of the range takes the other along.
  const { endpoint } = await change({ autoscaling_limit_max_cu: 0.5 })
  assert.deepEqual([endpoint.autoscaling_limit_min_cu, endpoint.autoscaling_limit_max_cu], [0.5, 0.5])
  assert.equal(await setting(project.uri, 'max_connections'), '209')
  for (const wrong of [
    { autoscaling_limit_min_cu: 2, autoscaling_limit_max_cu: 1 },
    { autoscaling_limit_min_cu: 0 },
    { autoscaling_limit_min_cu: 0.3 },
    { autoscaling_limit_max_cu: 9 },
  ]) {
    await assertRefused(
      api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: wrong }),
      400,
      /autoscaling_limit/,
    )
  }
})

test('pg_settings reach Postgres, replace each other, and are checked', async () => {
  const project = await makeProject(server)
  const change = (pg_settings: Record<string, string>) =>
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { settings: { pg_settings } } })
  {
    await using session = await connect(project.uri)
    const { operations, endpoint } = await settled(
      server,
      change({ work_mem: '9MB', jit: 'off', statement_timeout: '5000' }),
    )
    assert.deepEqual(
      operations.map(({ action, status }) => ({ action, status })),
      [{ action: 'apply_config', status: 'running' }],
    )
    assert.deepEqual(endpoint.settings.pg_settings, { work_mem: '9MB', jit: 'off', statement_timeout: '5000' })
    assert.deepEqual(await session.query('select 1 as n'), [{ n: 1 }], 'a reload is enough')
  }
  assert.equal(await setting(project.uri, 'work_mem'), '9MB')
  assert.equal(await setting(project.uri, 'jit'), 'off')
  assert.equal(await setting(project.uri, 'statement_timeout'), '5s')
  // Only a restart changes this one.
  await settled(server, change({ max_locks_per_transaction: '100' }))
  assert.equal(await setting(project.uri, 'max_locks_per_transaction'), '100')
  assert.equal(await setting(project.uri, 'statement_timeout'), '0')
  assert.notEqual(await setting(project.uri, 'work_mem'), '9MB')

  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  const { data } = await change({ work_mem: '3MB' })
  assert.deepEqual(data.operations, [], 'a sleeping compute is not woken for it')
  assert.equal(data.endpoint.current_state, 'idle')
  assert.equal(await setting(project.uri, 'work_mem'), '3MB')

  const refused: Record<string, string>[] = [
    { archive_command: 'touch /tmp/x' },
    { work_mem: 'lots' },
    { work_mem: "1MB'\narchive_mode = on" },
    { listen_addresses: '*' },
    { shared_buffers: '1GB' },
    { session_preload_libraries: 'x' },
  ]
  for (const settings of refused) await assertRefused(change(settings), 400, /setting/)
  // Names that every object answers to. The official client leaves them out.
  for (const name of ['constructor', 'toString', '__proto__']) {
    const body = `{"endpoint":{"settings":{"pg_settings":{"${name}":"x"}}}}`
    const { status } = await request(server, 'PATCH', `/projects/${project.id}/endpoints/${project.endpointId}`, body)
    assert.equal(status, 400, name)
  }
  assert.equal(await setting(project.uri, 'work_mem'), '3MB')
})

test('a disabled endpoint ends its sessions and takes no new ones until it is enabled again', async () => {
  const project = await makeProject(server)
  await using session = await connect(project.uri)
  const update = (disabled: boolean) =>
    settled(server, api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { disabled } }))
  const off = await update(true)
  assert.deepEqual(actionsOf(off), ['suspend_compute'])
  assert.equal(off.endpoint.disabled, true)
  assert.equal((await eventually('the session to be told', async () => session.ended())).code, '57P01')
  assert.equal(await loginError(project.uri), '55000')
  assert.equal((await endpointOf(project)).current_state, 'idle')
  await assertRefused(api.startProjectEndpoint(project.id, project.endpointId), 422, /disabled/)
  await assertRefused(api.restartProjectEndpoint(project.id, project.endpointId), 422, /disabled/)
  // Its branch can still be worked on.
  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'while_off' } }))
  assert.equal((await endpointOf(project)).current_state, 'idle')
  const on = await update(false)
  assert.deepEqual(on.operations, [])
  assert.equal(await loginError(project.uri), undefined)
})

test('an endpoint that is made disabled does not start', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  const { endpoint, operations } = await settled(
    server,
    api.createProjectEndpoint(project.id, {
      endpoint: { branch_id: branch.id, type: EndpointType.ReadWrite, disabled: true },
    }),
  )
  assert.deepEqual(operations, [])
  assert.equal(endpoint.disabled, true)
  assert.equal(endpoint.current_state, 'idle')
  assert.equal(await loginError(await uriOf(project, branch.id)), '55000')
})

test('a deleted endpoint is gone, and its branch takes another', async () => {
  const project = await makeProject(server)
  const child = await makeChild(server, project)
  await query(child.uri, 'create table t as select 3 as n')
  const deleted = await settled(server, api.deleteProjectEndpoint(project.id, child.endpointId))
  assert.deepEqual(actionsOf(deleted), ['suspend_compute'])
  assert.equal(deleted.endpoint.id, child.endpointId)
  await assertRefused(api.getProjectEndpoint(project.id, child.endpointId), 404, /endpoint not found/)
  assert.equal((await api.deleteProjectEndpoint(project.id, child.endpointId)).status, 204)
  assert.equal(await loginError(child.uri), '28P01')
  await assertRefused(
    api.getConnectionUri({
      projectId: project.id,
      branch_id: child.branch.id,
      database_name: project.database,
      role_name: project.role,
    }),
    404,
    /has no endpoint/,
  )
  const { endpoint } = await settled(
    server,
    api.createProjectEndpoint(project.id, { endpoint: { branch_id: child.branch.id, type: EndpointType.ReadWrite } }),
  )
  assert.notEqual(endpoint.id, child.endpointId)
  assert.deepEqual(await query(await uriOf(project, child.branch.id), 'select n from t'), [{ n: 3 }])
  await settled(server, api.suspendProjectEndpoint(project.id, endpoint.id))
  assert.deepEqual((await api.deleteProjectEndpoint(project.id, endpoint.id)).data.operations, [])
})

test('the endpoint of a protected branch stays', async () => {
  const project = await makeProject(server)
  await api.updateProjectBranch(project.id, project.branchId, { branch: { protected: true } })
  await assertRefused(api.deleteProjectEndpoint(project.id, project.endpointId), 422, /protected/)
  assert.equal(await loginError(project.uri), undefined)
})

test('an endpoint is renamed by itself, and moves nowhere', async () => {
  const project = await makeProject(server)
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  const update = (endpoint: Record<string, unknown>) =>
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint })
  const { data } = await update({ name: 'green ✓' })
  assert.equal(data.endpoint.name, 'green ✓')
  assert.deepEqual(data.operations, [])
  await assertRefused(update({ name: '' }), 400, /name/)
  await assertRefused(update({ branch_id: branch.id }), 501, /moving an endpoint/)
  assert.equal((await update({ branch_id: project.branchId, pooler_enabled: true })).status, 200)
  assert.equal((await endpointOf(project)).pooler_enabled, false)
})

test('an endpoint of another project does not exist', async () => {
  const [project, other] = [await makeProject(server), await makeProject(server)]
  const path = `/projects/${project.id}/endpoints/${other.endpointId}`
  for (const [method, suffix] of [
    ['GET', ''],
    ['POST', '/start'],
    ['POST', '/suspend'],
    ['POST', '/restart'],
  ] as const) {
    assert.equal((await request(server, method, `${path}${suffix}`)).status, 404, `${method} ${suffix}`)
  }
  assert.equal((await request(server, 'PATCH', path, { endpoint: { name: 'stolen' } })).status, 404)
  assert.equal((await request(server, 'DELETE', path)).status, 204)
  assert.equal((await endpointOf(other)).name, undefined)
  assert.equal(await loginError(other.uri), undefined)
})
