// What will be done for a request, with every name looked up: decided here purely, written as SQL in `sql/`, done in `execution/`.

import type {
  MediaHandler,
  QualifiedName,
  Relationship,
  DatabaseFunction,
  Relation,
} from '../schema-cache/schema-cache.ts'
import type { Aggregate, IsValue, JoinType, JsonStep, Operation, RowRange } from '../request/syntax.ts'
import type { MediaType } from '../request/media-type.ts'
import type { MutationKind } from '../request/request.ts'

/** A field with what is known of it. */
export type PlannedField = {
  name: string
  path: readonly JsonStep[]
  /** Undefined: not in the cache (a computed field, a column of a function's result, or nothing at all; Postgres will say). */
  baseType: string | undefined
  /** A path into what is no JSON goes through `to_jsonb`. */
  needsToJsonb: boolean
  /** A function of a domain's that is put around it: on the way out, or around a value that it is compared with. */
  transform: QualifiedName | undefined
}

export type Condition =
  | {
      kind: 'filter'
      field: PlannedField
      isNegated: boolean
      operation: Operation
      /** What turns a text into the column's domain. */
      valueTransform: QualifiedName | undefined
    }
  /** `embed=is.null`, `embed=not.is.null`: of the embed with this alias in SQL. */
  | { kind: 'embed-null'; aggregateAlias: string; isNegated: boolean; value: Extract<IsValue, 'null' | 'not_null'> }
  | { kind: 'group'; operator: 'and' | 'or'; isNegated: boolean; children: readonly Condition[] }

export type PlannedSelect =
  | { kind: 'all' }
  | {
      kind: 'field'
      field: PlannedField
      cast: string | undefined
      aggregate: Aggregate | undefined
      /** Its name in the answer; undefined: the column's own. */
      alias: string | undefined
    }

export type PlannedOrder = {
  field: PlannedField
  /** The embed (by its alias in SQL) that it is a column of. */
  relation: string | undefined
  direction: 'asc' | 'desc' | undefined
  nulls: 'first' | 'last' | undefined
}

/** What one embed gives to the row that it is embedded in. */
export type EmbedResult =
  /** Under this name, as an object or a list. */
  | { kind: 'json'; name: string; isToOne: boolean }
  /** Lifted into the row: the names of what comes out, with the aggregates that were hoisted. Of a to-many each becomes a list. */
  | { kind: 'spread'; isToOne: boolean; columns: readonly SpreadColumn[] }

export type SpreadColumn = { name: string; aggregate: Aggregate | undefined }

/** A relation to be read, with all that is embedded in it. */
export type ReadPlan = {
  from: QualifiedName
  /** In SQL; undefined at the root and where a relation occurs once. */
  fromAlias: string | undefined
  /** What to look up types in; undefined: the result of a function whose rows are of no known relation. */
  relation: Relation | undefined
  select: readonly PlannedSelect[]
  /** All that has to hold of a row: filters, logic trees and, in an embed, nothing of its join. */
  where: readonly Condition[]
  order: readonly PlannedOrder[]
  range: RowRange
  embeds: readonly Embed[]
}

export type Embed = {
  relationship: Relationship
  join: JoinType | undefined
  /** Alias in SQL of the lateral subquery; unique in the statement. */
  aggregateAlias: string
  /** False for `rel()`: only filters, nothing comes out. */
  isSelected: boolean
  result: EmbedResult
  plan: ReadPlan
}

export type MutatePlan = {
  mutation: MutationKind
  into: Relation
  /** Written from the payload, in order; with the type that each is read as, and what turns JSON into its domain. */
  columns: readonly { name: string; type: string; fromJson: QualifiedName | undefined; default: string | undefined }[]
  payload: string | undefined
  /** Of update and delete, and of PUT. */
  where: readonly Condition[]
  /** Columns that the representation, `Location` and the embeds need. Empty: nothing is returned. */
  returning: readonly string[]
  onConflict: { resolution: 'merge-duplicates' | 'ignore-duplicates'; columns: readonly string[] } | undefined
  /** `missing=default` */
  appliesDefaults: boolean
}

export type CallArgument = { parameter: DatabaseFunction['parameters'][number]; values: readonly string[] }

export type CallPlan = {
  function: DatabaseFunction
  arguments:
    | { kind: 'none' }
    /** From the query string: texts. */
    | { kind: 'literals'; values: readonly CallArgument[] }
    /** From the keys of a JSON object. */
    | { kind: 'json'; payload: string; parameters: readonly DatabaseFunction['parameters'][number][] }
    /** The whole body as the single parameter without a name. */
    | { kind: 'raw'; body: string | Buffer; type: string }
}

/** How rows become the answer's body. */
export type Handler =
  | { kind: 'json-array'; stripsNulls: boolean }
  | { kind: 'json-object'; stripsNulls: boolean }
  | { kind: 'csv' }
  | { kind: 'geojson' }
  | { kind: 'custom'; handler: MediaHandler }
  /** A function's result that is a media type already. */
  | { kind: 'function-result' }
  /** Nothing is asked for (HEAD, `return=minimal`). */
  | { kind: 'none' }

export type Negotiated = {
  handler: Handler
  /** As it is answered: `Content-Type` follows from it. */
  mediaType: MediaType
  /** Set where EXPLAIN is asked for: of the statement that `handler` would answer. */
  plan: Extract<MediaType, { kind: 'plan' }> | undefined
}

export type CountPlan = 'exact' | 'planned' | 'estimated' | undefined

export type ActionPlan =
  | { kind: 'read'; read: ReadPlan; negotiated: Negotiated; count: CountPlan; isHead: boolean }
  | { kind: 'mutate'; mutate: MutatePlan; read: ReadPlan; negotiated: Negotiated }
  | {
      kind: 'call'
      call: CallPlan
      read: ReadPlan
      negotiated: Negotiated
      count: CountPlan
      isHead: boolean
      isWrite: boolean
    }
  /** The description of a schema, and whether it is of what the role may use alone. */
  | { kind: 'describe'; schema: string; followsPrivileges: boolean; negotiated: Negotiated; isHead: boolean }
