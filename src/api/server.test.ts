import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import type { LightMyRequestResponse } from 'fastify'
import type { Control } from '../control/control.ts'
import { silentLogger, type Logger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import { contractCacheFolder } from './contract/coverage-page.ts'
import { loadContract } from './contract/load.ts'
import * as fake from './fake-control.ts'
import { createApiServer } from './server.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })

type Request = {
  method?: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE' | 'HEAD' | 'OPTIONS'
  path: string
  body?: unknown
  raw?: string | Buffer
  headers?: Record<string, string>
}

function api(t: TestContext, control: Control = fake.fakeControl(), log: Logger = silentLogger) {
  const server = createApiServer({ control, contract, log, checkResponses: true })
  t.after(() => server.close())
  return async ({ method = 'GET', path, body, raw, headers }: Request): Promise<LightMyRequestResponse> => {
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body))
    return await server.inject({
      method,
      url: `/api/v2${path}`,
      headers: {
        authorization: `Bearer ${fake.validKey}`,
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(payload === undefined ? {} : { payload }),
    })
  }
}

function assertError(answer: LightMyRequestResponse, status: number, message: RegExp): void {
  assert.equal(answer.statusCode, status, answer.body)
  assert.match(answer.headers['content-type'] as string, /^application\/json/)
  const body = answer.json<{ code: string; message: string; request_id: string }>()
  assert.match(body.message, message)
  assert.equal(typeof body.code, 'string')
  assert.equal(body.request_id, answer.headers['x-request-id'])
  assert.equal(body.request_id, answer.headers['x-neon-ret-request-id'])
}

const logged = () => {
  const lines: Record<string, unknown>[] = []
  const log = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  )
  return { lines, log }
}

const projectPath = `/projects/${fake.project.id}`
const branchPath = `${projectPath}/branches/${fake.rootBranch.id}`

test('a request without a valid key learns nothing, not even whether a path exists', async (t) => {
  const call = api(t)
  for (const path of ['/projects', projectPath, '/no/such/path', '/projects/shared', `${branchPath}/auth`])
    for (const authorization of ['', 'Bearer', 'Bearer wrong', 'Basic abc', `Bearer ${'x'.repeat(5000)}`]) {
      const answer = await call({ path, headers: { authorization } })
      assertError(answer, 401, /./)
      assert.equal(answer.headers['www-authenticate'], 'Bearer')
    }
  assertError(await call({ method: 'OPTIONS', path: '/projects', headers: { authorization: '' } }), 401, /./)
  assertError(await call({ method: 'POST', path: '/projects', raw: '{', headers: { authorization: '' } }), 401, /./)
})

test('unknown paths, methods and operations answer in the form of the API', async (t) => {
  const call = api(t)
  assertError(await call({ path: '/no/such/path' }), 404, /no part of the API/)
  assertError(await call({ method: 'PUT', path: '/projects' }), 404, /no part of the API/)
  assertError(await call({ path: `${branchPath}/masking_rules` }), 501, /getMaskingRules .* is not available/)
  assertError(await call({ path: '/projects/a%ff' }), 400, /percent-encoded/)
  assertError(await call({ path: '' }), 404, /no part of the API/)
})

test('HEAD answers like GET without a body, OPTIONS lists the methods of a path', async (t) => {
  const call = api(t)
  const head = await call({ method: 'HEAD', path: '/regions' })
  assert.equal(head.statusCode, 200)
  assert.equal(head.body, '')
  const options = await call({ method: 'OPTIONS', path: projectPath })
  assert.equal(options.statusCode, 204)
  assert.equal(options.headers['allow'], 'GET, PATCH, DELETE, HEAD, OPTIONS')
})

test('bodies that cannot be read are refused by what is wrong with them', async (t) => {
  const call = api(t)
  const post = async (raw: string | Buffer, headers?: Record<string, string>) =>
    await call({ method: 'POST', path: '/projects', raw, ...(headers ? { headers } : {}) })
  assertError(await post('{'), 400, /malformed JSON/)
  assertError(await post('{}'), 400, /^invalid request: decode application\/json: invalid: project \(field required\)$/)
  assertError(await post(''), 400, /body is empty/)
  assertError(await post(Buffer.from('{"project":{"name":"\xff"}}', 'latin1')), 400, /not valid UTF-8/)
  assertError(await post('null'), 400, /must be object/)
  assertError(await post('{"project":{"__proto__":{"x":1}}}'), 400, /malformed JSON/)
  assertError(await post('{"project":{"name":"a\\u0000b"}}'), 400, /null character/)
  assertError(await post('{"project":{"name":"\\ud800"}}'), 400, /Unicode/)
  assertError(await post(`{"project":${'['.repeat(500_000)}${']'.repeat(500_000)}}`), 400, /nested deeper/)
  assertError(await post(`{"project":{"name":"${'x'.repeat(1_100_000)}"}}`), 413, /too large/)
  assert.equal((await post('{"project":{}}', { 'content-type': 'application/x-www-form-urlencoded' })).statusCode, 201)
  assertError(await post('{"project":{}}', { 'content-type': 'garbage' }), 400, /not a media type/)
})

test('a connection outlives a body that could not be used, once that was read', async (t) => {
  const call = api(t)
  for (const raw of ['{', '[]', '', `"${'x'.repeat(1_100_000)}"`]) {
    const { headers } = await call({ method: 'POST', path: '/projects', raw })
    assert.notEqual(headers.connection, 'close', raw.slice(0, 10))
  }
})

test('an optional body may be missing, empty, or announced and empty', async (t) => {
  const call = api(t)
  const path = `${projectPath}/branches`
  assert.equal((await call({ method: 'POST', path })).statusCode, 201)
  assert.equal((await call({ method: 'POST', path, headers: { 'content-type': 'application/json' } })).statusCode, 201)
  assert.equal((await call({ method: 'POST', path, raw: '' })).statusCode, 201)
  assert.equal((await call({ method: 'POST', path, raw: '{}' })).statusCode, 201)
  const start = `${projectPath}/endpoints/${fake.endpoint.id}/start`
  assert.equal(
    (await call({ method: 'POST', path: start, headers: { 'content-type': 'application/json' } })).statusCode,
    200,
  )
})

test('whoever takes long to send his body is asked anew who he is and what he may', async (t) => {
  let [good, allowed, done] = [1, 2, 0]
  const usual = fake.fakeControl()
  const control = fake.fakeControl({
    projects: {
      update: (...given) => {
        done++
        return usual.projects.update(...given)
      },
    },
  })
  control.authenticate = (...given) =>
    good-- > 0 ? usual.authenticate(...given) : Promise.reject(new AppError('unauthorized', 'revoked'))
  control.authorize = async (...given) => {
    const asked = await usual.authorize(...given)
    return allowed-- > 0 ? asked : { ...asked, refusal: new AppError('forbidden', 'a viewer by now') }
  }
  const patched = async (slowBodyMs: number): Promise<number> => {
    const server = createApiServer({ control, contract, log: silentLogger, slowBodyMs })
    t.after(() => server.close())
    const answer = await server.inject({
      method: 'PATCH',
      url: `/api/v2${projectPath}`,
      headers: { authorization: `Bearer ${fake.validKey}` },
      payload: { project: { name: 'changed' } },
    })
    return answer.statusCode
  }
  assert.equal(await patched(0), 401)
  good = 2
  allowed = 1
  assert.equal(await patched(0), 403)
  assert.equal(done, 0)
  good = 1
  allowed = 1
  assert.equal(await patched(60_000), 200)
  assert.equal(done, 1)
})

test('names in paths may hold any character', async (t) => {
  const seen: string[] = []
  const control = fake.fakeControl({
    roles: {
      get: async (_caller, _project, _branch, name) => {
        seen.push(name)
        return { ...fake.role, name }
      },
    },
  })
  const call = api(t, control)
  const names = ['a/b', 'ünï "quoted"', '%2F', 'a b+c', '...', '日本語', 'count', "'; drop role x; --", 'x'.repeat(63)]
  for (const name of names) {
    const answer = await call({ path: `${branchPath}/roles/${encodeURIComponent(name)}` })
    assert.equal(answer.statusCode, 200, `${name}: ${answer.body}`)
  }
  assert.deepEqual(seen, names)
  assertError(await call({ path: `${branchPath}/roles/a%00b` }), 400, /null character/)
  assertError(await call({ path: '/projects?search=a%00b' }), 400, /null character/)
})

test("a request id is the caller's own where it is fit for a log", async (t) => {
  const call = api(t)
  assert.equal(
    (await call({ path: '/regions', headers: { 'x-request-id': 'mine-1' } })).headers['x-request-id'],
    'mine-1',
  )
  for (const id of ['a b', 'x'.repeat(200), '"}{']) {
    const given = (await call({ path: '/regions', headers: { 'x-request-id': id } })).headers['x-request-id']
    assert.match(given as string, /^[0-9a-f-]{36}$/)
  }
  assert.equal((await call({ path: '/regions' })).headers['x-content-type-options'], 'nosniff')
})

test('refusals of control keep their status, code and Retry-After', async (t) => {
  let refusal: Error = new Error()
  const call = api(t, fake.fakeControl({ projects: { get: () => Promise.reject(refusal) } }))
  refusal = new AppError('locked', 'project already has running operations')
  const locked = await call({ path: projectPath })
  assertError(locked, 423, /^project already has running operations$/)
  assert.equal(locked.headers['retry-after'], '1')
  refusal = new AppError('unprocessable', 'too many', { apiCode: 'PROJECTS_LIMIT_EXCEEDED' })
  assert.equal((await call({ path: projectPath })).json<{ code: string }>().code, 'PROJECTS_LIMIT_EXCEEDED')
})

test('a defect answers 500 without its reason, which is in the log', async (t) => {
  const { lines, log } = logged()
  const control = fake.fakeControl({
    projects: { get: () => Promise.reject(new Error('outer', { cause: new Error('inner reason') })) },
  })
  const answer = await api(t, control, log)({ path: projectPath })
  assertError(answer, 500, /^internal server error/)
  assert.doesNotMatch(answer.body, /outer|inner/)
  const line = lines.find(({ msg }) => msg === 'request failed')
  assert.equal(line?.['error'], 'outer: inner reason')
  assert.equal(line?.['requestId'], answer.headers['x-request-id'])
})

test('an answer that does not keep the contract fails, in tests', async (t) => {
  const { lines, log } = logged()
  const control = fake.fakeControl({
    projects: {
      get: async () => ({
        ...broken,
        lastActiveAt: undefined,
        plan: 'scale_v3',
        branchesLimit: 1,
        consumption: fake.consumption,
      }),
    },
  })
  const broken = { project: { ...fake.project, name: 7 as unknown as string }, owner: fake.user }
  const answer = await api(t, control, log)({ path: projectPath })
  assertError(answer, 500, /answer 200 of getProject does not keep the contract: project\.name \(must be string\)/)
  assert.match(lines[0]?.['error'] as string, /project\.name/)
})

test('one line a request, without names, bodies or keys', async (t) => {
  const { lines, log } = logged()
  const call = api(t, fake.fakeControl(), log)
  await call({ method: 'POST', path: `${branchPath}/roles`, body: { role: { name: 'hidden_name' } } })
  await call({ path: `${branchPath}/roles/hidden_name?x=hidden_query` })
  await call({ path: '/hidden_path', headers: { authorization: 'Bearer hidden_key' } })
  assert.equal(lines.length, 3)
  assert.doesNotMatch(JSON.stringify(lines), /hidden|secret|napi_/)
  const { method, route, operationId, status, ms, requestId } = lines[0] ?? {}
  assert.deepEqual(
    { method, route, operationId, status },
    {
      method: 'POST',
      route: '/projects/{project_id}/branches/{branch_id}/roles',
      operationId: 'createProjectBranchRole',
      status: 201,
    },
  )
  assert.equal(typeof ms, 'number')
  assert.equal(typeof requestId, 'string')
})

test('the address of the caller is the socket’s, or what the edge says', async (t) => {
  const seen: string[] = []
  const control = fake.fakeControl()
  control.authenticate = async (_, from) => {
    seen.push(from)
    return { kind: 'user', userId: fake.user.id, keyId: 1 }
  }
  for (const behindEdge of [false, true]) {
    const server = createApiServer({ control, contract, log: silentLogger, behindEdge })
    t.after(() => server.close())
    await server.inject({
      url: '/api/v2/regions',
      headers: { authorization: 'Bearer x', 'x-forwarded-for': '6.6.6.6, 10.0.0.7' },
      remoteAddress: '192.0.2.1',
    })
  }
  assert.deepEqual(seen, ['192.0.2.1', '10.0.0.7'])
})
