// Options that stand in the database: settings `pgrst.*` of the role that logs in, and those that `db-pre-config` makes.
//
// https://docs.postgrest.org/en/v14/references/configuration.html#in-database-configuration

import type pg from 'pg'
import { qualified, toStatement } from '../sql/snippet.ts'

/** What a database may say of its own API; where the server listens and how it connects is not among it. */
const names = [
  'db-aggregates-enabled',
  'db-anon-role',
  'db-extra-search-path',
  'db-hoisted-tx-settings',
  'db-max-rows',
  'db-plan-enabled',
  'db-pre-request',
  'db-prepared-statements',
  'db-root-spec',
  'db-schemas',
  'db-tx-end',
  'jwt-aud',
  'jwt-cache-max-entries',
  'jwt-role-claim-key',
  'jwt-secret',
  'jwt-secret-is-base64',
  'openapi-mode',
  'openapi-security-active',
  'openapi-server-proxy-uri',
  'server-cors-allowed-origins',
  'server-timing-enabled',
  'server-trace-header',
] as const

const settingOf = (name: string): string => `pgrst.${name.replaceAll('-', '_')}`

/**
 * Of this database before those of all databases, and what the function sets only where neither says anything. Without a function nothing but the
 * role's own settings counts: a session also has those of the database, which are not for this.
 */
const queryOf = (hasFunction: boolean): string => `
  SELECT n.name, coalesce((
      SELECT substr(s, strpos(s, '=') + 1)
        FROM pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) s
       WHERE d.setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user)
         AND d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
         AND split_part(s, '=', 1) = n.name
       ORDER BY d.setdatabase DESC LIMIT 1), ${hasFunction ? 'pg_catalog.current_setting(n.name, true)' : 'NULL'}) AS value
    FROM pg_catalog.unnest($1::text[]) AS n(name)`

/** By the names that they have in a file. `client`: of the role that logs in, outside of a transaction. */
export async function askDatabase(client: pg.Client, preConfig: string | undefined): Promise<Map<string, string>> {
  await client.query('BEGIN READ ONLY')
  try {
    if (preConfig !== undefined) await client.query(callOf(preConfig))
    const { rows } = await client.query<{ name: string; value: string | null }>(queryOf(preConfig !== undefined), [
      names.map(settingOf),
    ])
    const said = new Map(rows.map(({ name, value }) => [name, value]))
    return new Map(
      names.flatMap((name) => {
        const value = said.get(settingOf(name))
        return value == null ? [] : [[name, value] as const]
      }),
    )
  } finally {
    await client.query('ROLLBACK')
  }
}

function callOf(name: string): string {
  const [schema, function_] = name.includes('.') ? name.split('.', 2) : ['', name]
  return `SELECT ${toStatement(qualified({ schema: schema ?? '', name: function_ ?? '' })).text}()`
}
