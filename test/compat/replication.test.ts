// Logical replication through the proxy: `replication=database`, for a project that has it on.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { run } from '../../src/lib/run.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { obstacleWithout, skipUnless } from '../support/programs.ts'
import { psql } from '../support/psql.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let project: TestProject
before(async () => {
  server = await startServer()
  project = await makeProject(server, { settings: { enable_logical_replication: true } })
})
after(() => server[Symbol.asyncDispose]())

test('a walsender answers', skipUnless(obstacleWithout('psql')), async () => {
  const identified = await psql(`${project.uri}&replication=database`, ['-c', 'IDENTIFY_SYSTEM'])
  assert.match(identified, new RegExp(`\\|1\\|[0-9A-F]+/[0-9A-F]+\\|${project.database}`))
  await assert.rejects(psql(`${pooledUri()}&replication=database`, ['-c', 'IDENTIFY_SYSTEM']), (error: Error) =>
    /unsupported startup parameter: replication/.test(String(error.cause)),
  )
})

test('what is committed arrives, in order', skipUnless(obstacleWithout('pg_recvlogical')), async () => {
  await query(project.uri, 'create table replicated (n int primary key, text text)')
  await query(project.uri, "select pg_create_logical_replication_slot('to_us', 'test_decoding')")
  await query(project.uri, "insert into replicated select n, repeat('x', 1000) from generate_series(1, 500) n")
  await query(project.uri, 'delete from replicated where n > 490')
  const [end] = await query(project.uri, 'select pg_current_wal_lsn() as lsn')
  const { port } = new URL(project.uri)
  const { stdout } = await run(
    'pg_recvlogical',
    [
      `--host=127.0.0.1`,
      `--port=${port}`,
      `--username=${project.role}`,
      `--dbname=dbname=${project.database} options=endpoint=${project.endpointId}`,
      '--slot=to_us',
      '--start',
      '--file=-',
      `--endpos=${String(end?.['lsn'])}`,
    ],
    { env: { PGPASSWORD: project.password }, timeoutMs: 30_000 },
  )
  assert.equal(stdout.match(/^table public\.replicated: INSERT/gm)?.length, 500)
  assert.equal(stdout.match(/^table public\.replicated: DELETE/gm)?.length, 10)
  assert.ok(stdout.indexOf('INSERT: n[integer]:1 ') < stdout.indexOf('INSERT: n[integer]:500 '))
})

function pooledUri(): string {
  return project.uri.replaceAll(project.endpointId, `${project.endpointId}-pooler`)
}
