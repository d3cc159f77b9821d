// What the engine knows of a database: exposed relations, how they belong together, functions, and how values are written out.
//
// Plain data, so that it can be made in a test by hand. Loaded in `load.ts`; names are looked up in `lookup.ts`.

export type QualifiedName = { schema: string; name: string }

/** `schema` and `name`, unambiguous: key of the maps here. */
export const keyOf = ({ schema, name }: QualifiedName): string => JSON.stringify([schema, name])

export type Column = {
  name: string
  /** As `format_type` gives it, with its modifier: `character varying(10)`. */
  type: string
  /** Without a modifier, of a domain its base type: what literals are cast to, and what decides on `to_jsonb` and full-text search. */
  baseType: string
  /** Of a domain its own name, qualified. For representations. */
  typeName: QualifiedName
  /** As an expression; of an identity column the call of `nextval`. Undefined: none. */
  default: string | undefined
}

export type Relation = QualifiedName & {
  isInsertable: boolean
  isUpdatable: boolean
  isDeletable: boolean
  /** Of a view: those of the table below, where all of them are in it. */
  primaryKey: readonly string[]
  /** In order. */
  columns: ReadonlyMap<string, Column>
}

/** `one` of the row's relation to … */
export type Cardinality =
  | {
      kind: 'o2m' | 'm2o' | 'o2o'
      constraint: string
      columns: readonly ColumnPair[]
      /** Whether the foreign key is the row's own: of one to one nothing else says so. */
      holdsKey: boolean
    }
  | { kind: 'm2m'; junction: Junction }

export type ColumnPair = readonly [own: string, foreign: string]

export type Junction = QualifiedName & {
  /** To the row's relation, and to the other one. */
  constraint1: string
  constraint2: string
  /** Columns of the row's relation with those of the junction; columns of the junction with those of the other one: [other, junction]. */
  columns1: readonly ColumnPair[]
  columns2: readonly ColumnPair[]
}

export type Relationship =
  | {
      kind: 'detected'
      from: QualifiedName
      to: QualifiedName
      isSelf: boolean
      cardinality: Cardinality
      /** Whether one of the two is a view: then a column's name does not lead to it. */
      fromIsView: boolean
      toIsView: boolean
    }
  /** `function(row)` that gives rows. */
  | {
      kind: 'computed'
      function: QualifiedName
      from: QualifiedName
      to: QualifiedName
      isSelf: boolean
      isToOne: boolean
    }

export type Parameter = {
  name: string
  /** As a cast may write it. */
  type: string
  /** What a literal is cast to where the type itself has a length that would cut it silently: `character` → `bpchar`. */
  typeMaxLength: string
  isRequired: boolean
  isVariadic: boolean
}

/** What one value of a result is. */
export type ReturnType =
  /** No composite, or one without columns that are known. */
  | { kind: 'scalar'; type: QualifiedName }
  /** A row type, by the name of its relation where it has one; or OUT parameters, or TABLE(…). */
  | { kind: 'composite'; type: QualifiedName }

export type DatabaseFunction = QualifiedName & {
  parameters: readonly Parameter[]
  returns: { kind: 'void' } | { kind: 'single' | 'set'; of: ReturnType }
  volatility: 'volatile' | 'stable' | 'immutable'
  /** `default_transaction_isolation` of its own. */
  isolation: string | undefined
  /** Its SETs among `db-hoisted-tx-settings`. */
  settings: readonly (readonly [name: string, value: string])[]
}

/** A function or an aggregate that turns rows into a media type (`CREATE DOMAIN "text/html" AS text`). */
export type MediaHandler = {
  /** In lower case; `*\/*` handles any. */
  mediaType: string
  function: QualifiedName
  /** Of these rows; undefined: of any (anyelement). */
  relation: QualifiedName | undefined
}

/** How a domain is written out or read in: an implicit cast with a function. `json` and `text` are the other side. */
export type Representation = {
  source: QualifiedName
  target: QualifiedName
  function: QualifiedName
}

export type SchemaCache = {
  /** Exposed ones, and those whose relationships lead to exposed ones (junctions may lie elsewhere). */
  relations: ReadonlyMap<string, Relation>
  /** By `keyOf(from)`. */
  relationships: ReadonlyMap<string, readonly Relationship[]>
  /** Exposed ones; overloads in order. */
  functions: ReadonlyMap<string, readonly DatabaseFunction[]>
  mediaHandlers: readonly MediaHandler[]
  representations: readonly Representation[]
  timezones: ReadonlySet<string>
  /** What holds for sessions of a role by itself, as far as anybody may set it: name and value. */
  roleSettings?: ReadonlyMap<string, readonly (readonly [name: string, value: string])[]>
  /** As the functions need it that write GeoJSON. */
  hasPostGis: boolean
  /** `performance.now()` when it had been read. */
  loadedAt: number
}
