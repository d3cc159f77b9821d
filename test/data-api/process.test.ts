// The Data API's process: it is started by the first request, has no rights but its own, wakes computes and keeps them awake as long as
// somebody asks, and may be killed, as may be everything around it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { homeAt, serviceControlSocket } from '../../src/home.ts'
import { arm, armable } from '../support/crash-bench.ts'
import { ask, dataApiPath, makeNotesApp, tokenOf, type NotesApp } from '../support/data-api-app.ts'
import { eventually } from '../support/eventually.ts'
import { pgroveProcesses, pidOf } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { destroyHome, makeHome, request, startServer, type TestServer } from '../support/server.ts'

const run = promisify(execFile)
const isRoot = process.getuid?.() === 0

let home: string
let server: TestServer
let app: NotesApp
let token = ''

const start = (): Promise<TestServer> =>
  startServer({ home, keepHome: true, env: { ...armable, PGROVE_STORAGE: 'copy', PGRST_DB_ANON_ROLE: 'neondb_owner' } })

before(async () => {
  home = await makeHome('pgrove-data-api-')
  server = await start()
  app = await makeNotesApp(server, { default_endpoint_settings: { suspend_timeout_seconds: 2 } })
  token = await tokenOf(app.authUrl, 'ann@example.com')
  await query(app.project.uri, `INSERT INTO notes (user_id, body) SELECT id, 'hers' FROM neon_auth.users_sync`)
})
after(async () => {
  await server?.stop().catch(() => {})
  if (home) await destroyHome(home)
})

const read = async (): Promise<string> => {
  const { status, text } = await ask(`${app.url}/notes?select=body`, { token })
  return `${status} ${text}`
}
const good = '200 [{"body":"hers"}]'

async function stateOf(): Promise<string> {
  const { body } = await request(server, 'GET', `/projects/${app.project.id}/endpoints/${app.project.endpointId}`)
  return (body['endpoint'] as { current_state: string }).current_state
}
const asleep = (): Promise<unknown> => eventually('the endpoint to be idle', async () => (await stateOf()) === 'idle')

const suspensions = async (): Promise<number> => {
  const { body } = await request(server, 'GET', `/projects/${app.project.id}/operations`)
  return (body['operations'] as { action: string }[]).filter(({ action }) => action === 'suspend_compute').length
}

test('there is no such process until somebody asks', async () => {
  const roles = async (): Promise<string[]> => (await pgroveProcesses(home)).map(({ role }) => role)
  assert.ok(!(await roles()).includes('data-api'))
  const answers = await Promise.all(Array.from({ length: 5 }, () => read()))
  assert.deepEqual([...new Set(answers)], [good])
  assert.equal((await roles()).filter((role) => role === 'data-api').length, 1)
})

test('it has no rights but its own, and none of our secrets', { skip: !isRoot }, async () => {
  const pid = await pidOf(server, 'data-api')
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [uid = 0, effective = 0, saved = 0] = /^Uid:\t(\d+)\t(\d+)\t(\d+)/m.exec(status)?.slice(1).map(Number) ?? []
  const [gid = 0] = /^Gid:\t(\d+)/m.exec(status)?.slice(1).map(Number) ?? []
  assert.ok(uid > 0 && uid === effective && uid === saved && gid > 0, status)
  assert.match(status, /^Groups:\t\s*$/m)
  assert.match(status, /^CapEff:\t0+$/m)
  assert.doesNotMatch(await readFile(`/proc/${pid}/environ`, 'utf8'), /PGROVE_|PGRST_/)
  const places = homeAt(home)
  for (const file of [places.masterKey, places.credentials])
    await assert.rejects(run('cat', [file], { uid, gid, cwd: '/' }), /Permission denied/, file)
  const connect = `require('node:net').connect(process.argv[1]).on('error', () => process.exit(3)).on('connect', () => process.exit(0))`
  const reach = (socket: string, as: number): Promise<unknown> =>
    run(process.execPath, ['-e', connect, socket], { uid: as, gid, cwd: '/' })
  await reach(serviceControlSocket(places, 'data-api'), uid)
  await assert.rejects(reach(serviceControlSocket(places, 'auth'), uid), { code: 3 })
  const edge = await readFile(`/proc/${await pidOf(server, 'edge')}/status`, 'utf8')
  await assert.rejects(reach(serviceControlSocket(places, 'data-api'), Number(/^Uid:\t(\d+)/m.exec(edge)?.[1])), {
    code: 3,
  })
})

test('a compute is awake as long as requests come, sleeps when none do, and is woken by the next', async () => {
  assert.equal(await read(), good)
  const before = await suspensions()
  const until = performance.now() + 6_000
  while (performance.now() < until) {
    assert.equal(await read(), good)
    await delay(100)
  }
  assert.equal(await suspensions(), before)
  // Though it is listening for changes of the schema.
  await asleep()
  assert.equal(await read(), good)
  assert.equal(await stateOf(), 'active')
})

test('who is turned away wakes nothing', async () => {
  await asleep()
  assert.equal((await ask(`${app.url}/notes`, { token: 'a.b.c' })).status, 401)
  const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
  assert.equal((await ask(`${app.url}/notes`, { method: 'OPTIONS', headers: preflight })).status, 200)
  assert.equal((await ask(`${app.url}/notes?id=xx.1`, { token })).status, 400)
  assert.equal(await stateOf(), 'idle')
})

test('what it sends is metered', async () => {
  const body = 'x'.repeat(100_000)
  const bytes = async (): Promise<number> => {
    const answer = await request(server, 'GET', `/projects/${app.project.id}`)
    return (answer.body['project'] as { data_transfer_bytes: number }).data_transfer_bytes
  }
  const before = await bytes()
  await ask(`${app.url}/notes`, { method: 'POST', token, body: { body } })
  await ask(`${app.url}/notes?select=body`, { token })
  await eventually('the bytes', async () => (await bytes()) >= before + body.length)
  await ask(`${app.url}/notes?body=neq.hers`, { method: 'DELETE', token })
  assert.equal(await read(), good)
})

test('a disabled endpoint is not woken', async () => {
  const path = `/projects/${app.project.id}/endpoints/${app.project.endpointId}`
  const update = (disabled: boolean): Promise<unknown> =>
    eventually('the endpoint can be changed', async () => {
      const { status } = await request(server, 'PATCH', path, { endpoint: { disabled } })
      return status === 200
    })
  await update(true)
  const refused = await ask(`${app.url}/notes`, { token })
  assert.equal(refused.status, 503)
  assert.match(refused.text, /PGRST000.*disabled/)
  await update(false)
  await eventually('it can be had again', async () => (await read()) === good)
})

/** Under load, until it is as before. What was answered meanwhile. */
async function kill(role: 'data-api' | 'control' | 'edge'): Promise<Set<string>> {
  const outcomes = new Set<string>()
  let isOver = false
  const load = Array.from({ length: 3 }, async () => {
    while (!isOver) {
      const outcome = await ask(`${app.url}/notes?select=body`, { token }).then(
        ({ status, text, headers }) =>
          status === 200 ? `${status} ${text}` : `${status}, again after ${headers.get('retry-after')}`,
        () => 'no connection',
      )
      outcomes.add(outcome)
      await delay(20)
    }
  })
  try {
    const pid = await pidOf(server, role)
    process.kill(pid, 'SIGKILL')
    await eventually('another one runs', async () => (await pidOf(server, role)) !== pid)
    let inARow = 0
    await eventually('all is well again', async () => {
      inARow = (await read().catch(() => '')) === good ? inARow + 1 : 0
      return inARow > 5
    })
  } finally {
    isOver = true
    await Promise.all(load)
  }
  return outcomes
}

test('killed, it is back for the next request', async () => {
  for (const outcome of await kill('data-api'))
    assert.match(outcome, /^200 \[\{"body":"hers"\}\]$|^503, again after 1$/)
})

test('control may be killed under it: who is served already goes on being served', async () => {
  assert.deepEqual([...(await kill('control'))], [good])
})

test('the edge may be killed', async () => {
  for (const outcome of await kill('edge')) assert.match(outcome, /^200 \[\{"body":"hers"\}\]$|^no connection$|^503/)
})

test('a database that dies is woken again', async () => {
  const [backend] = await query<{ pid: number }>(
    app.project.uri,
    `SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'`,
  )
  const parent = /^PPid:\t(\d+)$/m.exec(await readFile(`/proc/${backend?.pid}/status`, 'utf8'))?.[1]
  process.kill(Number(parent), 'SIGKILL')
  await eventually('it answers again', async () => (await read()) === good)
})

test('its log says neither what was asked for nor by whom', async () => {
  await ask(`${app.url}/notes?body=eq.SecretValue`, { token, headers: { prefer: 'SecretPreference' } })
  await ask(`${app.url}/SecretTable`, { method: 'POST', token, body: { secret: 'SecretBody' } })
  const lines = (await server.log()).split('\n').filter((line) => line.includes('"process":"data-api"'))
  assert.ok(lines.some((line) => line.includes(app.project.endpointId)))
  for (const secret of ['Secret', token.slice(0, 40), token.slice(-40)])
    assert.ok(!lines.some((line) => line.includes(secret)), secret)
})

test('pgrove may die while it is enabled or disabled: the same call finishes it', async () => {
  const path = dataApiPath(app.project, app.project.branchId)
  for (const failpoint of [
    'data-api.disable.committed',
    'data-api.enable.roles',
    'data-api.enable.provisioned',
    'data-api.enable.committed',
  ]) {
    const method = failpoint.includes('disable') ? 'DELETE' : 'POST'
    const isThere = (await request(server, 'GET', path)).status === 200
    if (isThere && method === 'POST') await request(server, 'DELETE', path)
    await arm(server, `${failpoint}=crash`)
    const died = server.exited
    await request(server, method, path, method === 'POST' ? { add_default_grants: true } : undefined).catch(() => {})
    await died
    server = await start()
    const again = await request(server, method, path, method === 'POST' ? { add_default_grants: true } : undefined)
    const expected = failpoint.endsWith('committed') ? (method === 'POST' ? 409 : 404) : 201
    assert.equal(again.status, expected, `${failpoint} ${JSON.stringify(again.body)}`)
    const answer = await ask(`${server.origin}${new URL(app.url).pathname}/notes?select=body`, { token })
    assert.equal(answer.status, method === 'POST' ? 200 : 404, `${failpoint} ${answer.text}`)
  }
})
