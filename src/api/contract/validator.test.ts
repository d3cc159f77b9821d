import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contractCacheFolder } from './coverage-page.ts'
import { loadContract } from './load.ts'
import { createValidator } from './validator.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })
const validator = createValidator(contract)

function check(operationId: string, raw: { params?: Record<string, string>; query?: string; body?: unknown }) {
  const operation = contract.operations.find(({ id }) => id === operationId)
  assert.ok(operation, operationId)
  return validator.checkRequest(operation, {
    params: raw.params ?? {},
    query: new URLSearchParams(raw.query),
    body: raw.body,
  })
}

const refused = (message: string) => ({ name: 'AppError', code: 'bad_request', message: `invalid request: ${message}` })

test('a body is refused by naming the first field that is wrong, never its value', () => {
  assert.throws(
    () => check('createProject', { body: {} }),
    refused('decode application/json: invalid: project (field required)'),
  )
  assert.throws(
    () => check('createProject', { body: { project: { branch: { name: 7 } } } }),
    refused('decode application/json: invalid: project.branch.name (must be string)'),
  )
  assert.throws(
    () => check('createProject', { body: { project: { name: 'x'.repeat(257) } } }),
    refused('decode application/json: invalid: project.name (must NOT have more than 256 characters)'),
  )
  assert.throws(
    () => check('createProject', { body: { project: { pg_version: 13 } } }),
    refused('decode application/json: invalid: project.pg_version (must be >= 14)'),
  )
  assert.throws(
    () => check('createProject', { body: [] }),
    refused('decode application/json: invalid: body (must be object)'),
  )
  assert.throws(
    () => check('createProject', { body: undefined }),
    refused('decode application/json: the request body is empty'),
  )
  assert.throws(
    () =>
      check('createProjectEndpoint', {
        params: { project_id: 'p' },
        body: { endpoint: { branch_id: 'b', type: 'writer' } },
      }),
    refused(
      'decode application/json: invalid: endpoint.type (must be equal to one of the allowed values: read_only, read_write)',
    ),
  )
})

test('unknown fields and null for a nullable field pass; an optional body may be missing', () => {
  const body = { project: { name: 'a', unheard_of: { x: 1 } }, more: true }
  assert.deepEqual(check('createProject', { body }).body, body)
  const update = { branch: { expires_at: null } }
  assert.deepEqual(
    check('updateProjectBranch', { params: { project_id: 'p', branch_id: 'b' }, body: update }).body,
    update,
  )
  assert.throws(() =>
    check('updateProjectBranch', { params: { project_id: 'p', branch_id: 'b' }, body: { branch: { name: null } } }),
  )
  assert.deepEqual(check('createProjectBranch', { params: { project_id: 'p' } }).body, {})
})

test('query values get the types of the contract and its defaults', () => {
  assert.deepEqual(check('listProjects', {}).query, { limit: 10, recoverable: false })
  assert.deepEqual(check('listProjects', { query: 'limit=400&recoverable=true&search=a%20b&unknown=1' }).query, {
    limit: 400,
    recoverable: true,
    search: 'a b',
  })
  assert.deepEqual(check('listProjects', { query: 'limit=&cursor=&recoverable=0' }).query, {
    limit: 10,
    recoverable: false,
  })
  for (const [query, field] of [
    ['limit=401', 'limit (must be <= 400)'],
    ['limit=0', 'limit (must be >= 1)'],
    ['limit=many', 'limit (must be integer)'],
    ['limit=1.5', 'limit (must be integer)'],
    ['limit=1e2', 'limit (must be integer)'],
    ['recoverable=maybe', 'recoverable (must be boolean)'],
    ['org_id=A%20B', 'org_id (must match pattern "^[a-z0-9-]{1,60}$")'],
  ])
    assert.throws(
      () => check('listProjects', { query: query ?? '' }),
      refused(`decode params: query: invalid: ${field}`),
    )
  assert.throws(
    () => check('getConnectionURI', { params: { project_id: 'p' }, query: 'role_name=a' }),
    refused('decode params: query: invalid: database_name (field required)'),
  )
})

test('lists come joined by commas and repeated', () => {
  const range = 'from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&granularity=daily'
  for (const query of [
    'project_ids=a,b,c',
    'project_ids=a&project_ids=b&project_ids=c',
    'project_ids=a,b&project_ids=c',
  ])
    assert.deepEqual(check('getConsumptionHistoryPerProject', { query: `${range}&${query}` }).query['project_ids'], [
      'a',
      'b',
      'c',
    ])
})

test('path parameters are checked; names may hold anything', () => {
  const refusal = refused('decode params: path: invalid: project_id (must match pattern "^[a-z0-9-]{1,60}$")')
  assert.throws(() => check('getProject', { params: { project_id: 'Not An Id' } }), refusal)
  assert.deepEqual(check('revokeApiKey', { params: { key_id: '12' } }).params, { key_id: 12 })
  for (const key_id of ['x', '1.5', '9007199254740993'])
    assert.throws(() => check('revokeApiKey', { params: { key_id } }), /key_id/)
  const params = { project_id: 'p', branch_id: 'b', role_name: 'sl/ash "ünï" %' }
  assert.deepEqual(check('getProjectBranchRole', { params }).params, params)
})

test('answers are compared with the contract, their status included', () => {
  assert.deepEqual(validator.responseErrors('getActiveRegions', 200, { regions: [] }), [])
  assert.deepEqual(validator.responseErrors('getActiveRegions', 200, { regions: [{ region_id: 1 }] }).slice(0, 2), [
    'regions.0.name (field required)',
    'regions.0.default (field required)',
  ])
  assert.deepEqual(validator.responseErrors('getActiveRegions', 201, { regions: [] }), ['status 201 is not declared'])
  assert.deepEqual(validator.responseErrors('getActiveRegions', 404, { code: '', message: 'no' }), [])
  assert.deepEqual(validator.responseErrors('getActiveRegions', 404, { error: 'no' }), [
    'message (field required)',
    'code (field required)',
  ])
  assert.deepEqual(validator.responseErrors('deleteProjectBranchRole', 204, undefined), [])
  assert.equal(validator.responseErrors('deleteProjectBranchRole', 204, {}).length, 1)
  assert.deepEqual(validator.responseErrors('nothing', 200, {}), ['the contract has no operation nothing'])
})

test('every schema of the contract compiles', () => {
  for (const operation of contract.operations) {
    assert.doesNotThrow(() => {
      try {
        validator.checkRequest(operation, { params: {}, query: new URLSearchParams(), body: {} })
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'AppError') throw error
      }
      for (const status of Object.keys(operation.responses))
        validator.responseErrors(operation.id, status === 'default' ? 500 : Number(status), {})
    }, operation.id)
  }
})
