// A compute is as large as it has to be: seen in its endpoint, in its control group, in the metrics and in `pgrove status`.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { groupFolders, openCgroups } from '../../src/compute/cgroups/open.ts'
import { homeAt } from '../../src/home.ts'
import { postmasterOf } from '../support/faults.ts'
import { eventually } from '../support/eventually.ts'
import { pidOf } from '../support/leftovers.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { connect, query, type Session } from '../support/postgres.ts'
import { skipUnless } from '../support/programs.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, packageRoot, request, startServer, type TestServer } from '../support/server.ts'

type Scaling = { current_cu: number; reason: string; enforced: boolean; cpu_load?: number; memory_bytes?: number }

const env = { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0', PGROVE_SCALE_DOWN_SECONDS: '2' }
/** Holds a processor until it is cancelled. */
const burn = 'do $$ begin loop end loop; end $$'

const pathOf = ({ id, endpointId }: TestProject): string => `/projects/${id}/endpoints/${endpointId}`

async function scalingOf(server: TestServer, project: TestProject): Promise<Scaling | undefined> {
  const { body } = await request(server, 'GET', pathOf(project))
  return (body['endpoint'] as { autoscaling?: Scaling }).autoscaling
}

function whenScaled(
  server: TestServer,
  project: TestProject,
  what: string,
  is: (scaling: Scaling) => boolean,
): Promise<Scaling> {
  let last: Scaling | undefined
  return eventually(
    () => `its size to be ${what}; it is ${JSON.stringify(last)}`,
    async () => {
      last = await scalingOf(server, project)
      return last && is(last) && last
    },
    120_000,
  )
}

async function whileBurning(project: TestProject, work: (session: Session) => Promise<void>): Promise<void> {
  await using session = await connect(project.uri)
  const [backend] = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
  const burning = session.query(burn).catch(() => {})
  try {
    await work(session)
  } finally {
    await query(project.uri, 'select pg_cancel_backend($1)', [backend?.pid])
    await burning
  }
}

const probe = await openCgroups(`probe-${process.pid}`)
await probe.groups?.close()

describe('with control groups', skipUnless(probe.groups ? undefined : probe.why), () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env })
  })
  after(async () => await server?.[Symbol.asyncDispose]())

  /** In CU, as the kernel has it. */
  async function quotaOf(project: TestProject): Promise<number | undefined> {
    const cell = readFileSync(homeAt(server.home).cell, 'utf8').trim()
    const folder = readlinkSync(`/proc/${await postmasterOf(server.home, project.branchId)}/cwd`)
    const groups = (await groupFolders(cell)).map((each) => join(each, basename(folder)))
    for (const group of groups) {
      const [v1, v2] = [join(group, 'cpu.cfs_quota_us'), join(group, 'cpu.max')]
      const path = existsSync(v1) ? v1 : v2
      if (!existsSync(path)) continue
      const quota = Number.parseInt(readFileSync(path, 'utf8'), 10)
      return quota > 0 ? quota / 100_000 : undefined
    }
    return undefined
  }

  test('a compute is small, grows with what it does, and is small again when it has done it', async () => {
    const project = await makeProject(server)
    await query(project.uri, 'select 1')
    const { current_cu, reason, enforced } = (await scalingOf(server, project)) ?? {}
    assert.deepEqual({ current_cu, reason, enforced }, { current_cu: 0.25, reason: 'minimum', enforced: true })
    await eventually('the kernel to hold it to that', async () => (await quotaOf(project)) === 0.25)
    await whileBurning(project, async () => {
      const grown = await whenScaled(server, project, 'larger', (scaling) => scaling.current_cu > 0.25)
      assert.ok(['cpu', 'maximum'].includes(grown.reason), grown.reason)
      assert.ok((grown.cpu_load ?? 0) > 0.225 && (grown.memory_bytes ?? 0) > 1e6, JSON.stringify(grown))
      assert.ok(((await quotaOf(project)) ?? 0) > 0.25)
    })
    await whenScaled(server, project, 'the least', (scaling) => scaling.current_cu === 0.25)
    await eventually('the kernel to hold it to that', async () => (await quotaOf(project)) === 0.25)
  })

  test('limits that are changed hold in the answer already', async () => {
    const project = await makeProject(server)
    await whileBurning(project, async () => {
      await whenScaled(server, project, 'larger than 0.5', (scaling) => scaling.current_cu > 0.5)
      const body = { endpoint: { autoscaling_limit_max_cu: 0.5 } }
      const { status, body: answer } = await request(server, 'PATCH', pathOf(project), body)
      assert.equal(status, 200)
      const { current_cu, reason } = (answer['endpoint'] as { autoscaling: Scaling }).autoscaling
      assert.deepEqual({ current_cu, reason }, { current_cu: 0.5, reason: 'maximum' })
      assert.equal(await quotaOf(project), 0.5)
    })
  })

  test('its size is among the metrics and in `pgrove status`, and an endpoint that sleeps has none', async () => {
    const settings = { autoscaling_limit_min_cu: 0.5, autoscaling_limit_max_cu: 0.5 }
    const project = await makeProject(server, { default_endpoint_settings: settings })
    await query(project.uri, 'select 1')
    const metrics = await fetch(`${server.origin}/metrics`, { headers: { authorization: `Bearer ${server.apiKey}` } })
    const series = `pgrove_endpoint_compute_units{endpoint="${project.endpointId}",project="${project.id}"} 0.5`
    assert.ok((await metrics.text()).split('\n').includes(series))
    const status = execFileSync(join(packageRoot, 'bin/pgrove'), ['status'], {
      env: { ...process.env, PGROVE_HOME: server.home },
      encoding: 'utf8',
    })
    assert.match(status, new RegExp(`${project.endpointId} .* 0\\.5 CU \\(its minimum\\) `))
    await settled(server, apiClient(server).suspendProjectEndpoint(project.id, project.endpointId))
    assert.equal(await scalingOf(server, project), undefined)
  })

  test('control may be killed: what runs keeps its size, and goes on from there', async () => {
    // The edge complains when it loses control.
    await assertQuiet(server)
    const project = await makeProject(server)
    await whileBurning(project, async () => {
      await whenScaled(server, project, 'larger', (scaling) => scaling.current_cu > 0.25)
      const before = await quotaOf(project)
      process.kill(await pidOf(server, 'control'), 'SIGKILL')
      assert.equal(await quotaOf(project), before)
      const after = await eventually('control to be back', async () => {
        const answer = await request(server, 'GET', pathOf(project)).catch(() => undefined)
        return answer?.status === 200 && (answer.body['endpoint'] as { autoscaling?: Scaling }).autoscaling
      })
      assert.ok(after.current_cu >= (before ?? 0), JSON.stringify(after))
    })
  })
})
