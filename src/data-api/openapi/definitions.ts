// The rows of relations as JSON schemas. Clients read keys out of the notes, so these have PostgREST's very form.

import { defaultOf } from './defaults.ts'
import type { DescribedColumn, DescribedRelation } from './relations.ts'
import { swaggerType, type SwaggerType } from './types.ts'

export type Definition = {
  type: 'object'
  description?: string
  properties: Record<string, Property>
  required?: string[]
}

type Property = SwaggerType & { description?: string; default?: unknown; enum?: readonly string[]; maxLength?: number }

export function definitionOf({ comment, columns }: DescribedRelation): Definition {
  const required = columns.filter(({ isNotNull }) => isNotNull).map(({ name }) => name)
  return {
    type: 'object',
    ...(comment === null ? {} : { description: comment }),
    properties: Object.fromEntries(columns.map((column) => [column.name, propertyOf(column)])),
    ...(required.length === 0 ? {} : { required }),
  }
}

function propertyOf(column: DescribedColumn): Property {
  const type = swaggerType(column.type)
  const description = descriptionOf(column)
  const value = defaultOf(column.default, type)
  return {
    ...type,
    ...(description === undefined ? {} : { description }),
    ...(value === undefined ? {} : { default: value }),
    ...(column.enum === null ? {} : { enum: column.enum }),
    ...(column.maxLength === null ? {} : { maxLength: column.maxLength }),
  }
}

function descriptionOf({ comment, isKey, foreign }: DescribedColumn): string | undefined {
  const notes = [
    ...(isKey ? ['This is a Primary Key.<pk/>'] : []),
    ...(foreign
      ? [
          `This is a Foreign Key to \`${foreign.table}.${foreign.column}\`.<fk table='${foreign.table}' column='${foreign.column}'/>`,
        ]
      : []),
  ]
  if (notes.length === 0) return comment ?? undefined
  return [...(comment === null ? [] : [comment, '']), 'Note:', ...notes].join('\n')
}
