// `/metrics`, as Prometheus asks for it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { latencyBucketsSeconds } from '../../src/proxy/control-plane.ts'
import { connectAsEdge } from '../support/edge-peer.ts'
import { makeProject } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

async function metrics(key = server.apiKey): Promise<{ status: number; type: string; text: string }> {
  const response = await fetch(`${server.origin}/metrics`, { headers: key ? { authorization: `Bearer ${key}` } : {} })
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    text: await response.text(),
  }
}

const counts = (first: number): number[] => [first, ...latencyBucketsSeconds.map(() => 0)]

test('nobody reads them without a key', async () => {
  for (const key of ['', 'napi_wrong']) {
    const { status, text } = await metrics(key)
    assert.equal(status, 401)
    assert.equal(typeof (JSON.parse(text) as { message: string }).message, 'string')
  }
})

test('what the edge reports of endpoints that there are can be read; what it makes up cannot', async (t) => {
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  const zero = { counts: counts(0), sumSeconds: 0 }
  const entry = { sessions: 3, activeSessions: 1, lastActivityAt: 0, bytesToClient: 1000, bytesFromClient: 50 }
  await edge.call('reportActivity', {
    activity: [
      { endpointId: project.endpointId, ...entry },
      { endpointId: 'ep-nobody-has-00000000', ...entry },
    ],
    latencies: { connect: zero, wake: { counts: counts(2), sumSeconds: 0.001 } },
    run: crypto.randomUUID(),
  })
  const { status, type, text } = await metrics()
  assert.equal(status, 200)
  assert.match(type, /^text\/plain; version=0\.0\.4/)
  const labels = `{endpoint="${project.endpointId}",project="${project.id}"}`
  for (const line of [
    `pgrove_endpoint_sessions${labels} 3`,
    `pgrove_endpoint_active_sessions${labels} 1`,
    `pgrove_endpoint_bytes_sent_total${labels} 1000`,
    `pgrove_endpoint_bytes_received_total${labels} 50`,
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} in\n${text}`)
  }
  assert.match(text, /^pgrove_computes_running [12]$/m)
  // The edge of this server reports its own wakes as well.
  assert.match(text, /^pgrove_wake_seconds_bucket\{le="\+Inf"\} [2-9]/m)
  assert.match(text, /^pgrove_control_resident_memory_bytes \d{7,}$/m)
  assert.doesNotMatch(text, /nobody-has/)
})

test('a report of nonsense is refused', async (t) => {
  const edge = await connectAsEdge(t, server)
  const run = crypto.randomUUID()
  const good = { counts: counts(0), sumSeconds: 0 }
  for (const latencies of [undefined, { connect: good }, { connect: good, wake: { counts: [1], sumSeconds: 0 } }]) {
    await assert.rejects(edge.call('reportActivity', { activity: [], latencies, run }), { code: 'bad_request' })
  }
  for (const activity of [undefined, [{}], [{ endpointId: '../x' }], [{ endpointId: 'ep-a', sessions: -1 }]]) {
    await assert.rejects(edge.call('reportActivity', { activity, latencies: { connect: good, wake: good }, run }), {
      code: 'bad_request',
    })
  }
  for (const nameless of [undefined, 7, '', 'x'.repeat(36)]) {
    const report = { activity: [], latencies: { connect: good, wake: good }, run: nameless }
    await assert.rejects(edge.call('reportActivity', report), { code: 'bad_request' })
  }
})
