// What stands on a table's columns: keys, foreign keys, indexes, and statistics over several of them.

import type pg from 'pg'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'

/** An index that could not be built is not written, except where it waits for its partitions'. */
const usable = (index: string, relation: string): string => `(${index}.indisvalid OR ${relation}.relkind = 'I')`

type KeyRow = {
  oid: number
  type: 'p' | 'u' | 'x' | 'f'
  schema: string
  table: string
  tableName: string
  name: string
  quoted: string
  definition: string
  partitioned: boolean
  settings: string[] | null
}

/** Statements about an index that stand behind it, whether a constraint made it or not; `target` is its table. */
const indexSettings = (index: string, target: string): string => `array_remove(ARRAY[
  CASE WHEN ${index}.indisclustered THEN 'ALTER TABLE ' || ${target} || ' CLUSTER ON ' || quote_ident(ir.relname) || ';' END,
  CASE WHEN ${index}.indisreplident THEN
    'ALTER TABLE ONLY ' || ${target} || ' REPLICA IDENTITY USING INDEX ' || quote_ident(ir.relname) || ';' END], NULL)`

const keysQuery = `
  SELECT k.oid, k.contype::text AS type, n.nspname AS schema, c.oid::regclass::text AS table, c.relname AS "tableName",
    k.conname AS name, quote_ident(k.conname) AS quoted, pg_get_constraintdef(k.oid) AS definition, c.relkind = 'p' AS partitioned,
    CASE WHEN k.contype <> 'f' THEN ${indexSettings('i', 'c.oid::regclass')} END AS settings
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = k.conindid LEFT JOIN pg_class ir ON ir.oid = i.indexrelid
  WHERE (k.contype IN ('p', 'u', 'x') AND ${usable('i', 'ir')} OR k.contype = 'f' AND k.conparentid = 0)
    AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')} AND ${madeByTenant('pg_constraint', 'k.oid')}`

export async function readKeys(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<KeyRow>(keysQuery)
  return rows.map((row) => ({
    address: addressOf('pg_constraint', row.oid),
    phase: row.type === 'f' ? 'foreign key' : 'key',
    kind: row.type === 'f' ? 'FK CONSTRAINT' : 'CONSTRAINT',
    schema: row.schema,
    name: `${row.tableName} ${row.name}`,
    target: `CONSTRAINT ${row.quoted} ON ${row.table}`,
    statements: [
      // A foreign key of a partitioned table reaches its partitions by itself, and cannot be kept from it.
      `ALTER TABLE ${row.type === 'f' && row.partitioned ? '' : 'ONLY '}${row.table}\n    ADD CONSTRAINT ${row.quoted} ${row.definition};`,
      ...(row.settings ?? []),
    ],
  }))
}

type IndexRow = {
  oid: number
  schema: string
  name: string
  qualified: string
  definition: string
  settings: string[]
  columnSettings: string[] | null
}

const indexesQuery = `
  SELECT ir.oid, n.nspname AS schema, ir.relname AS name, ir.oid::regclass::text AS qualified,
    pg_get_indexdef(ir.oid) AS definition, ${indexSettings('i', 'c.oid::regclass')} AS settings,
    (SELECT array_agg('ALTER INDEX ' || ir.oid::regclass || ' ALTER COLUMN ' || a.attnum || ' SET STATISTICS ' || a.attstattarget || ';' ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = ir.oid AND a.attstattarget >= 0) AS "columnSettings"
  FROM pg_index i JOIN pg_class ir ON ir.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = ir.relnamespace
  WHERE ${usable('i', 'ir')} AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')} AND ${madeByTenant('pg_class', 'ir.oid')}
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = ir.oid AND k.contype IN ('p', 'u', 'x'))`

export async function readIndexes(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<IndexRow>(indexesQuery)
  return rows.map((row) => ({
    address: addressOf('pg_class', row.oid),
    phase: 'index',
    kind: 'INDEX',
    schema: row.schema,
    name: row.name,
    target: `INDEX ${row.qualified}`,
    statements: [`${row.definition};`, ...row.settings, ...(row.columnSettings ?? [])],
  }))
}

type IndexPartRow = {
  oid: number
  schema: string
  name: string
  qualified: string
  parent: string
  addresses: string[]
}

/** An index that belongs to a constraint is made by it. */
const madeBy = (index: string): string => `
  coalesce((SELECT 'pg_constraint:' || k.oid FROM pg_constraint k WHERE k.conindid = ${index} AND k.contype IN ('p', 'u', 'x')),
    'pg_class:' || ${index})`

const indexPartsQuery = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.oid::regclass::text AS qualified, h.inhparent::regclass::text AS parent,
    ARRAY[${madeBy('h.inhrelid')}, ${madeBy('h.inhparent')}] AS addresses
  FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('i', 'I') AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')}`

/** Which index of a partition is which of the whole. */
export async function readIndexParts(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<IndexPartRow>(indexPartsQuery)
  return rows.map((row) => ({
    address: `attach:${row.oid}`,
    phase: 'index attach',
    kind: 'INDEX ATTACH',
    schema: row.schema,
    name: row.name,
    target: '',
    statements: [`ALTER INDEX ${row.parent} ATTACH PARTITION ${row.qualified};`],
    after: row.addresses,
  }))
}

type StatisticsRow = {
  oid: number
  schema: string
  name: string
  qualified: string
  owner: string | null
  definition: string
  target: number | null
}

const statisticsQuery = `
  SELECT s.oid, n.nspname AS schema, s.stxname AS name, quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS qualified,
    ${ownerName('s.stxowner')} AS owner, pg_get_statisticsobjdef(s.oid) AS definition,
    CASE WHEN s.stxstattarget >= 0 THEN s.stxstattarget END AS target
  FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
  WHERE ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_statistic_ext', 's.oid')}`

export async function readStatistics(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<StatisticsRow>(statisticsQuery)
  return rows.map((row) => ({
    address: addressOf('pg_statistic_ext', row.oid),
    phase: 'statistics',
    kind: 'STATISTICS',
    schema: row.schema,
    name: row.name,
    owner: row.owner ?? undefined,
    target: `STATISTICS ${row.qualified}`,
    statements: [
      `${row.definition};`,
      ...(row.target === null ? [] : [`ALTER STATISTICS ${row.qualified} SET STATISTICS ${row.target};`]),
    ],
  }))
}
