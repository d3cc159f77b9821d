import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import { keepSchemaOnly } from './schema-copy.ts'
import { readSchemaText } from './schema-text.ts'
import type { Supervisor } from './supervisor.ts'
import { TestComputes, testInstallations } from './test-computes.ts'
import { richSchema } from './test-schema.ts'

const tables = `
CREATE TABLE parent (id serial PRIMARY KEY, secret text);
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY, parent int REFERENCES parent, self int, UNIQUE (id), FOREIGN KEY (self) REFERENCES child (id));
ALTER TABLE parent ADD COLUMN first int REFERENCES child (id);
CREATE TABLE by_day (day date, parent int REFERENCES parent, PRIMARY KEY (day)) PARTITION BY RANGE (day);
CREATE TABLE by_day_1 PARTITION OF by_day FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE of_day (day date REFERENCES by_day);
CREATE UNLOGGED TABLE unlogged (a int);
CREATE TABLE "Odd ""one""" (a int);
CREATE SEQUENCE lonely START 5;
CREATE MATERIALIZED VIEW kept AS SELECT secret FROM parent;
CREATE UNIQUE INDEX ON kept (secret);
CREATE TABLE alarms (who name);
CREATE FUNCTION alarm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.alarms VALUES (current_user);
  ALTER ROLE app SUPERUSER;
  RETURN NULL;
END $$;
CREATE TRIGGER always BEFORE TRUNCATE ON parent EXECUTE FUNCTION alarm();
CREATE TRIGGER replica AFTER TRUNCATE ON by_day EXECUTE FUNCTION alarm();
CREATE TRIGGER origin AFTER TRUNCATE ON child EXECUTE FUNCTION alarm();
ALTER TABLE parent ENABLE ALWAYS TRIGGER always;
ALTER TABLE by_day ENABLE REPLICA TRIGGER replica;

INSERT INTO parent (secret) SELECT 'secret ' || g FROM generate_series(1, 1000) g;
INSERT INTO child (parent) SELECT g FROM generate_series(1, 100) g;
UPDATE parent SET first = 1;
INSERT INTO by_day VALUES ('2026-01-05', 1);
INSERT INTO of_day VALUES ('2026-01-05');
INSERT INTO unlogged VALUES (1);
INSERT INTO "Odd ""one""" VALUES (1);
SELECT nextval('lonely'), lo_from_bytea(0, 'secret');
REFRESH MATERIALIZED VIEW kept;
`

for (const [major, installation] of testInstallations) {
  describe(`a copy of the schema alone, of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    let id: TimelineId
    let tenant: pg.Client
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
      id = await computes.claimed(supervisor)
      tenant = await computes.tenant(id)
      await tenant.query('CREATE DATABASE rich')
      await tenant.query(tables)
      await tenant.query('ANALYZE')
      const service = await computes.service(supervisor, id)
      await service.query('CREATE ROLE reader; CREATE ROLE "Odd role"')
      const rich = await computes.tenant(id, { database: 'rich' })
      await rich.query(richSchema(major).replaceAll(/^CREATE ROLE .*$/gm, ''))
      await rich.query(
        `INSERT INTO shop.customers (name, email) VALUES ('n', 'a@b'); INSERT INTO events VALUES (1, '2026-01-01', 'a')`,
      )
      await rich.end()
    })
    after(async () => await computes[Symbol.asyncDispose]())

    const keep = (): Promise<void> => keepSchemaOnly((database) => supervisor.client(id, database))
    const schemaOf = async (database: string): Promise<string> => {
      const client = await computes.service(supervisor, id, database)
      return await readSchemaText(client, supervisor.service(id, database), undefined)
    }
    const schemas = (): Promise<string[]> => Promise.all(['app', 'rich'].map(schemaOf))

    test('has the schema as it was, and none of the rows', async () => {
      const before = await schemas()
      await tenant.query('ALTER DATABASE rich ALLOW_CONNECTIONS false')
      await keep()
      await tenant.query('ALTER DATABASE rich ALLOW_CONNECTIONS true')
      assert.deepEqual(await schemas(), before)
      for (const database of ['app', 'rich']) {
        const client = await computes.tenant(id, { database })
        const { rows } = await client.query<{ name: string }>(
          `SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND relnamespace <> 'pg_toast'::regnamespace`,
        )
        assert.ok(rows.length > 5)
        for (const { name } of rows) {
          const left = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`)
          assert.equal(left.rows[0]?.n, 0, name)
        }
        await client.end()
      }
    })

    test('leaves no trace of values: sequences, large objects, statistics, materialized views', async () => {
      const { rows } = await tenant.query(`
        SELECT nextval('parent_id_seq')::int AS serial, nextval('lonely')::int AS lonely, nextval('child_id_seq')::int AS identity,
          (SELECT count(*)::int FROM pg_largeobject_metadata) AS objects, (SELECT count(*)::int FROM pg_stats WHERE tablename IN ('parent', 'kept')) AS statistics`)
      assert.deepEqual(rows[0], { serial: 1, lonely: 5, identity: 1, objects: 0, statistics: 0 })
      await assert.rejects(tenant.query('SELECT * FROM kept'), { code: '55000' })
    })

    test('runs no function of the tenant on the way', async () => {
      const { rows } = await tenant.query<{ super: boolean }>(
        'SELECT rolsuper AS super FROM pg_roles WHERE rolname = current_user',
      )
      assert.equal(rows[0]?.super, false)
      assert.equal((await tenant.query('SELECT FROM alarms')).rowCount, 0)
      const modes = await tenant.query(
        'SELECT tgname AS name, tgenabled AS mode FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1',
      )
      assert.deepEqual(modes.rows, [
        { name: 'always', mode: 'A' },
        { name: 'origin', mode: 'O' },
        { name: 'replica', mode: 'R' },
      ])
    })

    test('may be made twice', async () => {
      const before = await schemas()
      await keep()
      assert.deepEqual(await schemas(), before)
    })
  })
}
