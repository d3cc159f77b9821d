// Reads the schema cache out of a database. Any login that may connect can: the catalogs are everybody's to read.

import type { DataApiConfig } from '../config.ts'
import { arrayLiteral } from '../sql/array-literal.ts'
import * as ask from './introspection.ts'
import { toFunction, toSetting, type FunctionRow } from './functions.ts'
import {
  relationshipsOf,
  shown,
  withViews,
  type ForeignKey,
  type KeyedRelation,
  type Projection,
} from './relationships.ts'
import {
  keyOf,
  type Column,
  type DatabaseFunction,
  type MediaHandler,
  type QualifiedName,
  type Relation,
  type Relationship,
  type Representation,
  type SchemaCache,
} from './schema-cache.ts'
import { viewColumns } from './view-columns.ts'

/** One statement whose answer is one text. */
export type AskText = (text: string, values?: readonly string[]) => Promise<string>

type ColumnRow = Omit<Column, 'default'> & { number: number; default: string | null; sequence: string | null }
type RelationRow = QualifiedName & {
  oid: number
  kind: 'r' | 'v' | 'm' | 'f' | 'p'
  rowType: number
  updatable: number
  columns: ColumnRow[]
}
type ConstraintRow = {
  name: string
  kind: 'p' | 'u' | 'f'
  relation: number
  columns: number[]
  foreign: number
  foreignColumns: number[] | null
}

/** Bits of `pg_relation_is_updatable`: postgres: src/include/nodes/nodes.h, CmdType. */
const updateBit = 4
const insertBit = 8
const deleteBit = 16

export async function loadSchemaCache(
  askText: AskText,
  config: Pick<DataApiConfig, 'dbSchemas' | 'dbExtraSearchPath' | 'dbHoistedTxSettings'>,
): Promise<SchemaCache> {
  const read = async <T>(text: string, values?: readonly string[]): Promise<T> =>
    JSON.parse(await askText(text, values)) as T
  const schemas = [arrayLiteral([...new Set([...config.dbSchemas, ...config.dbExtraSearchPath])])]
  const relationRows = await read<RelationRow[]>(ask.relationsQuery)
  const constraints = await read<ConstraintRow[]>(ask.constraintsQuery)
  const indexes = await read<{ relation: number; columns: number[] }[]>(ask.uniqueIndexesQuery)
  const views = await read<{ view: number; rule: string }[]>(ask.viewsQuery)
  const functionRows = await read<FunctionRow[]>(ask.functionsQuery, schemas)
  const handlerRows = await read<
    { mediaType: string; schema: string; name: string; argument: number; isAny: boolean }[]
  >(ask.mediaHandlersQuery, schemas)
  const representations = await read<Representation[]>(ask.representationsQuery)
  const roles = await read<{ role: string; settings: string[] }[]>(ask.roleSettingsQuery)
  const surroundings = await read<{
    timezones: string[]
    hasPostGis: boolean
  }>(ask.surroundingsQuery)

  const byOid = new Map(relationRows.map((row) => [row.oid, row]))
  const projections = projectionsOf(views, byOid)
  const primary = new Map(
    constraints
      .filter(({ kind }) => kind === 'p')
      .map(({ relation, columns }) => [relation, columns as readonly number[]]),
  )
  const unique = Map.groupBy(
    [...constraints.filter(({ kind }) => kind !== 'f'), ...indexes],
    ({ relation }) => relation,
  )
  const uniqueKeys = new Map<number, (readonly number[])[]>()
  for (const [oid, keys] of unique)
    uniqueKeys.set(
      oid,
      keys.map(({ columns }) => columns),
    )
  // What is unique in a table is so in a view that shows it, as far as anybody can tell.
  for (const [oid, keys] of Array.from(uniqueKeys))
    for (const key of keys)
      for (const { relation, columns } of shown(projections.get(oid), key))
        uniqueKeys.set(relation, [...(uniqueKeys.get(relation) ?? []), columns])
  for (const [oid, key] of Array.from(primary))
    for (const { relation, columns } of shown(projections.get(oid), key))
      if (!primary.has(relation)) primary.set(relation, columns)

  const relations = new Map<string, Relation>()
  for (const row of relationRows) relations.set(keyOf(row), toRelation(row, primary.get(row.oid) ?? []))
  const keyed = new Map(relationRows.map((row) => [row.oid, toKeyed(row)]))
  const foreignKeys = constraints.flatMap((row): ForeignKey[] =>
    row.kind === 'f' ? [{ ...row, foreignColumns: row.foreignColumns ?? [] }] : [],
  )
  const detected = relationshipsOf(withViews(foreignKeys, projections), keyed, { unique: uniqueKeys, primary })
  const rowTypes = new Map(relationRows.map((row) => [row.rowType, row]))
  const computed = functionRows.flatMap((row) => computedRelationship(row, rowTypes, byOid))
  const functions = new Map<string, DatabaseFunction[]>()
  for (const row of functionRows) {
    const made = toFunction(row, byOid, config.dbHoistedTxSettings)
    const key = keyOf(made)
    functions.set(key, [...(functions.get(key) ?? []), made])
  }
  return {
    relations,
    relationships: Map.groupBy([...computed, ...detected] as Relationship[], ({ from }) => keyOf(from)),
    functions,
    mediaHandlers: handlerRows.map((row): MediaHandler => ({
      mediaType: row.mediaType,
      function: { schema: row.schema, name: row.name },
      relation: row.isAny ? undefined : nameOf(rowTypes.get(row.argument)),
    })),
    representations,
    timezones: new Set(surroundings.timezones),
    roleSettings: new Map(roles.map(({ role, settings }) => [role, settings.map(toSetting)])),
    hasPostGis: surroundings.hasPostGis,
    loadedAt: performance.now(),
  }
}

const nameOf = (row: RelationRow | undefined): QualifiedName | undefined =>
  row && { schema: row.schema, name: row.name }

function toKeyed(row: RelationRow): KeyedRelation {
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    isView: row.kind === 'v' || row.kind === 'm',
    columnNames: new Map(row.columns.map(({ number, name }) => [number, name])),
  }
}

function toRelation(row: RelationRow, key: readonly number[]): Relation {
  const names = new Map(row.columns.map(({ number, name }) => [number, name]))
  return {
    schema: row.schema,
    name: row.name,
    isInsertable: (row.updatable & insertBit) !== 0,
    isUpdatable: (row.updatable & updateBit) !== 0,
    isDeletable: (row.updatable & deleteBit) !== 0,
    primaryKey: key.map((number) => names.get(number) ?? ''),
    columns: new Map(
      row.columns.map(({ sequence, ...column }) => [
        column.name,
        {
          ...column,
          default: sequence === null ? (column.default ?? undefined) : `nextval('${sequence.replaceAll("'", "''")}')`,
        },
      ]),
    ),
  }
}

/** By the table whose columns are shown; through views of views. */
function projectionsOf(
  views: readonly { view: number; rule: string }[],
  byOid: ReadonlyMap<number, RelationRow>,
): Map<number, Projection[]> {
  const direct = new Map(views.map(({ view, rule }) => [view, viewColumns(rule)]))
  const sources = new Map<string, [table: number, column: number][]>()
  /** Where a column comes from in the end. */
  const sourcesOf = (relation: number, column: number, depth: number): [number, number][] => {
    if (depth > 32) return []
    const columns = direct.get(relation)
    if (!columns) return byOid.has(relation) ? [[relation, column]] : []
    const key = `${relation} ${column}`
    const known = sources.get(key)
    if (known) return known
    const found = columns
      .filter(({ number }) => number === column)
      .flatMap(({ fromRelation, fromColumn }): [number, number][] => sourcesOf(fromRelation, fromColumn, depth + 1))
    sources.set(key, found)
    return found
  }
  const projections = new Map<number, Projection[]>()
  for (const [view, columns] of direct) {
    const byTable = new Map<number, Map<number, number[]>>()
    for (const { number } of columns) {
      for (const [table, column] of sourcesOf(view, number, 0)) {
        const shows = byTable.get(table) ?? new Map<number, number[]>()
        byTable.set(table, shows)
        shows.set(column, [...(shows.get(column) ?? []), number])
      }
    }
    for (const [table, shows] of byTable) projections.set(table, [...(projections.get(table) ?? []), { view, shows }])
  }
  return projections
}

/** A function of one row that gives rows. */
function computedRelationship(
  row: FunctionRow,
  rowTypes: ReadonlyMap<number, RelationRow>,
  byOid: ReadonlyMap<number, RelationRow>,
): Relationship[] {
  const [argument, ...others] = row.typeIds
  const from = argument === undefined ? undefined : rowTypes.get(argument)
  const to = byOid.get(row.returnType.relation)
  if (!from || !to || others.length > 0) return []
  return [
    {
      kind: 'computed',
      function: { schema: row.schema, name: row.name },
      from: { schema: from.schema, name: from.name },
      to: { schema: to.schema, name: to.name },
      isSelf: from.oid === to.oid,
      isToOne: !row.isSet || row.rows === 1,
    },
  ]
}
