// What may be done with the root and with relations.

import { titleAndRest } from './comments.ts'
import { bodyName, filterName, reference, type DescribedRelation } from './parameters.ts'

type Operation = Record<string, unknown>

export const rootPath: Record<string, Operation> = {
  get: {
    tags: ['Introspection'],
    summary: 'This description',
    produces: ['application/openapi+json', 'application/json'],
    responses: { 200: { description: 'OK' } },
  },
}

export function relationPath({ relation, description }: DescribedRelation): Record<string, Operation> {
  const { isInsertable, isUpdatable, isDeletable, columns, name } = relation
  const [summary, rest] = titleAndRest(description)
  const about = {
    tags: [name],
    ...(summary === undefined ? {} : { summary }),
    ...(rest === undefined ? {} : { description: rest }),
  }
  const shared = (...names: string[]): unknown[] => names.map((each) => reference('parameters', each))
  const filters = [...columns.keys()].map((column) => reference('parameters', filterName(relation, column)))
  const body = reference('parameters', bodyName(relation))
  const rows = { type: 'array', items: reference('definitions', name) }
  return {
    get: {
      ...about,
      parameters: [...filters, ...shared('select', 'order', 'range', 'rangeUnit', 'offset', 'limit', 'preferCount')],
      responses: { 200: { description: 'OK', schema: rows }, 206: { description: 'Partial Content' } },
    },
    ...(isInsertable && {
      post: {
        ...about,
        parameters: [body, ...shared('select', 'on_conflict', 'preferPost')],
        responses: { 201: { description: 'Created' } },
      },
    }),
    ...(isDeletable && {
      delete: {
        ...about,
        parameters: [...filters, ...shared('preferReturn')],
        responses: { 204: { description: 'No Content' } },
      },
    }),
    ...(isUpdatable && {
      patch: {
        ...about,
        parameters: [...filters, body, ...shared('preferReturn')],
        responses: { 204: { description: 'No Content' } },
      },
    }),
  }
}
