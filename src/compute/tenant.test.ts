// What a hostile tenant tries. Each test is one way out of the database, or one way up.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import { makeVerifier, parseVerifier } from '../pgwire/scram-verifier.ts'
import { createRole } from './roles.ts'
import type { Supervisor } from './supervisor.ts'
import { TestComputes, testInstallations } from './test-computes.ts'

for (const [major, installation] of testInstallations) {
  describe(`a tenant of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    let id: TimelineId
    let tenant: pg.Client
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
      id = await computes.claimed(supervisor, { logicalReplication: true })
      tenant = await computes.tenant(id)
    })
    after(async () => await computes[Symbol.asyncDispose]())

    const refusedAs = async (client: pg.Client, statement: string): Promise<string> => {
      const error = await client.query(statement).then(
        () => undefined,
        (reason: unknown) => reason as pg.DatabaseError,
      )
      await client.query('ROLLBACK').catch(() => {})
      assert.ok(error, `was allowed: ${statement}`)
      return error.code ?? ''
    }
    const refused = async (...statements: string[]): Promise<void> => {
      for (const statement of statements) await refusedAs(tenant, statement)
    }

    test('works as owner of its database', async () => {
      await tenant.query('CREATE TABLE public.t (a int PRIMARY KEY, b text)')
      await tenant.query(`INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g`)
      await tenant.query('CREATE DATABASE another')
      await tenant.query('DROP DATABASE another')
      await tenant.query('CREATE SCHEMA own')
      await tenant.query('CREATE PUBLICATION p FOR TABLE t')
      const { rows } = await tenant.query<{ is_superuser: string }>('SHOW is_superuser')
      assert.equal(rows[0]?.is_superuser, 'off')
      if (major >= 16) await tenant.query('CREATE ROLE helper LOGIN')
    })

    test('runs no program on the host', async () => {
      await refused(
        `COPY (SELECT 1) TO PROGRAM 'cat'`,
        `COPY t FROM PROGRAM 'id'`,
        'GRANT pg_execute_server_program TO app',
        'GRANT pg_write_server_files TO app',
        'GRANT pg_read_server_files TO app',
        'SET ROLE pg_execute_server_program',
        'CREATE ROLE shell IN ROLE pg_execute_server_program',
        `SET archive_command = 'id'`,
        `ALTER SYSTEM SET archive_command = 'id'`,
        'ALTER SYSTEM SET work_mem = 65536',
        `ALTER ROLE app SET session_preload_libraries = 'dblink'`,
        `ALTER DATABASE app SET session_preload_libraries = 'dblink'`,
        `ALTER DATABASE app SET dynamic_library_path = '/tmp'`,
      )
    })

    test('reads and writes no file of the host', async () => {
      await refused(
        `SELECT pg_read_file('/etc/passwd')`,
        `SELECT pg_read_binary_file('postgresql.auto.conf')`,
        `SELECT pg_ls_dir('/')`,
        `SELECT pg_stat_file('/etc/passwd')`,
        `SELECT lo_import('/etc/passwd')`,
        `SELECT lo_export(1, '/tmp/out')`,
        `COPY t FROM '/etc/passwd'`,
        `COPY t TO '/tmp/out'`,
        'SELECT * FROM pg_hba_file_rules',
        'SELECT * FROM pg_file_settings',
        `CREATE TABLESPACE elsewhere LOCATION '/tmp'`,
      )
    })

    test('loads no code', async () => {
      await refused(
        `LOAD 'dblink'`,
        `LOAD '$libdir/plugins/dblink'`,
        `LOAD '/lib/x86_64-linux-gnu/libc.so.6'`,
        `CREATE FUNCTION system(cstring) RETURNS int AS '/lib/x86_64-linux-gnu/libc.so.6', 'system' LANGUAGE c`,
        `CREATE FUNCTION f() RETURNS int AS 'dblink', 'x' LANGUAGE c`,
        `CREATE FUNCTION f(internal) RETURNS int AS 'x' LANGUAGE internal`,
      )
    })

    test('gets none of the extensions that open the host', async () => {
      const never = [
        'file_fdw',
        'adminpack',
        'pageinspect',
        'pg_surgery',
        'pg_walinspect',
        'plpython3u',
        'plperlu',
        'plperl',
        'pltclu',
        'pltcl',
        'bool_plperlu',
      ]
      for (const name of never) await refused(`CREATE EXTENSION "${name}" CASCADE`)
      await refused('CREATE LANGUAGE plpython3u', `CREATE FOREIGN DATA WRAPPER mine`)
    })

    test('creates every extension that is offered', async () => {
      const db = await computes.tenant(id)
      for (const name of computes.tree.extensions.filter((each) => each !== 'plpgsql')) {
        await db.query(`CREATE EXTENSION IF NOT EXISTS "${name}" CASCADE`)
      }
      await db.query('SELECT count(*) FROM pg_stat_statements')
      await db.query('SELECT pg_stat_statements_reset()')
      await db.query(`SELECT bt_index_check('t_pkey')`)
      await db.query('CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw')
      await db.query('ALTER EXTENSION pg_trgm UPDATE')
    })

    test('becomes no superuser', async () => {
      await refused(
        'CREATE ROLE boss SUPERUSER',
        'ALTER ROLE app SUPERUSER',
        'SET ROLE pgrove_service',
        'SET SESSION AUTHORIZATION pgrove_service',
        'GRANT pgrove_service TO app',
        `ALTER ROLE pgrove_service PASSWORD 'mine'`,
        'ALTER ROLE pgrove_service NOLOGIN',
        'DROP ROLE pgrove_service',
        'DROP ROLE neon_superuser',
        'ALTER DATABASE app OWNER TO pgrove_service',
        'UPDATE pg_authid SET rolsuper = true',
        'INSERT INTO pg_auth_members SELECT * FROM pg_auth_members',
        `UPDATE pg_proc SET prolang = 12 WHERE proname = 'f'`,
        'DELETE FROM pg_database',
        'SET allow_system_table_mods = on',
      )
    })

    test('sets none of the settings that are not for it', async () => {
      await refused(
        'SET log_statement = none',
        'SET temp_file_limit = -1',
        'SET lc_messages = de',
        'SET zero_damaged_pages = on',
      )
    })

    test('reaches no socket without a password, by dblink or by postgres_fdw', async () => {
      const db = await computes.tenant(id)
      await db.query('CREATE EXTENSION IF NOT EXISTS dblink')
      await db.query('CREATE EXTENSION IF NOT EXISTS postgres_fdw')
      const host = `${computes.root}/run/${id}`
      for (const user of ['app', 'pgrove_service']) {
        assert.ok(await refusedAs(db, `SELECT dblink_connect('host=${host} user=${user} dbname=app')`))
        assert.ok(await refusedAs(db, `SELECT dblink_connect('host=${host} user=${user} dbname=app password=wrong')`))
        assert.ok(
          await refusedAs(db, `SELECT dblink_connect('host=${host} user=${user} dbname=app passfile=/etc/passwd')`),
        )
        assert.ok(await refusedAs(db, `SELECT dblink_connect_u('host=${host} user=${user} dbname=app')`))
      }
      await db.query(`CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${host}', dbname 'app')`)
      await db.query(`CREATE USER MAPPING FOR app SERVER back OPTIONS (user 'pgrove_service')`)
      await db.query(`CREATE FOREIGN TABLE far (a int) SERVER back OPTIONS (table_name 't')`)
      assert.ok(await refusedAs(db, 'SELECT * FROM far'))
      assert.ok(await refusedAs(db, `ALTER USER MAPPING FOR app SERVER back OPTIONS (ADD password_required 'false')`))
      // With the right password it is an ordinary client.
      const { rows } = await db.query<{ a: number }>(
        `SELECT * FROM dblink('host=${host} user=app dbname=app password=app', 'SELECT 1') AS r(a int)`,
      )
      assert.equal(rows[0]?.a, 1)
    })

    test('can do nothing with the verifier it may read', async () => {
      const { rows } = await tenant.query<{ rolpassword: string }>(
        `SELECT rolpassword FROM pg_authid WHERE rolname = 'pgrove_service'`,
      )
      const verifier = rows[0]?.rolpassword ?? ''
      assert.equal(parseVerifier(verifier).iterations, 1)
      await assert.rejects(computes.tenant(id, { user: 'pgrove_service', password: verifier, database: 'postgres' }), {
        code: '28P01',
      })
    })

    test('plants nothing where the service role works', async () => {
      const there = await computes.tenant(id, { database: 'postgres' })
      for (const statement of [
        'CREATE TABLE public.x (a int)',
        'CREATE SCHEMA mine',
        'CREATE TEMP TABLE x (a int)',
        `CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      ]) {
        assert.equal(await refusedAs(there, statement), '42501', statement)
      }
      await refused(
        'ALTER DATABASE postgres SET search_path = public',
        `ALTER ROLE ALL SET role = 'app'`,
        `ALTER ROLE pgrove_service SET role = 'app'`,
      )
    })

    test('cannot stop the service role from coming in', async () => {
      await tenant.query(`ALTER DATABASE app SET default_transaction_read_only = on`)
      await tenant.query(`ALTER DATABASE app SET search_path = own`)
      await tenant.query(`ALTER DATABASE app SET statement_timeout = 1`)
      await tenant.query(`ALTER DATABASE app SET local_preload_libraries = 'nothing'`)
      await tenant.query(`ALTER DATABASE app SET role = 'app'`)
      await tenant.query(`ALTER DATABASE app SET exit_on_error = on`)
      if (major >= 17) await tenant.query(`ALTER DATABASE app SET transaction_timeout = 1`)
      await tenant.query('ALTER DATABASE app CONNECTION LIMIT 0')
      await tenant.query(
        `CREATE FUNCTION own.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked'::text $$`,
      )
      const service = await computes.service(supervisor, id, 'app')
      const { rows } = await service.query<Record<string, string>>(
        `SELECT current_setting('search_path') AS path, current_setting('default_transaction_read_only') AS ro, current_setting('statement_timeout') AS timeout, current_user::text AS me`,
      )
      assert.deepEqual(rows[0], { path: 'pg_catalog', ro: 'off', timeout: '0', me: 'pgrove_service' })
      await service.query('ALTER DATABASE app RESET ALL')
      await service.query('ALTER DATABASE app CONNECTION LIMIT -1')
    })

    test('takes a base backup that shows no password, and writes none on the server', async () => {
      const replica = await computes.tenant(id, { replication: 'database' } as pg.ClientConfig)
      assert.ok(await refusedAs(replica, `BASE_BACKUP ( TARGET 'server', TARGET_DETAIL '/tmp/stolen' )`))
    })

    test('cannot log in by any way but a password', async () => {
      await assert.rejects(computes.tenant(id, { password: 'wrong' }), { code: '28P01' })
      const service = await computes.service(supervisor, id)
      await createRole(service, { name: 'no "password"', login: true })
      await assert.rejects(computes.tenant(id, { user: 'no "password"', password: '' }))
      await createRole(service, { name: 'nobody', login: false, verifier: await makeVerifier('x') })
      await assert.rejects(computes.tenant(id, { user: 'nobody', password: 'x' }), { code: '28000' })
    })
  })
}
