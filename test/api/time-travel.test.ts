import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, madeOf, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { startServer, type TestServer } from '../support/server.ts'

type Moment = { lsn: string; at: Date }

let server: TestServer
let made: Made
let uri: string
const moments: Moment[] = []

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  made = madeOf(await call(server, 'POST', '/projects', { project: { name: 'past' } }))
  await settled(server)
  uri = await uriOf(server, made.projectId)
  await query(uri, 'create table t (n integer)')
  for (let n = 0; n < 3; n++) {
    const [moment] = await query<{ lsn: string; at: Date }>(
      uri,
      'select pg_current_wal_insert_lsn()::text as lsn, clock_timestamp() as at',
    )
    if (moment) moments.push(moment)
    await query(uri, `insert into t values (${n})`)
  }
})
after(() => server[Symbol.asyncDispose]())

function at(point: string): string {
  const url = new URL(uri)
  url.searchParams.set('options', `${url.searchParams.get('options') ?? ''} ${point}`.trim())
  return url.href
}

const rows = (point: string): Promise<unknown> => query(at(point), 'select count(*)::integer as n from t')

test('a connection at an LSN or a time reads what was there then, and cannot write', async () => {
  for (const [n, moment] of moments.entries()) {
    assert.deepEqual(await rows(`neon_lsn:${moment.lsn}`), [{ n }])
    assert.deepEqual(await rows(`neon_timestamp:${moment.at.toISOString()}`), [{ n }])
  }
  const past = at(`neon_lsn:${moments[1]?.lsn}`)
  await assert.rejects(query(past, 'insert into t values (9)'), { code: '25006' })
  await assert.rejects(query(past, 'set transaction_read_only = off; insert into t values (9)'), { code: '0A000' })
  assert.deepEqual(await query(uri, 'select count(*)::integer as n from t'), [{ n: 3 }])
})

test('more points than may be read at once take the place of those that nobody is connected to', async () => {
  for (let round = 0; round < 2; round++) {
    for (const [n, moment] of moments.entries()) assert.deepEqual(await rows(`neon_lsn:${moment.lsn}`), [{ n }])
    await query(uri, `insert into t values (${10 + round})`)
    const [head] = await query<Moment>(uri, 'select pg_current_wal_insert_lsn()::text as lsn, now() as at')
    assert.deepEqual(await rows(`neon_lsn:${head?.lsn}`), [{ n: 4 + round }])
  }
})

test('a point that cannot be had is refused with the reason', async () => {
  await assert.rejects(rows('neon_lsn:FF/0'), { code: '22023', message: /outside the history of the branch/ })
  await assert.rejects(rows('neon_lsn:0/0'), { code: '22023', message: /outside the history of the branch/ })
  await assert.rejects(rows('neon_timestamp:2020-01-01T00:00:00Z'), { code: '22023', message: /outside the history/ })
  await assert.rejects(rows('neon_timestamp:2099-01-01T00:00:00Z'), { code: '22023', message: /future/ })
  await assert.rejects(rows('neon_lsn:nonsense'), { code: '22023', message: /must be given once/ })
  await assert.rejects(rows('neon_lsn:0/1 neon_lsn:0/2'), { code: '22023', message: /must be given once/ })
})

test('nothing of it outlives pgrove', async () => {
  assert.deepEqual(await rows(`neon_lsn:${moments[0]?.lsn}`), [{ n: 0 }])
  const { home } = server
  await server.stop()
  server = await startServer({ home, env: { PGROVE_STORAGE: 'copy' } })
  await assertNothingLeft(server)
})
