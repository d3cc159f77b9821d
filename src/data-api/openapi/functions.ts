// What may be called.

import type { DatabaseFunction, Parameter } from '../schema-cache/schema-cache.ts'
import { titleAndRest } from './comments.ts'
import { typed } from './types.ts'

export type DescribedFunction = { function: DatabaseFunction; description: string | null }

export function functionPath({ function: called, description }: DescribedFunction): Record<string, unknown> {
  const [summary, rest] = titleAndRest(description)
  const about = {
    tags: [`(rpc) ${called.name}`],
    ...(summary === undefined ? {} : { summary }),
    ...(rest === undefined ? {} : { description: rest }),
    produces: ['application/json', 'application/vnd.pgrst.object+json'],
  }
  const responses = { 200: { description: 'OK' } }
  const named = called.parameters.filter(({ name }) => name !== '')
  const required = named.filter(({ isRequired }) => isRequired).map(({ name }) => name)
  const args = {
    name: 'args',
    in: 'body',
    required: required.length > 0,
    schema: {
      type: 'object',
      ...(required.length === 0 ? {} : { required }),
      properties: Object.fromEntries(named.map((parameter) => [parameter.name, typed(parameter.type)])),
    },
  }
  return {
    ...(called.volatility === 'volatile' ? {} : { get: { ...about, parameters: named.map(inQuery), responses } }),
    post: { ...about, parameters: [args], responses },
  }
}

/** Arrays are written as Postgres writes them; a variadic one may be said as often as one likes. */
function inQuery({ name, type, isRequired, isVariadic }: Parameter): Record<string, unknown> {
  const { format, ...rest } = typed(type)
  const isArray = rest.type === 'array'
  return {
    name,
    in: 'query',
    required: isRequired,
    format,
    ...(isArray && isVariadic
      ? { ...rest, collectionFormat: 'multi' }
      : { type: isArray ? 'string' : (rest.type ?? 'string') }),
  }
}
