// Views, and materialized views, which are written empty.

import type pg from 'pg'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, columnGrantsOf, grantsOf, type Acl } from './privileges.ts'
import { optionsOf } from './tables.ts'

type ViewRow = {
  oid: number
  kind: 'v' | 'm'
  schema: string
  name: string
  qualified: string
  owner: string | null
  method: string | null
  options: string | null
  definition: string
  acl: Acl
  initial: Acl
  columns: { name: string; acl: Acl; settings: string[] }[] | null
}

const viewsQuery = `
  SELECT c.oid, c.relkind::text AS kind, n.nspname AS schema, c.relname AS name, c.oid::regclass::text AS qualified,
    ${ownerName('c.relowner')} AS owner, nullif(am.amname, 'heap') AS method, ${optionsOf('c.reloptions')} AS options,
    pg_get_viewdef(c.oid) AS definition, ${aclOf('c.relacl')} AS acl, ${aclOf(`acldefault('r', c.relowner)`)} AS initial,
    (SELECT json_agg(json_build_object('name', quote_ident(a.attname), 'acl', ${aclOf('a.attacl')}, 'settings', array_remove(ARRAY[
        'SET DEFAULT ' || (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum),
        CASE WHEN a.attstattarget >= 0 THEN 'SET STATISTICS ' || a.attstattarget END], NULL)) ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam
  WHERE c.relkind IN ('v', 'm') AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')}`

export async function readViews(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<ViewRow>(viewsQuery)
  return rows.map((row) => {
    const { qualified, owner, columns } = row
    const kind = row.kind === 'm' ? 'MATERIALIZED VIEW' : 'VIEW'
    const create = [
      `CREATE ${kind} ${qualified}`,
      ...(row.method === null ? [] : [` USING ${row.method}`]),
      ...(row.options === null ? [] : [` WITH (${row.options})`]),
      ` AS\n${row.definition.replace(/;$/, '')}`,
      ...(row.kind === 'm' ? ['\n  WITH NO DATA'] : []),
    ]
    return {
      address: addressOf('pg_class', row.oid),
      phase: 'relation',
      kind,
      schema: row.schema,
      name: row.name,
      owner: owner ?? undefined,
      target: `${kind} ${qualified}`,
      statements: [
        `${create.join('')};`,
        ...(columns ?? []).flatMap(({ name, settings }) =>
          settings.map((setting) => `ALTER ${kind} ${qualified} ALTER COLUMN ${name} ${setting};`),
        ),
      ],
      grants: [
        ...grantsOf(`TABLE ${qualified}`, owner, row.acl, row.initial),
        ...(columns ?? []).flatMap(({ name, acl }) => columnGrantsOf(`TABLE ${qualified}`, name, acl)),
      ],
    }
  })
}
