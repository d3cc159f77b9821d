// A client that goes about it like Neon's public demo of snapshots as checkpoints: bare fetch to Neon's own address, production found by
// its name before each call, options of a snapshot in a body, an endless wait for operations that end in any way but three. The address
// is not configurable there, so fetch is.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { startServer, type TestServer } from '../support/server.ts'

const neonUrl = 'https://console.neon.tech/api/v2'
const pollMs = 50
const waitMs = 60_000

let server: TestServer
const plainFetch = globalThis.fetch

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  globalThis.fetch = (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    return plainFetch(url.startsWith(neonUrl) ? `${server.apiUrl}${url.slice(neonUrl.length)}` : input, init)
  }
})
after(async () => {
  globalThis.fetch = plainFetch
  await using _ = server
  await assertQuiet(server)
})

async function neon(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${neonUrl}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${server.apiKey}`,
      Accept: 'application/json',
      'Content-Type': 'application/json',
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await response.text()
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`)
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
}

type Branch = { id: string; name: string; created_at: string; parent_id?: string }

/** A null is not nothing: what has one is no branch to the demo. */
function isBranch(value: unknown): value is Branch {
  if (typeof value !== 'object' || value === null) return false
  const { id, name, created_at, parent_id } = value as Record<string, unknown>
  return (
    typeof id === 'string' &&
    typeof name === 'string' &&
    typeof created_at === 'string' &&
    (parent_id === undefined || typeof parent_id === 'string')
  )
}

async function listBranches(projectId: string): Promise<Branch[]> {
  const { branches } = await neon('GET', `/projects/${projectId}/branches`)
  assert.ok(Array.isArray(branches))
  return branches.filter(isBranch)
}

async function production(projectId: string): Promise<Branch> {
  const branches = await listBranches(projectId)
  const found = branches.find(({ name }) => name === 'main') ?? branches.find(({ name }) => name === 'production')
  assert.ok(found, 'no branch is named main or production')
  return found
}

async function waitForOperations(projectId: string, { operations }: Record<string, unknown>): Promise<void> {
  const deadline = Date.now() + waitMs
  for (const { id } of operations as { id: string }[]) {
    for (;;) {
      const { operation } = await neon('GET', `/projects/${projectId}/operations/${id}`)
      const { action, status } = operation as { action: string; status: string }
      if (status === 'finished' || status === 'skipped' || status === 'cancelled') break
      if (Date.now() > deadline) throw new Error(`${action} is still ${status}`)
      await delay(pollMs)
    }
  }
}

async function createProject(name: string): Promise<{ id: string; uri: string }> {
  const made = await neon('POST', '/projects', { project: { name } })
  const { id } = made['project'] as { id: string }
  const [connection] = made['connection_uris'] as { connection_uri: string }[]
  assert.ok(connection)
  await waitForOperations(id, made)
  return { id, uri: connection.connection_uri }
}

async function createSnapshot(projectId: string, name: string, timestamp = new Date().toISOString()): Promise<string> {
  const { id } = await production(projectId)
  const made = await neon('POST', `/projects/${projectId}/branches/${id}/snapshot`, { timestamp, name })
  return (made['snapshot'] as { id: string }).id
}

async function applySnapshot(projectId: string, snapshotId: string): Promise<void> {
  const { id } = await production(projectId)
  const applied = await neon('POST', `/projects/${projectId}/snapshots/${snapshotId}/restore`, {
    name: `restored_${Date.now()}`,
    finalize_restore: true,
    target_branch_id: id,
  })
  await waitForOperations(projectId, applied)
}

async function listSnapshots(projectId: string): Promise<{ id: string; name: string }[]> {
  return (await neon('GET', `/projects/${projectId}/snapshots`))['snapshots'] as { id: string; name: string }[]
}

async function cleanUp(projectId: string): Promise<void> {
  const { id: productionId } = await production(projectId)
  for (const { id } of await listSnapshots(projectId)) {
    await waitForOperations(projectId, await neon('DELETE', `/projects/${projectId}/snapshots/${id}`))
  }
  for (const { id } of await listBranches(projectId)) {
    if (id === productionId) continue
    await waitForOperations(projectId, await neon('DELETE', `/projects/${projectId}/branches/${id}`))
  }
}

const steps = [
  `create table contacts (id serial primary key, name text not null, email text);
   insert into contacts (name, email) values ('Ada', 'ada@example.com'), ('Grace', 'grace@example.com')`,
  `alter table contacts add column role text, add column company text;
   insert into contacts (name, role, company) values ('Barbara', 'professor', 'MIT')`,
  `alter table contacts add column tags text[] not null default '{}';
   update contacts set tags = '{pioneer}'; delete from contacts where name = 'Grace'`,
]

async function stateOf(uri: string): Promise<{ columns: number; names: string[] }> {
  const columns = await query(uri, `select from information_schema.columns where table_name = 'contacts'`)
  const contacts = await query<{ name: string }>(uri, 'select name from contacts order by id')
  return { columns: columns.length, names: contacts.map(({ name }) => name) }
}

test('an app goes to any of its checkpoints and back, through the address of its first day', async () => {
  const project = await createProject('checkpoints-demo')
  const checkpoints: { id: string; state: Awaited<ReturnType<typeof stateOf>> }[] = []
  for (const [index, step] of steps.entries()) {
    await query(project.uri, step)
    const id = await createSnapshot(project.id, `v${index + 1}`)
    checkpoints.push({ id, state: await stateOf(project.uri) })
  }
  assert.deepEqual(
    checkpoints.map(({ state }) => [state.columns, state.names.length]),
    [
      [3, 2],
      [5, 3],
      [6, 2],
    ],
  )
  const seen = new Set<string>()
  for (const index of [0, 2, 1, 2, 0]) {
    const { id, state } = checkpoints[index] ?? assert.fail()
    seen.add((await production(project.id)).id)
    await applySnapshot(project.id, id)
    assert.deepEqual(await stateOf(project.uri), state)
  }
  assert.equal(seen.size, 5, 'the branch behind the name is another each time')
  const names = (await listBranches(project.id)).map(({ name }) => name)
  assert.equal(names.length, 6, 'the demo keeps what was replaced')
  assert.equal(names.filter((name) => name === 'main').length, 1)

  await query(project.uri, `insert into contacts (name) values ('Frances')`)
  await createSnapshot(project.id, 'v1 again')
  assert.deepEqual(
    (await listSnapshots(project.id)).map(({ name }) => name),
    ['v1 again', 'v3', 'v2', 'v1'],
  )
  await cleanUp(project.id)
  assert.deepEqual(await listSnapshots(project.id), [])
  assert.deepEqual(
    (await listBranches(project.id)).map(({ name }) => name),
    ['main'],
  )
  assert.deepEqual((await stateOf(project.uri)).names, ['Ada', 'Grace', 'Frances'])
})

test('a clock that is a little ahead of the server’s does no harm', async () => {
  const project = await createProject('clock')
  await query(project.uri, `create table contacts as select 'Ada' as name`)
  const id = await createSnapshot(project.id, 'ahead', new Date(Date.now() + 5000).toISOString())
  await query(project.uri, 'drop table contacts')
  await applySnapshot(project.id, id)
  assert.deepEqual(await query(project.uri, 'select name from contacts'), [{ name: 'Ada' }])
})
