// Sessions of a compute that may not be had for a while: told so, kept, and used again.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { AppError } from '../model/errors.ts'
import { testPassword, testUser } from './test-support/postgres.ts'
import { testEndpoint, TestEdge, until } from './test-support/test-edge.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start()
})
after(() => it[Symbol.asyncDispose]())

const direct = `endpoint=${testEndpoint}`
const pooled = `endpoint=${testEndpoint}-pooler`

function client(options: string): pg.Client {
  const made = new pg.Client({
    host: '127.0.0.1',
    port: it.port,
    user: testUser,
    password: testPassword,
    database: 'postgres',
    options,
  })
  made.on('error', () => {})
  return made
}

const quotaMessage = 'Your project has exceeded the compute time quota (compute_time_seconds): 9 of 5 used'

const park = (): Promise<unknown> =>
  it.controlPlane.park({ endpointId: testEndpoint, mode: 'suspend', patienceMs: 0, endHeld: false })

/** As long as it is held, nobody gets a compute. */
function usedUp(): AsyncDisposable {
  const wake = it.controlPlane.wake.bind(it.controlPlane)
  it.controlPlane.wake = async () => {
    throw new AppError('quota_exceeded', quotaMessage, { apiCode: 'WRITTEN_DATA_QUOTA_EXCEEDED' })
  }
  return {
    async [Symbol.asyncDispose]() {
      it.controlPlane.wake = wake
      // As control does when a quota is raised.
      await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'address', notice: null })
    },
  }
}

for (const options of [direct, pooled]) {
  test(`a session is told of a quota with each request, and goes on when it is raised: ${options}`, async () => {
    const one = client(options)
    await one.connect()
    try {
      await one.query('select 1')
      const lost: Error[] = []
      one.on('error', (error) => lost.push(error))
      await park()
      await it.postgres.stop()
      await it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'all' })
      {
        await using _ = usedUp()
        for (let round = 0; round < 2; round++) {
          const refused = { code: '53400', message: quotaMessage, severity: 'ERROR' }
          await assert.rejects(one.query('select 1'), refused)
          await assert.rejects(one.query({ name: 'n', text: 'select $1::int as n', values: [1] }), refused)
        }
      }
      const { rows } = await one.query({ name: 'n', text: 'select $1::int * 2 as n', values: [21] })
      assert.equal(rows[0].n, 42)
      assert.deepEqual(await park(), { parked: 1, busy: 0, held: 0 })
      assert.equal((await one.query('select 2 as n')).rows[0].n, 2)
      assert.deepEqual(lost, [])
    } finally {
      await one.end().catch(() => {})
    }
  })
}

test('who cannot be set aside in time is told why, in place of what Postgres would say', async () => {
  for (const options of [direct, pooled]) {
    const clients = { working: client(options), streaming: client(options), resting: client(options) }
    const ends = new Map<string, Error & { code?: string }>()
    for (const [name, each] of Object.entries(clients)) {
      await each.connect()
      await each.query('select 1')
      each.on('error', (error: Error & { code?: string }) => ends.set(name, ends.get(name) ?? error))
    }
    await clients.working.query('begin')
    const streaming = clients.streaming
      .query("select repeat('x', 100000) from generate_series(1, 1000000)")
      .catch((error: Error & { code?: string }) => void ends.set('streaming', error))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await it.controlPlane.park({
      endpointId: testEndpoint,
      mode: 'drain',
      patienceMs: 100,
      endHeld: true,
      farewell: quotaMessage,
    })
    await streaming
    await until('the one in a transaction is ended', () => ends.has('working'))
    for (const name of ['working', 'streaming']) {
      assert.equal(ends.get(name)?.code, '53400', `${options} ${name}: ${ends.get(name)?.message}`)
      assert.equal(ends.get(name)?.message, quotaMessage)
    }
    assert.equal((await clients.resting.query('select 3 as n')).rows[0].n, 3)
    for (const each of Object.values(clients)) await each.end().catch(() => {})
  }
})

test('new sessions are told what control wants them to know, until it takes that back', async () => {
  const noticeOf = async (options: string): Promise<string> => {
    const one = client(options)
    let said = ''
    one.on('notice', ({ message }) => (said += message ?? ''))
    await one.connect()
    await one.query('select 1')
    await one.end()
    return said
  }
  const changed = (notice: string | null): unknown =>
    it.controlPlane.endpointChanged({ endpointId: testEndpoint, what: 'address', notice })
  for (const options of [direct, pooled]) assert.equal(await noticeOf(options), '')
  // Waking says it as well, so that it is known after a restart of the proxy.
  const wake = it.controlPlane.wake.bind(it.controlPlane)
  it.controlPlane.wake = async (endpointId) => ({ ...(await wake(endpointId)), notice: 'mind the size' })
  try {
    await changed('mind the size')
    for (const options of [direct, pooled]) assert.equal(await noticeOf(options), 'mind the size')
  } finally {
    it.controlPlane.wake = wake
  }
  await changed(null)
  for (const options of [direct, pooled]) assert.equal(await noticeOf(options), '')
})
