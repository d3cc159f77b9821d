// What the query string of a request says, as parsed: names and values, nothing looked up yet.
//
// `select=a,b->c::text,total:amount.sum(),...rel!hint!inner(x)`   `col=not.eq.1`   `and=(a.eq.1,or(b.gt.2))`   `order=a.desc.nullslast`

export type JsonStep = {
  /** `->>` gives text; it can only be the last one. */
  arrow: '->' | '->>'
  operand: { kind: 'key'; key: string } | { kind: 'index'; index: number }
}

/** A column or computed field, and a path into what it holds. */
export type Field = { name: string; path: readonly JsonStep[] }

export type QuantifiedOperator = 'eq' | 'gt' | 'gte' | 'lt' | 'lte' | 'like' | 'ilike' | 'match' | 'imatch'
export type SimpleOperator = 'neq' | 'cs' | 'cd' | 'ov' | 'sl' | 'sr' | 'nxr' | 'nxl' | 'adj'
export type SearchOperator = 'fts' | 'plfts' | 'phfts' | 'wfts'
export type IsValue = 'null' | 'not_null' | 'true' | 'false' | 'unknown'

/** Values are as they came: never part of a statement's text. */
export type Operation =
  | { kind: 'quantified'; operator: QuantifiedOperator; quantifier: 'any' | 'all' | undefined; value: string }
  | { kind: 'simple'; operator: SimpleOperator; value: string }
  | { kind: 'in'; values: readonly string[] }
  | { kind: 'is'; value: IsValue }
  | { kind: 'isdistinct'; value: string }
  | { kind: 'search'; operator: SearchOperator; language: string | undefined; value: string }

export type Filter = { kind: 'filter'; field: Field; isNegated: boolean; operation: Operation }
export type LogicGroup = { kind: 'group'; operator: 'and' | 'or'; isNegated: boolean; children: readonly LogicTree[] }
export type LogicTree = Filter | LogicGroup

/** Names of embeds from the root down; empty: the root itself. */
export type EmbedPath = readonly string[]
export type At<T> = { at: EmbedPath; value: T }

export type AggregateFunction = 'sum' | 'avg' | 'max' | 'min' | 'count'
export type Aggregate = { function: AggregateFunction; cast: string | undefined }
export type JoinType = 'inner' | 'left'

export type SelectField = {
  kind: 'field'
  /** `*` stands for all columns; for `count()` by itself the name is `*` too, and the aggregate says so. */
  field: Field
  cast: string | undefined
  aggregate: Aggregate | undefined
  alias: string | undefined
}
export type SelectRelation = {
  kind: 'relation'
  /** `...rel(…)` */
  isSpread: boolean
  relation: string
  alias: string | undefined
  hint: string | undefined
  join: JoinType | undefined
  children: readonly SelectItem[]
}
export type SelectItem = SelectField | SelectRelation

export type OrderTerm = {
  field: Field
  /** `order=embed(col)` */
  relation: string | undefined
  direction: 'asc' | 'desc' | undefined
  nulls: 'first' | 'last' | undefined
}

/** Rows from `offset` on, `limit` of them at most; undefined: all. */
export type RowRange = { offset: number; limit: number | undefined }

export type QueryParams = {
  select: readonly SelectItem[]
  /** Every condition of the query string but `and`/`or`, in its order. */
  filters: readonly At<Filter>[]
  logic: readonly At<LogicGroup>[]
  order: readonly At<readonly OrderTerm[]>[]
  /** By `limit` and `offset` alone; `Range` is taken into account in `ApiRequest.topRange`. */
  ranges: readonly At<RowRange>[]
  /** `columns=`; undefined: not said. */
  columns: readonly string[] | undefined
  /** `on_conflict=` */
  onConflict: readonly string[] | undefined
  /** What may be arguments of a function: keys with values, in order, as they came. Only of a call. */
  callArguments: readonly (readonly [name: string, value: string])[]
  /** Names of the root's filters, in order: for PUT, which wants exactly the key. */
  filterNames: readonly string[]
  /** Sorted and encoded anew, for `Content-Location`. Without `?`. */
  canonical: string
}
