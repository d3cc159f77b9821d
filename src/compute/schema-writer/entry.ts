// One object of a schema as it is written: its statements, and what tells where among the others it has to come.

import { authRole, serviceRole } from '../postgres-service.ts'
import { sqlLiteral } from '../sql-text.ts'

/** In the order in which they are written as far as dependencies let them; it is pg_dump's. */
export const phases = [
  'schema',
  'extension',
  'collation',
  'type',
  'function',
  'operator',
  'cast',
  'text search',
  'server',
  'relation',
  'default',
  'attach',
  'check',
  'key',
  'index',
  'index attach',
  'statistics',
  'rule',
  'trigger',
  'foreign key',
  'policy',
  'publication',
  'default privileges',
] as const

export type Phase = (typeof phases)[number]

export type SchemaEntry = {
  /** Catalog and oid, as dependencies name it: `pg_class:16400`. */
  address: string
  phase: Phase
  /** For people: `TABLE`. */
  kind: string
  /** Unquoted; empty where it is in none. */
  schema: string
  /** Unquoted, with what else tells it from its namesakes. */
  name: string
  /** Quoted; undefined where it has none of its own. */
  owner?: string | undefined
  /** As `COMMENT ON` and `ALTER … OWNER TO` name it: `TABLE public.t`. */
  target: string
  /** Complete, each ending in a semicolon. */
  statements: string[]
  /** Follow its owner. */
  grants?: string[]
  /** Addresses it has to come after, beside those that its dependencies say. */
  after?: string[]
}

export type Comment = { target: string; text: string }

/** The catalog `classid`s that an address begins with are those of `regclass`. */
export const addressOf = (catalog: string, oid: number): string => `${catalog}:${oid}`

/** Objects that neither initdb nor an extension made. `oid` is an expression. */
export const madeByTenant = (catalog: string, oid: string): string => `
  ${oid} >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend made WHERE made.classid = '${catalog}'::regclass AND made.objid = ${oid} AND made.deptype = 'e')`

/** Leaves out temporary schemas with those of Postgres itself. `schema` is an expression. */
export const inTenantSchema = (schema: string): string => `${schema} !~ '^pg_' AND ${schema} <> 'information_schema'`

/** What is owned by us belongs to nobody a tenant knows. */
export const ownerName = (oid: string): string =>
  `CASE WHEN pg_get_userbyid(${oid}) NOT IN ('${serviceRole}', '${authRole}') THEN quote_ident(pg_get_userbyid(${oid})) END`

export function printEntry(entry: SchemaEntry, comments: readonly Comment[]): string {
  const { kind, owner, target, statements, grants = [] } = entry
  const title = `-- Name: ${oneLine(entry.name)}; Type: ${kind}; Schema: ${oneLine(entry.schema) || '-'}; Owner: ${oneLine(owner ?? '') || '-'}`
  const parts = [
    ...statements,
    ...(owner === undefined ? [] : [`ALTER ${target} OWNER TO ${owner};`]),
    ...comments.map((comment) => `COMMENT ON ${comment.target} IS ${sqlLiteral(comment.text)};`),
    ...grants,
  ]
  return `--\n${title}\n--\n\n${parts.join('\n\n')}\n`
}

/** A name may hold a line break, after which it would no longer be in the comment. */
const oneLine = (text: string): string => text.replaceAll(/[\r\n]/g, ' ')
