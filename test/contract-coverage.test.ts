// Every operation of Neon's contract has an answer from a running pgrove: its own, or a 501 that names it. Read from upstream's file
// here once more, so that what the server makes of that file is not taken at its word.

import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { packageRoot, request, startServer, type Answer, type TestServer } from './support/server.ts'

type Operation = { id: string; method: string; path: string }

const upstream = fileURLToPath(import.meta.resolve('@neondatabase/api-client/public-v2-for-users.gen.yaml'))
const operations = await readOperations(upstream)

async function readOperations(file: string): Promise<Operation[]> {
  const { paths } = parse(await readFile(file, 'utf8')) as {
    paths: Record<string, Record<string, { operationId?: string }>>
  }
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId }]) =>
      operationId === undefined ? [] : [{ id: operationId, method: method.toUpperCase(), path }],
    ),
  )
}

/** A name that nothing has, and a number at that, since some parameters are. */
const nothing = '999999999'
/** Who may do something is asked before what: where a project or an organization is named, it has to be there. */
const callable = ({ path }: Operation): string =>
  path
    .replaceAll('{project_id}', projectId)
    .replaceAll(/\{(?:source_)?org_id\}/g, orgId)
    .replaceAll(/\{[^}]+\}/g, nothing)
/** It takes along what the others are called with. */
const comesLast = ({ id }: Operation): number => (id === 'deleteProject' ? 1 : 0)

let projectId = nothing
let orgId = nothing
let server: TestServer
const answers = new Map<string, Answer>()

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  const { project } = (await request(server, 'POST', '/projects', { project: {} })).body as {
    project: { id: string; org_id: string }
  }
  ;[projectId, orgId] = [project.id, project.org_id]
  for (const operation of operations.toSorted((a, b) => comesLast(a) - comesLast(b))) {
    answers.set(operation.id, await request(server, operation.method, callable(operation)))
  }
})
after(() => server[Symbol.asyncDispose]())

const isImplemented = (id: string): boolean => answers.get(id)?.status !== 501

test('upstream describes 163 operations, each with a name of its own', () => {
  assert.equal(operations.length, 163)
  assert.equal(new Set(operations.map(({ id }) => id)).size, 163)
})

test('every operation is routed, and none fails on our side', () => {
  for (const { id } of operations) {
    const { status, body } = answers.get(id) ?? {}
    assert.ok(status !== undefined && (status < 500 || status === 501), `${id}: ${status} ${JSON.stringify(body)}`)
    assert.doesNotMatch(String(body?.['message']), /no part of the API/, id)
  }
})

test('what is not written yet is said by name', () => {
  for (const { id } of operations) {
    if (isImplemented(id)) continue
    assert.match(String(answers.get(id)?.body['message']), new RegExp(`\\b${id}\\b`))
    assert.equal(answers.get(id)?.body['code'], '')
  }
})

test('without a key nothing is said of any operation', async () => {
  for (const operation of operations) {
    const { status, body } = await request(server, operation.method, callable(operation), undefined, {
      authorization: '',
    })
    assert.equal(status, 401, operation.id)
    assert.doesNotMatch(String(body['message']), new RegExp(operation.id), operation.id)
  }
})

test('docs/api-coverage.md says what the server does (npm run coverage)', async () => {
  const page = await readFile(join(packageRoot, 'docs', 'api-coverage.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(\w+)` \| `([^`]+)` \| (\w+) \| (\w+) \|$/gm)]
  const said = new Map(rows.map(([, method, path, id, state]) => [id, `${method} ${path} ${state}`]))
  const found = operations.map(
    ({ id, method, path }) => [id, `${method} ${path} ${isImplemented(id) ? 'implemented' : '501'}`] as const,
  )
  assert.equal(rows.length, operations.length)
  assert.deepEqual(Object.fromEntries(said), Object.fromEntries(found))
})

test('every implemented operation is called by a test of the API', async () => {
  const files = globSync('test/{api,auth}/*.test.ts', { cwd: packageRoot })
  const tests = (await Promise.all(files.map((file) => readFile(join(packageRoot, file), 'utf8')))).join('\n')
  const called = new Set([...tests.matchAll(/\.(\w+)\(/g)].map(([, name]) => name?.toLowerCase()))
  assert.deepEqual(
    operations.map(({ id }) => id).filter((id) => isImplemented(id) && !called.has(id.toLowerCase())),
    [],
  )
})
