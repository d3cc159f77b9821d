// OPTIONS: what may be done with a resource, and what pages of other origins may do. No database is asked.

import { findRelation, functionsNamed } from '../schema-cache/lookup.ts'
import type { ApiRequest, Resource } from '../request/request.ts'
import { DataApiError } from '../errors.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import type { HttpAnswer } from './answer.ts'

export function inspectAnswer(request: ApiRequest, resource: Resource, cache: SchemaCache): HttpAnswer {
  const headers: HttpAnswer['headers'] = [
    ['Access-Control-Allow-Origin', '*'],
    ['Allow', allowed(request, resource, cache).join(',')],
  ]
  return { status: 200, headers, body: '' }
}

function allowed({ schema }: ApiRequest, resource: Resource, cache: SchemaCache): string[] {
  switch (resource.kind) {
    case 'root':
      return ['OPTIONS', 'GET', 'HEAD']
    case 'function': {
      const all = functionsNamed(cache, { schema, name: resource.name })
      if (all.length === 0) {
        throw new DataApiError({
          code: 'PGRST202',
          message: `Could not find the function ${schema}.${resource.name} in the schema cache`,
        })
      }
      return all.some(({ volatility }) => volatility !== 'volatile')
        ? ['OPTIONS', 'GET', 'HEAD', 'POST']
        : ['OPTIONS', 'POST']
    }
    case 'relation': {
      const { isInsertable, isUpdatable, isDeletable, primaryKey } = findRelation(cache, {
        schema,
        name: resource.name,
      })
      return [
        'OPTIONS',
        'GET',
        'HEAD',
        ...(isInsertable ? ['POST'] : []),
        ...(isInsertable && isUpdatable && primaryKey.length > 0 ? ['PUT'] : []),
        ...(isUpdatable ? ['PATCH'] : []),
        ...(isDeletable ? ['DELETE'] : []),
      ]
    }
  }
}

const exposed =
  'Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding, Range-Unit'

/** Undefined: the request comes from no page. `allowed`: origins; undefined or empty: all. */
export function corsHeaders(
  origin: string | undefined,
  allowed_: readonly string[] | undefined,
): HttpAnswer['headers'] {
  if (origin === undefined) return []
  if (allowed_ === undefined || allowed_.length === 0)
    return [
      ['Access-Control-Allow-Origin', '*'],
      ['Access-Control-Expose-Headers', exposed],
    ]
  if (!allowed_.includes(origin)) return []
  return [
    ['Access-Control-Allow-Origin', origin],
    ['Access-Control-Allow-Credentials', 'true'],
    ['Access-Control-Expose-Headers', exposed],
    ['Vary', 'Origin'],
  ]
}

/** Undefined where it is none. */
export function preflightAnswer(
  method: string,
  headers: Readonly<Record<string, string | undefined>>,
  allowed_: readonly string[] | undefined,
): HttpAnswer | undefined {
  if (method !== 'OPTIONS' || headers['origin'] === undefined || headers['access-control-request-method'] === undefined)
    return undefined
  const asked = (headers['access-control-request-headers'] ?? '').split(',').map((name) => name.trim())
  const plain = asked.filter((name) => /^[\w-]+$/.test(name))
  return {
    status: 200,
    headers: [
      ...corsHeaders(headers['origin'], allowed_),
      ['Access-Control-Allow-Methods', 'GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD'],
      [
        'Access-Control-Allow-Headers',
        ['Authorization', ...plain, 'Accept', 'Accept-Language', 'Content-Language'].join(', '),
      ],
      ['Access-Control-Max-Age', '86400'],
    ],
    body: '',
  }
}
