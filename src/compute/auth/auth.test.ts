// Sign-in in a real database: what is made, who may do what with it, and what a hostile owner of the database tries.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../../model/ids.ts'
import { makeVerifier, randomSecretIterations } from '../../pgwire/scram-verifier.ts'
import { tooMuch } from '../../lib/bounded-socket.ts'
import { run } from '../../lib/run.ts'
import { findPgDump } from '../pg-dump.ts'
import { createRole, listRoles } from '../roles.ts'
import { keepSchemaOnly } from '../schema-copy.ts'
import { readSchemaText } from '../schema-text.ts'
import { sqlLiteral } from '../sql-text.ts'
import type { Supervisor } from '../supervisor.ts'
import { TestComputes, testInstallations, testOwner } from '../test-computes.ts'
import { connectAsAuth, dropAuth, ensureAuthRole } from './role.ts'
import { applyAuthSchema, readAuthVersion } from './schema.ts'
import { createUser, deleteUser, drainEvents, forgetSessions, setUserRoles, type UserEvent } from './users.ts'

const password = 'of the auth role'

for (const [major, installation] of testInstallations) {
  describe(`sign-in in Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    let id: TimelineId
    let tenant: pg.Client
    let auth: pg.Client
    const opened: pg.Client[] = []

    const asAuth = async (database = 'app'): Promise<pg.Client> => {
      const client = await connectAsAuth({ major, socketDir: `${computes.root}/run/${id}`, password, database })
      opened.push(client)
      return client
    }
    const provision = async (database = 'app'): Promise<void> => {
      const service = await computes.service(supervisor, id, database)
      await ensureAuthRole(service, await makeVerifier(password, { iterations: randomSecretIterations }))
      await applyAuthSchema(await asAuth(database))
    }
    const refused = async (client: pg.Client, statement: string, code?: string): Promise<void> => {
      const error = await client.query(statement).then(
        () => undefined,
        (reason: unknown) => reason as pg.DatabaseError,
      )
      await client.query('ROLLBACK').catch(() => {})
      assert.ok(error, `was allowed: ${statement}`)
      if (code !== undefined) assert.equal(error.code, code, `${statement}: ${error.message}`)
    }
    const one = async <T>(client: pg.Client, text: string, values: unknown[] = []): Promise<T> =>
      (await client.query({ text, values, rowMode: 'array' })).rows[0]?.[0] as T
    const signIn = async (userId: string): Promise<string> =>
      await one(
        auth,
        `INSERT INTO "session" ("expiresAt", "token", "updatedAt", "userId") VALUES (now() + '1 day', gen_random_uuid()::text, now(), $1) RETURNING "id"`,
        [userId],
      )

    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
      id = await computes.claimed(supervisor)
      tenant = await computes.tenant(id)
      await provision()
      auth = opened[0] as pg.Client
    })
    after(async () => {
      for (const client of opened) await client.end().catch(() => {})
      await computes?.[Symbol.asyncDispose]()
    })

    test('is made once, however often and by how many at once', async () => {
      assert.equal(await readAuthVersion(auth), 1)
      const { id: user } = await createUser(auth, { email: 'kept@example.com', name: undefined })
      await provision()
      const [second, third] = [await asAuth(), await asAuth()]
      await Promise.all([applyAuthSchema(second), applyAuthSchema(third)])
      assert.equal(await one(auth, 'SELECT count(*)::int FROM "user" WHERE "id" = $1', [user]), 1)
      await deleteUser(auth, user)
    })

    test('shows a user in users_sync in the same transaction, and takes him back with it', async () => {
      await auth.query('BEGIN')
      const { id: user } = await createUser(auth, { email: ' Ann@Example.COM ', name: 'Ann' })
      const seen = `SELECT id, email, name, signed_in_at FROM neon_auth.users_sync WHERE email_verified = true ORDER BY created_at DESC`
      assert.deepEqual((await auth.query(seen)).rows, [])
      await auth.query(`UPDATE "user" SET "emailVerified" = true WHERE "id" = $1`, [user])
      assert.deepEqual((await auth.query(seen)).rows, [
        { id: user, email: 'ann@example.com', name: 'Ann', signed_in_at: null },
      ])
      assert.deepEqual((await tenant.query(seen)).rows, [])
      await auth.query('COMMIT')
      await signIn(user)
      const [row] = (await tenant.query<{ signed_in_at: Date | null }>(seen)).rows
      assert.ok(row?.signed_in_at instanceof Date)
      await auth.query(
        `INSERT INTO "account" ("accountId", "providerId", "userId", "updatedAt") VALUES ('sub-1', 'google', $1, now())`,
        [user],
      )
      await auth.query(
        `INSERT INTO "account" ("accountId", "providerId", "userId", "password", "updatedAt") VALUES ($1, 'credential', $2, 'hash', now())`,
        [user, user],
      )
      await auth.query(`UPDATE stack_user SET client_metadata = '{"a":1}' WHERE user_id = $1`, [user])
      const raw = await one<Record<string, unknown>>(
        tenant,
        'SELECT raw_json FROM neon_auth.users_sync WHERE id = $1',
        [user],
      )
      assert.equal(raw['has_password'], true)
      assert.deepEqual(raw['oauth_providers'], [{ id: 'google', account_id: 'sub-1', email: null }])
      assert.deepEqual(raw['client_metadata'], { a: 1 })
      assert.equal(raw['primary_email_verified'], true)
      assert.ok(!JSON.stringify(raw).includes('hash'))
    })

    test('keeps the row of a deleted user, and with it what an app refers to; nothing else of him', async () => {
      const { id: user } = await createUser(auth, { email: 'gone@example.com', name: 'Gone' })
      await signIn(user)
      await tenant.query(
        'CREATE TABLE notes (owner text NOT NULL REFERENCES neon_auth.users_sync (id) ON DELETE CASCADE)',
      )
      await tenant.query('INSERT INTO notes VALUES ($1)', [user])
      await refused(tenant, `INSERT INTO notes VALUES ('nobody')`, '23503')
      assert.equal(await deleteUser(auth, user), true)
      assert.equal(await deleteUser(auth, user), false)
      assert.equal(await deleteUser(auth, `x'; --`), false)
      assert.equal(await one(tenant, 'SELECT count(*)::int FROM notes'), 1)
      assert.equal(
        await one(tenant, 'SELECT deleted_at IS NOT NULL FROM neon_auth.users_sync WHERE id = $1', [user]),
        true,
      )
      for (const table of ['"user" WHERE "id"', '"session" WHERE "userId"', 'stack_user WHERE user_id'])
        assert.equal(await one(auth, `SELECT count(*)::int FROM ${table} = $1`, [user]), 0)
      await auth.query(
        `INSERT INTO "user" ("id", "name", "email", "emailVerified") VALUES ($1, '', 'gone@example.com', false)`,
        [user],
      )
      assert.equal(await one(tenant, 'SELECT deleted_at FROM neon_auth.users_sync WHERE id = $1', [user]), null)
      assert.equal(await one(tenant, 'SELECT name FROM neon_auth.users_sync WHERE id = $1', [user]), null)
    })

    test('takes an e-mail once, roles as names, and nothing without bounds', async () => {
      const { id: user } = await createUser(auth, { email: 'bob@example.com', name: 'Bob' })
      await assert.rejects(createUser(auth, { email: 'BOB@example.com', name: '' }), { code: 'already_exists' })
      await assert.rejects(createUser(auth, { email: 'a\0b@example.com', name: '' }), { code: 'bad_request' })
      await assert.rejects(createUser(auth, { email: 'c@example.com', name: 'x'.repeat(1025) }), {
        code: 'bad_request',
      })
      assert.equal(await setUserRoles(auth, user, ['admin', 'user']), true)
      assert.equal(await one(auth, `SELECT "role" FROM "user" WHERE "id" = $1`, [user]), 'admin,user')
      assert.equal(await setUserRoles(auth, crypto.randomUUID(), ['admin']), false)
      await assert.rejects(setUserRoles(auth, user, ['user,admin']), { code: 'bad_request' })
      await assert.rejects(setUserRoles(auth, user, []), { code: 'bad_request' })
      const long = `repeat('x', 1000000)`
      for (const statement of [
        `UPDATE neon_auth."user" SET "name" = ${long}`,
        `UPDATE neon_auth."user" SET "image" = ${long}`,
        `UPDATE neon_auth.stack_user SET server_metadata = to_jsonb(${long})`,
        `INSERT INTO neon_auth."verification" ("identifier", "value", "expiresAt") VALUES ('a', ${long}, now())`,
        `INSERT INTO neon_auth."organization" ("name", "slug", "createdAt", "metadata") VALUES ('a', 'a', now(), ${long})`,
      ])
        await refused(tenant, statement, '23514')
    })

    test('hands each new user over once it is recorded, and again where it was not', async () => {
      const seen: UserEvent[] = []
      await drainEvents(auth, async () => {})
      const { id: user } = await createUser(auth, { email: 'event@example.com', name: 'Eve' })
      await assert.rejects(
        drainEvents(auth, () => Promise.reject(new Error('down'))),
        { message: 'down' },
      )
      assert.equal(await drainEvents(auth, async (events) => void seen.push(...events)), 1)
      assert.equal(await drainEvents(auth, async (events) => void seen.push(...events)), 0)
      const [event] = seen
      assert.equal(event?.type, 'user.created')
      assert.deepEqual((seen[0]?.body['user'] as { email: string } | undefined)?.email, 'event@example.com')
      assert.equal((seen[0]?.body['user'] as { id: string } | undefined)?.id, user)
    })

    test('has an end to what it hands over, whatever the owner has made of his events', async () => {
      await auth.query(`INSERT INTO user_events (type, body) SELECT 'x', '{}' FROM generate_series(1, 100)`)
      await auth.query('CREATE RULE stay AS ON DELETE TO user_events DO INSTEAD NOTHING')
      try {
        assert.equal(await drainEvents(auth, async () => {}), 2_000)
      } finally {
        await auth.query('DROP RULE stay ON user_events')
        await auth.query('DELETE FROM user_events')
      }
    })

    test('forgets who is signed in where the data is a copy', async () => {
      const { id: user } = await createUser(auth, { email: 'copy@example.com', name: '' })
      await signIn(user)
      await auth.query(`INSERT INTO "verification" ("identifier", "value", "expiresAt") VALUES ('a', 'b', now())`)
      await forgetSessions(auth)
      for (const table of ['"session"', '"verification"', 'user_events'])
        assert.equal(await one(auth, `SELECT count(*)::int FROM ${table}`), 0, table)
      assert.equal(await one(auth, `SELECT count(*)::int FROM "user" WHERE "id" = $1`, [user]), 1)
    })

    test('gives the owner users, and strangers nothing', async () => {
      const service = await computes.service(supervisor, id, 'app')
      await service.query(`CREATE ROLE stranger LOGIN PASSWORD 'stranger'`)
      const stranger = await computes.tenant(id, { user: 'stranger', password: 'stranger' })
      for (const table of [
        'users_sync',
        '"user"',
        '"session"',
        '"account"',
        '"verification"',
        'stack_user',
        'user_events',
      ])
        await refused(stranger, `SELECT * FROM neon_auth.${table}`, '42501')
      await refused(stranger, `SELECT neon_auth.user_json('${crypto.randomUUID()}')`, '42501')
      // Who owns the database, and is no member of anything.
      await service.query('CREATE ROLE plain LOGIN NOINHERIT')
      await service.query(`ALTER ROLE plain PASSWORD 'plain'`)
      await service.query('CREATE ROLE holder')
      await service.query('CREATE DATABASE other')
      await service.query('ALTER DATABASE other OWNER TO plain')
      await provision('other')
      const owner = await computes.tenant(id, { user: 'plain', password: 'plain', database: 'other' })
      await service.query('ALTER ROLE plain INHERIT')
      assert.equal(await one(owner, 'SELECT count(*)::int FROM neon_auth.users_sync'), 0)
      assert.equal(await one(owner, 'SELECT count(*)::int FROM neon_auth."user"'), 0)
      await refused(owner, 'SELECT * FROM neon_auth."session"', '42501')
      await refused(owner, 'SELECT "password" FROM neon_auth."account"', '42501')
      await refused(owner, `INSERT INTO neon_auth.users_sync (raw_json) VALUES ('{}')`, '42501')
      await owner.query('CREATE SCHEMA own')
      await owner.query('CREATE TABLE own.refers (u text REFERENCES neon_auth.users_sync (id))')
    })

    test('is nothing that a hostile owner gets hold of', async () => {
      for (const statement of [
        'GRANT pgrove_auth TO app',
        'GRANT app TO pgrove_auth',
        'SET ROLE pgrove_auth',
        'SET SESSION AUTHORIZATION pgrove_auth',
        `ALTER ROLE pgrove_auth PASSWORD 'mine'`,
        'ALTER ROLE pgrove_auth NOLOGIN',
        'ALTER ROLE pgrove_auth SUPERUSER',
        `ALTER ROLE pgrove_auth SET search_path = public`,
        `ALTER ROLE pgrove_auth IN DATABASE app SET search_path = public`,
        'ALTER ROLE pgrove_auth RENAME TO mine',
        'DROP ROLE pgrove_auth',
        'DROP OWNED BY pgrove_auth',
        'REASSIGN OWNED BY pgrove_auth TO app',
        'DROP SCHEMA neon_auth CASCADE',
        'ALTER SCHEMA neon_auth RENAME TO mine',
        'ALTER SCHEMA neon_auth OWNER TO app',
        `COMMENT ON SCHEMA neon_auth IS 'version 9'`,
        'CREATE TABLE neon_auth.mine (a int)',
        'CREATE FUNCTION neon_auth.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz $$',
        'CREATE FUNCTION public.evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER t BEFORE INSERT ON neon_auth."user" FOR EACH ROW EXECUTE FUNCTION public.evil()',
        'CREATE OR REPLACE FUNCTION neon_auth.user_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
        'ALTER FUNCTION neon_auth.user_changed() RESET ALL',
        'ALTER FUNCTION neon_auth.user_changed() OWNER TO app',
        'ALTER TABLE neon_auth."user" DISABLE TRIGGER ALL',
        'ALTER TABLE neon_auth."session" ADD COLUMN a int',
        'ALTER TABLE neon_auth."user" ENABLE ROW LEVEL SECURITY',
        'CREATE POLICY p ON neon_auth."user" USING (true)',
        'CREATE RULE r AS ON INSERT TO neon_auth."user" DO INSTEAD NOTHING',
        'CREATE INDEX ON neon_auth."user" ((lower("name")))',
        'TRUNCATE neon_auth."session"',
        'CREATE TABLE takes (u uuid REFERENCES neon_auth."user" ("id"))',
        // A trigger of theirs with our function would write what they like with our rights.
        'CREATE TABLE feeds ("id" uuid, "userId" uuid, "impersonatedBy" text); CREATE TRIGGER t AFTER INSERT ON feeds FOR EACH ROW EXECUTE FUNCTION neon_auth.session_begun()',
        `SELECT neon_auth.sync_user('${crypto.randomUUID()}')`,
      ])
        await refused(tenant, statement, '42501')
      // He may write rows: what fires then is ours, finds our tables whatever he says names mean, and runs with no more than our rights.
      await tenant.query('CREATE SCHEMA IF NOT EXISTS trap')
      await tenant.query(
        'CREATE TABLE trap.users_sync (raw_json jsonb, id text, updated_at timestamptz, deleted_at timestamptz)',
      )
      await tenant.query('CREATE TABLE trap.stack_user (user_id uuid)')
      await tenant.query(
        'CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz $$',
      )
      await tenant.query('SET search_path = trap, pg_catalog')
      await tenant.query(
        'CREATE TEMP TABLE users_sync (raw_json jsonb, id text, updated_at timestamptz, deleted_at timestamptz)',
      )
      await tenant.query('CREATE TEMP TABLE stack_user (user_id uuid)')
      const user = await one<string>(
        tenant,
        `INSERT INTO neon_auth."user" ("name", "email", "emailVerified") VALUES ('planted', 'planted@example.com', true) RETURNING "id"`,
      )
      await tenant.query('DROP TABLE pg_temp.users_sync, pg_temp.stack_user')
      await tenant.query('RESET search_path')
      assert.equal(await one(tenant, 'SELECT count(*)::int FROM trap.users_sync'), 0)
      assert.equal(
        await one(tenant, 'SELECT count(*)::int FROM neon_auth.users_sync WHERE id = $1 AND updated_at IS NOT NULL', [
          user,
        ]),
        1,
      )
    })

    test('is a role that can do nothing but that, and that nobody is told of', async () => {
      const { rows } = await auth.query<Record<string, unknown>>(
        `SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit,
           (SELECT count(*)::int FROM pg_auth_members WHERE member = r.oid OR roleid = r.oid) AS members,
           has_database_privilege('app', 'CREATE') AS creates, ${major >= 15 ? `has_schema_privilege('public', 'CREATE')` : 'false'} AS plants
         FROM pg_roles r WHERE rolname = current_user`,
      )
      assert.deepEqual(rows[0], {
        rolsuper: false,
        rolcreatedb: false,
        rolcreaterole: false,
        rolreplication: false,
        rolbypassrls: false,
        rolconnlimit: 20,
        members: 0,
        creates: false,
        plants: false,
      })
      await tenant.query('CREATE TABLE IF NOT EXISTS secrets (a int)')
      for (const statement of [
        'SELECT * FROM public.secrets',
        'SELECT * FROM pg_authid',
        'CREATE ROLE more',
        'CREATE SCHEMA more',
        `COPY "user" TO PROGRAM 'cat'`,
      ])
        await refused(auth, statement, '42501')
      const service = await computes.service(supervisor, id)
      assert.ok((await listRoles(service)).every(({ name }) => !name.startsWith('pgrove')))
      await assert.rejects(createRole(service, { name: 'pgrove_auth', login: true }), { code: 'bad_request' })
    })

    test('gives the owner nothing more where Postgres runs something of his as this role', async () => {
      const { id: user } = await createUser(auth, { email: 'trick@example.com', name: '' })
      const tries = [
        'SELECT a FROM public.secrets',
        'SELECT rolpassword FROM pg_authid LIMIT 1',
        'SET ROLE pgrove_service',
        'SET ROLE app',
        'ALTER ROLE pgrove_auth SUPERUSER',
        'ALTER ROLE pgrove_auth CREATEROLE',
        'CREATE ROLE another',
        'CREATE SCHEMA another',
        'GRANT pgrove_service TO pgrove_auth',
        `SELECT pg_read_file('/etc/passwd')`,
        `COPY (SELECT 1) TO PROGRAM 'cat'`,
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $q$pgrove_service$q$',
      ]
      await tenant.query(`CREATE TYPE trick AS ENUM ('x')`)
      await tenant.query(`CREATE FUNCTION trick_text(trick) RETURNS text LANGUAGE plpgsql AS $f$
        DECLARE each text; done text := '';
        BEGIN
          FOREACH each IN ARRAY ARRAY[${tries.map((each) => sqlLiteral(each)).join(', ')}] LOOP
            BEGIN EXECUTE each; done := done || each || '; '; EXCEPTION WHEN OTHERS THEN END;
          END LOOP;
          INSERT INTO public.trick_log VALUES (current_user, done);
          RETURN '${user}';
        END $f$`)
      await tenant.query('CREATE TABLE trick_log (who name, done text)')
      await tenant.query('GRANT INSERT ON trick_log TO pgrove_auth')
      await tenant.query('CREATE CAST (trick AS text) WITH FUNCTION trick_text(trick) AS IMPLICIT')
      await tenant.query('CREATE TABLE refers (u trick REFERENCES neon_auth.users_sync (id))')
      await tenant.query(`INSERT INTO refers VALUES ('x')`)
      const { rows } = await tenant.query<{ who: string; done: string }>('SELECT DISTINCT who, done FROM trick_log')
      assert.deepEqual(rows, [{ who: 'pgrove_auth', done: '' }])
      await tenant.query('DROP TABLE refers, trick_log; DROP TYPE trick CASCADE')
    })

    test('does not drown whoever reads what it answers', async () => {
      const there = await asAuth()
      for (const statement of [
        `CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', repeat('x', 40000000); END $$`,
        'CREATE TRIGGER shout BEFORE INSERT ON "user" FOR EACH ROW EXECUTE FUNCTION shout()',
      ])
        await there.query(statement)
      await assert.rejects(createUser(there, { email: 'loud@example.com', name: '' }), { code: tooMuch })
      await auth.query('DROP FUNCTION shout() CASCADE')
    })

    test('has nothing set that would keep out who says nothing of settings', async () => {
      const plain = await computes.tenant(id, { user: 'pgrove_auth', password })
      assert.equal(await one(plain, `SELECT current_setting('search_path')`), 'neon_auth')
    })

    test('comes in whatever the owner has set for the database', async () => {
      for (const setting of [
        `search_path = trap`,
        'default_transaction_read_only = on',
        'statement_timeout = 1',
        `role = 'app'`,
        `local_preload_libraries = 'nothing'`,
      ])
        await tenant.query(`ALTER DATABASE app SET ${setting}`)
      try {
        const again = await asAuth()
        const { id: user } = await createUser(again, { email: 'settings@example.com', name: '' })
        assert.ok(await deleteUser(again, user))
        assert.equal(await one(again, 'SELECT current_user::text'), 'pgrove_auth')
      } finally {
        const service = await computes.service(supervisor, id, 'app')
        await service.query('ALTER DATABASE app RESET ALL')
      }
    })

    test('leaves alone a schema of the same name, and takes over a role of it', async () => {
      const service = await computes.service(supervisor, id)
      await service.query('CREATE DATABASE fresh OWNER app')
      const fresh = await computes.tenant(id, { database: 'fresh' })
      await fresh.query('CREATE SCHEMA neon_auth')
      await fresh.query('CREATE TABLE neon_auth."user" (a int)')
      await assert.rejects(provision('fresh'), { code: 'already_exists' })
      assert.equal(await one(fresh, 'SELECT count(*)::int FROM neon_auth."user"'), 0)
      await dropAuth(await computes.service(supervisor, id, 'fresh'))
      assert.equal(await one(fresh, 'SELECT count(*)::int FROM neon_auth."user"'), 0)
      await service.query('GRANT pgrove_auth TO app WITH ADMIN OPTION')
      await service.query('CREATE ROLE powers')
      await service.query('GRANT powers TO pgrove_auth')
      await service.query('ALTER ROLE pgrove_auth CREATEDB CREATEROLE BYPASSRLS')
      await provision()
      await refused(tenant, 'SET ROLE pgrove_auth', '42501')
      assert.equal(
        await one(
          auth,
          'SELECT rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = current_user',
        ),
        false,
      )
    })

    test('has the functions that policies ask who it is', async () => {
      await tenant.query('CREATE EXTENSION IF NOT EXISTS pg_session_jwt')
      await tenant.query('CREATE EXTENSION IF NOT EXISTS pg_session_jwt')
      const ann = crypto.randomUUID()
      const org = crypto.randomUUID()
      const asked = `SELECT auth.user_id() AS user_id, auth.uid() AS uid, auth.session() AS session, auth.jwt() AS jwt,
        auth.organization() AS organization, auth.organization_id() AS organization_id`
      const answers = async (claims: string | undefined): Promise<Record<string, unknown>> => {
        await tenant.query('BEGIN')
        if (claims !== undefined) await tenant.query(`SELECT set_config('request.jwt.claims', $1, true)`, [claims])
        const { rows } = await tenant.query<Record<string, unknown>>(asked)
        await tenant.query('COMMIT')
        return rows[0] ?? {}
      }
      const nobody = { user_id: null, uid: null, session: null, jwt: null, organization: null, organization_id: null }
      assert.deepEqual(await answers(undefined), nobody)
      const claims = { sub: ann, role: 'authenticated', o: { id: org, slug: 'acme' } }
      assert.deepEqual(await answers(JSON.stringify(claims)), {
        user_id: ann,
        uid: ann,
        session: claims,
        jwt: claims,
        organization: claims.o,
        organization_id: org,
      })
      // What is left of a transaction before.
      assert.deepEqual(await answers(undefined), nobody)
      for (const text of ['', 'no json', '{"sub":', '"\\u0000"']) assert.deepEqual(await answers(text), nobody, text)
      assert.deepEqual(await answers('{"sub":7,"o":"x"}'), {
        ...nobody,
        session: { sub: 7, o: 'x' },
        jwt: { sub: 7, o: 'x' },
      })
      const named = { sub: 'ann', o: { id: 'acme' } }
      assert.deepEqual(await answers(JSON.stringify(named)), {
        ...nobody,
        user_id: 'ann',
        session: named,
        jwt: named,
        organization: named.o,
      })
      await refused(tenant, 'SELECT auth.init()', '0A000')
      await refused(tenant, `SELECT auth.jwt_session_init('x')`, '0A000')
      await refused(
        tenant,
        'CREATE OR REPLACE FUNCTION auth.session() RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$',
        '42501',
      )
    })

    test('shows each user his own rows only', async () => {
      for (const statement of [
        'CREATE TABLE todos (id int GENERATED ALWAYS AS IDENTITY, user_id text DEFAULT auth.user_id() NOT NULL, task text)',
        'ALTER TABLE todos ENABLE ROW LEVEL SECURITY',
      ])
        await tenant.query(statement)
      const service = await computes.service(supervisor, id, 'app')
      for (const statement of [
        'CREATE ROLE authenticated',
        'CREATE ROLE anonymous',
        'GRANT authenticated, anonymous TO app',
      ])
        await service.query(statement)
      for (const statement of [
        'GRANT USAGE ON SCHEMA public TO authenticated, anonymous',
        'GRANT SELECT, INSERT, UPDATE, DELETE ON todos TO authenticated',
        'CREATE POLICY own ON todos TO authenticated USING ((SELECT auth.user_id()) = user_id) WITH CHECK ((SELECT auth.user_id()) = user_id)',
      ])
        await tenant.query(statement)
      const as = async (role: string, sub: string, statement: string): Promise<unknown[]> => {
        await tenant.query('BEGIN')
        try {
          await tenant.query(`SET LOCAL ROLE ${role}`)
          await tenant.query(`SELECT set_config('request.jwt.claims', $1, true)`, [JSON.stringify({ sub })])
          const { rows } = await tenant.query(statement)
          await tenant.query('COMMIT')
          return rows
        } catch (error) {
          await tenant.query('ROLLBACK')
          throw error
        }
      }
      await as('authenticated', 'ann', `INSERT INTO todos (task) VALUES ('of ann')`)
      await as('authenticated', 'bob', `INSERT INTO todos (task) VALUES ('of bob')`)
      assert.deepEqual(await as('authenticated', 'ann', 'SELECT user_id, task FROM todos'), [
        { user_id: 'ann', task: 'of ann' },
      ])
      await assert.rejects(as('authenticated', 'ann', `INSERT INTO todos (user_id, task) VALUES ('bob', 'forged')`), {
        code: '42501',
      })
      assert.deepEqual(
        await as('authenticated', 'ann', `UPDATE todos SET task = 'stolen' WHERE user_id = 'bob' RETURNING id`),
        [],
      )
      await assert.rejects(as('anonymous', 'ann', 'SELECT * FROM todos'), { code: '42501' })
      for (const role of ['authenticated', 'anonymous'])
        for (const table of ['users_sync', '"user"', '"session"', '"account"', '"verification"', '"jwks"'])
          await assert.rejects(as(role, 'ann', `SELECT * FROM neon_auth.${table}`), { code: '42501' })
    })

    test('is written with the schema of the database, as nobody of ours', async () => {
      const pgDump = await findPgDump(major, [computes.tree.binDir], testOwner)
      const service = await computes.service(supervisor, id, 'app')
      for (const program of pgDump === undefined ? [undefined] : [undefined, pgDump]) {
        const text = await readSchemaText(service, supervisor.service(id, 'app'), program)
        assert.match(text, /^CREATE TABLE neon_auth\.users_sync \($/m)
        assert.match(
          text,
          /^GRANT REFERENCES, ?SELECT ON TABLE neon_auth\.users_sync TO pg_database_owner;$|^GRANT SELECT,REFERENCES ON TABLE neon_auth\.users_sync TO pg_database_owner;$/m,
        )
        assert.doesNotMatch(text, /pgrove/)
        const name = program === undefined ? 'written' : 'dumped'
        await service.query(`CREATE DATABASE ${name} OWNER app`)
        const loading = await computes.service(supervisor, id, name)
        await loading.query(text)
        await loading.query(`SET search_path = pg_catalog`)
        assert.equal(await one(loading, 'SELECT count(*)::int FROM neon_auth.users_sync'), 0)
        await service.query(`DROP DATABASE ${name} WITH (FORCE)`)
      }
    })

    test(
      'lets the owner dump the database, users and all',
      { skip: major !== 15 && 'there is no pg_dump for it' },
      async () => {
        const pgDump = await findPgDump(major, [computes.tree.binDir], testOwner)
        if (pgDump === undefined) return
        const env = { PGHOST: `${computes.root}/run/${id}`, PGUSER: 'app', PGPASSWORD: 'app', PGDATABASE: 'app' }
        const { stdout } = await run(pgDump, ['--no-owner'], { env, owner: testOwner, timeoutMs: 60_000 })
        assert.match(stdout, /bob@example\.com/)
      },
    )

    test('is there and empty in a copy of the schema alone', async () => {
      for (const client of opened) await client.end()
      await keepSchemaOnly((database) => supervisor.client(id, database))
      auth = await asAuth()
      assert.equal(await readAuthVersion(auth), 1)
      for (const table of ['"user"', 'users_sync', '"session"', 'user_events', 'stack_user'])
        assert.equal(await one(auth, `SELECT count(*)::int FROM ${table}`), 0, table)
      await createUser(auth, { email: 'bob@example.com', name: 'Bob' })
      assert.equal(await one(auth, 'SELECT count(*)::int FROM users_sync'), 1)
    })

    test('goes with all that it had, and the role with the last of it', async () => {
      for (const client of opened.splice(0)) await client.end()
      for (const database of ['other', 'app']) {
        await dropAuth(await computes.service(supervisor, id, database))
        const service = await computes.service(supervisor, id, database)
        assert.equal(await readAuthVersion(service), undefined)
        assert.equal(
          await one(service, `SELECT count(*)::int FROM pg_roles WHERE rolname = 'pgrove_auth'`),
          database === 'app' ? 0 : 1,
        )
      }
      await dropAuth(await computes.service(supervisor, id, 'app'))
      await provision()
      assert.equal(await one(tenant, 'SELECT count(*)::int FROM neon_auth.users_sync'), 0)
    })
  })
}
