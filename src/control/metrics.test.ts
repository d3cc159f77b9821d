import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics, type EndpointTraffic } from './metrics.ts'

const projects = new Map([['ep-a', 'project-1']])
const traffic = (endpointId: string, sessions: number, bytes: number): EndpointTraffic => ({
  endpointId,
  sessions,
  activeSessions: 0,
  bytesToClient: bytes,
  bytesFromClient: 2 * bytes,
})
const sizes = [{ endpoint: 'ep-a', project: 'project-1', cu: 0.5 }]
const make = (): Metrics => new Metrics([0.1, 1], () => ({ sizes, poolStarted: 1, poolUnstarted: 2 }))

async function valueOf(metrics: Metrics, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

const labels = '{endpoint="ep-a",project="project-1"}'
const sent = `pgrove_endpoint_bytes_sent_total${labels}`
const sessions = `pgrove_endpoint_sessions${labels}`

test('a counter goes on when the proxy begins anew, and never goes back', async () => {
  const metrics = make()
  metrics.report([traffic('ep-a', 1, 100)], projects, 0)
  metrics.report([traffic('ep-a', 2, 150)], projects, 0)
  assert.equal(await valueOf(metrics, sent), 150)
  metrics.report([traffic('ep-a', 1, 10)], projects, 0)
  assert.equal(await valueOf(metrics, sent), 160)
  assert.equal(await valueOf(metrics, `pgrove_endpoint_bytes_received_total${labels}`), 320)
  assert.equal(await valueOf(metrics, sessions), 1)
})

test('computes of its past count with an endpoint', async () => {
  const metrics = make()
  metrics.report([traffic('ep-a', 1, 100), traffic('ep-a@lsn:0/1', 2, 5)], projects, 0)
  assert.equal(await valueOf(metrics, sent), 105)
  assert.equal(await valueOf(metrics, sessions), 3)
})

test('what does not exist is not counted, and what is gone or unused is forgotten', async () => {
  const metrics = make()
  const reports = [traffic('ep-a', 1, 100), traffic('ep-b', 1, 100)]
  assert.deepEqual(metrics.unknown(reports), ['ep-a', 'ep-b'])
  metrics.report(reports, projects, 0)
  assert.deepEqual(metrics.endpoints(), ['ep-a'])
  assert.deepEqual(metrics.unknown(reports), ['ep-b'])
  metrics.forget(10 * 3_600_000, new Set())
  assert.equal(await valueOf(metrics, sent), 100)
  metrics.forget(0, new Set(['ep-a']))
  assert.equal(await valueOf(metrics, sent), undefined)
  metrics.report([traffic('ep-a', 0, 100)], projects, 0)
  metrics.forget(2 * 3_600_000, new Set())
  assert.equal(await valueOf(metrics, sessions), undefined)
})

test('latencies add up over several proxies in a row, as a cumulative histogram', async () => {
  const metrics = make()
  const histogram = (counts: number[], sumSeconds: number) => ({ counts, sumSeconds })
  const wake = histogram([0, 0, 0], 0)
  metrics.reportLatencies({ connect: histogram([1, 2, 0], 2), wake })
  metrics.reportLatencies({ connect: histogram([2, 2, 1], 7), wake })
  metrics.reportLatencies({ connect: histogram([1, 0, 0], 0.5), wake })
  assert.equal(await valueOf(metrics, 'pgrove_connect_seconds_bucket{le="0.1"}'), 3)
  assert.equal(await valueOf(metrics, 'pgrove_connect_seconds_bucket{le="1"}'), 5)
  assert.equal(await valueOf(metrics, 'pgrove_connect_seconds_bucket{le="+Inf"}'), 6)
  assert.equal(await valueOf(metrics, 'pgrove_connect_seconds_count'), 6)
  assert.equal(await valueOf(metrics, 'pgrove_connect_seconds_sum'), 7.5)
  assert.equal(await valueOf(metrics, 'pgrove_wake_seconds_count'), 0)
})

test('what runs has its size, and what does not run has none', async () => {
  const metrics = make()
  assert.equal(await valueOf(metrics, 'pgrove_computes_running'), 1)
  assert.equal(await valueOf(metrics, `pgrove_endpoint_compute_units${labels}`), 0.5)
  sizes.length = 0
  assert.equal(await valueOf(metrics, `pgrove_endpoint_compute_units${labels}`), undefined)
})
