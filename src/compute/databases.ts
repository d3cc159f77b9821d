// Databases of a branch. Each function says what should be so and may run again after a crash.
//
// Postgres renames and drops a database only while nobody is in it, and tenants' clients reconnect: sessions are ended and the statement is
// tried again, a bounded number of times.

import type pg from 'pg'
import { isReservedDatabaseName } from '../model/database.ts'
import { AppError } from '../model/errors.ts'
import { sqlState, type Connect } from './roles.ts'
import { sqlLiteral, sqlName } from './sql-text.ts'

export type DesiredDatabase = { name: string; owner: string }
export type ObservedDatabase = DesiredDatabase

export type DatabaseChange =
  | { kind: 'create'; database: DesiredDatabase }
  | { kind: 'set_owner'; database: DesiredDatabase }

/** Databases that are there and were not named stay as they are: a tenant may have made them by SQL. */
export function diffDatabases(
  desired: readonly DesiredDatabase[],
  observed: readonly ObservedDatabase[],
): DatabaseChange[] {
  const owners = new Map(observed.map(({ name, owner }) => [name, owner]))
  return desired.flatMap((database): DatabaseChange[] => {
    const owner = owners.get(database.name)
    if (owner === undefined) return [{ kind: 'create', database }]
    return owner === database.owner ? [] : [{ kind: 'set_owner', database }]
  })
}

export function databaseChangeSql({ kind, database }: DatabaseChange): string {
  switch (kind) {
    case 'create':
      return `CREATE DATABASE ${tenantDatabase(database.name)} OWNER ${sqlName(database.owner)}`
    case 'set_owner':
      return `ALTER DATABASE ${tenantDatabase(database.name)} OWNER TO ${sqlName(database.owner)}`
  }
}

/** Makes the named databases what they should be; their owners must be there. */
export async function applyDatabases(
  client: pg.Client,
  desired: readonly DesiredDatabase[],
): Promise<DatabaseChange[]> {
  const changes = diffDatabases(desired, await listDatabases(client))
  for (const change of changes) {
    await assertTenant(client, change.database.owner)
    // Somebody in template1 keeps a new database from being made.
    await undisturbed(client, 'template1', () => client.query(databaseChangeSql(change)))
  }
  return changes
}

export async function createDatabase(client: pg.Client, name: string, owner: string): Promise<void> {
  await applyDatabases(client, [{ name, owner }])
}

/** Throws `not_found` where there is no such database. */
export async function setDatabaseOwner(client: pg.Client, name: string, owner: string): Promise<void> {
  await assertTenant(client, owner)
  if (!(await isThere(client, name))) throw new AppError('not_found', `database ${name} does not exist`)
  await client.query(databaseChangeSql({ kind: 'set_owner', database: { name, owner } }))
}

export async function renameDatabase(client: pg.Client, from: string, to: string): Promise<void> {
  if (from === to) return
  const statement = `ALTER DATABASE ${tenantDatabase(from)} RENAME TO ${tenantDatabase(to)}`
  if (!(await isThere(client, from))) {
    if (await isThere(client, to)) return
    throw new AppError('not_found', `database ${from} does not exist`)
  }
  await undisturbed(client, from, () => client.query(statement)).catch((cause: unknown) => {
    if (sqlState(cause) === '42P04') throw new AppError('already_exists', `database ${to} already exists`, { cause })
    throw cause
  })
}

/** Whoever is in it is thrown out; what hangs on it (subscriptions, slots, prepared transactions) goes with it. */
export async function dropDatabase(connect: Connect, name: string): Promise<void> {
  const database = tenantDatabase(name)
  const client = await connect()
  try {
    if (!(await isThere(client, name))) return
    await client.query(`ALTER DATABASE ${database} IS_TEMPLATE false`)
    const { rows } = await client.query<{ ties: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1)
         OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = $1) AS ties`,
      [name],
    )
    if (rows[0]?.ties === true) await cutTies(client, connect, name)
    await undisturbed(client, name, () => client.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
  } finally {
    await client.end()
  }
}

const listQuery = `
  SELECT d.datname AS name, o.rolname AS owner FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba
  WHERE d.datname NOT IN ('postgres', 'template0', 'template1') AND d.datconnlimit <> -2 ORDER BY d.datname`

/** All but Postgres' own, those that a tenant made by SQL among them. */
export async function listDatabases(client: pg.Client): Promise<ObservedDatabase[]> {
  return (await client.query<ObservedDatabase>(listQuery)).rows
}

async function isThere(client: pg.Client, name: string): Promise<boolean> {
  return (await client.query('SELECT FROM pg_database WHERE datname = $1', [name])).rowCount === 1
}

/** A database of a superuser's would hand its tenant a superuser's functions. */
async function assertTenant(client: pg.Client, role: string): Promise<void> {
  const { rows } = await client.query<{ superuser: boolean }>(
    `SELECT rolsuper OR rolname LIKE 'pg\\_%' AS superuser FROM pg_roles WHERE rolname = $1`,
    [role],
  )
  const [found] = rows
  if (!found) throw new AppError('not_found', `role ${role} does not exist`)
  if (found.superuser) throw new AppError('bad_request', `role ${role} cannot own a database`)
}

const attempts = 20

/** Ends the sessions first: Postgres itself would wait five seconds for them. */
async function undisturbed(client: pg.Client, database: string, work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await client.query(
      'SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
      [database],
    )
    try {
      await work()
      return
    } catch (error) {
      // object_in_use: somebody was quicker.
      if (sqlState(error) !== '55006' || attempt === attempts) throw error
    }
  }
}

async function cutTies(client: pg.Client, connect: Connect, name: string): Promise<void> {
  await client.query(`ALTER DATABASE ${sqlName(name)} ALLOW_CONNECTIONS true`)
  const inside = await connect(name)
  try {
    const { rows: prepared } = await inside.query<{ gid: string }>(
      'SELECT gid FROM pg_prepared_xacts WHERE database = $1',
      [name],
    )
    for (const { gid } of prepared) await inside.query(`ROLLBACK PREPARED ${sqlLiteral(gid)}`)
    const { rows: subscriptions } = await inside.query<{ name: string }>(
      'SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1)',
      [name],
    )
    for (const subscription of subscriptions) {
      // The slot on the publisher is left to its owner: it may not be reachable, or a branch's parent may still use it.
      const quoted = sqlName(subscription.name)
      await inside.query(`ALTER SUBSCRIPTION ${quoted} DISABLE`)
      await inside.query(`ALTER SUBSCRIPTION ${quoted} SET (slot_name = NONE)`)
      await inside.query(`DROP SUBSCRIPTION ${quoted}`)
    }
  } finally {
    await inside.end()
  }
}

function tenantDatabase(name: string): string {
  if (isReservedDatabaseName(name)) throw new AppError('bad_request', `database name ${name} is reserved`)
  return sqlName(name)
}
