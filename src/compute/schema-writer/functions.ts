// Functions, procedures and aggregates; operators and casts, which are made of them.

import type pg from 'pg'
import { sqlLiteral } from '../sql-text.ts'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, grantsOf, type Acl } from './privileges.ts'

type FunctionRow = {
  oid: number
  kind: 'f' | 'p' | 'w'
  schema: string
  name: string
  signature: string
  owner: string | null
  acl: Acl
  initial: Acl
  definition: string
}

const signatureOf = (proc: string, schema: string): string =>
  `quote_ident(${schema}.nspname) || '.' || quote_ident(${proc}.proname) || '(' || pg_get_function_identity_arguments(${proc}.oid) || ')'`

/** A range's constructors and casts come and go with it. */
const notOfRange = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = '${catalog}'::regclass AND i.objid = ${oid} AND i.deptype = 'i')`

const functionsQuery = `
  SELECT p.oid, p.prokind::text AS kind, n.nspname AS schema, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
    ${signatureOf('p', 'n')} AS signature, ${ownerName('p.proowner')} AS owner, ${aclOf('p.proacl')} AS acl,
    ${aclOf(`acldefault('f', p.proowner)`)} AS initial, pg_get_functiondef(p.oid) AS definition
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prokind <> 'a' AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_proc', 'p.oid')}
    AND ${notOfRange('pg_proc', 'p.oid')}`

export async function readFunctions(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<FunctionRow>(functionsQuery)
  return rows.map((row) => {
    const word = row.kind === 'p' ? 'PROCEDURE' : 'FUNCTION'
    const target = `${word} ${row.signature}`
    return {
      address: addressOf('pg_proc', row.oid),
      phase: 'function',
      kind: word,
      schema: row.schema,
      name: row.name,
      owner: row.owner ?? undefined,
      target,
      statements: [`${row.definition.trimEnd().replace(/^CREATE OR REPLACE /, 'CREATE ')};`],
      grants: grantsOf(target, row.owner, row.acl, row.initial),
    }
  })
}

type AggregateRow = Omit<FunctionRow, 'definition' | 'kind'> & {
  qualified: string
  /** As a function's, without what makes it an aggregate. */
  plainSignature: string
  arguments: string
  hypothetical: boolean
  parallel: string
  options: Record<string, string | null>
  initial_value: string | null
  moving_initial_value: string | null
}

const named = (oid: string): string => `CASE WHEN ${oid} <> 0 THEN ${oid}::regproc::text END`
/** What happens to a state that a final function gets: read only is what a plain aggregate does by itself. */
const modifies = (column: string, kind: string): string =>
  `CASE WHEN ${column} <> (CASE ${kind} WHEN 'n' THEN 'r' ELSE 'w' END) THEN
    CASE ${column} WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END`

const aggregatesQuery = `
  SELECT p.oid, n.nspname AS schema, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
    quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '(' ||
      coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*') || ')' AS signature,
    quote_ident(n.nspname) || '.' || quote_ident(p.proname) AS qualified, p.oid::regprocedure::text AS "plainSignature",
    coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*') AS arguments,
    ${ownerName('p.proowner')} AS owner, ${aclOf('p.proacl')} AS acl, ${aclOf(`acldefault('f', p.proowner)`)} AS initial,
    a.aggkind = 'h' AS hypothetical, p.proparallel::text AS parallel,
    a.agginitval AS initial_value, a.aggminitval AS moving_initial_value,
    json_build_object(
      'SFUNC', a.aggtransfn::regproc::text, 'STYPE', format_type(a.aggtranstype, NULL), 'SSPACE', nullif(a.aggtransspace, 0)::text,
      'FINALFUNC', ${named('a.aggfinalfn')}, 'FINALFUNC_EXTRA', CASE WHEN a.aggfinalextra THEN '' END,
      'FINALFUNC_MODIFY', ${modifies('a.aggfinalmodify', 'a.aggkind')},
      'COMBINEFUNC', ${named('a.aggcombinefn')}, 'SERIALFUNC', ${named('a.aggserialfn')}, 'DESERIALFUNC', ${named('a.aggdeserialfn')},
      'MSFUNC', ${named('a.aggmtransfn')}, 'MINVFUNC', ${named('a.aggminvtransfn')},
      'MSTYPE', CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END, 'MSSPACE', nullif(a.aggmtransspace, 0)::text,
      'MFINALFUNC', ${named('a.aggmfinalfn')}, 'MFINALFUNC_EXTRA', CASE WHEN a.aggmfinalextra THEN '' END,
      'MFINALFUNC_MODIFY', CASE WHEN a.aggmtransfn <> 0 THEN ${modifies('a.aggmfinalmodify', 'a.aggkind')} END,
      'SORTOP', (SELECT 'OPERATOR(' || quote_ident(on_.nspname) || '.' || o.oprname || ')' FROM pg_operator o
        JOIN pg_namespace on_ ON on_.oid = o.oprnamespace WHERE o.oid = a.aggsortop)) AS options
  FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_proc', 'p.oid')}`

const parallels: Readonly<Record<string, string>> = { s: 'SAFE', r: 'RESTRICTED' }

export async function readAggregates(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<AggregateRow>(aggregatesQuery)
  return rows.map((row) => {
    const target = `AGGREGATE ${row.signature}`
    const parallel = parallels[row.parallel]
    const options = [
      ...Object.entries(row.options).flatMap(([name, value]) =>
        value === null ? [] : [value === '' ? name : `${name} = ${value}`],
      ),
      ...(row.initial_value === null ? [] : [`INITCOND = ${sqlLiteral(row.initial_value)}`]),
      ...(row.moving_initial_value === null ? [] : [`MINITCOND = ${sqlLiteral(row.moving_initial_value)}`]),
      ...(parallel === undefined ? [] : [`PARALLEL = ${parallel}`]),
      ...(row.hypothetical ? ['HYPOTHETICAL'] : []),
    ]
    return {
      address: addressOf('pg_proc', row.oid),
      phase: 'function',
      kind: 'AGGREGATE',
      schema: row.schema,
      name: row.name,
      owner: row.owner ?? undefined,
      target,
      statements: [`CREATE AGGREGATE ${row.qualified}(${row.arguments}) (\n    ${options.join(',\n    ')}\n);`],
      grants: grantsOf(`FUNCTION ${row.plainSignature}`, row.owner, row.acl, row.initial),
    }
  })
}

type OperatorRow = {
  oid: number
  schema: string
  name: string
  qualified: string
  owner: string | null
  left: string
  right: string
  options: Record<string, string | null>
}

const operatorName = (oid: string): string => `
  (SELECT 'OPERATOR(' || quote_ident(rn.nspname) || '.' || r.oprname || ')' FROM pg_operator r
    JOIN pg_namespace rn ON rn.oid = r.oprnamespace WHERE r.oid = ${oid})`

const operatorsQuery = `
  SELECT o.oid, n.nspname AS schema, o.oprname AS name, quote_ident(n.nspname) || '.' || o.oprname AS qualified,
    ${ownerName('o.oprowner')} AS owner,
    CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END AS left, format_type(o.oprright, NULL) AS right,
    json_build_object('FUNCTION', o.oprcode::regproc::text,
      'LEFTARG', CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END, 'RIGHTARG', format_type(o.oprright, NULL),
      'COMMUTATOR', ${operatorName('o.oprcom')}, 'NEGATOR', ${operatorName('o.oprnegate')},
      'MERGES', CASE WHEN o.oprcanmerge THEN '' END, 'HASHES', CASE WHEN o.oprcanhash THEN '' END,
      'RESTRICT', ${named('o.oprrest')}, 'JOIN', ${named('o.oprjoin')}) AS options
  FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
  WHERE o.oprcode <> 0 AND ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_operator', 'o.oid')}`

export async function readOperators(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<OperatorRow>(operatorsQuery)
  return rows.map((row) => ({
    address: addressOf('pg_operator', row.oid),
    phase: 'operator',
    kind: 'OPERATOR',
    schema: row.schema,
    name: `${row.name} (${row.left}, ${row.right})`,
    owner: row.owner ?? undefined,
    target: `OPERATOR ${row.qualified} (${row.left}, ${row.right})`,
    statements: [
      `CREATE OPERATOR ${row.qualified} (\n    ${Object.entries(row.options)
        .flatMap(([name, value]) => (value === null ? [] : [value === '' ? name : `${name} = ${value}`]))
        .join(',\n    ')}\n);`,
    ],
  }))
}

type CastRow = {
  oid: number
  source: string
  target: string
  method: 'f' | 'i' | 'b'
  context: 'e' | 'a' | 'i'
  signature: string | null
}

const castsQuery = `
  SELECT c.oid, format_type(c.castsource, NULL) AS source, format_type(c.casttarget, NULL) AS target,
    c.castmethod::text AS method, c.castcontext::text AS context, c.castfunc::regprocedure::text AS signature
  FROM pg_cast c WHERE ${madeByTenant('pg_cast', 'c.oid')} AND ${notOfRange('pg_cast', 'c.oid')}`

const contexts = { e: '', a: ' AS ASSIGNMENT', i: ' AS IMPLICIT' } as const

export async function readCasts(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<CastRow>(castsQuery)
  return rows.map(({ oid, source, target, method, context, signature }) => {
    const how = method === 'f' ? `WITH FUNCTION ${signature ?? ''}` : method === 'i' ? 'WITH INOUT' : 'WITHOUT FUNCTION'
    return {
      address: addressOf('pg_cast', oid),
      phase: 'cast',
      kind: 'CAST',
      schema: '',
      name: `(${source} AS ${target})`,
      target: `CAST (${source} AS ${target})`,
      statements: [`CREATE CAST (${source} AS ${target}) ${how}${contexts[context]};`],
    }
  })
}
