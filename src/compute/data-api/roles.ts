// The roles of the Data API in a branch's Postgres: those that apps and policies know by PostgREST's names, and ours, which comes in and
// becomes one of them for a request.
//
// Ours has a password that nobody else knows and nothing to lose: what a request runs may change back to it, and finds a role that owns
// nothing. `authenticator` is the tenant's: whoever is granted to it can be named by a token, and its password is his to set.

import type pg from 'pg'
import { dataApiRoles } from '../../model/data-api.ts'
import { AppError } from '../../model/errors.ts'
import { parseVerifier } from '../../pgwire/scram-verifier.ts'
import { dataApiRole, tenantGroupRole } from '../postgres-service.ts'
import { sqlState } from '../roles.ts'
import { sqlLiteral, sqlName } from '../sql-text.ts'

/** What the process keeps open for one database, and what is on its way out. */
const mostConnections = 30
const { authenticator, user, anonymous } = dataApiRoles
const plain = 'NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'

/** Of data that never had it: whoever may be named by a token must not be more than its grants. Throws `unprocessable`. */
export async function assertRolesFit(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string; why: string }>(
    `SELECT r.rolname AS name, CASE WHEN r.rolbypassrls THEN 'is not bound by row-level security' ELSE 'is a member of ' || $2 END AS why
       FROM pg_roles r
      WHERE r.rolname = ANY ($1) AND (r.rolbypassrls OR r.rolsuper OR pg_has_role(r.oid, $2, 'MEMBER'))`,
    [[authenticator, user, anonymous], tenantGroupRole],
  )
  const [first] = rows
  if (!first) return
  throw new AppError(
    'unprocessable',
    `there is a role ${first.name} that ${first.why}, and requests of the Data API would come in as it; rename or drop it first`,
  )
}

/**
 * Makes what is missing of the roles and their memberships, and our way in. Returns whether `authenticated` had to be made, so that the
 * data has never been set up. `client`: the service role's, in the database. May run again, and beside itself.
 */
export async function ensureDataApiRoles(client: pg.Client, verifier: string): Promise<{ areNew: boolean }> {
  parseVerifier(verifier)
  const seen = await lookAround(client)
  const has = (name: string): boolean => seen.there.includes(name)
  const database = sqlName(seen.database)
  const isModern = seen.major >= 16
  const statements = [
    // Databases of one compute share the roles, and two may be given a Data API at once.
    `SELECT pg_advisory_xact_lock(${lockKey})`,
    ...(has(authenticator) ? [] : [`CREATE ROLE ${authenticator} LOGIN NOINHERIT ${plain}`]),
    ...(has(user) ? [] : [`CREATE ROLE ${user} NOLOGIN ${plain}`]),
    ...(has(anonymous) ? [] : [`CREATE ROLE ${anonymous} NOLOGIN ${plain}`]),
    `GRANT ${user}, ${anonymous} TO ${authenticator}`,
    // So that a tenant tries his policies, gives them settings, and lets `authenticator` become more; not so that he has what they have.
    `GRANT ${authenticator}, ${user}, ${anonymous} TO ${tenantGroupRole} WITH ADMIN ${isModern ? 'TRUE, INHERIT FALSE, SET TRUE' : 'OPTION'}`,
    ...(has(dataApiRole) ? [] : [`CREATE ROLE ${dataApiRole}`]),
    ...seen.strange.map(
      ({ role, member, grantor }) =>
        `REVOKE ${sqlName(role)} FROM ${sqlName(member)}${isModern ? ` GRANTED BY ${sqlName(grantor)}` : ''} CASCADE`,
    ),
    `ALTER ROLE ${dataApiRole} LOGIN NOINHERIT ${plain} CONNECTION LIMIT ${mostConnections} VALID UNTIL 'infinity' PASSWORD ${sqlLiteral(verifier)}`,
    `ALTER ROLE ${dataApiRole} RESET ALL`,
    `ALTER ROLE ${dataApiRole} IN DATABASE ${database} RESET ALL`,
    `GRANT ${authenticator} TO ${dataApiRole}${isModern ? ' WITH INHERIT FALSE, SET TRUE' : ''}`,
    `GRANT CONNECT ON DATABASE ${database} TO ${dataApiRole}`,
    ...(seen.hasPublicSchema ? [`GRANT USAGE ON SCHEMA public TO ${anonymous}`] : []),
  ]
  // Without parameters, one message and one transaction.
  await client.query(statements.join('; ')).catch((cause: unknown) => {
    // Made by another call between the look and this.
    if (['42710', 'XX000'].includes(sqlState(cause) ?? '')) {
      throw new AppError('locked', 'a Data API is being set up in this compute already; try again', { cause })
    }
    throw cause
  })
  return { areNew: !has(user) }
}

/** Everything in `public`, now and later, as far as the database's owner makes it: reading and writing for whoever is signed in. */
export async function grantDefaults(client: pg.Client): Promise<void> {
  const { owner, hasPublicSchema } = await lookAround(client)
  if (!hasPublicSchema) return
  const forOwner = `ALTER DEFAULT PRIVILEGES FOR ROLE ${sqlName(owner)} IN SCHEMA public GRANT`
  const onTables = 'SELECT, INSERT, UPDATE, DELETE'
  const onSequences = 'USAGE, SELECT'
  await client.query(
    [
      `GRANT USAGE ON SCHEMA public TO ${user}`,
      `GRANT ${onTables} ON ALL TABLES IN SCHEMA public TO ${user}`,
      `GRANT ${onSequences} ON ALL SEQUENCES IN SCHEMA public TO ${user}`,
      `${forOwner} ${onTables} ON TABLES TO ${user}`,
      `${forOwner} ${onSequences} ON SEQUENCES TO ${user}`,
    ].join('; '),
  )
}

/** Those that can be exposed, in alphabetical order. */
export async function listSchemas(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT n.nspname AS name FROM pg_namespace n
      WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'neon_auth')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
        AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extnamespace = n.oid AND e.extname = 'pg_session_jwt')
      ORDER BY n.nspname COLLATE "C" LIMIT 1000`,
  )
  return rows.map(({ name }) => name)
}

const lockKey = 0x7265_7374

type Seen = {
  database: string
  owner: string
  major: number
  there: string[]
  hasPublicSchema: boolean
  /** Memberships of our role beside the one that it has. */
  strange: { role: string; member: string; grantor: string }[]
}

async function lookAround(client: pg.Client): Promise<Seen> {
  const { rows } = await client.query<Seen>(
    `SELECT current_database() AS database, current_setting('server_version_num')::int / 10000 AS major,
       (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) AS owner,
       (SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles WHERE rolname = ANY ($1)) AS there,
       EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public') AS "hasPublicSchema",
       (SELECT coalesce(json_agg(json_build_object('role', pg_get_userbyid(m.roleid), 'member', pg_get_userbyid(m.member),
            'grantor', pg_get_userbyid(m.grantor)) ORDER BY m.roleid, m.member), '[]')
          FROM pg_auth_members m
         WHERE $2 IN (pg_get_userbyid(m.roleid), pg_get_userbyid(m.member)) AND pg_get_userbyid(m.roleid) <> $3) AS strange`,
    [[authenticator, user, anonymous, dataApiRole], dataApiRole, authenticator],
  )
  const [row] = rows
  if (!row) throw new AppError('internal', 'postgres did not answer a question about its roles')
  return row
}
