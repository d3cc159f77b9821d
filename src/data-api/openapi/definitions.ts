// What a row of a relation looks like.

import { keyOf, type Column, type Relation, type SchemaCache } from '../schema-cache/schema-cache.ts'
import type { ColumnFacts } from './facts.ts'
import type { DescribedRelation } from './parameters.ts'
import { defaultOf, typed } from './types.ts'

export function definitionOf(
  { relation, description, columns: facts }: DescribedRelation,
  cache: SchemaCache,
): Record<string, unknown> {
  const columns = [...relation.columns.values()]
  const required = columns.filter(
    (column) => facts.get(column.name)?.isNullable === false && column.default === undefined,
  )
  return {
    type: 'object',
    ...(description === null ? {} : { description }),
    ...(required.length === 0 ? {} : { required: required.map(({ name }) => name) }),
    properties: Object.fromEntries(
      columns.map((column) => [
        column.name,
        propertyOf(column, facts.get(column.name), notesOf(column, relation, cache)),
      ]),
    ),
  }
}

function propertyOf(column: Column, facts: ColumnFacts | undefined, notes: readonly string[]): Record<string, unknown> {
  const { type, ...rest } = typed(column.type)
  const said = facts?.description ?? ''
  const note = notes.length === 0 ? '' : `Note:\n${notes.join('\n')}`
  const description = [said, note].filter((each) => each !== '').join('\n\n')
  return {
    ...(type === undefined ? {} : { type }),
    ...rest,
    ...(facts?.values ? { enum: facts.values } : {}),
    ...(facts?.maxLength == null ? {} : { maxLength: facts.maxLength }),
    ...(column.default === undefined ? {} : { default: defaultOf(column.default, type) }),
    ...(description === '' ? {} : { description }),
  }
}

/** In words that PostgREST's tools look for. */
function notesOf({ name }: Column, relation: Relation, cache: SchemaCache): string[] {
  const isKey = relation.primaryKey.includes(name)
  const foreign = (cache.relationships.get(keyOf(relation)) ?? []).flatMap((each) => {
    if (each.kind !== 'detected' || each.cardinality.kind === 'm2m' || each.cardinality.isReferred) return []
    const [pair, ...others] = each.cardinality.columns
    return pair?.[0] === name && others.length === 0 ? [{ table: each.to.name, column: pair[1] }] : []
  })
  const [first] = foreign
  return [
    ...(isKey ? ['This is a Primary Key.<pk/>'] : []),
    ...(first
      ? [
          `This is a Foreign Key to \`${first.table}.${first.column}\`.<fk table='${first.table}' column='${first.column}'/>`,
        ]
      : []),
  ]
}
