// `kill -9` between the verdict on a quota and what follows from it, and between an event and its receiver.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CrashBench } from '../support/crash-bench.ts'
import { eventually } from '../support/eventually.ts'
import { call, createProject, uriOf, withControlDatabase, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { request, type TestServer } from '../support/server.ts'
import { startWebhookReceiver } from '../support/webhook-receiver.ts'

let bench: CrashBench
before(async () => {
  bench = await CrashBench.open({ PGROVE_WARM_POOL: '1,2' })
})
after(() => bench[Symbol.asyncDispose]())

const exceeded = { code: '53400', message: /active_time_seconds/ }

const setQuota = (server: TestServer, made: Made, seconds: number): Promise<unknown> =>
  call(server, 'PATCH', `/projects/${made.projectId}`, {
    project: { settings: { quota: { active_time_seconds: seconds } } },
  })

async function types(server: TestServer, made: Made): Promise<string[]> {
  const { body } = await call(server, 'GET', `/projects/${made.projectId}/events`)
  return (body['events'] as { type: string }[]).map(({ type }) => type)
}

async function state(server: TestServer, made: Made): Promise<unknown> {
  const { body } = await request(server, 'GET', `/projects/${made.projectId}/endpoints/${made.endpointId}`)
  return (body['endpoint'] as { current_state: string }).current_state
}

test('a project that is beyond its quota is stopped once, wherever pgrove dies', async () => {
  const made = await createProject(bench.server, 'quota')
  for (const failpoint of ['quota.decided', 'quota.stopping', 'suspend.stopped']) {
    await query(await uriOf(bench.server, made.projectId), 'select 1')
    await bench.crashAt(failpoint, (server) => setQuota(server, made, 1))
    // Nobody has to come for it: what the rows say is done by itself.
    await eventually(`it is stopped after ${failpoint}`, async () => (await state(bench.server, made)) === 'idle')
    await assert.rejects(query(await uriOf(bench.server, made.projectId), 'select 1'), exceeded)
    const told = await types(bench.server, made)
    assert.equal(told.filter((type) => type === 'quota.exceeded').length, 1, `${failpoint}: ${told.join()}`)
    await setQuota(bench.server, made, 0)
    await query(await uriOf(bench.server, made.projectId), 'select 1')
  }
  await assertNothingLeft(bench.server)
})

test('a quota that was raised holds for whoever comes, though pgrove died before it looked again', async () => {
  const made = await createProject(bench.server, 'raised')
  await setQuota(bench.server, made, 1)
  await eventually('it is stopped', async () => (await state(bench.server, made)) === 'idle')
  await bench.crashAt('quota.decided', (server) => setQuota(server, made, 0))
  await query(await uriOf(bench.server, made.projectId), 'select 1')
  await eventually('it is told', async () => (await types(bench.server, made)).includes('quota.lifted'))
})

test('an event that was sent and not marked as taken is sent again under the same id', async () => {
  await using receiver = await startWebhookReceiver()
  const made = await createProject(bench.server, 'told')
  const { body } = await call(bench.server, 'GET', `/projects/${made.projectId}`)
  const path = `/organizations/${(body['project'] as { org_id: string }).org_id}/webhook`
  receiver.secret = (await call(bench.server, 'PUT', path, { url: receiver.url })).body['secret'] as string
  await bench.crashAt('webhook.sent', (server) => setQuota(server, made, 1))
  assert.equal(receiver.received.length, 1)
  // Whoever died at it had a minute for it.
  await withControlDatabase(bench.home, (client) => client.query('update webhook_deliveries set due_at = now()'))
  await eventually('it comes again', async () => receiver.received.length >= 2)
  const [first, second] = receiver.received
  assert.equal(second?.deliveryId, first?.deliveryId)
  assert.deepEqual(second?.event, first?.event)
})
