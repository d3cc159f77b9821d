// Types that are no table's: enums, composites, domains, ranges; and collations.

import type pg from 'pg'
import { sqlLiteral } from '../sql-text.ts'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, grantsOf, type Acl } from './privileges.ts'

type TypeRow = {
  oid: number
  kind: 'e' | 'c' | 'd' | 'r'
  schema: string
  name: string
  qualified: string
  owner: string | null
  acl: Acl
  initial: Acl
  labels: string[] | null
  attributes: { name: string; type: string; collation: string | null }[] | null
  domain: {
    base: string
    collation: string | null
    default: string | null
    notNull: boolean
    checks: { name: string; definition: string }[] | null
  } | null
  range: {
    subtype: string
    opclass: string | null
    collation: string | null
    canonical: string | null
    difference: string | null
    multirange: string
  } | null
}

const typesQuery = `
  SELECT t.oid, t.typtype::text AS kind, n.nspname AS schema, t.typname AS name, format_type(t.oid, NULL) AS qualified,
    ${ownerName('t.typowner')} AS owner, ${aclOf('t.typacl')} AS acl, ${aclOf(`acldefault('T', t.typowner)`)} AS initial,
    CASE t.typtype WHEN 'e' THEN (
      SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) END AS labels,
    CASE t.typtype WHEN 'c' THEN (
      SELECT json_agg(json_build_object('name', quote_ident(a.attname), 'type', format_type(a.atttypid, a.atttypmod),
        'collation', CASE WHEN a.attcollation <> b.typcollation THEN a.attcollation::regcollation::text END) ORDER BY a.attnum)
      FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid
      WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END AS attributes,
    CASE t.typtype WHEN 'd' THEN json_build_object('base', format_type(t.typbasetype, t.typtypmod),
      'collation', (SELECT t.typcollation::regcollation::text FROM pg_type b WHERE b.oid = t.typbasetype AND t.typcollation <> b.typcollation),
      'default', coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)), 'notNull', t.typnotnull,
      'checks', (SELECT json_agg(json_build_object('name', quote_ident(c.conname), 'definition', pg_get_constraintdef(c.oid)) ORDER BY c.conname COLLATE "C")
        FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c')) END AS domain,
    CASE t.typtype WHEN 'r' THEN (
      SELECT json_build_object('subtype', format_type(r.rngsubtype, NULL),
        'opclass', (SELECT quote_ident(on_.nspname) || '.' || quote_ident(o.opcname) FROM pg_opclass o
          JOIN pg_namespace on_ ON on_.oid = o.opcnamespace WHERE o.oid = r.rngsubopc AND NOT o.opcdefault),
        'collation', (SELECT r.rngcollation::regcollation::text FROM pg_type b WHERE b.oid = r.rngsubtype AND r.rngcollation <> b.typcollation),
        'canonical', CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::regproc::text END,
        'difference', CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::regproc::text END,
        'multirange', (SELECT quote_ident(mn.nspname) || '.' || quote_ident(m.typname) FROM pg_type m
          JOIN pg_namespace mn ON mn.oid = m.typnamespace WHERE m.oid = r.rngmultitypid))
      FROM pg_range r WHERE r.rngtypid = t.oid) END AS range
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
  WHERE t.typtype IN ('e', 'c', 'd', 'r') AND (t.typrelid = 0 OR c.relkind = 'c')
    AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_type', 't.oid')}`

export async function readTypes(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<TypeRow>(typesQuery)
  return rows.map((row) => {
    const word = row.kind === 'd' ? 'DOMAIN' : 'TYPE'
    return {
      address: addressOf('pg_type', row.oid),
      phase: 'type',
      kind: word,
      schema: row.schema,
      name: row.name,
      owner: row.owner ?? undefined,
      target: `${word} ${row.qualified}`,
      statements: [`CREATE ${word} ${row.qualified} AS ${definition(row)};`],
      grants: grantsOf(`TYPE ${row.qualified}`, row.owner, row.acl, row.initial),
    }
  })
}

function definition({ kind, labels, attributes, domain, range }: TypeRow): string {
  switch (kind) {
    case 'e':
      return `ENUM ${inLines((labels ?? []).map(sqlLiteral))}`
    case 'c':
      return inLines(
        (attributes ?? []).map(
          ({ name, type, collation }) => `${name} ${type}${collation === null ? '' : ` COLLATE ${collation}`}`,
        ),
      )
    case 'd':
      return [
        domain?.base ?? '',
        ...(domain?.collation ? [`COLLATE ${domain.collation}`] : []),
        ...(domain?.default ? [`DEFAULT ${domain.default}`] : []),
        ...(domain?.notNull ? ['NOT NULL'] : []),
        ...(domain?.checks ?? []).map((check) => `\n    CONSTRAINT ${check.name} ${check.definition}`),
      ]
        .join(' ')
        .replaceAll(' \n', '\n')
    case 'r': {
      const { subtype, opclass, collation, canonical, difference, multirange } = range ?? {
        subtype: '',
        multirange: '',
      }
      const options = {
        subtype,
        multirange_type_name: multirange,
        subtype_opclass: opclass,
        collation,
        canonical,
        subtype_diff: difference,
      }
      return `RANGE ${inLines(Object.entries(options).flatMap(([name, value]) => (value ? [`${name} = ${value}`] : [])))}`
    }
  }
}

const inLines = (items: readonly string[]): string =>
  items.length === 0 ? '()' : `(\n${items.map((item) => `    ${item}`).join(',\n')}\n)`

type CollationRow = {
  oid: number
  schema: string
  name: string
  qualified: string
  owner: string | null
  provider: string
  deterministic: boolean
  lcCollate: string | null
  lcCtype: string | null
  locale: string | null
  rules: string | null
}

const providers: Readonly<Record<string, string>> = { b: 'builtin', c: 'libc', i: 'icu' }

/** The column of the locale was called otherwise in 15 and 16, and did not exist before: read by name, whatever there is. */
const collationsQuery = `
  SELECT c.oid, n.nspname AS schema, c.collname AS name, quote_ident(n.nspname) || '.' || quote_ident(c.collname) AS qualified,
    ${ownerName('c.collowner')} AS owner, c.collprovider::text AS provider, c.collisdeterministic AS deterministic,
    c.collcollate AS "lcCollate", c.collctype AS "lcCtype",
    coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale') AS locale, to_jsonb(c) ->> 'collicurules' AS rules
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  WHERE ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_collation', 'c.oid')}`

export async function readCollations(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<CollationRow>(collationsQuery)
  return rows.map((row) => {
    const options = [
      `provider = ${providers[row.provider] ?? row.provider}`,
      ...(row.deterministic ? [] : ['deterministic = false']),
      ...(row.locale === null ? [] : [`locale = ${sqlLiteral(row.locale)}`]),
      ...(row.locale === null && row.lcCollate !== null ? [`lc_collate = ${sqlLiteral(row.lcCollate)}`] : []),
      ...(row.locale === null && row.lcCtype !== null ? [`lc_ctype = ${sqlLiteral(row.lcCtype)}`] : []),
      ...(row.rules === null ? [] : [`rules = ${sqlLiteral(row.rules)}`]),
    ]
    return {
      address: addressOf('pg_collation', row.oid),
      phase: 'collation',
      kind: 'COLLATION',
      schema: row.schema,
      name: row.name,
      owner: row.owner ?? undefined,
      target: `COLLATION ${row.qualified}`,
      statements: [`CREATE COLLATION ${row.qualified} (${options.join(', ')});`],
    }
  })
}
