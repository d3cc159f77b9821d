// Parameters that operations refer to: those of every relation, and of each one its columns as filters and its row as a body.

import { toDefinition, type Reference } from './reference.ts'
import type { DescribedRelation } from './relations.ts'

type TextParameter = {
  name: string
  description?: string
  required: false
  in: 'query' | 'header'
  type: 'string'
  enum?: string[]
  default?: string
}

type BodyParameter = { name: string; description: string; required: false; in: 'body'; schema: Reference }

export type SwaggerParameter = TextParameter | BodyParameter

const counts = ['count=exact', 'count=planned', 'count=estimated']
const returns = ['return=representation', 'return=minimal', 'return=headers-only']
const resolutions = ['resolution=ignore-duplicates', 'resolution=merge-duplicates']

const ofAll: Readonly<Record<string, TextParameter>> = {
  preferParams: prefer(),
  preferReturn: prefer(returns),
  preferCount: prefer(counts),
  preferPost: prefer([...returns, ...resolutions]),
  select: text('query', 'select', 'Columns and embedded relations to answer'),
  on_conflict: text('query', 'on_conflict', 'Unique columns by which rows are the same'),
  order: text('query', 'order', 'Columns to sort by'),
  range: text('header', 'Range', 'First and last row'),
  rangeUnit: { ...text('header', 'Range-Unit', 'What ranges count'), default: 'items' },
  offset: text('query', 'offset', 'Rows to skip'),
  limit: text('query', 'limit', 'Most rows to answer'),
}

function prefer(values?: string[]): TextParameter {
  return { ...text('header', 'Prefer', 'Preferences'), ...(values ? { enum: values } : {}) }
}

function text(place: 'query' | 'header', name: string, description: string): TextParameter {
  return { name, description, required: false, in: place, type: 'string' }
}

export const filterName = (relation: string, column: string): string => `rowFilter.${relation}.${column}`

export const bodyName = (relation: string): string => `body.${relation}`

export function parametersOf(relations: readonly DescribedRelation[]): Record<string, SwaggerParameter> {
  const own = relations.flatMap(({ name, columns }): [string, SwaggerParameter][] => [
    [bodyName(name), { name, description: name, required: false, in: 'body', schema: toDefinition(name) }],
    ...columns
      .filter(({ mayRead }) => mayRead)
      .map((column): [string, SwaggerParameter] => [
        filterName(name, column.name),
        {
          name: column.name,
          ...(column.comment === null ? {} : { description: column.comment }),
          required: false,
          in: 'query',
          type: 'string',
        },
      ]),
  ])
  return Object.fromEntries([...Object.entries(ofAll), ...own])
}
