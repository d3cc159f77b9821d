// `kill -9` of one process at a time: a database, the edge, control, the watching process, the control database.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { identify } from '../../src/compute/process.ts'
import { eventually } from '../support/eventually.ts'
import { arm, armable } from '../support/crash-bench.ts'
import {
  atPort,
  call,
  createBranch,
  createProject,
  postmasterOf,
  settled,
  uriOf,
  withinMs,
  type Made,
} from '../support/faults.ts'
import { assertNothingLeft, pgroveProcesses, pidOf } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { destroyHome, makeHome, request, startServer, type TestServer } from '../support/server.ts'

describe('one process is killed', () => {
  let home: string
  let server: TestServer
  let made: Made
  const start = async (): Promise<TestServer> =>
    await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'copy', ...armable } })

  before(async () => {
    home = await makeHome('pgrove-faults-')
    server = await start()
    made = await createProject(server, 'project')
    await query(await uriOf(server, made.projectId), 'create table kept (writer integer, n integer)')
  })
  after(async () => {
    await server?.stop().catch(() => {})
    if (home) await destroyHome(home)
  })

  test('a database under load: what it acknowledged survives, and the next connection wakes it', async () => {
    const uri = await uriOf(server, made.projectId)
    const acknowledged = [0, 0, 0, 0]
    const enough = Promise.withResolvers<void>()
    const writers = acknowledged.map(async (_, writer) => {
      const client = new pg.Client({ connectionString: uri })
      client.on('error', () => {})
      await client.connect()
      for (let n = 1; ; n++) {
        await client.query('insert into kept values ($1, $2)', [writer, n])
        acknowledged[writer] = n
        if (acknowledged.every((count) => count >= 25)) enough.resolve()
      }
    })
    const ends = writers.map((writer) => assert.rejects(writer))
    await withinMs('the load is on', 60_000, enough.promise)
    process.kill(await postmasterOf(home, made.branchId), 'SIGKILL')
    await withinMs('every writer hears of it', 30_000, Promise.all(ends))
    const rows = await query<{ writer: number; n: string }>(
      uri,
      'select writer, count(*) as n from kept group by writer',
    )
    for (const [writer, count] of acknowledged.entries()) {
      const there = Number(rows.find((row) => row.writer === writer)?.n ?? 0)
      assert.ok(there >= count, `writer ${writer}: ${count} acknowledged, ${there} there`)
    }
    await assertNothingLeft(server)
  })

  test('a parent in the middle of being branched: the branch ends well or in error, and nothing is left', async () => {
    await query(await uriOf(server, made.projectId), 'select 1')
    await arm(server, 'placing.recorded=pause:1500')
    const { body } = await call(server, 'POST', `/projects/${made.projectId}/branches`, {
      branch: { name: 'interrupted' },
      endpoints: [{ type: 'read_write' }],
    })
    process.kill(await postmasterOf(home, made.branchId), 'SIGKILL')
    await settled(server)
    await arm(server, '')
    const branchId = (body['branch'] as { id: string }).id
    const { status } = await request(server, 'GET', `/projects/${made.projectId}/branches/${branchId}`)
    if (status === 200) {
      await query(await uriOf(server, made.projectId, branchId), 'select count(*) from kept')
      await call(server, 'DELETE', `/projects/${made.projectId}/branches/${branchId}?hard_delete=true`)
    }
    await query(await uriOf(server, made.projectId), 'select count(*) from kept')
    await settled(server)
    await assertNothingLeft(server)
  })

  test('the edge: computes do not notice, and the same string connects again', async () => {
    const uri = await uriOf(server, made.projectId)
    await query(uri, 'select 1')
    const postmaster = await postmasterOf(home, made.branchId)
    process.kill(await pidOf(server, 'edge'), 'SIGKILL')
    await eventually('the string connects again', () => query(uri, 'select 1').catch(() => undefined))
    assert.equal(await postmasterOf(home, made.branchId), postmaster)
    assert.ok(await identify(postmaster))
    assert.equal((await request(server, 'GET', '/projects')).status, 200)
    await assertNothingLeft(server)
  })

  test('control: sessions go on, the API says 503 and when to come back, and computes are adopted', async () => {
    const uri = await uriOf(server, made.projectId)
    const session = new pg.Client({ connectionString: uri })
    session.on('error', () => {})
    await session.connect()
    const postmaster = await postmasterOf(home, made.branchId)
    const control = await pidOf(server, 'control')
    process.kill(control, 'SIGKILL')
    const statuses = new Set<number>()
    await eventually('the API answers again', async () => {
      assert.equal((await session.query('select 1 as one')).rows.length, 1, 'the open session is served meanwhile')
      await query(uri, 'select 1').catch(({ code }: { code?: string }) => assert.equal(code, '57P03', 'try again'))
      const { status, headers, body } = await request(server, 'GET', '/projects')
      statuses.add(status)
      if (status === 200) return true
      assert.equal(status, 503)
      assert.equal(headers.get('retry-after'), '1')
      assert.match(String(body['message']), /try again/)
      return false
    })
    assert.deepEqual([...statuses], [503, 200])
    await session.end()
    assert.equal(await postmasterOf(home, made.branchId), postmaster, 'the same compute')
    const { body } = await call(server, 'GET', `/projects/${made.projectId}/endpoints/${made.endpointId}`)
    assert.equal((body['endpoint'] as { current_state: string }).current_state, 'active')
    await call(server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
    await settled(server)
    await eventually('a sleeping endpoint wakes', () => query(uri, 'select 1').catch(() => undefined))
    await assertNothingLeft(server)
  })

  test('control in the middle of an operation: the operation ends', async () => {
    await arm(server, 'placing.recorded=pause:60000')
    await call(server, 'POST', `/projects/${made.projectId}/branches`, {
      branch: { name: 'resumed' },
      endpoints: [{ type: 'read_write' }],
    })
    process.kill(await pidOf(server, 'control'), 'SIGKILL')
    await eventually('the API answers again', async () => (await request(server, 'GET', '/projects')).status === 200)
    await settled(server)
    const { body } = await call(server, 'GET', `/projects/${made.projectId}/branches?search=resumed`)
    const [branch] = body['branches'] as { id: string; current_state: string }[]
    assert.equal(branch?.current_state, 'ready')
    const uri = await uriOf(server, made.projectId, branch?.id)
    // The edge finds control again a moment later than the API does.
    await eventually('it can be used', () => query(uri, 'select count(*) from kept').catch(() => undefined))
    await assertNothingLeft(server)
  })

  test('the control database: control goes on, and so does the API in a moment', async () => {
    const control = await pidOf(server, 'control')
    const database = await postmasterAt(home)
    process.kill(database, 'SIGKILL')
    await eventually('the API answers again', async () => {
      const { status, headers } = await request(server, 'GET', '/projects')
      assert.ok(status === 200 || status === 503, String(status))
      if (status === 503) assert.equal(headers.get('retry-after'), '1')
      return status === 200 && (await postmasterAt(home)) !== database
    })
    assert.equal(await pidOf(server, 'control'), control, 'control did not die with it')
    const child = await createBranch(server, made, 'after the control database')
    await query(child.uri, 'select count(*) from kept')
    await assertNothingLeft(server)
  })

  test('the watching process: its children end with it, and the next start finds everything', async () => {
    const postmaster = await postmasterOf(home, made.branchId)
    // An operation is at work: its end is waited for, by the old control and by the next start.
    await arm(server, 'placing.recorded=pause:1500')
    await call(server, 'POST', `/projects/${made.projectId}/branches`, {
      branch: { name: 'orphan' },
      endpoints: [{ type: 'read_write' }],
    })
    process.kill(server.pid, 'SIGKILL')
    const next = start()
    await next.then(
      (started) => (server = started),
      () => {},
    )
    const old = server.pid
    await eventually('the old children end', async () =>
      (await pgroveProcesses(home)).every(({ pid, parent }) => pid === old || parent === old),
    )
    await next
    assert.equal(await postmasterOf(home, made.branchId), postmaster, 'computes are adopted')
    await settled(server)
    await query(atPort(await uriOf(server, made.projectId), server.pgPort), 'select count(*) from kept')
    await assertNothingLeft(server)
  })

  test('SIGTERM while control is between two lives: no database is left running', async () => {
    await query(await uriOf(server, made.projectId), 'select 1')
    const postmaster = await postmasterOf(home, made.branchId)
    const database = await postmasterAt(home)
    process.kill(await pidOf(server, 'control'), 'SIGKILL')
    await server.stop()
    for (const pid of [postmaster, database]) assert.equal(await identify(pid), undefined)
    server = await start()
    await query(await uriOf(server, made.projectId), 'select 1')
    await assertNothingLeft(server)
  })
})

/** Of the control database. */
async function postmasterAt(home: string): Promise<number> {
  return Number((await readFile(`${home}/control/data/postmaster.pid`, 'utf8')).split('\n')[0])
}
