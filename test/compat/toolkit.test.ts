// The toolkit, unmodified, through the script that its users write.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { NeonToolkit } from '@neondatabase/toolkit'
import { query } from '../support/postgres.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
})
after(() => server?.[Symbol.asyncDispose]())

test('a tenant is created, connected to and deleted', async () => {
  const toolkit = new NeonToolkit(server.apiKey)
  toolkit.apiClient.instance.defaults.baseURL = server.apiUrl

  const project = await toolkit.createProject({
    name: 'agent-example-tenant-prod',
    branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' },
    default_endpoint_settings: {
      autoscaling_limit_min_cu: 0.25,
      autoscaling_limit_max_cu: 1,
      suspend_timeout_seconds: 300,
    },
    pg_version: 17,
    region_id: 'aws-us-east-2',
  })
  const [endpoint] = project.endpoints
  assert.ok(endpoint)
  assert.match(project.project.id, /^[a-z]+-[a-z]+-\d{8}$/)
  assert.match(endpoint.id, /^ep-[a-z]+-[a-z]+-[a-z0-9]{8}$/)
  assert.match(project.branches.id, /^br-[a-z]+-[a-z]+-[a-z0-9]{8}$/)
  assert.equal(project.project.name, 'agent-example-tenant-prod')
  assert.equal(project.branches.name, 'main')
  assert.equal(endpoint.branch_id, project.branches.id)
  assert.deepEqual(
    [endpoint.autoscaling_limit_min_cu, endpoint.autoscaling_limit_max_cu, endpoint.suspend_timeout_seconds],
    [0.25, 1, 300],
  )

  const { data } = await toolkit.apiClient.getConnectionUri({
    projectId: project.project.id,
    branch_id: project.branches.id,
    database_name: 'app_db',
    role_name: 'app_user',
    pooled: true,
  })
  assert.match(data.uri, new RegExp(`${endpoint.id}-pooler`))
  assert.deepEqual(await query(data.uri, 'select 1 as one'), [{ one: 1 }])
  assert.match((await query<{ version: string }>(data.uri, 'select version()'))[0]?.version ?? '', /^PostgreSQL 17\./)

  await toolkit.deleteProject(project)
  await assert.rejects(toolkit.apiClient.getProject(project.project.id), { status: 404 })
})
