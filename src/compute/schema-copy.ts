// Turns a copy of a cluster into one that has its schema and none of its data, in place, before anybody is let in.
//
// A tenant wrote what is in there, and the service role is a superuser: no function of the tenant's may run on the way. A trigger on TRUNCATE
// that fires even in a replica session is switched off for the length of the transaction; nothing else here calls any.
//
// Data is also what was sampled from it (statistics), what is half committed (prepared transactions), and large objects. Tables of extensions
// stay as they are: their rows are the extension's. Each function may run again after a crash.

import type pg from 'pg'
import { sqlLiteral, sqlName } from './sql-text.ts'
import { maintenanceDatabase } from './postgres-service.ts'
import { madeByTenant } from './schema-writer/entry.ts'

/** `connect`: as the service role; what it opened is ended here. */
export async function keepSchemaOnly(connect: (database: string) => Promise<pg.Client>): Promise<void> {
  await using maintenance = await session(connect, maintenanceDatabase)
  for (const database of await listDatabases(maintenance.client)) {
    const name = sqlName(database.name)
    if (database.broken) {
      // Its deletion did not come to an end, and nobody can enter it any more.
      await maintenance.client.query(`DROP DATABASE ${name}`)
      continue
    }
    // One that its owner has locked would be unlocked again later, with all that is in it.
    if (!database.open) await maintenance.client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
    try {
      await using inside = await session(connect, database.name)
      await emptyDatabase(inside.client)
    } finally {
      if (!database.open) await maintenance.client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
    }
  }
}

async function session(
  connect: (database: string) => Promise<pg.Client>,
  database: string,
): Promise<AsyncDisposable & { client: pg.Client }> {
  const client = await connect(database)
  return { client, [Symbol.asyncDispose]: () => client.end() }
}

async function listDatabases(client: pg.Client): Promise<{ name: string; open: boolean; broken: boolean }[]> {
  const { rows } = await client.query<{ name: string; open: boolean; broken: boolean }>(
    // -2 marks one that was being dropped; nothing can be written into template0.
    `SELECT datname AS name, datallowconn AS open, datconnlimit = -2 AS broken
     FROM pg_database WHERE datname <> 'template0' ORDER BY datname`,
  )
  return rows
}

async function emptyDatabase(client: pg.Client): Promise<void> {
  await client.query('SET session_replication_role = replica')
  await rollBackPrepared(client)
  const armed = await listArmedTriggers(client)
  for (const tables of batches(await listTables(client))) await truncate(client, tables, armed)
  await resetSequences(client)
  for (const view of await listMaterializedViews(client)) {
    await client.query(`REFRESH MATERIALIZED VIEW ${view} WITH NO DATA`)
  }
  await removeLargeObjects(client)
  // The most common values of a column are values of it.
  await client.query('DELETE FROM pg_statistic WHERE starelid >= 16384')
  await client.query('DELETE FROM pg_statistic_ext_data')
  await client.query('VACUUM pg_statistic, pg_statistic_ext_data, pg_largeobject, pg_largeobject_metadata')
}

async function rollBackPrepared(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ gid: string }>(
    'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
  )
  for (const { gid } of rows) await client.query(`ROLLBACK PREPARED ${sqlLiteral(gid)}`)
}

type Table = { oid: number; name: string; related: number[] | null }

/**
 * What holds rows of its own; a partitioned table has none. ONLY, since a foreign table may be among the children of a table, and to empty
 * that would empty it elsewhere.
 */
const tablesQuery = `
  SELECT c.oid, c.oid::regclass::text AS name,
    (SELECT json_agg(k.confrelid::int8) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') AS related
  FROM pg_class c
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${madeByTenant('pg_class', 'c.oid')}
  ORDER BY c.oid`

async function listTables(client: pg.Client): Promise<Table[]> {
  return (await client.query<Table>(tablesQuery)).rows
}

type Trigger = { table: string; name: string; mode: 'ALWAYS' | 'REPLICA' }

/** Of any table, since cascading reaches what refers to another one, and partitioned tables among that. */
async function listArmedTriggers(client: pg.Client): Promise<Trigger[]> {
  const { rows } = await client.query<Trigger>(
    `SELECT t.tgrelid::regclass::text AS table, quote_ident(t.tgname) AS name,
       CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END AS mode
     FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgtype & 32 <> 0 AND t.tgenabled IN ('A', 'R') ORDER BY t.oid`,
  )
  return rows
}

/** Each table is locked until its transaction ends, and the room for locks is shared by all. */
const tablesAtOnce = 200

/** Tables that refer to each other have to be emptied together. */
function batches(tables: readonly Table[]): Table[][] {
  const towards = new Map(tables.map(({ oid }) => [oid, oid]))
  const groupOf = (oid: number): number => {
    let at = oid
    for (let next = towards.get(at) ?? at; next !== at; next = towards.get(at) ?? at) {
      towards.set(at, towards.get(next) ?? next)
      at = next
    }
    return at
  }
  for (const { oid, related } of tables) for (const other of related ?? []) towards.set(groupOf(other), groupOf(oid))
  const packed: Table[][] = []
  for (const group of Map.groupBy(tables, ({ oid }) => groupOf(oid)).values()) {
    const last = packed.at(-1)
    if (last && last.length + group.length <= tablesAtOnce) last.push(...group)
    else packed.push([...group])
  }
  return packed
}

async function truncate(client: pg.Client, tables: readonly Table[], armed: readonly Trigger[]): Promise<void> {
  const names = tables.map(({ name }) => `ONLY ${name}`).join(', ')
  const statements = [
    'BEGIN',
    ...armed.map(({ table, name }) => `ALTER TABLE ONLY ${table} DISABLE TRIGGER ${name}`),
    `TRUNCATE ${names} CASCADE`,
    ...armed.map(({ table, name, mode }) => `ALTER TABLE ONLY ${table} ENABLE ${mode} TRIGGER ${name}`),
    'COMMIT',
  ]
  await client.query(statements.join('; '))
}

async function resetSequences(client: pg.Client): Promise<void> {
  await client.query(
    `SELECT setval(s.seqrelid::regclass, s.seqstart, false) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
     WHERE c.relpersistence <> 't' AND ${madeByTenant('pg_class', 'c.oid')}`,
  )
}

async function listMaterializedViews(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c
     WHERE c.relkind = 'm' AND c.relispopulated AND ${madeByTenant('pg_class', 'c.oid')} ORDER BY c.oid`,
  )
  return rows.map(({ name }) => name)
}

const objectsAtOnce = 1000

async function removeLargeObjects(client: pg.Client): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      `SELECT lo_unlink(l.oid) FROM (SELECT oid FROM pg_largeobject_metadata ORDER BY oid LIMIT ${objectsAtOnce}) l`,
    )
    if ((rowCount ?? 0) < objectsAtOnce) return
  }
}
