// `kill -9` of pgrove while computes are started, suspended, restarted and changed: by the API, by an idle timeout and by a connection.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { CrashBench } from '../support/crash-bench.ts'
import { call, createProject, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import type { TestServer } from '../support/server.ts'

type Act = { name: string; asleepBefore: boolean; run(server: TestServer, made: Made): Promise<unknown> }

const endpointPath = ({ projectId, endpointId }: Made): string => `/projects/${projectId}/endpoints/${endpointId}`
const post = (verb: string, asleepBefore: boolean): Act => ({
  name: `POST ${verb}`,
  asleepBefore,
  run: (server, made) => call(server, 'POST', `${endpointPath(made)}/${verb}`),
})
const suspend = post('suspend', false)
const start = post('start', true)
const restart = post('restart', false)

let setting = 100
const change: Act = {
  name: 'PATCH pg_settings',
  asleepBefore: false,
  run: (server, made) =>
    call(server, 'PATCH', endpointPath(made), {
      endpoint: { settings: { pg_settings: { statement_timeout: String((setting += 1)) } } },
    }),
}
const idle: Act = {
  name: 'idle timeout',
  asleepBefore: false,
  async run(server, made) {
    await call(server, 'PATCH', endpointPath(made), { endpoint: { suspend_timeout_seconds: 1 } })
  },
}
const connect: Act = {
  name: 'connect',
  asleepBefore: true,
  async run(server, made) {
    // The string was asked for beforehand: the crash comes with the connection.
    await query(made.uri, 'select 1').catch(() => {})
    void server
  },
}

const cases: [Act, string][] = [
  [suspend, 'suspend_endpoint.committed'],
  [suspend, 'suspend_endpoint.suspend_compute.before'],
  [suspend, 'compute.stop.signalled'],
  [suspend, 'suspend.stopped'],
  [suspend, 'suspend_endpoint.suspend_compute.after'],
  [suspend, 'suspend_endpoint.suspend_compute.recorded'],
  [suspend, 'journal.appended'],
  [suspend, 'journal.recorded'],
  [idle, 'compute.stop.signalled'],
  [idle, 'suspend.stopped'],
  [idle, 'journal.appended'],
  [connect, 'compute.start.spawned'],
  [connect, 'compute.start.ready'],
  [connect, 'wake.serving'],
  [connect, 'wake.assigned'],
  [connect, 'journal.appended'],
  [connect, 'journal.recorded'],
  [start, 'start_endpoint.committed'],
  [start, 'start_endpoint.start_compute.before'],
  [start, 'compute.start.ready'],
  [start, 'start_endpoint.start_compute.recorded'],
  [restart, 'restart_endpoint.suspend_compute.recorded'],
  [restart, 'restart_endpoint.start_compute.after'],
  [change, 'update_endpoint.apply_config.before'],
  [change, 'compute.reload.signalled'],
  [change, 'update_endpoint.apply_config.recorded'],
]

describe('a crash while a compute starts or stops', () => {
  let bench: CrashBench
  let made: Made
  let written = 0

  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '0,1' })
    made = await createProject(bench.server, 'sleeper')
    await query(await uriOf(bench.server, made.projectId), 'create table kept (n integer primary key)')
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (const [act, failpoint] of cases) {
    test(`${act.name} at ${failpoint}`, async () => {
      const path = endpointPath(made)
      const uri = await uriOf(bench.server, made.projectId)
      await call(bench.server, 'PATCH', path, { endpoint: { suspend_timeout_seconds: 300 } })
      await settled(bench.server)
      written += 1
      await query(uri, `insert into kept values (${written})`)
      if (act.asleepBefore) await call(bench.server, 'POST', `${path}/suspend`)
      await settled(bench.server)

      await bench.crashAt(failpoint, (server) => act.run(server, { ...made, uri }))
      await settled(bench.server)
      const [row] = await query<{ n: string }>(
        await uriOf(bench.server, made.projectId),
        'select count(*) as n from kept',
      )
      assert.equal(Number(row?.n), written, 'what was committed is there')
      if (act === change) {
        const [{ statement_timeout: now } = { statement_timeout: '' }] = await query<{ statement_timeout: string }>(
          await uriOf(bench.server, made.projectId),
          'show statement_timeout',
        )
        const { body } = await call(bench.server, 'GET', path)
        const wanted = (body['endpoint'] as { settings: { pg_settings: { statement_timeout: string } } }).settings
        assert.equal(now, `${wanted.pg_settings.statement_timeout}ms`, 'Postgres has the setting that the API shows')
      }
      await assertNothingLeft(bench.server)
    })
  }

  test('it still falls asleep and wakes', async () => {
    await call(bench.server, 'PATCH', endpointPath(made), { endpoint: { suspend_timeout_seconds: 1 } })
    await eventually('the endpoint is idle', async () => {
      const { body } = await call(bench.server, 'GET', endpointPath(made))
      return (body['endpoint'] as { current_state: string }).current_state === 'idle'
    })
    await query(await uriOf(bench.server, made.projectId), 'select 1')
    await assertNothingLeft(bench.server)
  })
})
