// Roles of a branch: what the API says they are (desired) and what Postgres has (observed).
//
// Deciding is pure (`diffRoles`), acting is one statement a change, and each function may run again after a crash. Roles that a tenant made by SQL
// are not ours: no change ever removes or alters one that was not named.

import type pg from 'pg'
import type { PgMajor } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { isReservedRoleName } from '../model/role.ts'
import { parseVerifier } from '../pgwire/scram-verifier.ts'
import { authRole, dataApiRole, serviceRole, tenantGroupRole } from './postgres-service.ts'
import { sqlLiteral, sqlName } from './sql-text.ts'

export type DesiredRole = { name: string; verifier?: string | undefined; login: boolean }

export type ObservedRole = {
  name: string
  login: boolean
  verifier: string | undefined
  createDatabase: boolean
  createRole: boolean
  replication: boolean
  bypassRls: boolean
  /** Member of `neon_superuser`. */
  tenant: boolean
}

export type RoleChange =
  | { kind: 'create'; role: DesiredRole }
  | { kind: 'alter'; role: DesiredRole }
  | { kind: 'join_group'; name: string }

/** Opens a service connection to a database; whoever calls it ends it. */
export type Connect = (database?: string) => Promise<pg.Client>

/** In the order in which they can be made. */
export function diffRoles(
  desired: readonly DesiredRole[],
  observed: readonly ObservedRole[],
  major: PgMajor,
): RoleChange[] {
  const there = new Map(observed.map((role) => [role.name, role]))
  return desired.flatMap((role): RoleChange[] => {
    const found = there.get(role.name)
    if (!found) return [{ kind: 'create', role }]
    const same =
      found.login === role.login &&
      (role.verifier === undefined || found.verifier === role.verifier) &&
      found.createDatabase &&
      found.createRole === mayCreateRoles(major) &&
      found.replication &&
      found.bypassRls
    return [
      ...(same ? [] : [{ kind: 'alter', role } as const]),
      ...(found.tenant ? [] : [{ kind: 'join_group', name: role.name } as const]),
    ]
  })
}

export function roleChangeSql(change: RoleChange, major: PgMajor): string {
  switch (change.kind) {
    case 'create':
      return `CREATE ROLE ${tenantName(change.role.name)} ${attributes(change.role, major)} IN ROLE ${tenantGroupRole}`
    case 'alter':
      return `ALTER ROLE ${tenantName(change.role.name)} ${attributes(change.role, major)}`
    case 'join_group':
      return `GRANT ${tenantGroupRole} TO ${tenantName(change.name)}`
  }
}

/** Makes the named roles what they should be. */
export async function applyRoles(client: pg.Client, desired: readonly DesiredRole[]): Promise<RoleChange[]> {
  const major = await serverMajor(client)
  const changes = diffRoles(desired, await listRoles(client), major)
  for (const change of changes) {
    await client.query(roleChangeSql(change, major)).catch((cause: unknown) => {
      throw new AppError('internal', `role ${nameOf(change)} could not be made`, { cause })
    })
  }
  return changes
}

export async function createRole(client: pg.Client, role: DesiredRole): Promise<void> {
  await applyRoles(client, [role])
}

/** Throws `not_found` where there is no such role. */
export async function setRoleVerifier(client: pg.Client, name: string, verifier: string): Promise<void> {
  parseVerifier(verifier)
  await client.query(`ALTER ROLE ${tenantName(name)} PASSWORD ${sqlLiteral(verifier)}`).catch((cause: unknown) => {
    if (sqlState(cause) === '42704') throw new AppError('not_found', `role ${name} does not exist`, { cause })
    throw cause
  })
}

/** Every clone gets one of its own before it can be claimed. */
export async function setServiceVerifier(client: pg.Client, verifier: string): Promise<void> {
  parseVerifier(verifier)
  await client.query(`ALTER ROLE ${serviceRole} PASSWORD ${sqlLiteral(verifier)}`)
}

/**
 * Removes a role. In each database what it owns goes to that database's owner, as in Neon, and its privileges go. Throws `unprocessable` while it
 * owns a database. A role that is not there is removed already.
 */
export async function dropRole(connect: Connect, name: string): Promise<void> {
  const role = tenantName(name)
  const client = await connect()
  try {
    if ((await client.query('SELECT FROM pg_roles WHERE rolname = $1', [name])).rowCount === 0) return
    const { rows: databases } = await client.query<{ name: string; owner: string; superuser: boolean }>(
      `SELECT d.datname AS name, o.rolname AS owner, o.rolsuper AS superuser
       FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba WHERE d.datallowconn AND d.datconnlimit <> -2 ORDER BY d.datname`,
    )
    const owned = databases.filter((database) => database.owner === name).map((database) => database.name)
    if (owned.length > 0) throw new AppError('unprocessable', `role ${name} owns the database ${owned.join(', ')}`)
    // A session of its own could make new objects behind our back.
    await client.query(`ALTER ROLE ${role} NOLOGIN`)
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [name])
    for (const database of databases) {
      const inside = await connect(database.name)
      try {
        // Never to a superuser: its SECURITY DEFINER functions would become the superuser's.
        if (!database.superuser) await inside.query(`REASSIGN OWNED BY ${role} TO ${sqlName(database.owner)}`)
        await inside.query(`DROP OWNED BY ${role} CASCADE`)
      } finally {
        await inside.end()
      }
    }
    await client.query(`DROP ROLE IF EXISTS ${role}`).catch((cause: unknown) => {
      if (sqlState(cause) === '2BP01')
        throw new AppError('unprocessable', `role ${name} is still needed by other objects`, { cause })
      throw cause
    })
  } finally {
    await client.end()
  }
}

/**
 * What opens a role: none for one that may not log in, whose password has passed its time, or that is a superuser, which no tenant is.
 * The name is `$1`.
 */
export const verifierQuery = `
  SELECT a.rolpassword AS verifier FROM pg_catalog.pg_authid a
  WHERE a.rolname = $1 AND a.rolcanlogin AND NOT a.rolsuper AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())`

const listQuery = `
  SELECT r.rolname AS name, r.rolcanlogin AS login, a.rolpassword AS verifier, r.rolcreatedb AS "createDatabase",
    r.rolcreaterole AS "createRole", r.rolreplication AS replication, r.rolbypassrls AS "bypassRls",
    EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
            WHERE m.member = r.oid AND g.rolname = '${tenantGroupRole}') AS tenant
  FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid
  WHERE r.rolname !~ '^pg_' AND r.rolname NOT IN ('${serviceRole}', '${tenantGroupRole}', '${authRole}', '${dataApiRole}')
  ORDER BY r.rolname`

/** All that are not Postgres' or ours, those that a tenant made by SQL among them. */
export async function listRoles(client: pg.Client): Promise<ObservedRole[]> {
  const { rows } = await client.query<Omit<ObservedRole, 'verifier'> & { verifier: string | null }>(listQuery)
  return rows.map((row) => ({ ...row, verifier: row.verifier ?? undefined }))
}

export async function serverMajor(client: pg.Client): Promise<PgMajor> {
  const { rows } = await client.query<{ version: number }>(
    `SELECT current_setting('server_version_num')::int / 10000 AS version`,
  )
  return (rows[0]?.version ?? 0) as PgMajor
}

export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Before Postgres 16, CREATEROLE lets a role grant itself any `pg_*` role, and with that programs on the host. */
function mayCreateRoles(major: PgMajor): boolean {
  return major >= 16
}

function attributes({ login, verifier }: DesiredRole, major: PgMajor): string {
  if (verifier !== undefined) parseVerifier(verifier)
  return [
    login ? 'LOGIN' : 'NOLOGIN',
    'NOSUPERUSER INHERIT CREATEDB REPLICATION BYPASSRLS',
    mayCreateRoles(major) ? 'CREATEROLE' : 'NOCREATEROLE',
    ...(verifier === undefined ? [] : [`PASSWORD ${sqlLiteral(verifier)}`]),
  ].join(' ')
}

/** Whatever the layers above let through, nobody alters Postgres' roles or ours by name. */
function tenantName(name: string): string {
  if (isReservedRoleName(name)) throw new AppError('bad_request', `role name ${name} is reserved`)
  return sqlName(name)
}

function nameOf(change: RoleChange): string {
  return change.kind === 'join_group' ? change.name : change.role.name
}
