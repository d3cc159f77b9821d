// What control says of who may come in, asked as the edge asks it: from Postgres while it runs, from the rows while it sleeps.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { EndpointState } from '@neondatabase/api-client'
import { deriveKeys, opens } from '../../src/pgwire/scram-keys.ts'
import { readVerifier } from '../../src/pgwire/scram-verifier.ts'
import { connectAsEdge, type EdgePeer } from '../support/edge-peer.ts'
import { eventually } from '../support/eventually.ts'
import { assertRefused, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

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

const nobody = 'ep-nobody-has-00000000'

async function isOpenedBy(verifier: string | undefined, password: string): Promise<boolean> {
  const parsed = verifier === undefined ? undefined : readVerifier(verifier)
  return parsed !== undefined && opens(await deriveKeys(password, parsed.salt, parsed.iterations), parsed)
}

async function opensNow(edge: EdgePeer, project: TestProject, role: string, password: string): Promise<boolean> {
  return await isOpenedBy((await edge.lookup(project.endpointId, role))?.verifier, password)
}

const suspend = (project: TestProject): Promise<unknown> =>
  settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))

test('a role of an endpoint that runs, and of one that sleeps', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  const awake = await edge.lookup(project.endpointId, project.role)
  assert.equal(awake?.projectId, project.id)
  assert.equal(awake?.poolSize, 93)
  assert.equal(awake?.publicBlocked, false)
  assert.equal(awake?.allowedIps, undefined)
  assert.ok(await isOpenedBy(awake?.verifier, project.password))
  await suspend(project)
  assert.deepEqual(await edge.lookup(project.endpointId, project.role), awake)
})

test('nothing is said of what does not exist, nor of names that are not for tenants', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  assert.equal(await edge.lookup(nobody, project.role), undefined)
  for (const role of ['nobody', 'pgrove', 'pgrove_service', 'postgres', 'neon_superuser', 'pg_monitor']) {
    const access = await edge.lookup(project.endpointId, role)
    assert.ok(access)
    assert.equal(access.verifier, undefined, role)
  }
  for (const role of ['', 'x'.repeat(64), 'a\0b', 7]) {
    await assert.rejects(edge.call('lookupRole', { endpointId: project.endpointId, role }), /not the name of a role/)
  }
})

test('roles and passwords made by SQL are known while it runs, and when it has gone to sleep by itself', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server, { default_endpoint_settings: { suspend_timeout_seconds: 3 } })
  await query(project.uri, `create role by_sql login password 'first'`)
  assert.ok(await opensNow(edge, project, 'by_sql', 'first'))
  await query(project.uri, `alter role by_sql password 'second'`)
  assert.ok(await opensNow(edge, project, 'by_sql', 'second'))
  await query(project.uri, `create role expired login password 'x' valid until 'yesterday'`)
  await query(project.uri, `create role nologin_role password 'x'`)
  for (const role of ['expired', 'nologin_role'])
    assert.equal((await edge.lookup(project.endpointId, role))?.verifier, undefined)
  await eventually('it to sleep', async () => {
    const { data } = await api.getProjectEndpoint(project.id, project.endpointId)
    return data.endpoint.current_state === EndpointState.Idle
  })
  assert.ok(await opensNow(edge, project, 'by_sql', 'second'))
  assert.equal((await edge.lookup(project.endpointId, 'nologin_role'))?.verifier, undefined)
})

test('roles made by SQL are known after a suspension that was asked for, and after pgrove was stopped', async (t) => {
  await using own = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  const first = await makeProject(own)
  const second = await makeProject(own)
  await query(first.uri, `create role by_sql login password 'x'`)
  await settled(own, apiClient(own).suspendProjectEndpoint(first.id, first.endpointId))
  assert.ok(await opensNow(await connectAsEdge(t, own), first, 'by_sql', 'x'))
  await query(second.uri, `create role by_sql login password 'y'`)
  await own.stop()
  await using again = await startServer({ home: own.home })
  assert.ok(await opensNow(await connectAsEdge(t, again), second, 'by_sql', 'y'))
})

test('asking does not keep a compute awake', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server, { default_endpoint_settings: { suspend_timeout_seconds: 2 } })
  await eventually('it to sleep while it is asked all the time', async () => {
    await edge.lookup(project.endpointId, project.role)
    const { data } = await api.getProjectEndpoint(project.id, project.endpointId)
    return data.endpoint.current_state === EndpointState.Idle
  })
})

test('whoever remembers is told of a new password, a deleted role, other rules and protection', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  const tells = async (what: string, change: () => Promise<unknown>): Promise<void> => {
    edge.changed.length = 0
    await change()
    assert.ok(edge.changed.includes(project.endpointId), what)
  }
  await tells('a new role', () =>
    settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'made' } })),
  )
  let password = ''
  await tells('a new password', async () => {
    const reset = await settled(server, api.resetProjectBranchRolePassword(project.id, project.branchId, project.role))
    password = reset.role.password ?? ''
  })
  assert.ok(await opensNow(edge, project, project.role, password))
  assert.ok(!(await opensNow(edge, project, project.role, project.password)))
  await tells('a deleted role', () =>
    settled(server, api.deleteProjectBranchRole(project.id, project.branchId, 'made') as never),
  )
  assert.equal((await edge.lookup(project.endpointId, 'made'))?.verifier, undefined)

  const ips = ['10.0.0.0/8', '192.168.1.1-192.168.1.9', '2001:db8::1']
  await tells('a list of addresses', () =>
    api.updateProject(project.id, { project: { settings: { allowed_ips: { ips, protected_branches_only: true } } } }),
  )
  assert.equal((await edge.lookup(project.endpointId, project.role))?.allowedIps, undefined)
  await tells('a protected branch', () =>
    api.updateProjectBranch(project.id, project.branchId, { branch: { protected: true } }),
  )
  assert.deepEqual((await edge.lookup(project.endpointId, project.role))?.allowedIps, ips)
  await tells('public connections', () =>
    api.updateProject(project.id, { project: { settings: { block_public_connections: true } } }),
  )
  assert.equal((await edge.lookup(project.endpointId, project.role))?.publicBlocked, true)
  await tells('a disabled endpoint', () =>
    settled(server, api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { disabled: true } })),
  )
  await api.updateProjectBranch(project.id, project.branchId, { branch: { protected: false } })
  await tells('a deleted endpoint', () =>
    settled(server, api.deleteProjectEndpoint(project.id, project.endpointId) as never),
  )
  assert.equal(await edge.lookup(project.endpointId, project.role), undefined)
})

test('settings of addresses read back as they were set; what is no address is refused by name', async () => {
  const settings = {
    allowed_ips: { ips: ['10.1.2.3', '10.0.0.1 - 10.0.0.9', 'fd00::/8'], protected_branches_only: true },
    block_public_connections: true,
  }
  const project = await makeProject(server, { settings })
  const { data } = await api.getProject(project.id)
  assert.deepEqual(data.project.settings?.allowed_ips, settings.allowed_ips)
  assert.equal(data.project.settings?.block_public_connections, true)
  for (const entry of [
    '10.0.0',
    '10.0.0.0/33',
    'example.com',
    '10.0.0.9-10.0.0.1',
    '10.0.0.1-::1',
    '',
    'fe80::1%eth0',
  ]) {
    await assertRefused(
      api.updateProject(project.id, { project: { settings: { allowed_ips: { ips: ['10.0.0.1', entry] } } } }),
      400,
      new RegExp(`allowed_ips.ips: ${JSON.stringify(entry).replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&')} is no IP address`),
    )
  }
  assert.deepEqual((await api.getProject(project.id)).data.project.settings?.allowed_ips, settings.allowed_ips)
})
