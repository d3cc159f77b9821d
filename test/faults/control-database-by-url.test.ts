// A control database that pgrove does not run itself: it works, and what is wrong with it is said without ever saying its password.

import assert from 'node:assert/strict'
import { access, copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { processesBelow } from '../../src/compute/process.ts'
import { testPassword, testUser, TestPostgres } from '../../src/proxy/test-support/postgres.ts'
import { eventually } from '../support/eventually.ts'
import { call, madeOf } from '../support/faults.ts'
import { pidOf } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import {
  destroyHome,
  makeHome,
  request,
  startExpectingFailure,
  startServer,
  waitForOperations,
  type TestServer,
} from '../support/server.ts'

const masterKey = 'the master key of two homes that share a database'

describe('a control database by URL', () => {
  let postgres: TestPostgres
  let home: string
  let other: string
  let projectId: string
  let uri: string

  const urlOf = (parts: { password?: string; host?: string; database?: string } = {}): string => {
    const password = encodeURIComponent(parts.password ?? testPassword)
    const host = parts.host ?? encodeURIComponent(postgres.socketDir)
    return `postgresql://${testUser}:${password}@${host}/${parts.database ?? 'postgres'}`
  }
  const settings = (url = urlOf()): Record<string, string> => ({
    PGROVE_STORAGE: 'copy',
    PGROVE_WARM_POOL: '0,1',
    PGROVE_CONTROL_DATABASE_URL: url,
    PGROVE_MASTER_KEY: masterKey,
  })
  const start = (at = home): Promise<TestServer> => startServer({ home: at, keepHome: true, env: settings() })
  const refusal = async (at: string, env: Record<string, string>): Promise<string> => {
    const { code, output } = await startExpectingFailure(at, env)
    assert.equal(code, 1, output)
    assert.deepEqual(await processesBelow(at), [], 'nothing is left running')
    const log = await readFile(join(at, 'pgrove.log'), 'utf8').catch(() => '')
    for (const text of [output, log]) {
      assert.ok(
        !text.includes(testPassword) && !text.includes(encodeURIComponent(testPassword)),
        'the password is not said',
      )
      assert.ok(!text.includes('wrong-secret'), 'nor is a wrong one')
    }
    return output
  }

  before(async () => {
    postgres = await TestPostgres.start()
    ;[home, other] = [await makeHome('pgrove-faults-'), await makeHome('pgrove-faults-')]
  })
  after(async () => {
    for (const each of [home, other]) if (each) await destroyHome(each)
    await postgres?.[Symbol.asyncDispose]()
  })

  test('is all that pgrove needs', async () => {
    await using server = await start()
    const made = madeOf(await call(server, 'POST', '/projects', { project: { name: 'elsewhere' } }))
    await waitForOperations(server, made.answer.body['operations'] as { id: string; project_id: string }[])
    projectId = made.projectId
    uri = made.uri
    await query(uri, 'create table kept as select 1 as n')
    await assert.rejects(access(join(home, 'control')), 'no embedded one is made')
  })

  test('has a wrong password', async () => {
    const said = await refusal(home, settings(urlOf({ password: 'wrong-secret' })))
    assert.match(said, /PGROVE_CONTROL_DATABASE_URL cannot be used; check.*password/)
    assert.match(said, /because: .*password authentication failed/)
  })
  test('does not answer', async () => {
    const said = await refusal(home, settings(urlOf({ host: '127.0.0.1:1' })))
    assert.match(said, /PGROVE_CONTROL_DATABASE_URL cannot be used; check that it runs/)
    assert.match(said, /because: .*ECONNREFUSED/)
  })
  test('has a name that nobody knows', async () => {
    assert.match(await refusal(home, settings(urlOf({ host: 'no-such-host.invalid' }))), /because: .*no-such-host/)
  })
  test('does not exist', async () => {
    assert.match(await refusal(home, settings(urlOf({ database: 'nowhere' }))), /because: .*"nowhere" does not exist/)
  })
  test('was made with another master key', async () => {
    const said = await refusal(home, { ...settings(), PGROVE_MASTER_KEY: 'x'.repeat(40) })
    assert.match(said, /master key is not the one .*Nothing was changed/)
  })
  test('is given without the master key that was in the environment', async () => {
    const said = await refusal(home, { ...settings(), PGROVE_MASTER_KEY: '' })
    assert.match(said, /master\.key is missing.*PGROVE_MASTER_KEY/)
  })
  test('has been used by a newer pgrove', async () => {
    await onDatabase(`insert into migrations (number, name) values (9999, '9999-from-the-future.sql')`)
    const said = await refusal(home, settings())
    assert.match(said, /schema 9999 \(9999-from-the-future\.sql\).*a newer pgrove.*Install that version/)
    await onDatabase('delete from migrations where number = 9999')
  })

  test('is shared with another home: neither touches what the other has', async () => {
    await using first = await start()
    {
      await using second = await start(other)
      const made = madeOf(await call(second, 'POST', '/projects', { project: { name: 'of the other' } }))
      await waitForOperations(second, made.answer.body['operations'] as { id: string; project_id: string }[])
      assert.deepEqual(await query(made.uri, 'select 1 as one'), [{ one: 1 }])
      const { id, key } = (await request(first, 'POST', '/api_keys', { key_name: 'of both' })).body
      const withKey = async (): Promise<number> =>
        (await request({ ...second, apiKey: String(key) }, 'GET', '/users/me')).status
      assert.equal(await withKey(), 200)
      assert.equal((await request(first, 'DELETE', `/api_keys/${String(id)}`)).status, 200)
      assert.equal(await withKey(), 401, 'a key that is revoked here opens nothing there')
    }
    assert.deepEqual(await query(portOf(first), 'select n from kept'), [{ n: 1 }])
    assert.equal((await request(first, 'GET', `/projects/${projectId}`)).status, 200)
  })

  test('is used by a copy of this home while this one runs', async () => {
    await using server = await start()
    const copy = await makeHome('pgrove-faults-')
    try {
      for (const name of ['cell', 'credentials.json']) await copyFile(join(home, name), join(copy, name))
      assert.match(await refusal(copy, settings()), /another pgrove acts for this home folder; stop it first/)
      assert.deepEqual(await query(portOf(server), 'select n from kept'), [{ n: 1 }])
    } finally {
      await destroyHome(copy)
    }
  })

  test('goes away and comes back: control waits for it', async () => {
    await using server = await start()
    const control = await pidOf(server, 'control')
    await query(portOf(server), 'select 1')
    await postgres.stop('SIGKILL')
    await eventually('the API says so', async () => (await request(server, 'GET', '/projects')).status === 503)
    assert.deepEqual(await query(portOf(server), 'select n from kept'), [{ n: 1 }], 'databases go on')
    await postgres.start()
    await eventually('the API is back', async () => (await request(server, 'GET', '/projects')).status === 200)
    assert.equal(await pidOf(server, 'control'), control)
    await eventually('the cell is held again', async () => {
      const locks = await onDatabase(`select from pg_locks where locktype = 'advisory' and granted`)
      return locks > 0
    })
  })

  function portOf(server: TestServer): string {
    const url = new URL(uri)
    url.port = String(server.pgPort)
    return url.href
  }

  async function onDatabase(sql: string): Promise<number> {
    const client = new pg.Client({
      host: postgres.socketDir,
      user: testUser,
      password: testPassword,
      database: 'postgres',
    })
    await client.connect()
    try {
      return (await client.query(sql)).rowCount ?? 0
    } finally {
      await client.end()
    }
  }
})
