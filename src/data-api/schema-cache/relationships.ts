// How relations belong together: foreign keys in both directions, across junction tables, and as views show them.

import type { Cardinality, ColumnPair, Junction, QualifiedName, Relationship } from './schema-cache.ts'

export type KeyedRelation = QualifiedName & {
  oid: number
  isView: boolean
  /** By number. */
  columnNames: ReadonlyMap<number, string>
}

export type ForeignKey = {
  name: string
  relation: number
  columns: readonly number[]
  foreign: number
  foreignColumns: readonly number[]
}

export type Keys = {
  /** Primary keys and all unique ones, of tables and of views, by oid. */
  unique: ReadonlyMap<number, readonly (readonly number[])[]>
  primary: ReadonlyMap<number, readonly number[]>
}

/** A view's columns that are columns of a table, by the table. */
export type Projection = {
  view: number
  /** Of the table's column: those of the view that show it. */ shows: ReadonlyMap<number, readonly number[]>
}

const mostCombinations = 50

/** A foreign key between tables is one between all views that show its columns, on either side, as well. */
export function withViews(
  keys: readonly ForeignKey[],
  projections: ReadonlyMap<number, readonly Projection[]>,
): ForeignKey[] {
  return keys.flatMap((key) => {
    const froms = [
      { relation: key.relation, columns: key.columns },
      ...shown(projections.get(key.relation), key.columns),
    ]
    const tos = [
      { relation: key.foreign, columns: key.foreignColumns },
      ...shown(projections.get(key.foreign), key.foreignColumns),
    ]
    return froms.flatMap((from) =>
      tos.map((to) => ({
        name: key.name,
        relation: from.relation,
        columns: from.columns,
        foreign: to.relation,
        foreignColumns: to.columns,
      })),
    )
  })
}

/** Every way in which the columns are shown, where all of them are. */
export function shown(
  projections: readonly Projection[] | undefined,
  columns: readonly number[],
): { relation: number; columns: readonly number[] }[] {
  return (projections ?? []).flatMap(({ view, shows }) => {
    let ways: number[][] = [[]]
    for (const column of columns) {
      const names = shows.get(column) ?? []
      ways = ways.flatMap((way) => names.map((name) => [...way, name])).slice(0, mostCombinations)
    }
    return ways.filter((way) => way.length === columns.length).map((way) => ({ relation: view, columns: way }))
  })
}

type Direct = Extract<Relationship, { kind: 'detected' }>

export function relationshipsOf(
  foreignKeys: readonly ForeignKey[],
  relations: ReadonlyMap<number, KeyedRelation>,
  keys: Keys,
): Direct[] {
  const found: Direct[] = []
  for (const key of foreignKeys) {
    const [from, to] = [relations.get(key.relation), relations.get(key.foreign)]
    if (!from || !to) continue
    const pairs = key.columns.map((column, i): ColumnPair => [
      from.columnNames.get(column) ?? '',
      to.columnNames.get(key.foreignColumns[i] ?? 0) ?? '',
    ])
    const isOne = isUnique(keys, key.relation, key.columns)
    found.push(direct(from, to, { kind: isOne ? 'o2o' : 'm2o', constraint: key.name, columns: pairs, holdsKey: true }))
    const back = pairs.map(([a, b]): ColumnPair => [b, a])
    const kind = isOne ? 'o2o' : 'o2m'
    found.push(direct(to, from, { kind, constraint: key.name, columns: back, holdsKey: false }))
  }
  return [...found, ...acrossJunctions(foreignKeys, relations, keys)]
}

function direct(from: KeyedRelation, to: KeyedRelation, cardinality: Cardinality): Direct {
  return {
    kind: 'detected',
    from: nameOf(from),
    to: nameOf(to),
    isSelf: from.oid === to.oid,
    cardinality,
    fromIsView: from.isView,
    toIsView: to.isView,
  }
}

const nameOf = ({ schema, name }: KeyedRelation): QualifiedName => ({ schema, name })

/** Within some unique key: all of its columns are among these. */
function isUnique({ unique }: Keys, relation: number, columns: readonly number[]): boolean {
  return (unique.get(relation) ?? []).some((key) => key.length > 0 && key.every((column) => columns.includes(column)))
}

function acrossJunctions(
  foreignKeys: readonly ForeignKey[],
  relations: ReadonlyMap<number, KeyedRelation>,
  { primary }: Keys,
): Direct[] {
  const byJunction = Map.groupBy(foreignKeys, ({ relation }) => relation)
  const found: Direct[] = []
  for (const [oid, keys] of byJunction) {
    const [junction, primaryKey] = [relations.get(oid), primary.get(oid)]
    if (!junction || !primaryKey) continue
    const parts = keys.filter(({ columns }) => columns.every((column) => primaryKey.includes(column)))
    for (const one of parts) {
      for (const other of parts) {
        if (one === other || one.name === other.name) continue
        const [from, to] = [relations.get(one.foreign), relations.get(other.foreign)]
        if (!from || !to) continue
        const across: Junction = {
          ...nameOf(junction),
          constraint1: one.name,
          constraint2: other.name,
          columns1: pairsTo(one, from, junction),
          columns2: pairsTo(other, to, junction),
        }
        found.push(direct(from, to, { kind: 'm2m', junction: across }))
      }
    }
  }
  return found
}

/** Columns of what the key leads to, each with the junction's. */
function pairsTo(key: ForeignKey, to: KeyedRelation, junction: KeyedRelation): ColumnPair[] {
  return key.foreignColumns.map((column, i) => [
    to.columnNames.get(column) ?? '',
    junction.columnNames.get(key.columns[i] ?? 0) ?? '',
  ])
}
