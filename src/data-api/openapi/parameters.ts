// What may be said in a request, by the names under which paths refer to it.

import type { Relation } from '../schema-cache/schema-cache.ts'
import type { ColumnFacts } from './facts.ts'

export type DescribedRelation = {
  relation: Relation
  description: string | null
  columns: ReadonlyMap<string, ColumnFacts>
}

type Parameter = Record<string, unknown>

const inQuery = (name: string, description: string): Parameter => ({
  name,
  in: 'query',
  required: false,
  type: 'string',
  description,
})
const preference = (values: string[]): Parameter => ({
  name: 'Prefer',
  in: 'header',
  required: false,
  type: 'string',
  description: 'Preference',
  enum: values,
})
const returns = ['return=representation', 'return=minimal', 'return=headers-only']

export const sharedParameters: Readonly<Record<string, Parameter>> = {
  preferReturn: preference(returns),
  preferCount: preference(['count=exact', 'count=planned', 'count=estimated']),
  preferPost: preference([...returns, 'resolution=ignore-duplicates', 'resolution=merge-duplicates']),
  select: inQuery('select', 'Columns and relations'),
  on_conflict: inQuery('on_conflict', 'Columns that tell duplicates'),
  order: inQuery('order', 'Order of the rows'),
  offset: inQuery('offset', 'Rows to leave out'),
  limit: inQuery('limit', 'Rows at most'),
  range: { name: 'Range', in: 'header', required: false, type: 'string', description: 'Rows, from and to' },
  rangeUnit: {
    name: 'Range-Unit',
    in: 'header',
    required: false,
    type: 'string',
    description: 'What a range counts',
    default: 'items',
  },
}

export const bodyName = ({ name }: Relation): string => `body.${name}`
export const filterName = ({ name }: Relation, column: string): string => `rowFilter.${name}.${column}`

export function relationParameters({ relation, description }: DescribedRelation): [name: string, Parameter][] {
  const body = {
    name: relation.name,
    in: 'body',
    required: false,
    ...(description === null ? {} : { description }),
    schema: reference('definitions', relation.name),
  }
  const filters = [...relation.columns.values()].map(({ name, type }): [string, Parameter] => [
    filterName(relation, name),
    { name, in: 'query', required: false, type: 'string', format: type },
  ])
  return [[bodyName(relation), body], ...filters]
}

/** Names are anything in Postgres; in a reference they are part of a pointer in a URL. */
export const reference = (kind: 'definitions' | 'parameters', name: string): { $ref: string } => ({
  $ref: `#/${kind}/${encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))}`,
})
