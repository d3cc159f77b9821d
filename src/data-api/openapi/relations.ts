// Relations to be described: what the cache knows of each, with what the database has said of it.

import { keyOf, type Column, type Relation, type SchemaCache } from '../schema-cache/schema-cache.ts'
import type { ColumnFacts, RelationFacts } from './facts.ts'

export type DescribedRelation = {
  name: string
  comment: string | null
  mayRead: boolean
  mayInsert: boolean
  mayUpdate: boolean
  mayDelete: boolean
  columns: readonly DescribedColumn[]
}

export type DescribedColumn = ColumnFacts & {
  default: string | undefined
  isKey: boolean
  foreign: { table: string; column: string } | undefined
}

/** Left out: what is newer than the cache, which cannot be asked for yet, and what nothing can be done with. */
export function describedRelations(
  facts: readonly RelationFacts[],
  schema: string,
  cache: SchemaCache,
): DescribedRelation[] {
  return facts.flatMap((each): DescribedRelation[] => {
    const relation = cache.relations.get(keyOf({ schema, name: each.name }))
    if (!relation) return []
    const columns = each.columns.flatMap((column) => {
      const known = relation.columns.get(column.name)
      return known ? [describedColumn(column, known, relation, cache)] : []
    })
    const mayInsert = each.mayInsert && relation.isInsertable
    const mayUpdate = each.mayUpdate && relation.isUpdatable
    const mayDelete = each.mayDelete && relation.isDeletable
    if (!each.mayRead && !mayInsert && !mayUpdate && !mayDelete) return []
    return [{ ...each, mayInsert, mayUpdate, mayDelete, columns }]
  })
}

function describedColumn(facts: ColumnFacts, known: Column, relation: Relation, cache: SchemaCache): DescribedColumn {
  return {
    ...facts,
    default: known.default,
    isKey: relation.primaryKey.includes(facts.name),
    foreign: foreignOf(facts.name, relation, cache),
  }
}

/** Where a foreign key of this column alone leads to, in the same schema; a table comes before the views that show it. */
function foreignOf(column: string, relation: Relation, cache: SchemaCache): DescribedColumn['foreign'] {
  const found = (cache.relationships.get(keyOf(relation)) ?? []).flatMap((each) => {
    if (each.kind !== 'detected' || each.cardinality.kind === 'm2m' || each.to.schema !== relation.schema) return []
    const { holdsKey, columns } = each.cardinality
    const [pair, ...others] = columns
    if (!holdsKey || pair?.[0] !== column || others.length > 0) return []
    return [{ table: each.to.name, column: pair[1], isView: each.toIsView }]
  })
  const first = found.find(({ isView }) => !isView) ?? found[0]
  return first && { table: first.table, column: first.column }
}
