// Sequences: those of their own, of serial columns, and of identity columns.

import type pg from 'pg'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, grantsOf, type Acl } from './privileges.ts'

type SequenceRow = {
  oid: number
  schema: string
  name: string
  qualified: string
  owner: string | null
  acl: Acl
  initial: Acl
  unlogged: boolean
  type: string
  start: string
  increment: string
  least: string
  most: string
  cache: string
  cycles: boolean
  /** Goes with a column, which says whether it is that column's identity. */
  table: string | null
  column: string | null
  identity: '' | 'a' | 'd' | null
}

const sequencesQuery = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.oid::regclass::text AS qualified, ${ownerName('c.relowner')} AS owner,
    ${aclOf('c.relacl')} AS acl, ${aclOf(`acldefault('s', c.relowner)`)} AS initial, c.relpersistence = 'u' AS unlogged,
    format_type(s.seqtypid, NULL) AS type, s.seqstart::text AS start, s.seqincrement::text AS increment, s.seqmin::text AS least,
    s.seqmax::text AS most, s.seqcache::text AS cache, s.seqcycle AS cycles,
    d.refobjid::regclass::text AS table,
    quote_ident(a.attname) AS column, CASE d.deptype WHEN 'i' THEN a.attidentity::text ELSE '' END AS identity
  FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
      AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE c.relkind = 'S' AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_class', 'c.oid')}`

export async function readSequences(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<SequenceRow>(sequencesQuery)
  return rows.flatMap((row): SchemaEntry[] => {
    const isIdentity = row.identity === 'a' || row.identity === 'd'
    const sequence: SchemaEntry = {
      address: addressOf('pg_class', row.oid),
      phase: 'relation',
      kind: 'SEQUENCE',
      schema: row.schema,
      name: row.name,
      // One that is a column's identity has its table's owner.
      owner: isIdentity ? undefined : (row.owner ?? undefined),
      target: `SEQUENCE ${row.qualified}`,
      statements: [isIdentity ? identity(row) : plain(row)],
      grants: grantsOf(`SEQUENCE ${row.qualified}`, row.owner, row.acl, row.initial),
    }
    return row.table === null || isIdentity ? [sequence] : [sequence, ownedBy(row)]
  })
}

/** Apart, since both have to have the same owner by then. */
function ownedBy(row: SequenceRow): SchemaEntry {
  return {
    address: `owned:${row.oid}`,
    phase: 'default',
    kind: 'SEQUENCE OWNED BY',
    schema: row.schema,
    name: row.name,
    target: '',
    statements: [`ALTER SEQUENCE ${row.qualified} OWNED BY ${row.table}.${row.column};`],
    after: [addressOf('pg_class', row.oid)],
  }
}

function identity(row: SequenceRow): string {
  const how = row.identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'
  const options = [`SEQUENCE NAME ${row.qualified}`, ...optionsOf(row)].map((option) => `\n    ${option}`).join('')
  return `ALTER TABLE ${row.table} ALTER COLUMN ${row.column} ADD GENERATED ${how} AS IDENTITY (${options}\n);`
}

function plain(row: SequenceRow): string {
  const type = row.type === 'bigint' ? [] : [`AS ${row.type}`]
  const options = [...type, ...optionsOf(row)].map((option) => `\n    ${option}`).join('')
  return `CREATE ${row.unlogged ? 'UNLOGGED ' : ''}SEQUENCE ${row.qualified}${options};`
}

const limits: Readonly<Record<string, bigint>> = { smallint: 1n << 15n, integer: 1n << 31n, bigint: 1n << 63n }

function optionsOf({ type, start, increment, least, most, cache, cycles }: SequenceRow): string[] {
  const limit = limits[type] ?? 0n
  const up = !increment.startsWith('-')
  return [
    `START WITH ${start}`,
    `INCREMENT BY ${increment}`,
    BigInt(least) === (up ? 1n : -limit) ? 'NO MINVALUE' : `MINVALUE ${least}`,
    BigInt(most) === (up ? limit - 1n : -1n) ? 'NO MAXVALUE' : `MAXVALUE ${most}`,
    `CACHE ${cache}`,
    ...(cycles ? ['CYCLE'] : []),
  ]
}
