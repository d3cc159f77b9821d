// What happens when a table is read or written: rules, triggers, row security policies.

import type pg from 'pg'
import { addressOf, inTenantSchema, madeByTenant, type SchemaEntry } from './entry.ts'

type Fired = 'O' | 'D' | 'R' | 'A'
type AttachedRow = {
  oid: number
  schema: string
  table: string
  tableName: string
  name: string
  quoted: string
  definition: string
  fired: Fired
}

/** How ALTER TABLE says when it fires; nothing where it always did. */
const firing: Readonly<Record<Fired, string | undefined>> = {
  O: undefined,
  D: 'DISABLE',
  R: 'ENABLE REPLICA',
  A: 'ENABLE ALWAYS',
}

const columns = `n.nspname AS schema, c.oid::regclass::text AS table, c.relname AS "tableName"`

const rulesQuery = `
  SELECT r.oid, ${columns}, r.rulename AS name, quote_ident(r.rulename) AS quoted, pg_get_ruledef(r.oid) AS definition, r.ev_enabled::text AS fired
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE r.rulename <> '_RETURN' AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')} AND ${madeByTenant('pg_rewrite', 'r.oid')}`

/** Those that a partition has from its parent come with it. */
const triggersQuery = `
  SELECT t.oid, ${columns}, t.tgname AS name, quote_ident(t.tgname) AS quoted, pg_get_triggerdef(t.oid) || ';' AS definition, t.tgenabled::text AS fired
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT t.tgisinternal AND t.tgparentid = 0
    AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')} AND ${madeByTenant('pg_trigger', 't.oid')}`

export async function readRules(client: pg.Client): Promise<SchemaEntry[]> {
  return await readAttached(client, rulesQuery, 'rule')
}

export async function readTriggers(client: pg.Client): Promise<SchemaEntry[]> {
  return await readAttached(client, triggersQuery, 'trigger')
}

async function readAttached(client: pg.Client, query: string, phase: 'rule' | 'trigger'): Promise<SchemaEntry[]> {
  const { rows } = await client.query<AttachedRow>(query)
  const word = phase.toUpperCase()
  return rows.map((row) => {
    const change = firing[row.fired]
    return {
      address: addressOf(phase === 'rule' ? 'pg_rewrite' : 'pg_trigger', row.oid),
      phase,
      kind: word,
      schema: row.schema,
      name: `${row.tableName} ${row.name}`,
      target: `${word} ${row.quoted} ON ${row.table}`,
      statements: [
        row.definition,
        ...(change === undefined ? [] : [`ALTER TABLE ${row.table} ${change} ${word} ${row.quoted};`]),
      ],
    }
  })
}

type PolicyRow = {
  oid: number
  schema: string
  table: string
  tableName: string
  name: string
  quoted: string
  permissive: boolean
  command: '*' | 'r' | 'a' | 'w' | 'd'
  roles: string
  using: string | null
  check: string | null
}

const policiesQuery = `
  SELECT p.oid, n.nspname AS schema, c.oid::regclass::text AS table, c.relname AS "tableName", p.polname AS name,
    quote_ident(p.polname) AS quoted, p.polpermissive AS permissive, p.polcmd::text AS command,
    (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ' ORDER BY pg_get_userbyid(r)::text COLLATE "C")
      FROM unnest(p.polroles) r) AS roles,
    pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS check
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')} AND ${madeByTenant('pg_policy', 'p.oid')}`

const commands = { '*': '', r: ' FOR SELECT', a: ' FOR INSERT', w: ' FOR UPDATE', d: ' FOR DELETE' } as const

export async function readPolicies(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<PolicyRow>(policiesQuery)
  return rows.map((row) => ({
    address: addressOf('pg_policy', row.oid),
    phase: 'policy',
    kind: 'POLICY',
    schema: row.schema,
    name: `${row.tableName} ${row.name}`,
    target: `POLICY ${row.quoted} ON ${row.table}`,
    statements: [
      [
        `CREATE POLICY ${row.quoted} ON ${row.table}`,
        row.permissive ? '' : ' AS RESTRICTIVE',
        commands[row.command],
        row.roles === 'PUBLIC' ? '' : ` TO ${row.roles}`,
        row.using === null ? '' : ` USING (${row.using})`,
        row.check === null ? '' : ` WITH CHECK (${row.check})`,
        ';',
      ].join(''),
    ],
  }))
}
