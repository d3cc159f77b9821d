import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { isAppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { makeVerifier } from '../pgwire/scram-verifier.ts'
import { claim } from './claim.ts'
import {
  createDatabase,
  diffDatabases,
  dropDatabase,
  listDatabases,
  renameDatabase,
  setDatabaseOwner,
} from './databases.ts'
import {
  createRole,
  diffRoles,
  dropRole,
  listRoles,
  roleChangeSql,
  setRoleVerifier,
  setServiceVerifier,
  type ObservedRole,
} from './roles.ts'
import type { Supervisor } from './supervisor.ts'
import { servicePassword, TestComputes, testInstallations } from './test-computes.ts'

const observed = (more: Partial<ObservedRole> = {}): ObservedRole => ({
  name: 'app',
  login: true,
  verifier: 'v',
  createDatabase: true,
  createRole: true,
  replication: true,
  bypassRls: true,
  tenant: true,
  ...more,
})

test('roles: only what differs is changed, and nothing that was not named', () => {
  const desired = { name: 'app', verifier: 'v', login: true }
  assert.deepEqual(diffRoles([desired], [observed(), observed({ name: 'by sql' })], 17), [])
  assert.deepEqual(diffRoles([desired], [], 17), [{ kind: 'create', role: desired }])
  assert.deepEqual(diffRoles([desired], [observed({ login: false })], 17), [{ kind: 'alter', role: desired }])
  assert.deepEqual(diffRoles([desired], [observed({ verifier: 'old' })], 17), [{ kind: 'alter', role: desired }])
  assert.deepEqual(diffRoles([desired], [observed({ tenant: false })], 17), [{ kind: 'join_group', name: 'app' }])
  assert.deepEqual(diffRoles([{ name: 'app', login: true }], [observed()], 17), [])
})

test('roles: before Postgres 16 none may create roles', () => {
  const role = { name: 'app', login: true }
  assert.match(roleChangeSql({ kind: 'create', role }, 15), / NOCREATEROLE /)
  assert.match(roleChangeSql({ kind: 'create', role }, 16), / CREATEROLE /)
  assert.deepEqual(diffRoles([role], [observed()], 15), [{ kind: 'alter', role }])
})

test('roles: names of Postgres and of pgrove are refused, whatever is to be done with them', () => {
  for (const name of ['pgrove_service', 'neon_superuser', 'pg_monitor', 'public']) {
    assert.throws(
      () => roleChangeSql({ kind: 'alter', role: { name, login: true } }, 17),
      (error) => isAppError(error, 'bad_request'),
    )
  }
})

test('databases: only what differs is changed', () => {
  const wanted = { name: 'app', owner: 'me' }
  assert.deepEqual(diffDatabases([wanted], [wanted, { name: 'by sql', owner: 'x' }]), [])
  assert.deepEqual(diffDatabases([wanted], []), [{ kind: 'create', database: wanted }])
  assert.deepEqual(diffDatabases([wanted], [{ name: 'app', owner: 'x' }]), [{ kind: 'set_owner', database: wanted }])
})

for (const [major, installation] of testInstallations) {
  describe(`roles and databases of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    let id: TimelineId
    let service: pg.Client
    const connect = (database?: string): Promise<pg.Client> => computes.service(supervisor, id, database)
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
      id = await computes.claimed(supervisor)
      service = await connect()
    })
    after(async () => await computes[Symbol.asyncDispose]())

    test('a claim may run again, also after half of it', async () => {
      const wanted = { role: { name: 'app', verifier: await makeVerifier('app'), login: true }, database: 'app' }
      await claim(service, major, wanted)
      await service.query('ALTER DATABASE app OWNER TO pgrove_service')
      await claim(service, major, wanted)
      await service.query('ALTER DATABASE app RENAME TO neondb')
      await claim(service, major, wanted)
      assert.deepEqual(await listDatabases(service), [{ name: 'app', owner: 'app' }])
      const roles = await listRoles(service)
      assert.deepEqual(
        roles.map(({ name, tenant, login }) => ({ name, tenant, login })),
        [{ name: 'app', tenant: true, login: true }],
      )
    })

    test('any name that Postgres can hold works, and what it cannot hold is refused', async () => {
      const names = [`o'neill "the" \\ $1; DROP ROLE app --`, 'Ünïcödé 数据库 🐘', 'x'.repeat(63), '%s%I']
      for (const name of names) {
        await createRole(service, { name, verifier: await makeVerifier('pw'), login: true })
        await createRole(service, { name, verifier: await makeVerifier('pw'), login: true })
        await createDatabase(service, name, name)
        await createDatabase(service, name, name)
        const client = await computes.tenant(id, { user: name, password: 'pw', database: name })
        const { rows } = await client.query<{ me: string; db: string }>(
          'SELECT current_user::text AS me, current_database()::text AS db',
        )
        assert.deepEqual(rows, [{ me: name, db: name }])
        await dropDatabase(connect, name)
        await dropDatabase(connect, name)
        await dropRole(connect, name)
        await dropRole(connect, name)
      }
      for (const name of ['', 'x'.repeat(64), 'ü'.repeat(32), 'a\0b', '\ud800']) {
        await assert.rejects(createRole(service, { name, login: true }), (error) => isAppError(error, 'bad_request'))
      }
    })

    test('a role with databases stays; otherwise what it owns goes to the owners of the databases', async () => {
      await createRole(service, { name: 'leaving', verifier: await makeVerifier('pw'), login: true })
      await createDatabase(service, 'theirs', 'leaving')
      await assert.rejects(
        dropRole(connect, 'leaving'),
        (error) => isAppError(error, 'unprocessable') && error.message.includes('theirs'),
      )
      await setDatabaseOwner(service, 'theirs', 'app')
      await service.query('GRANT CREATE ON DATABASE app TO leaving')
      const leaving = await computes.tenant(id, { user: 'leaving', password: 'pw' })
      await leaving.query('CREATE SCHEMA left_behind CREATE TABLE t (a int)')
      await leaving.query(`CREATE FUNCTION left_behind.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'`)
      await dropRole(connect, 'leaving')
      const app = await computes.tenant(id)
      const { rows } = await app.query<{ owner: string }>(
        `SELECT tableowner AS owner FROM pg_tables WHERE schemaname = 'left_behind'`,
      )
      assert.deepEqual(rows, [{ owner: 'app' }])
      await dropDatabase(connect, 'theirs')
    })

    test('databases are renamed and dropped while clients are in them', async () => {
      await createDatabase(service, 'busy', 'app')
      await computes.tenant(id, { database: 'busy' })
      await renameDatabase(service, 'busy', 'busier')
      await renameDatabase(service, 'busy', 'busier')
      await computes.tenant(id, { database: 'busier' })
      await assert.rejects(renameDatabase(service, 'busier', 'app'), (error) => isAppError(error, 'already_exists'))
      await assert.rejects(renameDatabase(service, 'missing', 'x'), (error) => isAppError(error, 'not_found'))
      const app = await computes.tenant(id)
      await app.query('ALTER DATABASE busier IS_TEMPLATE true')
      await computes.tenant(id, { database: 'template1' })
      await createDatabase(service, 'made_meanwhile', 'app')
      await dropDatabase(connect, 'busier')
      await dropDatabase(connect, 'made_meanwhile')
      assert.deepEqual(
        (await listDatabases(service)).map(({ name }) => name),
        ['app'],
      )
    })

    test('a database is never given to a superuser', async () => {
      for (const owner of ['pgrove_service', 'pg_monitor']) {
        await assert.rejects(createDatabase(service, 'x', owner), (error) => isAppError(error, 'bad_request'))
      }
      await assert.rejects(createDatabase(service, 'x', 'nobody there'), (error) => isAppError(error, 'not_found'))
    })

    test('passwords change, and a change needs its role', async () => {
      await setRoleVerifier(service, 'app', await makeVerifier('new'))
      await assert.rejects(computes.tenant(id), { code: '28P01' })
      await computes.tenant(id, { password: 'new' })
      await setRoleVerifier(service, 'app', await makeVerifier('app'))
      await assert.rejects(setRoleVerifier(service, 'nobody there', await makeVerifier('x')), (error) =>
        isAppError(error, 'not_found'),
      )
      await assert.rejects(setRoleVerifier(service, 'app', 'plain'), (error) => isAppError(error, 'bad_request'))
      await setServiceVerifier(service, await makeVerifier(servicePassword, { iterations: 1 }))
      await connect()
    })
  })
}
