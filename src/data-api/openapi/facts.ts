// What a description says of a schema beyond what requests need to know: asked for when somebody reads it, as whoever reads it.

import type { DataApiConfig } from '../config.ts'
import { param, sql, toStatement, type Statement } from '../sql/snippet.ts'

export type ColumnFacts = {
  name: string
  description: string | null
  isNullable: boolean
  /** Of an enum, in order. */
  values: string[] | null
  maxLength: number | null
}

export type RelationFacts = { name: string; description: string | null; isVisible: boolean; columns: ColumnFacts[] }

/** Overloads come in the order of the schema cache. */
export type FunctionFacts = { name: string; description: string | null; isVisible: boolean }

export type SchemaFacts = { description: string | null; relations: RelationFacts[]; functions: FunctionFacts[] }

/** One text, which is `SchemaFacts`. Visible is what the role may do anything with, or everything where nobody asks for that. */
export function factsStatement(schema: string, mode: Exclude<DataApiConfig['openapiMode'], 'disabled'>): Statement {
  const asked = sql`(${param(mode)} = 'ignore-privileges')`
  return toStatement(sql`
    SELECT pg_catalog.json_build_object(
      'description', pg_catalog.obj_description(n.oid, 'pg_namespace'),
      'relations', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', c.relname, 'description', pg_catalog.obj_description(c.oid, 'pg_class'),
          'isVisible', ${asked} OR may.use AND (pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') OR pg_catalog.has_table_privilege(c.oid, 'DELETE')),
          'columns', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
              'name', a.attname, 'description', pg_catalog.col_description(c.oid, a.attnum), 'isNullable', NOT a.attnotnull,
              'maxLength', CASE WHEN a.atttypmod > 4 AND a.atttypid IN ('pg_catalog.varchar'::pg_catalog.regtype, 'pg_catalog.bpchar'::pg_catalog.regtype) THEN a.atttypmod - 4 END,
              'values', (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = coalesce(nullif(t.typbasetype, 0), t.oid))
            ) ORDER BY a.attnum), '[]')
            FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
        ) ORDER BY c.relname), '[]')
        FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition),
      'functions', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', p.proname, 'description', pg_catalog.obj_description(p.oid, 'pg_proc'),
          'isVisible', ${asked} OR may.use AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
        ) ORDER BY p.oid), '[]')
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
        WHERE p.pronamespace = n.oid AND p.prokind = 'f'
          AND t.typname NOT IN ('trigger', 'event_trigger', 'internal', 'language_handler', 'index_am_handler'))
    )::text
    FROM pg_catalog.pg_namespace n, LATERAL (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS use) may
    WHERE n.nspname = ${param(schema)}`)
}

export const noFacts: SchemaFacts = { description: null, relations: [], functions: [] }
