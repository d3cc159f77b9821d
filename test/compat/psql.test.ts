// psql and pgbench over the strings that pgrove prints.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { allowedEnvironment, run } from '../../src/lib/run.ts'
import { eventually } from '../support/eventually.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { obstacleWithout, skipUnless } from '../support/programs.ts'
import { psql, psqlArgs } from '../support/psql.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const domain = 'db.pgrove.test'

describe('psql', skipUnless(obstacleWithout('psql', 'pgbench')), () => {
  let server: TestServer
  let project: TestProject
  /** The string as the API gives it: without TLS. */
  let plain: string
  /** The same with TLS asked for, checked against the certificate authority of the home. */
  let secure: string

  before(async () => {
    server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_DOMAIN: domain } })
    project = await makeProject(server, { branch: { role_name: 'app_user', database_name: 'app_db' } })
    plain = project.uri
    secure = withParameters(plain, { sslmode: 'verify-full', sslrootcert: join(server.home, 'tls', 'ca.crt') })
  })
  after(() => server?.[Symbol.asyncDispose]())

  test('the string that `start` prints works as it is, and with sslmode=require', async () => {
    const printed = /^try +psql '(.+)'$/m.exec(server.output())?.[1] ?? ''
    for (const uri of [printed, withParameters(printed, { sslmode: 'require' })])
      assert.equal(await psql(uri, ['-c', 'select current_user, current_database()']), 'neondb_owner|neondb\n')
    assert.match(await psql(withParameters(printed, { sslmode: 'require' }), ['-c', conninfo]), /^SSL connection/m)
  })

  test('the API’s string works plain, and with TLS against the certificate authority of the home', async () => {
    assert.doesNotMatch(await psql(plain, ['-c', conninfo], { PGSSLMODE: 'disable' }), /SSL/)
    assert.match(await psql(secure, ['-c', conninfo]), /^SSL connection/m)
  })

  test('an endpoint is found by its host name, by `options`, and by the password', async () => {
    const here = { PGHOSTADDR: '127.0.0.1', PGPORT: String(server.pgPort), PGUSER: 'app_user', PGDATABASE: 'app_db' }
    const ask = ['-c', 'select 1']
    const { endpointId: id, password } = project
    assert.equal(
      await psql(`postgresql://${id}.${domain}/?sslmode=require`, ask, { ...here, PGPASSWORD: password }),
      '1\n',
    )
    const byOptions = { ...here, PGOPTIONS: `endpoint=${id}`, PGPASSWORD: password }
    assert.equal(await psql('postgresql://', ask, byOptions), '1\n')
    const byPassword = { ...here, PGPASSWORD: `endpoint=${id};${password}` }
    assert.equal(await psql('postgresql://', ask, byPassword), '1\n')
  })

  test('a sleeping endpoint wakes', async () => {
    await settled(server, apiClient(server).suspendProjectEndpoint(project.id, project.endpointId))
    assert.equal(await psql(secure, ['-c', 'select 1']), '1\n')
  })

  test('refusals reach the user in words', async () => {
    const refusal = async (uri: string): Promise<string> => {
      const error: unknown = await psql(uri, ['-c', 'select 1']).then(
        () => undefined,
        (error: unknown) => error,
      )
      assert.ok(error instanceof Error, 'psql was expected to fail')
      return String(error.cause)
    }
    assert.match(await refusal(plain.replace(project.password, 'wrong')), /password authentication failed/)
    assert.match(await refusal(plain.replace('/app_db', '/nowhere')), /database "nowhere" does not exist/)
    assert.match(
      await refusal(plain.replace(project.endpointId, 'ep-quiet-river-00000000')),
      /password authentication failed/,
    )
    assert.match(await refusal(plain.replace(/\?.*$/, '')), /endpoint/)
  })

  for (const way of ['plain', 'secure'] as const) {
    const uri = (): string => (way === 'plain' ? plain : secure)

    test(`COPY takes rows in and gives them back (${way})`, async () => {
      const lines = Array.from({ length: 100_000 }, (_, i) => `${i}\trow ${i} äöü\t${'x'.repeat(i % 97)}\n`).join('')
      await psql(uri(), [
        '-c',
        'drop table if exists copied',
        '-c',
        'create table copied (id int, what text, filler text)',
      ])
      assert.equal(await psql(uri(), ['-c', String.raw`\copy copied from pstdin`], {}, lines), 'COPY 100000\n')
      const back = await psql(uri(), ['-c', String.raw`\copy (select * from copied order by id) to pstdout`])
      assert.equal(digest(back), digest(lines))
    })

    test(`a big result arrives whole (${way})`, async () => {
      const rows = 300_000
      const filler = 'y'.repeat(100)
      const result = await psql(uri(), ['-c', `select i, '${filler}' from generate_series(1, ${rows}) i`])
      const expected = Array.from({ length: rows }, (_, i) => `${i + 1}|${filler}\n`).join('')
      assert.equal(digest(result), digest(expected))
    })

    test(`Ctrl-C cancels the query (${way})`, async () => {
      const name = `cancelled-${way}`
      const child = spawn('psql', [...psqlArgs, '-c', 'select pg_sleep(50)', uri()], {
        env: allowedEnvironment({ PGAPPNAME: name }),
        stdio: ['ignore', 'ignore', 'pipe'],
        timeout: 60_000,
      })
      let complaint = ''
      child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
      const closed = once(child, 'close')
      const asleep = `select 1 from pg_stat_activity where application_name = $1 and wait_event = 'PgSleep'`
      await eventually('psql sleeps', async () => (await query(plain, asleep, [name])).length === 1)
      child.kill('SIGINT')
      await closed
      assert.match(complaint, /canceling statement due to user request/)
    })
  }

  test('a transaction is kept or rolled back whole', async () => {
    await psql(plain, ['-c', 'create table ledger (amount int primary key)'])
    await psql(plain, [], {}, 'begin; insert into ledger values (1); insert into ledger values (2); commit;')
    await psql(plain, [], {}, 'begin; insert into ledger values (3); rollback;')
    await assert.rejects(
      psql(plain, ['--single-transaction'], {}, 'insert into ledger values (4);\ninsert into ledger values (1);'),
    )
    assert.equal(await psql(plain, ['-c', 'select * from ledger order by 1']), '1\n2\n')
  })

  test('NOTIFY reaches a LISTEN', async () => {
    const output = await psql(secure, [], {}, "listen news; notify news, 'hello';")
    assert.match(output, /Asynchronous notification "news" with payload "hello" received/)
  })

  test('pgbench runs, plain and with TLS', async () => {
    await run('pgbench', ['--quiet', '-i', '-s', '1', plain], { timeoutMs: 60_000 })
    for (const uri of [plain, secure]) {
      const { stdout } = await run('pgbench', ['-n', '-c', '4', '-j', '2', '-t', '50', uri], { timeoutMs: 60_000 })
      assert.match(stdout, /number of transactions actually processed: 200\/200/)
    }
  })
})

const conninfo = String.raw`\conninfo`

function withParameters(uri: string, parameters: Record<string, string>): string {
  const url = new URL(uri)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
