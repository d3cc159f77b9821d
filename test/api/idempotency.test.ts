// `Idempotency-Key`: a POST sent twice is done once and answered twice with the same words, also after a restart.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { makeProject, type NeonApi } from '../support/neon.ts'
import { loginError } from '../support/postgres.ts'
import {
  apiClient,
  destroyHome,
  makeHome,
  request,
  startServer,
  waitForOperations,
  type Answer,
  type TestServer,
} from '../support/server.ts'

const env = { PGROVE_STORAGE: 'copy', PGROVE_FAILPOINTS: 'create_branch.create_branch.before=pause:3000' }

let home: string
let server: TestServer
let api: NeonApi

before(async () => {
  home = await makeHome()
  server = await startServer({ home, keepHome: true, env })
  api = apiClient(server)
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await destroyHome(home)
})

const post = (path: string, body: unknown, key: string): Promise<Answer> =>
  request(server, 'POST', path, body, { 'idempotency-key': key })

const wasReplayed = ({ headers }: Answer): boolean => headers.get('idempotency-replayed') === 'true'

async function countProjects(name: string): Promise<number> {
  return (await api.listProjects({ search: name })).data.projects.length
}

test('the second answer is the first one, password and all, and there is one project', async () => {
  const body = { project: { name: 'only once' } }
  const first = await post('/projects', body, 'create-1')
  assert.equal(first.status, 201)
  assert.equal(wasReplayed(first), false)
  const second = await post('/projects', body, 'create-1')
  assert.equal(second.status, 201)
  assert.equal(wasReplayed(second), true)
  assert.deepEqual(second.body, first.body)
  assert.equal(await countProjects('only once'), 1)
  const [details] = first.body['connection_uris'] as { connection_uri: string }[]
  assert.equal(await loginError(details?.connection_uri ?? ''), undefined)
})

test('a key is good for one request', async () => {
  await post('/projects', { project: { name: 'first words' } }, 'reused')
  for (const answer of [
    await post('/projects', { project: { name: 'other words' } }, 'reused'),
    await post('/api_keys', { key_name: 'elsewhere' }, 'reused'),
  ]) {
    assert.equal(answer.status, 422)
    assert.match(String(answer.body['message']), /used for another request/)
  }
  assert.equal(await countProjects('other words'), 0)
})

test('of requests that come at once, one is done', async () => {
  const body = { project: { name: 'stampede' } }
  const answers = await Promise.all(Array.from({ length: 10 }, () => post('/projects', body, 'stampede')))
  for (const { status, headers } of answers) {
    assert.ok(status === 201 || status === 423, String(status))
    if (status === 423) assert.equal(headers.get('retry-after'), '1')
  }
  assert.equal(await countProjects('stampede'), 1)
  const done = answers.filter(({ status }) => status === 201)
  assert.equal(new Set(done.map(({ body }) => (body['project'] as { id: string }).id)).size, 1)
  assert.equal(done.filter((answer) => !wasReplayed(answer)).length, 1)
})

test('after a refusal nothing was done, and the same key may try again', async () => {
  const project = await makeProject(server)
  const path = `/projects/${project.id}/branches`
  const slow = await request(server, 'POST', path, { branch: { name: 'slow' } })
  const body = { branch: { name: 'wanted' } }
  const refused = await post(path, body, 'patient')
  assert.equal(refused.status, 423)
  await waitForOperations(server, slow.body['operations'] as { id: string; project_id: string }[])
  const done = await post(path, body, 'patient')
  assert.equal(done.status, 201)
  assert.equal(wasReplayed(done), false)
  assert.equal(wasReplayed(await post(path, body, 'patient')), true)
  await waitForOperations(server, done.body['operations'] as { id: string; project_id: string }[])
})

test('only a POST takes a key, and only one that can be kept', async () => {
  const headers = { 'idempotency-key': 'reading' }
  const first = await request(server, 'GET', '/projects', undefined, headers)
  assert.equal(first.status, 200)
  assert.equal(wasReplayed(await request(server, 'GET', '/projects', undefined, headers)), false)
  for (const key of ['', ' ', 'with space', 'x'.repeat(256), 'ümlaut']) {
    const { status, body } = await post('/projects', { project: { name: 'never' } }, key)
    assert.equal(status, 400, JSON.stringify(key.slice(0, 20)))
    assert.match(String(body['message']), /Idempotency-Key/)
  }
  assert.equal(await countProjects('never'), 0)
})

test('keys of one user mean nothing to the keys of a request without one', async () => {
  const body = { project: { name: 'twins' } }
  for (let i = 0; i < 2; i++) assert.equal((await request(server, 'POST', '/projects', body)).status, 201)
  assert.equal(await countProjects('twins'), 2)
})

test('an answer outlives a restart, and its secrets are not readable where it is kept', async () => {
  const body = { project: { name: 'survivor' } }
  const first = await post('/projects', body, 'durable')
  await waitForOperations(server, first.body['operations'] as { id: string; project_id: string }[])
  const [role] = first.body['roles'] as { password: string }[]
  assert.ok(role?.password)
  await server.stop()
  server = await startServer({ home, keepHome: true, env })
  api = apiClient(server)
  const second = await post('/projects', body, 'durable')
  assert.equal(wasReplayed(second), true)
  assert.deepEqual(second.body, first.body)
  const found = spawnSync('grep', ['-rlaF', role.password, home], { encoding: 'utf8' }).stdout.trim()
  assert.equal(found, '', 'neither in the control database nor in a log')
})
