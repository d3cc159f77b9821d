// `kill -9` of pgrove while roles and databases are made, changed and dropped: afterwards the API and Postgres say the same.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  assertNothingLeft,
  call,
  CrashBench,
  createProject,
  query,
  settled,
  uriOf,
  type Made,
} from '../support/faults.ts'
import type { TestServer } from '../support/server.ts'

type Change = {
  kind: string
  prepare?(server: TestServer, path: string): Promise<unknown>
  act(server: TestServer, path: string): Promise<unknown>
  /** Names that have to be there, and such that must not. */
  wanted: { roles?: string[]; databases?: string[]; gone?: string[] }
}

const createRole = (server: TestServer, path: string, name: string): Promise<unknown> =>
  call(server, 'POST', `${path}/roles`, { role: { name } })
const createDatabase = (server: TestServer, path: string, name: string): Promise<unknown> =>
  call(server, 'POST', `${path}/databases`, { database: { name, owner_name: 'neondb_owner' } })

/** Names that need quoting, since a crash leads through the same text twice. */
const changes: Change[] = [
  {
    kind: 'create_role',
    act: (server, path) => createRole(server, path, 'new "role"'),
    wanted: { roles: ['new "role"'] },
  },
  {
    kind: 'delete_role',
    prepare: (server, path) => createRole(server, path, "old 'role'"),
    act: (server, path) => call(server, 'DELETE', `${path}/roles/${encodeURIComponent("old 'role'")}`),
    wanted: { gone: ["old 'role'"] },
  },
  {
    kind: 'reset_password',
    act: (server, path) => call(server, 'POST', `${path}/roles/neondb_owner/reset_password`),
    wanted: { roles: ['neondb_owner'] },
  },
  {
    kind: 'create_database',
    act: (server, path) => createDatabase(server, path, 'new "db"'),
    wanted: { databases: ['new "db"'] },
  },
  {
    kind: 'update_database',
    prepare: (server, path) => createDatabase(server, path, 'from'),
    act: (server, path) =>
      call(server, 'PATCH', `${path}/databases/from`, { database: { name: 'to', owner_name: 'neondb_owner' } }),
    wanted: { databases: ['to'], gone: ['from'] },
  },
  {
    kind: 'delete_database',
    prepare: (server, path) => createDatabase(server, path, 'old'),
    act: (server, path) => call(server, 'DELETE', `${path}/databases/old`),
    wanted: { gone: ['old'] },
  },
]
const places = ['committed', 'apply_config.before', 'apply_config.after', 'apply_config.recorded']

describe('a crash while roles and databases change', () => {
  let bench: CrashBench
  before(async () => {
    bench = await CrashBench.open({ PGROVE_WARM_POOL: '1,2' })
  })
  after(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  for (const { kind, prepare, act, wanted } of changes) {
    for (const [number, place] of places.entries()) {
      // Awake and asleep in turn: asleep, the chain puts the compute back to sleep.
      const asleep = number % 2 === 1
      test(`${kind} at ${place}${asleep ? ', asleep' : ''}`, async () => {
        const made = await createProject(bench.server, `${kind} ${place}`)
        const path = `/projects/${made.projectId}/branches/${made.branchId}`
        await prepare?.(bench.server, path)
        await settled(bench.server)
        if (asleep) await call(bench.server, 'POST', `/projects/${made.projectId}/endpoints/${made.endpointId}/suspend`)
        await settled(bench.server)

        await bench.crashAt(`${kind}.${place}`, (server) => act(server, path))
        await settled(bench.server)

        const [rows, real] = [await namesInApi(bench.server, path), await namesInPostgres(bench.server, made)]
        assert.deepEqual(rows, real, 'the API shows what Postgres has')
        for (const name of wanted.roles ?? []) assert.ok(rows.roles.includes(name), name)
        for (const name of wanted.databases ?? []) assert.ok(rows.databases.includes(name), name)
        for (const name of wanted.gone ?? []) assert.ok(![...rows.roles, ...rows.databases].includes(name), name)
        await assertNothingLeft(bench.server)
        await call(bench.server, 'DELETE', `/projects/${made.projectId}`)
        await settled(bench.server)
      })
    }
  }
})

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
