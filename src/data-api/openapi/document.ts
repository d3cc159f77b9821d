// The description of an API, as Swagger 2.0 has it: built of the schema cache and what `facts.ts` has asked. Pure.
//
// Its parts are named as PostgREST names them, since tools that read it know them by these names.
// https://docs.postgrest.org/en/v14/references/api/openapi.html

import type { DataApiConfig } from '../config.ts'
import type { ApiRequest } from '../request/request.ts'
import { keyOf, type SchemaCache } from '../schema-cache/schema-cache.ts'
import { titleAndRest } from './comments.ts'
import { definitionOf } from './definitions.ts'
import { noFacts, type SchemaFacts } from './facts.ts'
import { functionPath, type DescribedFunction } from './functions.ts'
import { relationParameters, sharedParameters, type DescribedRelation } from './parameters.ts'
import { relationPath, rootPath } from './paths.ts'

type Config = Pick<DataApiConfig, 'openapiServerProxyUri' | 'openapiSecurityActive'>

/** Of PostgREST, whose behaviour this is. */
const level = '14'
const bodies = [
  'application/json',
  'application/vnd.pgrst.object+json;nulls=stripped',
  'application/vnd.pgrst.object+json',
  'text/csv',
]

export function openApiDocument(
  { schema, headers }: Pick<ApiRequest, 'schema' | 'headers'>,
  cache: SchemaCache,
  facts: SchemaFacts | undefined,
  config: Config,
): Record<string, unknown> {
  const { description, ...known } = facts ?? noFacts
  const relations = describedRelations(schema, cache, known)
  const functions = describedFunctions(schema, cache, known)
  const [title, rest] = titleAndRest(description)
  return {
    swagger: '2.0',
    info: {
      title: title ?? 'REST API of a Postgres schema',
      description:
        rest ?? (title === undefined ? 'Made of the schema by the Data API of pgrove, in PostgREST’s dialect' : ''),
      version: level,
    },
    ...placeOf(config.openapiServerProxyUri, headers['host']),
    consumes: bodies,
    produces: bodies,
    externalDocs: {
      description: 'PostgREST Documentation',
      url: `https://docs.postgrest.org/en/v${level}/references/api.html`,
    },
    ...(config.openapiSecurityActive ? security : {}),
    definitions: Object.fromEntries(relations.map((each) => [each.relation.name, definitionOf(each, cache)])),
    parameters: { ...sharedParameters, ...Object.fromEntries(relations.flatMap(relationParameters)) },
    paths: {
      '/': rootPath,
      ...Object.fromEntries(relations.map((each) => [`/${each.relation.name}`, relationPath(each)])),
      ...Object.fromEntries(functions.map((each) => [`/rpc/${each.function.name}`, functionPath(each)])),
    },
  }
}

const security = {
  securityDefinitions: {
    JWT: {
      type: 'apiKey',
      in: 'header',
      name: 'Authorization',
      description: 'A token, with "Bearer " before it',
    },
  },
  security: [{ JWT: [] }],
}

function describedRelations(
  schema: string,
  cache: SchemaCache,
  facts: Pick<SchemaFacts, 'relations'>,
): DescribedRelation[] {
  return facts.relations.flatMap(({ name, description, isVisible, columns }) => {
    const relation = cache.relations.get(keyOf({ schema, name }))
    return relation && isVisible
      ? [{ relation, description, columns: new Map(columns.map((column) => [column.name, column])) }]
      : []
  })
}

/** Of overloads the first that may be called: a path has one description. */
function describedFunctions(
  schema: string,
  cache: SchemaCache,
  facts: Pick<SchemaFacts, 'functions'>,
): DescribedFunction[] {
  const found = new Map<string, DescribedFunction>()
  const seen = new Map<string, number>()
  for (const { name, description, isVisible } of facts.functions) {
    const at = seen.get(name) ?? 0
    seen.set(name, at + 1)
    const known = cache.functions.get(keyOf({ schema, name }))?.[at]
    if (known && isVisible && !found.has(name)) found.set(name, { function: known, description })
  }
  return [...found.values()].toSorted((a, b) => (a.function.name < b.function.name ? -1 : 1))
}

/** Where clients reach it: as it was said, or as this one has asked. */
function placeOf(
  uri: string | undefined,
  host: string | undefined,
): { host?: string; basePath: string; schemes: string[] } {
  const url = uri !== undefined && URL.canParse(uri) ? new URL(uri) : undefined
  if (!url) return { ...(host === undefined ? {} : { host }), basePath: '/', schemes: ['http'] }
  return { host: url.host, basePath: url.pathname.replace(/(?<=.)\/$/, ''), schemes: [url.protocol.replace(':', '')] }
}
