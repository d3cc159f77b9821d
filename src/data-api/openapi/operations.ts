// What may be done with a relation: an operation for each method that is possible.

import { summaryOf } from './comment.ts'
import { bodyName, filterName } from './parameters.ts'
import { relationPath, toDefinition, toParameter } from './reference.ts'
import type { DescribedRelation } from './relations.ts'

export type PathItem = Readonly<Record<string, unknown>>

export function pathOf(relation: DescribedRelation): [path: string, PathItem] {
  const { name, comment, columns } = relation
  const about = { tags: [name], ...summaryOf(comment) }
  const filters = columns.filter(({ mayRead }) => mayRead).map((column) => filterName(name, column.name))
  const paging = ['select', 'order', 'range', 'rangeUnit', 'offset', 'limit', 'preferCount']
  const rows = { type: 'array', items: toDefinition(name) }
  const get = {
    ...about,
    parameters: [...filters, ...paging].map(toParameter),
    responses: { 200: { description: 'OK', schema: rows }, 206: { description: 'Partial Content' } },
  }
  const post = {
    ...about,
    parameters: [bodyName(name), 'select', 'preferPost'].map(toParameter),
    responses: { 201: { description: 'Created' } },
  }
  const patch = {
    ...about,
    parameters: [...filters, bodyName(name), 'preferReturn'].map(toParameter),
    responses: { 204: { description: 'No Content' } },
  }
  const remove = {
    ...about,
    parameters: [...filters, 'preferReturn'].map(toParameter),
    responses: { 204: { description: 'No Content' } },
  }
  return [
    relationPath(name),
    {
      ...(relation.mayRead ? { get } : {}),
      ...(relation.mayInsert ? { post } : {}),
      ...(relation.mayUpdate ? { patch } : {}),
      ...(relation.mayDelete ? { delete: remove } : {}),
    },
  ]
}
