// Tables: ordinary, partitioned and foreign ones, with their columns; and how partitions are attached.
//
// A partition is made as a table of its own and attached afterwards, so that its columns keep their order. A default or a check is written
// inside CREATE TABLE, unless it needs something that needs the table (a serial column's sequence): then it follows as ALTER TABLE.

import type pg from 'pg'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, columnGrantsOf, grantsOf, type Acl } from './privileges.ts'

type Check = { oid: number; name: string; definition: string; local: boolean; valid: boolean }

type Column = {
  name: string
  type: string
  /** Undefined where it is the type's own. */
  collation: string | null
  notNull: boolean
  /** Named by somebody; from Postgres 18 on. */
  notNullName: string | null
  generated: '' | 's' | 'v'
  local: boolean
  expression: string | null
  defaultOid: number | null
  /** What a column that is inherited has from its parents. */
  inheritedExpression: string | null
  inheritedNotNull: boolean
  foreignOptions: string | null
  /** Behind `ALTER COLUMN name`. */
  settings: string[]
  acl: Acl
}

type TableRow = {
  oid: number
  kind: 'r' | 'p' | 'f'
  schema: string
  name: string
  qualified: string
  owner: string | null
  unlogged: boolean
  method: string | null
  ofType: string | null
  partitionKey: string | null
  bound: string | null
  parents: { oid: number; qualified: string }[] | null
  options: string | null
  server: string | null
  serverOptions: string | null
  rowSecurity: boolean
  forceRowSecurity: boolean
  replicaIdentity: 'd' | 'n' | 'f' | 'i'
  acl: Acl
  initial: Acl
  columns: Column[] | null
  checks: Check[] | null
}

/** `name='value', …` of a reloptions-like text[], less what Postgres notes down there for itself (`pg_attver`). */
export const optionsOf = (options: string, prefix = ''): string =>
  `(SELECT string_agg('${prefix}' || quote_ident(option_name) || '=' || quote_literal(option_value), ', ')
    FROM pg_options_to_table(${options}) WHERE option_name !~ '^pg_')`
export const foreignOptionsOf = (options: string): string =>
  `(SELECT string_agg(quote_ident(option_name) || ' ' || quote_literal(option_value), ', ') FROM pg_options_to_table(${options}))`

const storageName = (column: string): string =>
  `CASE ${column} WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END`

/** NOT NULL that old rows may violate. Such constraints are rows from Postgres 18 on, and there are none before. */
const isUnproven = `EXISTS (SELECT FROM pg_constraint nn
  WHERE nn.conrelid = c.oid AND nn.contype = 'n' AND nn.conkey[1] = a.attnum AND NOT nn.convalidated)`

/** A name that CREATE TABLE would not have chosen. */
const notNullName = `
  (SELECT quote_ident(nn.conname) FROM pg_constraint nn
   WHERE nn.conrelid = c.oid AND nn.contype = 'n' AND nn.conkey[1] = a.attnum AND nn.conname <> c.relname || '_' || a.attname || '_not_null')`

const columnsQuery = `
  (SELECT json_agg(json_build_object('name', quote_ident(a.attname), 'type', format_type(a.atttypid, a.atttypmod),
      'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
      'notNull', a.attnotnull AND NOT ${isUnproven}, 'notNullName', ${notNullName}, 'generated', a.attgenerated::text,
      'local', a.attislocal OR c.relispartition, 'expression', pg_get_expr(d.adbin, d.adrelid), 'defaultOid', d.oid,
      'inheritedExpression', CASE WHEN a.attinhcount > 0 THEN (
        SELECT min(pg_get_expr(pd.adbin, pd.adrelid))
        FROM pg_inherits h JOIN pg_attribute pa ON pa.attrelid = h.inhparent
          JOIN pg_attrdef pd ON pd.adrelid = pa.attrelid AND pd.adnum = pa.attnum
        WHERE h.inhrelid = c.oid AND pa.attname = a.attname) END,
      'inheritedNotNull', a.attinhcount > 0 AND EXISTS (
        SELECT FROM pg_inherits h JOIN pg_attribute pa ON pa.attrelid = h.inhparent
        WHERE h.inhrelid = c.oid AND pa.attname = a.attname AND pa.attnotnull),
      'foreignOptions', ${foreignOptionsOf('a.attfdwoptions')},
      'settings', array_remove(ARRAY[
        CASE WHEN a.attstorage <> t.typstorage THEN 'SET STORAGE ' || ${storageName('a.attstorage')} END,
        CASE a.attcompression WHEN 'p' THEN 'SET COMPRESSION pglz' WHEN 'l' THEN 'SET COMPRESSION lz4' END,
        CASE WHEN a.attstattarget >= 0 THEN 'SET STATISTICS ' || a.attstattarget END,
        'SET (' || ${optionsOf('a.attoptions')} || ')'], NULL),
      'acl', ${aclOf('a.attacl')}) ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`

const tablesQuery = `
  SELECT c.oid, c.relkind::text AS kind, n.nspname AS schema, c.relname AS name, c.oid::regclass::text AS qualified,
    ${ownerName('c.relowner')} AS owner, c.relpersistence = 'u' AS unlogged, nullif(am.amname, 'heap') AS method,
    CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS "ofType",
    CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS "partitionKey",
    CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS bound,
    (SELECT json_agg(json_build_object('oid', h.inhparent::int8, 'qualified', h.inhparent::regclass::text) ORDER BY h.inhseqno)
      FROM pg_inherits h WHERE h.inhrelid = c.oid) AS parents,
    concat_ws(', ', ${optionsOf('c.reloptions')}, ${optionsOf('toast.reloptions', 'toast.')}) AS options,
    quote_ident(s.srvname) AS server, ${foreignOptionsOf('f.ftoptions')} AS "serverOptions",
    c.relrowsecurity AS "rowSecurity", c.relforcerowsecurity AS "forceRowSecurity", c.relreplident::text AS "replicaIdentity",
    ${aclOf('c.relacl')} AS acl, ${aclOf(`acldefault('r', c.relowner)`)} AS initial, ${columnsQuery} AS columns,
    (SELECT json_agg(json_build_object('oid', k.oid::int8, 'name', quote_ident(k.conname), 'definition', pg_get_constraintdef(k.oid),
        'local', k.conislocal, 'valid', k.convalidated) ORDER BY k.conname COLLATE "C")
      FROM pg_constraint k WHERE k.conrelid = c.oid AND (k.contype = 'c' OR k.contype = 'n' AND NOT k.convalidated)) AS checks
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid LEFT JOIN pg_am am ON am.oid = c.relam
    LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
  WHERE c.relkind IN ('r', 'p', 'f') AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')}`

/** `isApart` says which defaults and checks cannot be written inside CREATE TABLE. */
export async function readTables(client: pg.Client, isApart: (address: string) => boolean): Promise<SchemaEntry[]> {
  const { rows } = await client.query<TableRow>(tablesQuery)
  return rows.flatMap((table) => [
    tableEntry(table, isApart),
    ...defaultEntries(table, isApart),
    ...checkEntries(table, isApart, rows),
    ...attachEntries(table),
  ])
}

const kinds = { r: 'TABLE', p: 'TABLE', f: 'FOREIGN TABLE' } as const
const addressOfTable = ({ oid }: { oid: number }): string => addressOf('pg_class', oid)
const attachAddress = (table: TableRow): string => `attach:${table.oid}`

function tableEntry(table: TableRow, isApart: (address: string) => boolean): SchemaEntry {
  const { kind, qualified, owner, columns } = table
  const alter = `ALTER ${kind === 'f' ? 'FOREIGN ' : ''}TABLE ONLY ${qualified}`
  const own = (columns ?? []).filter(({ local }) => local)
  const checks = (table.checks ?? []).filter(
    (check) => check.valid && (check.local || table.bound !== null) && !isApart(addressOf('pg_constraint', check.oid)),
  )
  const items = [
    ...own.map((column) => columnText(column, isApart)),
    ...checks.map((check) => `CONSTRAINT ${check.name} ${check.definition}`),
  ]
  const inherits = table.bound === null ? (table.parents ?? []) : []
  const create = [
    `CREATE ${table.unlogged ? 'UNLOGGED ' : ''}${kinds[kind]} ${qualified} (${items.length === 0 ? '' : `\n${items.map((item) => `    ${item}`).join(',\n')}\n`})`,
    ...(inherits.length === 0 ? [] : [`INHERITS (${inherits.map((parent) => parent.qualified).join(', ')})`]),
    ...(table.partitionKey === null ? [] : [`PARTITION BY ${table.partitionKey}`]),
    ...(table.method === null ? [] : [`USING ${table.method}`]),
    ...(table.server === null ? [] : [`SERVER ${table.server}`]),
    ...(table.serverOptions === null ? [] : [`OPTIONS (${table.serverOptions})`]),
    ...(table.options === '' ? [] : [`WITH (${table.options})`]),
  ]
  const inherited = (columns ?? []).filter(({ local }) => !local)
  return {
    address: addressOfTable(table),
    phase: 'relation',
    kind: kinds[kind],
    schema: table.schema,
    name: table.name,
    owner: owner ?? undefined,
    target: `${kinds[kind]} ${qualified}`,
    statements: [
      `${create.join('\n')};`,
      ...(table.ofType === null ? [] : [`ALTER TABLE ${qualified} OF ${table.ofType};`]),
      ...inherited
        .filter(({ notNull, inheritedNotNull }) => notNull && !inheritedNotNull)
        .map(({ name }) => `${alter} ALTER COLUMN ${name} SET NOT NULL;`),
      ...(columns ?? []).flatMap(({ name, settings }) =>
        settings.map((setting) => `${alter} ALTER COLUMN ${name} ${setting};`),
      ),
      ...(table.replicaIdentity === 'f' ? [`${alter} REPLICA IDENTITY FULL;`] : []),
      ...(table.replicaIdentity === 'n' && kind !== 'f' ? [`${alter} REPLICA IDENTITY NOTHING;`] : []),
      ...(table.forceRowSecurity ? [`${alter} FORCE ROW LEVEL SECURITY;`] : []),
      ...(table.rowSecurity ? [`ALTER TABLE ${qualified} ENABLE ROW LEVEL SECURITY;`] : []),
    ],
    grants: [
      ...grantsOf(`TABLE ${qualified}`, owner, table.acl, table.initial),
      ...(columns ?? []).flatMap(({ name, acl }) => columnGrantsOf(`TABLE ${qualified}`, name, acl)),
    ],
  }
}

function columnText(column: Column, isApart: (address: string) => boolean): string {
  const { name, type, collation, generated, expression, defaultOid, notNull } = column
  const inline = defaultOid !== null && !isApart(addressOf('pg_attrdef', defaultOid))
  return [
    name,
    type,
    ...(column.foreignOptions === null ? [] : [`OPTIONS (${column.foreignOptions})`]),
    ...(collation === null ? [] : [`COLLATE ${collation}`]),
    ...(generated === ''
      ? inline
        ? [`DEFAULT ${expression}`]
        : []
      : [`GENERATED ALWAYS AS (${expression})${generated === 's' ? ' STORED' : ''}`]),
    ...(notNull ? [`${column.notNullName === null ? '' : `CONSTRAINT ${column.notNullName} `}NOT NULL`] : []),
  ].join(' ')
}

function defaultEntries(table: TableRow, isApart: (address: string) => boolean): SchemaEntry[] {
  return (table.columns ?? []).flatMap((column): SchemaEntry[] => {
    const { name, expression, inheritedExpression, defaultOid, local, generated } = column
    const apart = defaultOid !== null && isApart(addressOf('pg_attrdef', defaultOid))
    // An inherited column comes with its parents' default.
    const differs = !local && expression !== inheritedExpression
    if (generated !== '' || !(apart ? local || differs : differs)) return []
    return [
      {
        address: defaultOid === null ? `default:${table.oid}:${name}` : addressOf('pg_attrdef', defaultOid),
        phase: 'default',
        kind: 'DEFAULT',
        schema: table.schema,
        name: `${table.name} ${name}`,
        target: '',
        statements: [
          `ALTER ${kinds[table.kind]} ONLY ${table.qualified} ALTER COLUMN ${name} SET DEFAULT ${expression ?? 'NULL'};`,
        ],
        after: [addressOfTable(table)],
      },
    ]
  })
}

function checkEntries(table: TableRow, isApart: (address: string) => boolean, all: readonly TableRow[]): SchemaEntry[] {
  // Partitions get it from here, which they do only once they are attached.
  const partitions = all.filter((each) => each.bound !== null && each.parents?.[0]?.oid === table.oid)
  return (table.checks ?? []).flatMap((check): SchemaEntry[] => {
    const address = addressOf('pg_constraint', check.oid)
    if (!check.local || (check.valid && !isApart(address))) return []
    return [
      {
        address,
        phase: 'check',
        kind: 'CHECK CONSTRAINT',
        schema: table.schema,
        name: `${table.name} ${check.name}`,
        target: `CONSTRAINT ${check.name} ON ${table.qualified}`,
        statements: [`ALTER TABLE ${table.qualified} ADD CONSTRAINT ${check.name} ${check.definition};`],
        after: [addressOfTable(table), ...partitions.map(attachAddress)],
      },
    ]
  })
}

function attachEntries(table: TableRow): SchemaEntry[] {
  const [parent] = table.parents ?? []
  if (table.bound === null || !parent) return []
  return [
    {
      address: attachAddress(table),
      phase: 'attach',
      kind: 'TABLE ATTACH',
      schema: table.schema,
      name: table.name,
      target: '',
      statements: [`ALTER TABLE ONLY ${parent.qualified} ATTACH PARTITION ${table.qualified} ${table.bound};`],
      after: [addressOfTable(table), addressOfTable(parent)],
    },
  ]
}
