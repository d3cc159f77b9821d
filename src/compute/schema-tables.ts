// The tables of a database with their columns and keys: a schema for programs, where the text is for people.

import type pg from 'pg'
import type { SchemaTable } from '../model/schema-table.ts'
import { inTenantSchema, madeByTenant } from './schema-writer/entry.ts'

const columnNames = (relation: string, numbers: string): string => `
  (SELECT json_agg(a.attname ORDER BY u.place) FROM unnest(${numbers}) WITH ORDINALITY u(number, place)
    JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = u.number)`

/** Names as they are, not quoted. */
const tablesQuery = `
  SELECT n.nspname AS schema, c.relname AS name,
    coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
        'nullable', NOT a.attnotnull, 'generated', a.attgenerated <> '') ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns,
    coalesce((SELECT json_agg(json_build_object(
        'type', CASE k.contype WHEN 'p' THEN 'primary_key' WHEN 'u' THEN 'unique' ELSE 'foreign_key' END,
        'name', k.conname, 'columns', ${columnNames('k.conrelid', 'k.conkey')},
        'referenced', (SELECT json_build_object('schema', fn.nspname, 'table', f.relname, 'columns', ${columnNames('k.confrelid', 'k.confkey')})
          FROM pg_class f JOIN pg_namespace fn ON fn.oid = f.relnamespace WHERE f.oid = k.confrelid))
        ORDER BY array_position('{p,u,f}', k.contype::text), k.conname COLLATE "C")
      FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f')
        -- A reference to a partitioned table is kept once more for each of its partitions.
        AND (k.contype <> 'f' OR k.conparentid = 0 OR NOT EXISTS (
          SELECT FROM pg_constraint parent WHERE parent.oid = k.conparentid AND parent.conrelid = k.conrelid))), '[]') AS constraints
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f') AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')}
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`

/** `client` is the service role's, so that types are named as in the text. */
export async function readSchemaTables(client: pg.Client): Promise<SchemaTable[]> {
  return (await client.query<SchemaTable>(tablesQuery)).rows
}
