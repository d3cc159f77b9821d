// The role that owns `neon_auth`, and connections as it.
//
// Whoever works on what is in that schema comes in as this role, control as well: a tenant may have put anything there, and what the service
// role touched would run as a superuser. The service role makes the role and the empty schema, and looks at catalogs.
//
// A tenant does get to run something as this role: Postgres checks a foreign key as the owner of the table that it leads to, and a cast of the
// tenant's may be part of that. So nothing is given to the role but the one schema, and what it answers is read with bounds.

import pg from 'pg'
import { authSchema, authSessionSettings } from '../../model/auth.ts'
import type { PgMajor } from '../../model/compute.ts'
import { BoundedSocket } from '../../lib/bounded-socket.ts'
import { AppError } from '../../model/errors.ts'
import { parseVerifier } from '../../pgwire/scram-verifier.ts'
import { authRole, socketPort } from '../postgres-service.ts'
import { sqlState } from '../roles.ts'
import { sqlLiteral, sqlName } from '../sql-text.ts'

/** Of the connections that a compute has: what the auth process keeps open and control adds. */
const mostConnections = 20
const application = 'pgrove-auth'
/** Whoever waits holds the branch's lock. */
const longestAnswerMs = 40_000

/**
 * Makes the role, an empty schema of its own and its way in, whatever of that is there already. `client`: the service role's, in the
 * database. Throws `already_exists` for a schema of this name that is somebody else's.
 */
export async function ensureAuthRole(client: pg.Client, verifier: string): Promise<void> {
  parseVerifier(verifier)
  const seen = await lookAround(client)
  if (seen.schemaOwner !== null && seen.schemaOwner !== authRole) {
    throw new AppError(
      'already_exists',
      `the database has a schema ${authSchema} of ${JSON.stringify(seen.schemaOwner)}; rename or drop it, since sign-in keeps its users there`,
    )
  }
  const database = sqlName(seen.database)
  const attributes = `LOGIN NOSUPERUSER NOINHERIT NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT ${mostConnections} VALID UNTIL 'infinity' PASSWORD ${sqlLiteral(verifier)}`
  const settings = { search_path: authSchema, role: 'none' }
  const statements = [
    // Databases of one compute share the role, and two may be given sign-in at once.
    `SELECT pg_advisory_xact_lock(${lockKey})`,
    ...(seen.hasRole ? [] : [`CREATE ROLE ${authRole}`]),
    // A tenant may have made a role of this name, and himself or others members of it.
    ...seen.memberships.map(
      ({ role, member, grantor }) =>
        `REVOKE ${sqlName(role)} FROM ${sqlName(member)}${seen.major >= 16 ? ` GRANTED BY ${sqlName(grantor)}` : ''} CASCADE`,
    ),
    `ALTER ROLE ${authRole} ${attributes}`,
    `ALTER ROLE ${authRole} RESET ALL`,
    `ALTER ROLE ${authRole} IN DATABASE ${database} RESET ALL`,
    ...Object.entries(settings).map(
      ([name, value]) => `ALTER ROLE ${authRole} IN DATABASE ${database} SET ${name} = ${value}`,
    ),
    `GRANT CONNECT ON DATABASE ${database} TO ${authRole}`,
    ...(seen.schemaOwner === null ? [`CREATE SCHEMA ${authSchema} AUTHORIZATION ${authRole}`] : []),
  ]
  // Without parameters, one message and one transaction.
  await client.query(statements.join('; ')).catch((cause: unknown) => {
    // Made by another call between the look and this.
    if (['42710', '42P06', 'XX000'].includes(sqlState(cause) ?? '')) {
      throw new AppError('locked', 'sign-in is being set up in this compute already; try again', { cause })
    }
    throw cause
  })
}

/** What it owns goes, and the role itself where no other database has anything of its. */
export async function dropAuth(client: pg.Client): Promise<void> {
  const seen = await lookAround(client)
  if (!seen.hasRole) return
  // By name, and only what is the role's: a schema that a tenant made under this name is not ours to drop.
  if (seen.schemaOwner === authRole) await client.query(`DROP SCHEMA ${authSchema} CASCADE`)
  await client.query(`REVOKE CONNECT ON DATABASE ${sqlName(seen.database)} FROM ${authRole}`)
  await client.query(`ALTER ROLE ${authRole} IN DATABASE ${sqlName(seen.database)} RESET ALL`)
  await client.query(`DROP ROLE ${authRole}`).catch((error: unknown) => {
    // dependent_objects_still_exist
    if (sqlState(error) !== '2BP01') throw error
  })
}

const lockKey = 0x6175_7468

type Seen = {
  database: string
  major: number
  hasRole: boolean
  schemaOwner: string | null
  memberships: { role: string; member: string; grantor: string }[]
}

async function lookAround(client: pg.Client): Promise<Seen> {
  const { rows } = await client.query<Seen>(
    `SELECT current_database() AS database, current_setting('server_version_num')::int / 10000 AS major,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS "hasRole",
       (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = $2) AS "schemaOwner",
       (SELECT coalesce(json_agg(json_build_object('role', pg_get_userbyid(m.roleid), 'member', pg_get_userbyid(m.member),
            'grantor', pg_get_userbyid(m.grantor)) ORDER BY m.roleid, m.member), '[]')
          FROM pg_auth_members m WHERE $1 IN (pg_get_userbyid(m.roleid), pg_get_userbyid(m.member))) AS memberships`,
    [authRole, authSchema],
  )
  const [row] = rows
  if (!row) throw new AppError('internal', 'postgres did not answer a question about its roles')
  return row
}

export type AuthAddress = { major: PgMajor; socketDir: string; password: string; database: string }

function authStartupOptions(major: PgMajor): string {
  const overrides = [
    ...authSessionSettings,
    'statement_timeout=30s',
    'lock_timeout=10s',
    'idle_in_transaction_session_timeout=60s',
    ...(major >= 17 ? ['transaction_timeout=0'] : []),
  ]
  return overrides.map((each) => `-c ${each}`).join(' ')
}

/** The caller ends it. */
export async function connectAsAuth({ major, socketDir, password, database }: AuthAddress): Promise<pg.Client> {
  const client = new pg.Client({
    host: socketDir,
    port: socketPort,
    user: authRole,
    password,
    database,
    application_name: application,
    options: authStartupOptions(major),
    connectionTimeoutMillis: 10_000,
    // What answers is whatever the tenant has made of it, and may answer anything, or not at all.
    stream: () => new BoundedSocket(),
    query_timeout: longestAnswerMs,
  })
  client.on('error', () => {})
  await client.connect()
  return client
}
