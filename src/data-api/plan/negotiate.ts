// Which of what a client accepts can be made of the rows, and how.

import type { DataApiConfig } from '../config.ts'
import { DataApiError } from '../errors.ts'
import { mediaTypeName, parseMediaType, type MediaType } from '../request/media-type.ts'
import type { DatabaseFunction, MediaHandler, Relation, SchemaCache } from '../schema-cache/schema-cache.ts'
import type { Handler, Negotiated } from './plan.ts'

type Produced = {
  relation: Relation | undefined
  /** Of a call. */
  function: DatabaseFunction | undefined
  /** `select` says nothing, so that a relation's own handler gets its rows. */
  isDefaultSelect: boolean
}

/** Throws PGRST107. */
export function negotiate(
  accept: readonly MediaType[],
  produced: Produced,
  cache: SchemaCache,
  config: Pick<DataApiConfig, 'dbPlanEnabled'>,
): Negotiated {
  for (const type of accept) {
    if (type.kind === 'plan') {
      const inner = config.dbPlanEnabled ? handlerOf(type.for, produced, cache) : undefined
      if (inner) return { handler: inner.handler, mediaType: type, plan: type }
      continue
    }
    const found = handlerOf(type, produced, cache)
    if (found) return { ...found, plan: undefined }
  }
  throw new DataApiError({
    code: 'PGRST107',
    message: `None of these media types are available: ${accept.map(mediaTypeName).join(', ')}`,
  })
}

function handlerOf(
  type: MediaType,
  produced: Produced,
  cache: SchemaCache,
): { handler: Handler; mediaType: MediaType } | undefined {
  const ofFunction = resultType(produced.function)
  if (ofFunction !== undefined) {
    if (type.kind === 'any' || ofFunction === '*/*' || ofFunction === mediaTypeName(type)) {
      const named =
        ofFunction === '*/*' ? (type.kind === 'any' ? 'application/octet-stream' : mediaTypeName(type)) : ofFunction
      return { handler: { kind: 'function-result' }, mediaType: asTold(named) }
    }
    if (type.kind !== 'json' && type.kind !== 'object' && type.kind !== 'array') return undefined
  }
  const own = ownHandler(type, produced, cache)
  if (own) {
    const name =
      type.kind === 'any' && own.mediaType === '*/*'
        ? 'application/octet-stream'
        : own.mediaType === '*/*'
          ? mediaTypeName(type)
          : own.mediaType
    return { handler: { kind: 'custom', handler: own }, mediaType: asTold(name) }
  }
  switch (type.kind) {
    case 'any':
    case 'json':
      return { handler: { kind: 'json-array', stripsNulls: false }, mediaType: { kind: 'json' } }
    case 'array':
      return { handler: { kind: 'json-array', stripsNulls: type.stripsNulls }, mediaType: type }
    case 'object':
      return { handler: { kind: 'json-object', stripsNulls: type.stripsNulls }, mediaType: type }
    case 'csv':
      return { handler: { kind: 'csv' }, mediaType: type }
    case 'geojson':
      return cache.hasPostGis ? { handler: { kind: 'geojson' }, mediaType: type } : undefined
    case 'plan':
    case 'openapi':
    case 'urlencoded':
    case 'octet-stream':
    case 'text':
    case 'xml':
    case 'other':
      return undefined
  }
}

/** A name of ours is one of ours, whoever makes what it stands for. */
function asTold(name: string): MediaType {
  const known = parseMediaType(name)
  return known.kind === 'csv' || known.kind === 'text' || known.kind === 'xml' || known.kind === 'octet-stream'
    ? known
    : { kind: 'other', name }
}

/** Where a function's result is a media type already: the name of the domain that it returns. */
function resultType(called: DatabaseFunction | undefined): string | undefined {
  if (called?.returns.kind !== 'single' || called.returns.of.kind !== 'scalar') return undefined
  const { name } = called.returns.of.type
  return name.includes('/') ? name.toLowerCase() : undefined
}

/** A handler for the relation itself comes before one for any. */
function ownHandler(
  type: MediaType,
  { relation, isDefaultSelect }: Produced,
  cache: SchemaCache,
): MediaHandler | undefined {
  if (cache.mediaHandlers.length === 0) return undefined
  const name = mediaTypeName(type)
  const fits = (handler: MediaHandler): boolean => {
    if (!handler.relation) return true
    return isDefaultSelect && handler.relation.name === relation?.name && handler.relation.schema === relation.schema
  }
  const named = cache.mediaHandlers.filter((handler) => handler.mediaType === name && fits(handler))
  const any = cache.mediaHandlers.filter((handler) => handler.mediaType === '*/*' && fits(handler))
  const all =
    type.kind === 'any' || type.kind === 'json'
      ? [...named, ...any.filter(({ relation: of }) => of)]
      : [...named, ...any]
  return all.find((handler) => handler.relation) ?? all[0]
}
