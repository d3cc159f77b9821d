// `kill -9` of pgrove while roles and databases are made, changed and dropped: afterwards the API and Postgres say the same.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CrashBench } from '../support/crash-bench.ts'
import { call, createProject, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import type { TestServer } from '../support/server.ts'

type Change = {
  kind: string
  places: string[]
  prepare?: (server: TestServer, path: string, name: string) => Promise<unknown>
  act: (server: TestServer, path: string, name: string) => Promise<unknown>
  /** What becomes of the name, in the end. */
  wanted: 'a role' | 'a database' | 'gone' | 'renamed'
}

const createRole = (server: TestServer, path: string, name: string): Promise<unknown> =>
  call(server, 'POST', `${path}/roles`, { role: { name } })
const createDatabase = (server: TestServer, path: string, name: string): Promise<unknown> =>
  call(server, 'POST', `${path}/databases`, { database: { name, owner_name: 'neondb_owner' } })
const renamed = (name: string): string => `${name} renamed`

const insideTheStep = ['apply_config.before', 'apply_config.after']
const changes: Change[] = [
  {
    kind: 'create_role',
    places: ['committed', ...insideTheStep, 'apply_config.recorded'],
    act: createRole,
    wanted: 'a role',
  },
  {
    kind: 'delete_role',
    places: insideTheStep,
    prepare: createRole,
    act: (server, path, name) => call(server, 'DELETE', `${path}/roles/${encodeURIComponent(name)}`),
    wanted: 'gone',
  },
  {
    kind: 'reset_password',
    places: insideTheStep,
    prepare: createRole,
    act: (server, path, name) => call(server, 'POST', `${path}/roles/${encodeURIComponent(name)}/reset_password`),
    wanted: 'a role',
  },
  {
    kind: 'create_database',
    places: insideTheStep,
    act: createDatabase,
    wanted: 'a database',
  },
  {
    kind: 'update_database',
    places: ['committed', ...insideTheStep],
    prepare: createDatabase,
    act: (server, path, name) =>
      call(server, 'PATCH', `${path}/databases/${encodeURIComponent(name)}`, { database: { name: renamed(name) } }),
    wanted: 'renamed',
  },
  {
    kind: 'delete_database',
    places: insideTheStep,
    prepare: createDatabase,
    act: (server, path, name) => call(server, 'DELETE', `${path}/databases/${encodeURIComponent(name)}`),
    wanted: 'gone',
  },
]

describe('a crash while roles and databases change', () => {
  let bench: CrashBench
  let made: Made
  let number = 0
  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '1,2' })
    made = await createProject(bench.server, 'project')
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (const { kind, places, prepare, act, wanted } of changes) {
    for (const [index, place] of places.entries()) {
      // Awake and asleep in turn: asleep, the chain puts the compute back to sleep.
      const asleep = index % 2 === 1
      test(`${kind} at ${place}${asleep ? ', asleep' : ''}`, async () => {
        const path = `/projects/${made.projectId}/branches/${made.branchId}`
        // One that needs quoting, since a crash leads through the same text twice.
        const name = `it's "${(number += 1)}"`
        await prepare?.(bench.server, path, name)
        await settled(bench.server)
        if (asleep) await call(bench.server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
        else await query(await uriOf(bench.server, made.projectId), 'select 1')
        await settled(bench.server)

        await bench.crashAt(`${kind}.${place}`, (server) => act(server, path, name))
        await settled(bench.server)

        const [rows, real] = [await namesInApi(bench.server, path), await namesInPostgres(bench.server, made)]
        assert.deepEqual(rows, real, 'the API shows what Postgres has')
        assert.equal(rows.roles.includes(name), wanted === 'a role')
        assert.equal(rows.databases.includes(name), wanted === 'a database')
        assert.equal(rows.databases.includes(renamed(name)), wanted === 'renamed')
        if (kind === 'reset_password') await assertRevealedPasswordOpens(bench.server, made, name)
        await assertNothingLeft(bench.server)
      })
    }
  }
})

/** Whichever password it is now, the API and Postgres agree on it. */
async function assertRevealedPasswordOpens(
  server: TestServer,
  { projectId, branchId }: Made,
  role: string,
): Promise<void> {
  const path = `/projects/${projectId}/branches/${branchId}/roles/${encodeURIComponent(role)}/reveal_password`
  const { body } = await call(server, 'GET', path)
  const uri = new URL(await uriOf(server, projectId))
  uri.username = encodeURIComponent(role)
  uri.password = encodeURIComponent(body['password'] as string)
  assert.deepEqual(await query(uri.href, 'select current_user as who'), [{ who: role }])
}

type Names = { roles: string[]; databases: string[] }

async function namesInApi(server: TestServer, path: string): Promise<Names> {
  const { body: roles } = await call(server, 'GET', `${path}/roles`)
  const { body: databases } = await call(server, 'GET', `${path}/databases`)
  const namesOf = (list: unknown): string[] => (list as { name: string }[]).map(({ name }) => name).toSorted()
  return { roles: namesOf(roles['roles']), databases: namesOf(databases['databases']) }
}

/** With the password that the API reveals, so that it opens is part of the claim. */
async function namesInPostgres(server: TestServer, made: Made): Promise<Names> {
  const uri = await uriOf(server, made.projectId)
  const roles = await query<{ name: string }>(
    uri,
    `select rolname as name from pg_roles where rolname !~ '^(pg_|pgrove_)' and rolname <> 'neon_superuser'`,
  )
  const databases = await query<{ name: string }>(
    uri,
    `select datname as name from pg_database where not datistemplate and datname <> 'postgres'`,
  )
  return { roles: roles.map(({ name }) => name).toSorted(), databases: databases.map(({ name }) => name).toSorted() }
}
