// The description of a schema, in Swagger 2.0, as PostgREST has it at the root.
//
// Names and comments are whoever's that made them. All of it is put together as values and written as JSON once, and every object with names of
// others as its keys is made of entries: `__proto__` is a name like any other.

import type { DataApiConfig } from '../config.ts'
import type { ApiRequest } from '../request/request.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import { callPaths } from './calls.ts'
import { splitComment } from './comment.ts'
import { definitionOf } from './definitions.ts'
import type { DescriptionFacts } from './facts.ts'
import { pathOf, type PathItem } from './operations.ts'
import { parametersOf } from './parameters.ts'
import { describedRelations } from './relations.ts'
import { serverOfHost, serverOfUri } from './server.ts'

/** Of PostgREST: what is described is what that one answers. */
const servedVersion = '14'

const mediaTypes = [
  'application/json',
  'application/vnd.pgrst.object+json;nulls=stripped',
  'application/vnd.pgrst.object+json',
  'text/csv',
]

type Config = Pick<DataApiConfig, 'openapiServerProxyUri' | 'openapiSecurityActive'>

/** `facts`: as the database has written them. */
export function describe(
  facts: string,
  { schema, headers }: Pick<ApiRequest, 'schema' | 'headers'>,
  cache: SchemaCache,
  { openapiServerProxyUri: uri, openapiSecurityActive: isSecured }: Config,
): string {
  const { comment, relations, functions } = JSON.parse(facts) as DescriptionFacts
  const described = describedRelations(relations, schema, cache)
  return JSON.stringify({
    swagger: '2.0',
    info: infoOf(comment),
    ...((uri === undefined ? undefined : serverOfUri(uri)) ?? serverOfHost(headers['host'])),
    consumes: mediaTypes,
    produces: mediaTypes,
    paths: Object.fromEntries([['/', root], ...described.map(pathOf), ...callPaths(functions)]),
    definitions: Object.fromEntries(described.map((relation) => [relation.name, definitionOf(relation)])),
    parameters: parametersOf(described),
    ...(isSecured ? security : {}),
    externalDocs: {
      description: 'PostgREST Documentation',
      url: `https://postgrest.org/en/v${servedVersion}/references/api.html`,
    },
  })
}

function infoOf(comment: string | null): { title: string; description: string; version: string } {
  const { summary, description } =
    comment === null
      ? { summary: 'PostgREST API', description: 'Tables, views and functions of a database, as it has them now' }
      : splitComment(comment)
  return { title: summary, description, version: servedVersion }
}

const root: PathItem = {
  get: {
    tags: ['Introspection'],
    summary: 'This description',
    produces: ['application/openapi+json', 'application/json'],
    responses: { 200: { description: 'OK' } },
  },
}

const security = {
  securityDefinitions: {
    JWT: {
      type: 'apiKey',
      name: 'Authorization',
      in: 'header',
      description: 'A token, written as "Bearer" and the token',
    },
  },
  security: [{ JWT: [] }],
}
