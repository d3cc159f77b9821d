// The control database is down and does not come back for a while, or hangs: databases go on, sleep and wake, and the rows follow.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { identify, processesIn } from '../../src/compute/process.ts'
import { connectAsEdge } from '../support/edge-peer.ts'
import { eventually } from '../support/eventually.ts'
import {
  call,
  createBranch,
  createProject,
  settled,
  takeControlDatabaseAway,
  uriOf,
  type Made,
} from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { destroyHome, makeHome, request, startServer, type TestServer } from '../support/server.ts'

type Operation = { id: string; action: string; status: string; endpoint_id?: string }

describe('while the control database is away', () => {
  let home: string
  let server: TestServer
  let made: Made
  let uri: string
  let [disabled, deleted, orphaned]: { uri: string; endpointId: string }[] = []

  before(async () => {
    home = await makeHome('pgrove-faults-')
    server = await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'copy' } })
    made = await createProject(server, 'project')
    uri = await uriOf(server, made.projectId)
    await query(uri, 'create table kept as select 1 as n')
    ;[disabled, deleted, orphaned] = [
      await createBranch(server, made, 'disabled'),
      await createBranch(server, made, 'deleted'),
      await createProject(server, 'deleted with its project'),
    ]
    const path = `/projects/${made.projectId}/endpoints/${disabled.endpointId}`
    await call(server, 'PATCH', path, { endpoint: { disabled: true } })
    await settled(server)
    await call(server, 'DELETE', `/projects/${made.projectId}/branches/${(deleted as Made).branchId}`)
    await settled(server)
    await call(server, 'DELETE', `/projects/${(orphaned as Made).projectId}`)
    await settled(server)
    await call(server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
    await settled(server)
  })
  after(async () => {
    await server?.stop().catch(() => {})
    if (home) await destroyHome(home)
  })

  test('an endpoint wakes and falls asleep; the API says to come back; the operations follow', async (t) => {
    const edge = await connectAsEdge(t, server)
    const lookup = (): ReturnType<typeof edge.lookup> => edge.lookup(made.endpointId, 'neondb_owner')
    const access = await lookup()
    assert.ok(access?.verifier)
    const before = new Set((await operations(server, made)).map(({ id }) => id))
    const path = `/projects/${made.projectId}/endpoints/${made.endpointId}`
    await call(server, 'PATCH', path, { endpoint: { suspend_timeout_seconds: 1 } })
    await settled(server)
    const bringBack = await takeControlDatabaseAway(home)
    try {
      await eventually('the API says so', async () => {
        const { status, headers } = await request(server, 'GET', '/projects')
        return status === 503 && headers.get('retry-after') !== null
      })
      assert.deepEqual(await lookup(), access, 'who may come in is known while it sleeps')
      assert.deepEqual(await query(uri, 'select n from kept'), [{ n: 1 }], 'it wakes')
      await query(uri, `create role by_sql login password 'x'`)
      assert.deepEqual(await lookup(), access, 'and while it runs')
      assert.ok((await edge.lookup(made.endpointId, 'by_sql'))?.verifier)
      assert.equal((await edge.lookup(made.endpointId, 'nobody'))?.verifier, undefined)
      const postmaster = await postmasterIn(home, made)
      await eventually('it falls asleep by itself', async () => (await identify(postmaster)) === undefined)
      assert.deepEqual(await query(uri, 'select n from kept'), [{ n: 1 }], 'and wakes again')

      for (const [what, gone] of Object.entries({ disabled, deleted, orphaned })) {
        await assert.rejects(query(gone?.uri ?? '', 'select 1'), `an endpoint that is ${what} does not wake`)
      }
    } finally {
      await bringBack()
    }
    await eventually('the API is back', async () => (await request(server, 'GET', '/projects')).status === 200)
    const actions = await eventually('the operations are there', async () => {
      const made_ = (await operations(server, made)).filter(({ id }) => !before.has(id)).toReversed()
      return made_.length >= 3 && made_
    })
    assert.deepEqual(
      actions.slice(0, 3).map(({ action, status }) => [action, status]),
      [
        ['start_compute', 'finished'],
        ['suspend_compute', 'finished'],
        ['start_compute', 'finished'],
      ],
    )
    await call(server, 'PATCH', path, { endpoint: { suspend_timeout_seconds: 300 } })
    await assertNothingLeft(server)
  })

  test('it hangs: an endpoint wakes all the same', async (t) => {
    const edge = await connectAsEdge(t, server)
    await call(server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
    await settled(server)
    const stopped = await processesIn(join(home, 'control', 'data'))
    assert.ok(stopped.length > 1)
    for (const pid of stopped) process.kill(pid, 'SIGSTOP')
    try {
      assert.ok((await edge.lookup(made.endpointId, 'neondb_owner'))?.verifier)
      assert.deepEqual(await query(uri, 'select n from kept'), [{ n: 1 }])
      const { status } = await request(server, 'GET', '/projects')
      assert.equal(status, 503)
    } finally {
      for (const pid of stopped) process.kill(pid, 'SIGCONT')
    }
    await eventually('the API is back', async () => (await request(server, 'GET', '/projects')).status === 200)
    await assertNothingLeft(server)
  })

  test('what a quota forbids stays forbidden, and what is used up meanwhile is stopped', async () => {
    const since = Date.now()
    const over = await createProject(server, 'over')
    const nearly = await createProject(server, 'nearly')
    const [overUri, nearlyUri] = [await uriOf(server, over.projectId), await uriOf(server, nearly.projectId)]
    const setQuota = (project: Made, seconds: number): Promise<unknown> =>
      call(server, 'PATCH', `/projects/${project.projectId}`, {
        project: { settings: { quota: { active_time_seconds: seconds } } },
      })
    const refused = { code: '53400', message: /active_time_seconds/ }
    const isRefused = async (address: string): Promise<boolean> =>
      await query(address, 'select 1').then(
        () => false,
        (error: { code?: string }) => error.code === refused.code,
      )
    await setQuota(over, 1)
    await eventually('the one is stopped', () => isRefused(overUri))
    // Not used up yet when the database goes, and soon after.
    const usedAtMost = Math.ceil((Date.now() - since) / 1000)
    await setQuota(nearly, usedAtMost + 8)
    await eventually('it has been looked at', async () => {
      const { body } = await call(server, 'GET', `/projects/${nearly.projectId}/events`)
      return (body['events'] as unknown[]).length > 0
    })
    await query(nearlyUri, 'select 1')
    const bringBack = await takeControlDatabaseAway(home)
    try {
      await assert.rejects(query(overUri, 'select 1'), refused)
      await eventually('the other one is stopped', () => isRefused(nearlyUri))
    } finally {
      await bringBack()
    }
    await eventually('the API is back', async () => (await request(server, 'GET', '/projects')).status === 200)
    for (const project of [over, nearly]) await setQuota(project, 0)
    for (const address of [overUri, nearlyUri]) await query(address, 'select 1')
    for (const { projectId } of [over, nearly]) await call(server, 'DELETE', `/projects/${projectId}`)
    await settled(server)
  })

  test('pgrove is stopped meanwhile: what the journal holds arrives after the next start', async () => {
    await call(server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
    await settled(server)
    const before = new Set((await operations(server, made)).map(({ id }) => id))
    const bringBack = await takeControlDatabaseAway(home)
    try {
      await query(uri, 'select 1')
      await server.stop()
    } finally {
      await bringBack()
    }
    server = await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'copy' } })
    const arrived = await eventually('the operation is there', async () => {
      const found = (await operations(server, made)).filter(({ id }) => !before.has(id))
      return found.length > 0 && found
    })
    assert.equal(arrived[0]?.action, 'start_compute')
    assert.deepEqual(await query(await uriOf(server, made.projectId), 'select n from kept'), [{ n: 1 }])
    await assertNothingLeft(server)
  })
})

async function operations(server: TestServer, { projectId, endpointId }: Made): Promise<Operation[]> {
  const { body } = await call(server, 'GET', `/projects/${projectId}/operations`)
  return (body['operations'] as Operation[]).filter((operation) => operation.endpoint_id === endpointId)
}

/** Without the control database: from the assignment file. */
async function postmasterIn(home: string, { endpointId }: Made): Promise<number> {
  const text = await readFile(join(home, 'assignments', `${endpointId}.json`), 'utf8')
  const { spec } = JSON.parse(text) as { spec: { timelineId: string } }
  const lock = await readFile(join(home, 'storage', 'timelines', spec.timelineId, 'postmaster.pid'), 'utf8')
  return Number(lock.split('\n')[0])
}
