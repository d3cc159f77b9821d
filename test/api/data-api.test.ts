// Enabling, changing and disabling the Data API of a branch's database.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, dataApiPath, urlOf } from '../support/data-api-app.ts'
import { makeChild, makeProject, refusal, type NeonApi } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { apiClient, request, startServer, waitForOperations, type Answer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
})
after(() => server?.[Symbol.asyncDispose]())

const settle = async (answer: Answer): Promise<void> => {
  assert.ok(answer.status < 300, JSON.stringify(answer.body))
  await waitForOperations(server, answer.body['operations'] as { id: string; project_id: string }[])
}

test("through the API's client", async () => {
  const { id, branchId, database } = await makeProject(server)
  const place = [id, branchId, database] as const
  assert.equal((await refusal(api.getProjectBranchDataApi(...place))).status, 404)
  const made = await api.createProjectBranchDataApi(...place, { auth_provider: 'neon_auth' })
  assert.equal(made.status, 201)
  assert.equal((await refusal(api.createProjectBranchDataApi(...place, {}))).status, 409)
  await api.updateProjectBranchDataApi(...place, { settings: { db_max_rows: 10 } })
  const { data } = await api.getProjectBranchDataApi(...place)
  assert.deepEqual(data, {
    url: made.data.url,
    status: 'active',
    settings: { db_max_rows: 10 },
    available_schemas: ['public'],
  })
  await api.updateProjectBranchDataApi(...place, {})
  assert.deepEqual((await api.getProjectBranchDataApi(...place)).data.settings, { db_max_rows: 10 })
  assert.equal((await api.deleteProjectBranchDataApi(...place)).status, 200)
  assert.equal((await refusal(api.deleteProjectBranchDataApi(...place))).status, 404)
})

test('what is wrong is refused before anything is done', async () => {
  const project = await makeProject(server)
  const path = dataApiPath(project, project.branchId)
  const table: [body: unknown, status: number, message: RegExp][] = [
    [{ auth_provider: 'external' }, 400, /jwks_url/],
    [{ auth_provider: 'neon_auth', jwks_url: 'https://example.com/jwks' }, 400, /auth_provider external/],
    [{ auth_provider: 'external', jwks_url: 'ftp://example.com/x' }, 400, /jwks_url must be an https URL/],
    [{ auth_provider: 'clerk' }, 400, /auth_provider/],
    [{ jwt_audience: '' }, 400, /jwt_audience/],
    [{ settings: { db_schemas: [] } }, 400, /db_schemas/],
    [{ settings: { db_max_rows: 0 } }, 400, /db_max_rows/],
    [{ settings: { db_max_rows: 1.5 } }, 400, /db_max_rows/],
    [{ settings: { jwt_role_claim_key: 'role' } }, 400, /jwt_role_claim_key/],
    [{ settings: { openapi_mode: 'follow-privileges' } }, 400, /openapi_mode/],
    [{ settings: { server_cors_allowed_origins: 'https://a\r\nX: y' } }, 400, /one line/],
  ]
  for (const [body, status, message] of table) {
    const answer = await request(server, 'POST', path, body)
    assert.equal(answer.status, status, JSON.stringify(body))
    assert.match(String(answer.body['message']), message)
  }
  assert.equal((await request(server, 'POST', dataApiPath(project, project.branchId, 'nothing'), {})).status, 404)
  assert.equal((await request(server, 'GET', path)).status, 404)
  assert.equal((await request(server, 'PATCH', path, {})).status, 404)
  assert.equal((await request(server, 'DELETE', path)).status, 404)
  const roles = 'SELECT FROM pg_roles WHERE rolname IN ($1, $2, $3, $4)'
  const names = ['authenticator', 'authenticated', 'anonymous', 'pgrove_data_api']
  assert.equal((await query(project.uri, roles, names)).length, 0)
  // Roles of the API are not bound by policies.
  const role = { role: { name: 'authenticated' } }
  await settle(await request(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/roles`, role))
  const unfit = await request(server, 'POST', path, {})
  assert.equal(unfit.status, 422)
  assert.match(String(unfit.body['message']), /role authenticated/)
  assert.equal((await ask(urlOf(server, project.endpointId, project.database))).status, 404)
})

test('a branch that expires has none, and one that has one does not expire', async () => {
  const expires_at = new Date(Date.now() + 86_400_000).toISOString()
  const project = await makeProject(server)
  const child = await makeChild(server, project, { expires_at })
  const refused = await request(server, 'POST', dataApiPath(project, child.branch.id), {})
  assert.equal(refused.status, 422)
  assert.match(String(refused.body['message']), /expires_at/)
  const path = `/projects/${project.id}/branches/${child.branch.id}`
  assert.equal((await request(server, 'PATCH', path, { branch: { expires_at: null } })).status, 200)
  assert.equal((await request(server, 'POST', dataApiPath(project, child.branch.id))).status, 201)
  const again = await request(server, 'PATCH', path, { branch: { expires_at } })
  assert.equal(again.status, 422)
  assert.match(String(again.body['message']), /Data API/)
})
