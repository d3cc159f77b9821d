// A control database of a pgrove that knew one organization and one kind of key: this one takes it over, and everything goes on as it was.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { testPassword, testUser, TestPostgres } from '../../src/proxy/test-support/postgres.ts'
import { assertRefused } from '../support/neon.ts'
import { connect } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, request, startServer, type TestServer } from '../support/server.ts'

const migrations = join(packageRoot, 'src', 'store', 'migrations')
const apiKey = `napi_${'k'.repeat(64)}`
const userId = '5b2f6f7a-3f0c-4d6e-9a61-2d0b7f5d1c11'
const orgId = 'org-quiet-river-12345678'
const projectId = 'quiet-river-87654321'

const settings = { quota: { active_time_seconds: 3600 } }
const defaults = { autoscalingLimitMinCu: 0.25, autoscalingLimitMaxCu: 2, suspendTimeoutSeconds: 0, pgSettings: {} }

async function fillAsBefore(postgres: TestPostgres): Promise<void> {
  await using session = await connect({
    host: postgres.socketDir,
    user: testUser,
    password: testPassword,
    database: 'postgres',
  })
  await session.client.query(
    'create table migrations (number integer primary key, name text not null, applied_at timestamptz not null default now())',
  )
  for (const name of (await readdir(migrations)).toSorted().slice(0, 3)) {
    await session.client.query(await readFile(join(migrations, name), 'utf8'))
    await session.query('insert into migrations (number, name) values ($1, $2)', [Number(name.slice(0, 4)), name])
  }
  const hash = createHash('sha256').update(apiKey).digest()
  await session.query('insert into users (id, email, name) values ($1, $2, $3)', [
    userId,
    'admin@pgrove.local',
    'pgrove',
  ])
  await session.query('insert into organizations (id, name, handle, plan) values ($1, $2, $3, $4)', [
    orgId,
    'pgrove',
    `pgrove-${orgId}`,
    'scale',
  ])
  await session.query('insert into members (org_id, user_id, role) values ($1, $2, $3)', [orgId, userId, 'admin'])
  await session.query('insert into api_keys (user_id, name, key_hash) values ($1, $2, $3)', [userId, 'first key', hash])
  await session.query(
    `insert into projects (id, cell, org_id, name, region_id, pg_major, store_passwords, history_retention_seconds, endpoint_defaults, settings, creation_source)
     values ($1, 'of another machine', $2, 'from before', 'aws-us-east-2', 17, true, 86400, $3, $4, 'api')`,
    [projectId, orgId, JSON.stringify(defaults), JSON.stringify(settings)],
  )
  await session.query(
    `insert into idempotency_keys (user_id, key, fingerprint, process) values ($1, 'interrupted', 'a fingerprint', 'a process')`,
    [userId],
  )
}

describe('a control database from before there were organizations', () => {
  let postgres: TestPostgres
  let server: TestServer

  before(async () => {
    postgres = await TestPostgres.start()
    await fillAsBefore(postgres)
    const host = encodeURIComponent(postgres.socketDir)
    server = await startServer({
      env: {
        PGROVE_STORAGE: 'copy',
        PGROVE_WARM_POOL: '0,0',
        PGROVE_API_KEY: apiKey,
        PGROVE_CONTROL_DATABASE_URL: `postgresql://${testUser}:${encodeURIComponent(testPassword)}@${host}/postgres`,
      },
    })
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
  })

  test('the one organization stays, is the default, and has what it had', async () => {
    const api = apiClient(server)
    const { organizations } = (await api.getCurrentUserOrganizations()).data
    assert.deepEqual(
      organizations.map(({ id, name, plan }) => [id, name, plan]),
      [[orgId, 'pgrove', 'scale']],
    )
    const { data: before } = await api.getProject(projectId)
    assert.deepEqual([before.project.name, before.project.org_id], ['from before', orgId])
    assert.equal(before.project.settings?.quota?.active_time_seconds, 3600)
    const { data: made } = await api.createProject({ project: { name: 'from now' } })
    assert.equal(made.project.org_id, orgId)
    assert.deepEqual((await api.listProjects({ search: 'from' })).data.projects.map(({ name }) => name).toSorted(), [
      'from before',
      'from now',
    ])
  })

  test('its user is the operator, and his key the one he had', async () => {
    const api = apiClient(server)
    assert.deepEqual(
      (await api.listApiKeys()).data.map(({ name }) => name),
      ['first key'],
    )
    assert.equal((await request(server, 'POST', '/operator/users', { email: 'new@example.com' })).status, 200)
    await assertRefused(api.listOrgApiKeys('org-of-nobody-00000000'), 404, /organization not found/)
    assert.equal((await api.createOrgApiKey(orgId, { key_name: 'new' })).status, 200)
  })

  test('an answer that was interrupted then is still said to have been', async () => {
    const headers = { 'idempotency-key': 'interrupted' }
    const { status } = await request(server, 'POST', '/api_keys', { key_name: 'twice' }, headers)
    assert.equal(status, 422, 'known as another request of the same user')
    await assertQuiet(server)
  })
})
