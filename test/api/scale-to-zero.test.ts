// A compute sleeps when nobody has used it for its time, wakes for who comes, and says what keeps it awake.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { arm, armable } from '../support/crash-bench.ts'
import { makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { connect, loginError, query, type Session } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', ...armable } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const makeSleepy = (suspend_timeout_seconds: number): Promise<TestProject> =>
  makeProject(server, { default_endpoint_settings: { suspend_timeout_seconds } })

type Seen = { state: string; reasons: Record<string, unknown>[]; suspendedAt: string | undefined }

async function look(project: TestProject): Promise<Seen> {
  const { body } = await request(server, 'GET', `/projects/${project.id}/endpoints/${project.endpointId}`)
  const endpoint = body['endpoint'] as {
    current_state: string
    awake_reasons: Record<string, unknown>[]
    suspended_at?: string
  }
  return { state: endpoint.current_state, reasons: endpoint.awake_reasons, suspendedAt: endpoint.suspended_at }
}

const asleep = (project: TestProject): Promise<Seen> =>
  eventually('the endpoint to be idle', async () => {
    const seen = await look(project)
    return seen.state === 'idle' && seen
  })

/** What keeps it awake, beside that it was just used. */
const reasonsOf = (project: TestProject, kind: string): Promise<Record<string, unknown>> =>
  eventually(`the reason ${kind}`, async () => (await look(project)).reasons.find((reason) => reason['kind'] === kind))

async function actionsOf(project: TestProject): Promise<string[]> {
  return (await api.listProjectOperations({ projectId: project.id })).data.operations.map(({ action }) => action)
}

/** Waits until another compute, with a shorter time than this one, has been made, used and gone to sleep. */
async function anotherFellAsleep(): Promise<void> {
  await asleep(await makeSleepy(1))
}

test('an unused compute goes to sleep by itself, and the next connection wakes it', async () => {
  const project = await makeSleepy(1)
  await query(project.uri, 'create table t as select 1 as n')
  const seen = await asleep(project)
  assert.deepEqual(seen.reasons, [])
  await eventually('the suspension to be on record', async () => (await look(project)).suspendedAt)
  assert.deepEqual(await query(project.uri, 'select n from t'), [{ n: 1 }])
  assert.equal((await look(project)).state, 'active')
  await eventually('both to be in the history', async () => {
    const actions = await actionsOf(project)
    return actions.join() === 'start_compute,suspend_compute,start_compute,create_timeline'
  })
})

test('what was just used says how long it will wait', async () => {
  const project = await makeSleepy(0)
  await query(project.uri, 'select 1')
  const reason = await reasonsOf(project, 'recent_activity')
  const [idle, left] = [Number(reason['idle_seconds']), Number(reason['suspends_in_seconds'])]
  assert.ok(idle >= 0 && left > 0 && left <= 300 && idle + left >= 299 && idle + left <= 301, JSON.stringify(reason))
})

test('an idle session does not keep a compute awake, and goes on where it was when it has slept', async () => {
  const project = await makeSleepy(1)
  await using session = await connect(project.uri)
  await session.query('select 1')
  await asleep(project)
  assert.deepEqual(await session.query('select 2 as n'), [{ n: 2 }])
  assert.equal((await look(project)).state, 'active')
  assert.equal(session.ended(), undefined)
})

test('an open transaction keeps it awake', async () => {
  const project = await makeSleepy(1)
  await using session = await connect(project.uri)
  await session.query('begin')
  assert.equal((await reasonsOf(project, 'open_transactions'))['count'], 1)
  await anotherFellAsleep()
  assert.equal((await look(project)).state, 'active')
  assert.equal(session.ended(), undefined)
  await session.query('commit')
  await asleep(project)
})

test('a running query keeps it awake', async () => {
  const project = await makeSleepy(1)
  await using session = await connect(project.uri)
  await using other = await connect(project.uri)
  await other.query('select pg_advisory_lock(1)')
  const waiting = session.query('select pg_advisory_lock_shared(1)')
  assert.equal((await reasonsOf(project, 'active_queries'))['count'], 1)
  await anotherFellAsleep()
  assert.equal((await look(project)).state, 'active')
  await other.query('select pg_advisory_unlock(1)')
  await waiting
  // It is the session's own, and would be lost.
  await reasonsOf(project, 'session_state')
  await session.query('select pg_advisory_unlock_shared(1)')
  await asleep(project)
})

test('one that never sleeps says so, until it may', async () => {
  const project = await makeSleepy(-1)
  assert.ok(await reasonsOf(project, 'suspend_disabled'))
  await anotherFellAsleep()
  assert.equal((await look(project)).state, 'active')
  await settled(
    server,
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { suspend_timeout_seconds: 1 } }),
  )
  await asleep(project)
})

test('a longer time that is set while it is awake counts from now on', async () => {
  const project = await makeSleepy(2)
  await settled(
    server,
    api.updateProjectEndpoint(project.id, project.endpointId, { endpoint: { suspend_timeout_seconds: 3600 } }),
  )
  await anotherFellAsleep()
  await anotherFellAsleep()
  const seen = await look(project)
  assert.equal(seen.state, 'active')
  assert.ok(Number(seen.reasons.find(({ kind }) => kind === 'recent_activity')?.['suspends_in_seconds']) > 3500)
})

test('many who come to a sleeping compute at once wake it once', async () => {
  const project = await makeSleepy(600)
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  const before = await actionsOf(project)
  const sessions: Session[] = await Promise.all(Array.from({ length: 20 }, () => connect(project.uri)))
  try {
    const rows = await Promise.all(
      sessions.map((session) => session.query('select pg_postmaster_start_time()::text as at')),
    )
    assert.equal(new Set(rows.map(([row]) => JSON.stringify(row))).size, 1)
  } finally {
    await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()))
  }
  await eventually('the wake to be in the history', async () => (await actionsOf(project)).length > before.length)
  // Written down in order: a second wake would have been written before this suspension.
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  assert.deepEqual(await actionsOf(project), ['suspend_compute', 'start_compute', ...before])
})

test('sleeping and waking over and over loses nothing', async () => {
  const project = await makeSleepy(1)
  await query(project.uri, 'create table t (n int)')
  for (let n = 1; n <= 5; n++) {
    await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
    await query(project.uri, `insert into t values (${n})`)
  }
  await asleep(project)
  assert.deepEqual(await query(project.uri, 'select count(*)::int as n, sum(n)::int as sum from t'), [
    { n: 5, sum: 15 },
  ])
})

test('a client that comes while the compute is going to sleep is served', async () => {
  const project = await makeSleepy(600)
  for (let round = 0; round < 5; round++) {
    const suspended = settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
    const logins = Array.from({ length: 5 }, () => query(project.uri, 'select 1 as n').catch((error: unknown) => error))
    await suspended
    for (const login of await Promise.all(logins)) {
      // Who was connected when it fell is told so; nobody is told anything else.
      if (login instanceof Error) assert.match(String((login as { code?: string }).code), /^57P0[13]$/, String(login))
    }
    assert.equal(await loginError(project.uri), undefined)
  }
})

test('a client that comes when sleep is all but decided is served, and nobody is cut off', async () => {
  const project = await makeSleepy(1)
  await query(project.uri, 'create table t as select 1 as n')
  await arm(server, 'suspend.looked=pause:3000')
  try {
    // Nothing keeps it awake for longer than two looks are apart: by now somebody is making up his mind.
    let quietSince: number | undefined
    await eventually('the decision to be on its way', async () => {
      const { state, reasons } = await look(project)
      quietSince = state === 'active' && reasons.length === 0 ? (quietSince ?? Date.now()) : undefined
      return quietSince !== undefined && Date.now() - quietSince > 1000
    })
    await using session = await connect(project.uri)
    await session.query('begin')
    await reasonsOf(project, 'open_transactions')
    await arm(server, '')
    await anotherFellAsleep()
    assert.deepEqual(await session.query('select n from t'), [{ n: 1 }])
    await session.query('commit')
  } finally {
    await arm(server, '')
  }
  await asleep(project)
})
