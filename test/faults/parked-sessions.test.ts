// `kill -9` of control around a suspension: the sessions that were parked for it find their way back.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { arm, armable } from '../support/crash-bench.ts'
import { createProject, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft, pidOf } from '../support/leftovers.ts'
import { connect, query, type Session } from '../support/postgres.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let made: Made

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', ...armable } })
  made = await createProject(server, 'parked')
  const endpoint = { suspend_timeout_seconds: 1 }
  await apiClient(server).updateProjectEndpoint(made.projectId, made.endpointId, { endpoint })
})
after(async () => {
  await using _ = server
  await assertNothingLeft(server)
})

async function sessions(): Promise<Session[]> {
  const uri = await uriOf(server, made.projectId)
  const pooled = uri.replaceAll(made.endpointId, `${made.endpointId}-pooler`)
  const all = await Promise.all([uri, uri, pooled, pooled].map((each) => connect(each)))
  await Promise.all(all.map((session) => session.query('select 1')))
  return all
}

async function assertAlive(all: readonly Session[]): Promise<void> {
  for (const session of all) assert.deepEqual(await session.query('select 6 * 7 as answer'), [{ answer: 42 }])
  for (const session of all) assert.equal(session.ended(), undefined)
}

/** Returns before control is back. */
async function killControl(): Promise<void> {
  process.kill(await pidOf(server, 'control'), 'SIGKILL')
}

/** For the API and, a moment later, for the edge. */
async function controlIsBack(): Promise<void> {
  await eventually(
    'control is back',
    async () => (await request(server, 'GET', '/projects').catch(() => undefined))?.status === 200,
  )
  await eventually('clients come in', () => query(made.uri, 'select 1').catch(() => undefined))
}

test('while its compute sleeps', async () => {
  await controlIsBack()
  const all = await sessions()
  await eventually('it sleeps', async () => {
    const { data } = await apiClient(server).getProjectEndpoint(made.projectId, made.endpointId)
    return (data.endpoint.current_state as string) === 'idle'
  })
  await killControl()
  // At once: control is not there yet, and the sessions wait for it.
  await assertAlive(all)
  await Promise.all(all.map((session) => session[Symbol.asyncDispose]()))
})

/** No session has a server connection any more. */
const parked = async (): Promise<boolean> => {
  const { body } = await request(server, 'GET', `/projects/${made.projectId}/endpoints/${made.endpointId}`)
  const metrics = await fetch(`${server.origin}/metrics`, { headers: { authorization: `Bearer ${server.apiKey}` } })
  const active = /^pgrove_endpoint_active_sessions\{.*\} (\d+)$/m.exec(await metrics.text())?.[1]
  return body['endpoint'] !== undefined && active === '0'
}

for (const failpoint of ['suspend.looked', 'suspend.stopped']) {
  test(`at ${failpoint}`, async () => {
    await controlIsBack()
    const all = await sessions()
    await arm(server, `${failpoint}=pause:30000`)
    await eventually('they are parked', parked)
    await killControl()
    await assertAlive(all)
    await Promise.all(all.map((session) => session[Symbol.asyncDispose]()))
  })
}

test('in the middle of the wake that one of them asked for', async () => {
  await controlIsBack()
  const all = await sessions()
  await eventually('they are parked', parked)
  await arm(server, 'wake.serving=pause:30000')
  const asked = all.map((session) => session.query('select 6 * 7 as answer'))
  await new Promise((resolve) => setTimeout(resolve, 500))
  await killControl()
  for (const answer of await Promise.all(asked)) assert.deepEqual(answer, [{ answer: 42 }])
  await Promise.all(all.map((session) => session[Symbol.asyncDispose]()))
})
