// Whatever is sent, the answer is Neon's error form with a 4xx, and what was there before is there after.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type Answer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject
let other: TestProject
/** With ids of `project` in place. */
let paths: { branch: string; endpoint: string; project: string }

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
  project = await makeProject(server)
  other = await makeProject(server)
  await query(project.uri, 'create table t as select 1 as n')
  const root = `/projects/${project.id}`
  paths = {
    project: root,
    branch: `${root}/branches/${project.branchId}`,
    endpoint: `${root}/endpoints/${project.endpointId}`,
  }
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

function assertErrorForm(answer: Answer, what: string): void {
  const { status, headers, body } = answer
  assert.ok(status >= 400 && (status < 500 || status === 501), `${what}: ${status} ${JSON.stringify(body)}`)
  assert.match(headers.get('content-type') ?? '', /^application\/json/)
  assert.equal(typeof body['code'], 'string', what)
  assert.ok(typeof body['message'] === 'string' && body['message'] !== '', what)
  assert.equal(body['request_id'], headers.get('x-request-id'), what)
  assert.equal(body['request_id'], headers.get('x-neon-ret-request-id'), what)
}

async function assertRefused(
  method: string,
  path: string,
  body: unknown,
  status: number,
  message: RegExp,
): Promise<void> {
  const answer = await request(server, method, path, body)
  const what = `${method} ${path} ${JSON.stringify(body)?.slice(0, 100)}`
  assertErrorForm(answer, what)
  assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`)
  assert.match(String(answer.body['message']), message, what)
}

/** Calls with a body, on things that are there. */
const bodied = (): [method: string, path: string][] => [
  ['POST', '/projects'],
  ['PATCH', paths.project],
  ['POST', `${paths.project}/branches`],
  ['PATCH', paths.branch],
  ['POST', `${paths.branch}/roles`],
  ['POST', `${paths.branch}/databases`],
  ['PATCH', `${paths.branch}/databases/${project.database}`],
  ['POST', `${paths.project}/endpoints`],
  ['PATCH', paths.endpoint],
  ['POST', '/api_keys'],
]

test('a body that is no JSON is said to be none', async () => {
  const malformed = [
    '{',
    '{"project":',
    '[1,',
    'project=x',
    '{"a":1}{"b":2}',
    "{'a':1}",
    '{"a":NaN}',
    '\u0000',
    '"\\ud800"',
    'nul',
  ]
  for (const [method, path] of bodied()) {
    for (const text of malformed) await assertRefused(method, path, text, 400, /^invalid request/)
  }
})

test('a body of another shape names what is wrong with it', async () => {
  const shapes = ['null', '[]', '"text"', '7', 'true', '[[]]']
  for (const [method, path] of bodied()) {
    for (const text of shapes) {
      if (path.endsWith('/branches') && text === 'null') continue
      await assertRefused(method, path, text, 400, /invalid request: decode application\/json: invalid: /)
    }
  }
  for (const text of ['{}', '{"project":null}', '{"project":[]}', '{"project":"x"}', '{"Project":{}}']) {
    await assertRefused('POST', '/projects', text, 400, /invalid: project/)
    await assertRefused('PATCH', paths.project, text, 400, /invalid: project/)
  }
  await assertRefused('POST', '/projects', '', 400, /empty/)
  await assertRefused('POST', `${paths.branch}/roles`, { role: {} }, 400, /role\.name \(field required\)/)
  await assertRefused(
    'POST',
    `${paths.branch}/databases`,
    { database: { name: 'x' } },
    400,
    /owner_name \(field required\)/,
  )
  await assertRefused('POST', `${paths.project}/endpoints`, { endpoint: { type: 'read_write' } }, 400, /branch_id/)
})

test('a value of another type is refused, not read as something', async () => {
  const wrong: [method: string, path: string, body: unknown, field: RegExp][] = [
    ['POST', '/projects', { project: { name: 7 } }, /project\.name/],
    ['POST', '/projects', { project: { pg_version: '17' } }, /pg_version/],
    ['POST', '/projects', { project: { store_passwords: 'yes' } }, /store_passwords/],
    ['POST', '/projects', { project: { branch: 'main' } }, /branch/],
    ['POST', '/projects', { project: { history_retention_seconds: 1e99 } }, /history_retention_seconds/],
    ['PATCH', paths.project, { project: { settings: { enable_logical_replication: 'true' } } }, /enable_logical/],
    ['PATCH', paths.project, { project: { settings: { allowed_ips: { ips: '10.0.0.1' } } } }, /allowed_ips/],
    ['PATCH', paths.endpoint, { endpoint: { autoscaling_limit_min_cu: '1' } }, /autoscaling_limit_min_cu/],
    ['PATCH', paths.endpoint, { endpoint: { suspend_timeout_seconds: 1e20 } }, /suspend_timeout_seconds/],
    ['PATCH', paths.endpoint, { endpoint: { disabled: 1 } }, /disabled/],
    ['PATCH', paths.endpoint, { endpoint: { settings: { pg_settings: { work_mem: 4 } } } }, /work_mem/],
    ['PATCH', paths.branch, { branch: { protected: 'no' } }, /protected/],
    ['POST', `${paths.project}/branches`, { branch: { parent_id: 5 } }, /parent_id/],
    ['POST', `${paths.project}/branches`, { endpoints: {} }, /endpoints/],
    ['POST', `${paths.project}/branches`, { branch: { parent_timestamp: 'yesterday' } }, /parent_timestamp/],
    ['POST', `${paths.project}/branches`, { annotation_value: { a: 1 } }, /annotation_value/],
  ]
  for (const [method, path, body, field] of wrong) await assertRefused(method, path, body, 400, field)
})

test('a refusal never repeats what was sent', async () => {
  const secret = 'hunter2-hunter2-hunter2'
  for (const body of [
    { role: { name: [secret] } },
    { role: { name: secret.repeat(10) } },
    `{"role":{"name":"${secret}"`,
  ]) {
    const answer = await request(server, 'POST', `${paths.branch}/roles`, body)
    assertErrorForm(answer, 'role')
    assert.ok(!JSON.stringify(answer.body).includes('hunter2'))
  }
})

test('text that cannot be stored is refused wherever it stands', async () => {
  await assertRefused('POST', '/projects', { project: { name: 'a\u0000b' } }, 400, /null character/)
  await assertRefused('PATCH', paths.branch, { branch: { name: 'a\u0000b' } }, 400, /null character/)
  await assertRefused('POST', '/projects', '{"project":{"name":"\\ud800"}}', 400, /Unicode/)
  await assertRefused('POST', '/projects', { project: { settings: { 'a\u0000b': 1 } } }, 400, /null character/)
  await assertRefused('GET', '/projects?search=a%00b', undefined, 400, /null character/)
  await assertRefused('GET', `${paths.branch}/roles/a%00b`, undefined, 400, /null character/)
})

test('what is too large or too deep is refused before anybody walks through it', async () => {
  const large = JSON.stringify({ project: { name: 'x'.repeat(2 * 1024 * 1024) } })
  await assertRefused('POST', '/projects', large, 413, /too large/)
  const deep = `{"project":{"settings":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}}`
  await assertRefused('POST', '/projects', deep, 400, /nested/)
  const wide = JSON.stringify({
    project: { settings: { allowed_ips: { ips: Array.from({ length: 100 }, () => '[') } } },
  })
  assertErrorForm(await request(server, 'PATCH', paths.project, wide.repeat(2)), 'two documents')
})

test('fields that nobody knows are left alone', async () => {
  const answer = await request(server, 'POST', '/projects', {
    project: { name: 'tolerant', colour: 'blue', branch: { mood: null } },
    extra: [1, 2, 3],
  })
  assert.equal(answer.status, 201)
  assert.ok(!('colour' in (answer.body['project'] as object)))
})

test('parameters of a query are read strictly, and empty ones not at all', async () => {
  for (const [path, field] of [
    ['/projects?limit=abc', /limit/],
    ['/projects?limit=0', /limit/],
    ['/projects?limit=401', /limit/],
    ['/projects?limit=-1', /limit/],
    ['/projects?limit=1e2', /limit/],
    ['/projects?limit=1.5', /limit/],
    ['/projects?recoverable=perhaps', /recoverable/],
    ['/projects?cursor=Not%20an%20id', /cursor/],
    [`${paths.project}/branches?limit=10001`, /limit/],
    [`${paths.project}/branches?sort_by=password`, /sort_by/],
    [`${paths.project}/branches?sort_order=sideways`, /sort_order/],
    [`${paths.project}/branches?cursor=${'A'.repeat(5000)}`, /cursor/],
    [`${paths.project}/operations?limit=1001`, /limit/],
    [`${paths.branch}?hard_delete=maybe`, /hard_delete/],
  ] as const) {
    await assertRefused(path.includes('hard_delete') ? 'DELETE' : 'GET', path, undefined, 400, field)
  }
  const lenient = [
    '/projects?limit=&cursor=&search=',
    '/projects?unknown=1',
    '/projects?limit=400&limit=2',
    '/projects?search=%25%27%22%5C',
    `${paths.project}/branches?limit=10000`,
    `${paths.project}/branches?search=${'x'.repeat(5000)}`,
  ]
  for (const path of lenient) assert.equal((await request(server, 'GET', path)).status, 200, path)
})

const strangeIds = [
  'no-such-thing',
  'x'.repeat(61),
  'x'.repeat(5000),
  'UPPER-case-1',
  '-1',
  '99999999999999999999',
  '%2F',
  '%20',
  '%27%3B%20drop%20table%20projects%3B--',
  '%E6%BC%A2',
  '%00',
  '%ff%fe',
  '%',
  '%zz',
  '{project_id}',
  'null',
]

test('an id that is nothing is refused or not found in every place of every path', async () => {
  const templates: [method: string, path: (id: string) => string][] = [
    ['GET', (id) => `/projects/${id}`],
    ['PATCH', (id) => `/projects/${id}`],
    ['DELETE', (id) => `/projects/${id}`],
    ['POST', (id) => `/projects/${id}/recover`],
    ['GET', (id) => `/projects/${id}/branches`],
    ['POST', (id) => `/projects/${id}/branches`],
    ['GET', (id) => `/projects/${id}/operations`],
    ['GET', (id) => `/projects/${id}/connection_uri?database_name=a&role_name=b`],
    ['GET', (id) => `${paths.project}/operations/${id}`],
    ['GET', (id) => `${paths.project}/branches/${id}`],
    ['POST', (id) => `${paths.project}/branches/${id}/set_as_default`],
    ['POST', (id) => `${paths.project}/branches/${id}/recover`],
    ['GET', (id) => `${paths.project}/branches/${id}/roles`],
    ['GET', (id) => `${paths.project}/branches/${id}/databases`],
    ['GET', (id) => `${paths.project}/branches/${id}/endpoints`],
    ['GET', (id) => `${paths.branch}/roles/${id}`],
    ['GET', (id) => `${paths.branch}/roles/${id}/reveal_password`],
    ['POST', (id) => `${paths.branch}/roles/${id}/reset_password`],
    ['GET', (id) => `${paths.branch}/databases/${id}`],
    ['GET', (id) => `${paths.project}/endpoints/${id}`],
    ['POST', (id) => `${paths.project}/endpoints/${id}/start`],
    ['POST', (id) => `${paths.project}/endpoints/${id}/suspend`],
    ['GET', (id) => `/organizations/${id}`],
    ['GET', (id) => `/organizations/${id}/members`],
    ['DELETE', (id) => `/api_keys/${id}`],
  ]
  for (const [method, path] of templates) {
    for (const id of strangeIds) {
      const body = method === 'PATCH' ? { project: { name: 'stolen' } } : undefined
      const answer = await request(server, method, path(id), body)
      assertErrorForm(answer, `${method} ${path(id).slice(0, 120)}`)
      assert.ok(answer.status === 400 || answer.status === 404, `${method} ${path(id).slice(0, 120)}: ${answer.status}`)
    }
  }
})

test('what belongs to another project is not found under this one', async () => {
  const root = paths.project
  for (const [method, path, body] of [
    ['GET', `${root}/branches/${other.branchId}`],
    ['PATCH', `${root}/branches/${other.branchId}`, { branch: { name: 'stolen' } }],
    ['POST', `${root}/branches/${other.branchId}/set_as_default`],
    ['GET', `${root}/branches/${other.branchId}/roles`],
    ['POST', `${root}/branches/${other.branchId}/roles`, { role: { name: 'thief' } }],
    ['GET', `${root}/branches/${other.branchId}/roles/${other.role}/reveal_password`],
    ['POST', `${root}/branches/${other.branchId}/roles/${other.role}/reset_password`],
    ['DELETE', `${root}/branches/${other.branchId}/roles/${other.role}`],
    ['DELETE', `${root}/branches/${other.branchId}/databases/${other.database}`],
    ['GET', `${root}/branches/${other.branchId}/endpoints`],
    ['POST', `${root}/branches`, { branch: { parent_id: other.branchId } }],
    ['POST', `${root}/endpoints`, { endpoint: { branch_id: other.branchId, type: 'read_write' } }],
    ['GET', `${root}/endpoints/${other.endpointId}`],
    ['POST', `${root}/endpoints/${other.endpointId}/suspend`],
    ['PATCH', `${root}/endpoints/${other.endpointId}`, { endpoint: { disabled: true } }],
  ] as const) {
    await assertRefused(method, path, body, 404, /not found/)
  }
  // The contract answers the deletion of what is not there with 204; nothing may come of it.
  for (const path of [`${root}/branches/${other.branchId}`, `${root}/endpoints/${other.endpointId}`]) {
    assert.equal((await request(server, 'DELETE', path)).status, 204)
  }
  assert.equal((await query(other.uri, 'select 1 as n')).length, 1)
  assert.equal((await api.getProjectBranch(other.id, other.branchId)).data.branch.name, 'main')
})

test('what is no part of the API is said to be none', async () => {
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', ''],
    ['GET', '/nothing'],
    ['GET', '/projects/'],
    ['GET', '//projects'],
    ['PUT', '/projects'],
    ['DELETE', '/projects'],
    ['DELETE', `${paths.project}/branches/`],
    ['DELETE', `${paths.branch}/roles/`],
    ['POST', paths.branch],
    ['GET', `${paths.branch}/roles/a/b`],
  ] as const) {
    await assertRefused(method, path, undefined, 404, /no part of the API/)
  }
})

test('no value of any field brings the server down', async () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(-1, 0, 0.25, 1e308, 2 ** 53, '', 'main', 'read_only', 'read_write', '0/0', null),
  )
  const fields = (...names: string[]) =>
    fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] })
  const calls = fc.oneof(
    fc.tuple(
      fc.constant('PATCH'),
      fc.constant('project'),
      fc.record({ project: fields('name', 'settings', 'default_endpoint_settings', 'history_retention_seconds') }),
    ),
    fc.tuple(fc.constant('PATCH'), fc.constant('branch'), fc.record({ branch: fields('name', 'expires_at') })),
    fc.tuple(
      fc.constant('PATCH'),
      fc.constant('endpoint'),
      fc.record({
        endpoint: fields('name', 'suspend_timeout_seconds', 'settings', 'pooler_mode', 'branch_id', 'provisioner'),
      }),
    ),
  )
  await fc.assert(
    fc.asyncProperty(calls, async ([method, what, body]) => {
      const answer = await request(server, method, paths[what], JSON.stringify(body))
      assert.ok(answer.status < 500 || answer.status === 501, `${answer.status} ${JSON.stringify(answer.body)}`)
      const { operations } = answer.body as { operations?: { id: string; project_id: string }[] }
      if (operations) await settled(server, Promise.resolve({ data: { operations: operations as never } }))
    }),
    { numRuns: 300 },
  )
})

test('after all this everything is as it was', async () => {
  assert.deepEqual(await query(project.uri, 'select n from t'), [{ n: 1 }])
  const { data } = await api.listProjectBranches({ projectId: project.id })
  assert.equal(data.branches.length, 1)
})
