// The description as an answer, and what a function says in its place.

import type { DataApiConfig } from '../config.ts'
import { DataApiError } from '../errors.ts'
import { mediaTypeName, type MediaType } from '../request/media-type.ts'
import type { ApiRequest } from '../request/request.ts'
import type { HttpAnswer } from '../response/answer.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import { openApiDocument } from './document.ts'
import type { SchemaFacts } from './facts.ts'

const openApi: MediaType = { kind: 'openapi' }

/** Throws PGRST107. */
export function negotiateDescription(accept: readonly MediaType[]): MediaType {
  for (const type of accept) {
    if (type.kind === 'any' || type.kind === 'openapi') return openApi
    if (type.kind === 'json') return type
  }
  throw new DataApiError({
    code: 'PGRST107',
    message: `None of these media types are available: ${accept.map(mediaTypeName).join(', ')}`,
  })
}

/** `facts`: as they were answered; undefined where there is no such schema. */
export function descriptionAnswer(
  request: ApiRequest,
  mediaType: MediaType,
  facts: string | undefined,
  cache: SchemaCache,
  config: Pick<DataApiConfig, 'openapiServerProxyUri' | 'openapiSecurityActive'>,
): HttpAnswer {
  const known = facts === undefined ? undefined : (JSON.parse(facts) as SchemaFacts)
  return {
    status: 200,
    headers: [
      ['Content-Type', `${mediaTypeName(mediaType)}; charset=utf-8`],
      ...(request.namesSchema ? [['Content-Profile', request.schema] as const] : []),
    ],
    body: JSON.stringify(openApiDocument(request, cache, known, config)),
  }
}

/** A call of `db-root-spec`, without arguments; what it answers is taken for a description. */
export function rootSpecRequest(request: ApiRequest, name: string): ApiRequest {
  const [schema, function_] = name.includes('.') ? name.split('.', 2) : [request.schema, name]
  const method = request.method === 'HEAD' ? 'HEAD' : 'GET'
  return {
    ...request,
    schema: schema ?? request.schema,
    action: { kind: 'call', function: function_ ?? name, method },
    accept: [{ kind: 'json' }],
  }
}

/** The function gives JSON; that it is a description, it cannot say. */
export function asDescription(answer: HttpAnswer, mediaType: MediaType): HttpAnswer {
  const headers = answer.headers.filter(([name]) => name.toLowerCase() !== 'content-type')
  return { ...answer, headers: [['Content-Type', `${mediaTypeName(mediaType)}; charset=utf-8`], ...headers] }
}
