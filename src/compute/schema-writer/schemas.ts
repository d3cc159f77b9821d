// Schemas and extensions.

import type pg from 'pg'
import { sqlLiteral } from '../sql-text.ts'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, grantsOf, type Acl } from './privileges.ts'

type SchemaRow = {
  oid: number
  name: string
  quoted: string
  owner: string | null
  isPublic: boolean
  acl: Acl
  initial: Acl
}

/** `public` is there from the beginning, with privileges that initdb noted down. */
const schemasQuery = `
  SELECT n.oid, n.nspname AS name, quote_ident(n.nspname) AS quoted, ${ownerName('n.nspowner')} AS owner,
    n.oid < 16384 AS "isPublic", ${aclOf('n.nspacl')} AS acl,
    CASE WHEN n.oid < 16384 THEN (
      SELECT ${aclOf('i.initprivs')} FROM pg_init_privs i
      WHERE i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid AND i.objsubid = 0)
    ELSE ${aclOf(`acldefault('n', n.nspowner)`)} END AS initial
  FROM pg_namespace n
  WHERE (n.nspname = 'public' AND n.oid < 16384) OR (${madeByTenant('pg_namespace', 'n.oid')} AND ${inTenantSchema('n.nspname')})`

export async function readSchemas(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<SchemaRow>(schemasQuery)
  return rows.map(({ oid, name, quoted, owner, isPublic, acl, initial }) => ({
    address: addressOf('pg_namespace', oid),
    phase: 'schema',
    kind: 'SCHEMA',
    schema: '',
    name,
    owner: isPublic && owner === 'pg_database_owner' ? undefined : (owner ?? undefined),
    target: `SCHEMA ${quoted}`,
    statements: isPublic ? [] : [`CREATE SCHEMA ${quoted};`],
    grants: grantsOf(`SCHEMA ${quoted}`, owner, acl, initial),
  }))
}

type ExtensionRow = { oid: number; name: string; quoted: string; schema: string; comment: string | null }

const extensionsQuery = `
  SELECT e.oid, e.extname AS name, quote_ident(e.extname) AS quoted, quote_ident(n.nspname) AS schema,
    obj_description(e.oid, 'pg_extension') AS comment
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid >= 16384`

/** What is in them is theirs and not written, and neither is their version: a schema is to be loaded where there may be another. */
export async function readExtensions(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<ExtensionRow>(extensionsQuery)
  return rows.map(({ oid, name, quoted, schema, comment }) => ({
    address: addressOf('pg_extension', oid),
    phase: 'extension',
    kind: 'EXTENSION',
    schema: '',
    name,
    target: `EXTENSION ${quoted}`,
    statements: [
      `CREATE EXTENSION IF NOT EXISTS ${quoted} WITH SCHEMA ${schema};`,
      ...(comment === null ? [] : [`COMMENT ON EXTENSION ${quoted} IS ${sqlLiteral(comment)};`]),
    ],
  }))
}
