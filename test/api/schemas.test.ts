// The schema of a database as text and as tables, and how two branches differ in it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertRefused, makeChild, makeProject, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { testInstallations } from '../../src/compute/test-computes.ts'
import { changed, query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi
let project: TestProject

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
  project = await makeProject(server)
  await query(
    project.uri,
    `create table authors (id bigint generated always as identity primary key, name text not null, shouted text generated always as (upper(name)) stored);
     create table books (author bigint references authors, title text, unique (author, title));
     create view titles as select title from books`,
  )
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

type SchemaQuery = Partial<Parameters<NeonApi['getProjectBranchSchema']>[0]>
type ComparisonQuery = Partial<Parameters<NeonApi['getProjectBranchSchemaComparison']>[0]>

const schema = (more: SchemaQuery = {}) =>
  api.getProjectBranchSchema({ projectId: project.id, branchId: project.branchId, db_name: project.database, ...more })
const comparison = (more: ComparisonQuery) =>
  api.getProjectBranchSchemaComparison({
    projectId: project.id,
    branchId: project.branchId,
    db_name: project.database,
    ...more,
  })
const sqlOf = async (more: SchemaQuery = {}): Promise<string> => (await schema(more)).data.sql ?? ''
const diffOf = async (more: ComparisonQuery): Promise<string> => (await comparison(more)).data.diff ?? ''

// The packages from npm carry no pg_dump: an installation of the machine does.
const withPgDump = [...testInstallations].find(([, { source }]) => source !== 'npm')?.[0]

test('a major that has a pg_dump answers in the same way', { skip: withPgDump === undefined }, async () => {
  const other = await makeProject(server, { pg_version: withPgDump ?? 0 })
  await query(other.uri, 'create table t (a int primary key)')
  const of = { projectId: other.id, branchId: other.branchId, db_name: other.database }
  const sql = await sqlOf(of)
  assert.match(sql, /^CREATE TABLE public\.t \($/m)
  assert.doesNotMatch(sql, /^\\|pgrove|neon_superuser|Dumped/m)
  assert.equal(await sqlOf(of), sql)
})

test('it is SQL that makes the same tables, with their owners and nothing of pgrove', async () => {
  const { data } = await schema()
  assert.deepEqual(Object.keys(data), ['sql'])
  const sql = data.sql ?? ''
  assert.match(sql, /^CREATE TABLE public\.authors \($/m)
  assert.match(sql, new RegExp(`^ALTER TABLE public\\.books OWNER TO ${project.role};$`, 'm'))
  assert.doesNotMatch(sql, /pgrove|neon_superuser/)
  assert.equal(await sqlOf({ format: 'sql' }), sql)
  // A reader gets what he asked for without psql.
  const [owner, copy] = [project.role, 'loaded']
  const made = { database: { name: copy, owner_name: owner } }
  await settled(server, api.createProjectBranchDatabase(project.id, project.branchId, made))
  await query(changed(project.uri, { database: copy }), sql)
  assert.equal(await sqlOf({ db_name: copy }), sql)
})

test('as JSON it is tables, columns and keys', async () => {
  const { data } = await schema({ format: 'json' })
  assert.deepEqual(data, {
    json: {
      tables: [
        {
          schema: 'public',
          name: 'authors',
          columns: [
            { name: 'id', type: 'bigint', nullable: false, generated: false },
            { name: 'name', type: 'text', nullable: false, generated: false },
            { name: 'shouted', type: 'text', nullable: true, generated: true },
          ],
          constraints: [{ type: 'primary_key', name: 'authors_pkey', columns: ['id'] }],
        },
        {
          schema: 'public',
          name: 'books',
          columns: [
            { name: 'author', type: 'bigint', nullable: true, generated: false },
            { name: 'title', type: 'text', nullable: true, generated: false },
          ],
          constraints: [
            { type: 'unique', name: 'books_author_title_key', columns: ['author', 'title'] },
            {
              type: 'foreign_key',
              name: 'books_author_fkey',
              columns: ['author'],
              referenced_table: { schema: 'public', table: 'authors', columns: ['id'] },
            },
          ],
        },
      ],
    },
  })
})

test('a branch differs from its parent by what was changed on it', async () => {
  const child = await makeChild(server, project)
  const branchId = child.branch.id
  assert.equal(await diffOf({ branchId }), '')
  const uri = changed(project.uri, {}).replace(project.endpointId, child.endpointId)
  await query(uri, 'alter table books add column year int; drop view titles')
  const diff = await diffOf({ branchId })
  assert.ok(diff.startsWith(`--- a/${project.database}\n+++ b/${project.database}\n@@ -`))
  assert.match(diff, /^\+ {4}year integer$/m)
  assert.match(diff, /^-CREATE VIEW public\.titles AS$/m)
  assert.doesNotMatch(diff, /authors \(/)
  const backwards = await diffOf({ branchId: project.branchId, base_branch_id: branchId })
  assert.match(backwards, /^- {4}year integer$/m)
  assert.equal(await diffOf({ branchId, base_branch_id: branchId }), '')
})

test('a branch that sleeps is woken, and one without an endpoint sleeps again', async () => {
  const expected = await sqlOf()
  await settled(server, api.suspendProjectEndpoint(project.id, project.endpointId))
  assert.equal(await sqlOf(), expected)
  assert.equal((await api.getProjectEndpoint(project.id, project.endpointId)).data.endpoint.current_state, 'active')
  const { branch } = await settled(server, api.createProjectBranch(project.id))
  assert.equal(await sqlOf({ branchId: branch.id }), expected)
  assert.equal(await diffOf({ branchId: branch.id }), '')
})

test('what cannot be answered is said', async () => {
  await assertRefused(comparison({}), 400, /has no parent: name the branch .* as base_branch_id/)
  await assertRefused(
    comparison({ base_branch_id: 'br-no-such-00000000' }),
    404,
    /base branch br-no-such-00000000 not found/,
  )
  await assertRefused(schema({ branchId: 'br-no-such-00000000' }), 404, /branch not found/)
  for (const db_name of ['nothing', 'postgres', 'template1', '', 'x'.repeat(100), `host=/tmp user=x`]) {
    await assertRefused(
      schema({ db_name }),
      db_name === '' ? 400 : 404,
      db_name === '' ? /db_name/ : /database not found/,
    )
  }
  await assertRefused(schema({ format: 'yaml' }), 400, /it is sql or json/)
  await assertRefused(schema({ lsn: '0/1', timestamp: '2026-01-01T00:00:00Z' }), 400, /not both/)
  await assertRefused(schema({ lsn: 'here' }), 400, /is no LSN/)
  await query(project.uri, 'create database shut with allow_connections false')
  await assertRefused(schema({ db_name: 'shut' }), 422, /lets nobody in/)
})
