// Before a compute is stopped the edge is asked to set sessions aside; a test in its place says what it finds.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connectAsEdge } from '../support/edge-peer.ts'
import { eventually } from '../support/eventually.ts'
import { makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
const heldSeconds = 8

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_HELD_SESSION_SECONDS: String(heldSeconds) } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const makeSleepy = (): Promise<TestProject> =>
  makeProject(server, { default_endpoint_settings: { suspend_timeout_seconds: 1 } })

async function look(project: TestProject): Promise<{ state: string; kinds: string[] }> {
  const { body } = await request(server, 'GET', `/projects/${project.id}/endpoints/${project.endpointId}`)
  const endpoint = body['endpoint'] as { current_state: string; awake_reasons: { kind: string }[] }
  return { state: endpoint.current_state, kinds: endpoint.awake_reasons.map(({ kind }) => kind) }
}

const asleep = (project: TestProject): Promise<unknown> =>
  eventually('the endpoint to be idle', async () => (await look(project)).state === 'idle')

test('who is at work is not put to sleep; sessions at rest with state are waited for, up to the limit', async (t) => {
  const edge = await connectAsEdge(t, server)
  edge.report = { parked: 2, busy: 1, held: 0 }
  const project = await makeSleepy()
  const asked = (): typeof edge.parks => edge.parks.filter(({ endpointId }) => endpointId === project.endpointId)
  await eventually('two questions', async () => asked().length >= 2)
  assert.deepEqual(asked()[0], { endpointId: project.endpointId, mode: 'suspend', patienceMs: 0, endHeld: false })
  assert.equal((await look(project)).state, 'active')

  edge.report = { parked: 2, busy: 0, held: 3 }
  await eventually('the reason', async () => (await look(project)).kinds.includes('session_state'))
  edge.parks.length = 0
  await asleep(project)
  const [last] = asked().slice(-1)
  assert.equal(last?.endHeld, true)
  // Held ones are looked at every few seconds, not with every round.
  assert.ok(asked().length <= 4, JSON.stringify(asked()))
})

test('before a restart sessions are given time to set themselves aside; a deletion waits for nobody', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  await settled(server, api.restartProjectEndpoint(project.id, project.endpointId))
  assert.deepEqual(
    edge.parks.filter(({ endpointId }) => endpointId === project.endpointId),
    [{ endpointId: project.endpointId, mode: 'drain', patienceMs: 2000, endHeld: false }],
  )
  edge.parks.length = 0
  await settled(server, api.deleteProjectEndpoint(project.id, project.endpointId) as never)
  assert.deepEqual(
    edge.parks.filter(({ endpointId }) => endpointId === project.endpointId),
    [],
  )
})
