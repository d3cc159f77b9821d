// What the API tells of use, while it is being used and after: counters of projects and branches, and the flat object.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { latencyBucketsSeconds } from '../../src/proxy/control-plane.ts'
import { connectAsEdge } from '../support/edge-peer.ts'
import { eventually } from '../support/eventually.ts'
import { call, settled, withControlDatabase } from '../support/faults.ts'
import { makeChild, makeProject, type TestProject } from '../support/neon.ts'
import { connect, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  project = await makeProject(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

type Counters = {
  active_time_seconds: number
  compute_time_seconds: number
  cpu_used_sec: number
  written_data_bytes: number
  data_transfer_bytes: number
  data_storage_bytes_hour: number
  logical_size?: number
  synthetic_storage_size?: number
  consumption_period_start: string
  consumption_period_end: string
}

const projectOf = async ({ id }: Pick<TestProject, 'id'>): Promise<Counters> =>
  (await call(server, 'GET', `/projects/${id}`)).body['project'] as Counters
const branchOf = async (branchId: string): Promise<Counters> =>
  (await call(server, 'GET', `/projects/${project.id}/branches/${branchId}`)).body['branch'] as Counters

test('within seconds: what is written and sent, of the project, its branch and in lists, while the compute runs', async () => {
  await using session = await connect(project.uri)
  await session.client.query(`create table t as select a, md5(a::text) as b from generate_series(1, 20000) a`)
  const { rows } = await session.client.query<{ b: string }>('select a, b from t')
  assert.equal(rows.length, 20_000)
  const counters = await eventually('the counters have it all', async () => {
    const [whole, branch] = [await projectOf(project), await branchOf(project.branchId)]
    const isThere = (each: Counters): boolean =>
      each.written_data_bytes > 1_500_000 && each.data_transfer_bytes > 600_000 && each.active_time_seconds >= 4
    return isThere(whole) && isThere(branch) ? { whole, branch } : undefined
  })
  for (const each of [counters.whole, counters.branch]) {
    assert.equal(each.cpu_used_sec, each.compute_time_seconds)
    assert.ok(Math.abs(each.compute_time_seconds - each.active_time_seconds * 0.25) <= 1)
    assert.ok(each.written_data_bytes < 3_000_000)
  }
  assert.ok((counters.branch.logical_size ?? 0) > 1_000_000)
  const { body } = await call(server, 'GET', '/projects?limit=100')
  const listed = (body['projects'] as { id: string; active_time: number }[]).find(({ id }) => id === project.id)
  assert.ok((listed?.active_time ?? 0) >= 4)
  const branches = (await call(server, 'GET', `/projects/${project.id}/branches`)).body['branches'] as Counters[]
  assert.ok((branches[0]?.written_data_bytes ?? 0) > 1_500_000)
  const changed = await call(server, 'PATCH', `/projects/${project.id}`, { project: { name: 'renamed' } })
  const answered = changed.body['project'] as Counters
  assert.deepEqual(
    [answered.active_time_seconds, answered.written_data_bytes, answered.consumption_period_start],
    [0, 0, '0001-01-01T00:00:00Z'],
  )
})

test('the flat object: this month, to its last second, and the same figures', async () => {
  await call(server, 'POST', `/projects/${project.id}/endpoints/${project.endpointId}/suspend`)
  await settled(server)
  const whole = await eventually('nothing runs any more', async () => {
    const [one, other] = [await projectOf(project), await projectOf(project)]
    return one.active_time_seconds > 0 && one.active_time_seconds === other.active_time_seconds ? one : undefined
  })
  const { body } = await call(server, 'GET', `/projects/${project.id}/consumption`)
  const { data_storage_bytes_hour: byteHours, ...rest } = body
  assert.deepEqual(rest, {
    project_id: project.id,
    period_start: whole.consumption_period_start,
    period_end: new Date(Date.parse(whole.consumption_period_end) - 1000).toISOString().replace('.000Z', 'Z'),
    compute_time_seconds: whole.compute_time_seconds,
    active_time_seconds: whole.active_time_seconds,
    data_transfer_bytes: whole.data_transfer_bytes,
    written_data_bytes: whole.written_data_bytes,
  })
  assert.ok(Number(byteHours) > 0)
  assert.match(String(body['period_end']), /T23:59:59Z$/)
  assert.ok((whole.synthetic_storage_size ?? 0) > 10_000_000)
})

test('a child has what it changed, and costs its parent nothing', async () => {
  const child = await makeChild(server, project)
  await query(child.uri, `create table mine as select a, md5(a::text) from generate_series(1, 5000) a`)
  await call(server, 'POST', `/projects/${project.id}/endpoints/${child.endpointId}/suspend`)
  await settled(server)
  const levels = await eventually('its levels are known', async () => {
    const rows = await withControlDatabase(server.home, async (client) => {
      const found = await client.query<{ kind: string; value: string }>(
        `select distinct on (kind) kind, value from usage_levels where branch_id = $1 order by kind, since desc`,
        [child.branch.id],
      )
      return new Map(found.rows.map(({ kind, value }) => [kind, Number(value)]))
    })
    return (rows.get('child') ?? 0) > 0 && (rows.get('logical') ?? 0) > (rows.get('child') ?? 0) ? rows : undefined
  })
  assert.equal(levels.get('exists'), 1)
  assert.equal(levels.get('root') ?? 0, 0)
  const { written_data_bytes: written } = await branchOf(child.branch.id)
  assert.ok(Math.abs((levels.get('child') ?? 0) - written) <= 1000, `${levels.get('child')} of ${written}`)
  await call(server, 'DELETE', `/projects/${project.id}/branches/${child.branch.id}`)
  await settled(server)
  const left = await withControlDatabase(server.home, async (client) => {
    const found = await client.query<{ value: string }>(
      `select distinct on (kind) value from usage_levels where branch_id = $1 order by kind, since desc`,
      [child.branch.id],
    )
    return found.rows.map(({ value }) => Number(value))
  })
  assert.ok(left.length > 0 && left.every((value) => value === 0), 'a deleted branch holds nothing')
})

test('a proxy in strange hands adds nothing by telling less, impossibly much, or of endpoints that there are not', async (t) => {
  const edge = await connectAsEdge(t, server)
  const other = await makeProject(server)
  const zero = { counts: [0, ...latencyBucketsSeconds.map(() => 0)], sumSeconds: 0 }
  const run = crypto.randomUUID()
  const report = async (bytesToClient: number, endpointId = other.endpointId): Promise<void> => {
    const entry = { endpointId, sessions: 0, activeSessions: 0, lastActivityAt: 0, bytesToClient, bytesFromClient: 0 }
    await edge.call('reportActivity', { activity: [entry], latencies: { connect: zero, wake: zero }, run })
  }
  const transferred = async (): Promise<number> => (await projectOf(other)).data_transfer_bytes
  await report(1_000)
  await eventually('it is counted', async () => (await transferred()) === 1_000)
  await report(10)
  await report(1_000)
  await report(7, 'ep-nobody-has-00000000')
  await report(500, `${other.endpointId}@lsn:0/1`)
  await eventually('what is read of the past is its endpoint’s', async () => (await transferred()) === 1_500)
  await report(1_200)
  await eventually('and only what is new', async () => (await transferred()) === 1_700)
})
