// Reads a request as far as that goes without the database.

import type { DataApiConfig } from '../config.ts'
import { DataApiError } from '../errors.ts'
import { parseAccept, parseMediaType, type MediaType } from './media-type.ts'
import { parsePayload } from './payload.ts'
import { invalidPreferences, parsePreferences } from './preferences.ts'
import { parseQuery, rangeAt } from './query-params.ts'
import type { Action, ApiRequest, HttpRequest, Payload, Resource } from './request.ts'
import type { RowRange } from './syntax.ts'

/** Throws PGRST1xx. */
export function parseRequest(http: HttpRequest, config: Pick<DataApiConfig, 'dbSchemas'>): ApiRequest {
  const at = http.target.indexOf('?')
  const rawPath = at < 0 ? http.target : http.target.slice(0, at)
  const search = at < 0 ? '' : http.target.slice(at + 1)
  const { headers, cookies } = headersOf(http)
  const method = http.method.toUpperCase()
  const segments = segmentsOf(rawPath)
  const action = actionOf(method, resourceOf(segments))
  const { schema, namesSchema } = schemaOf(method, headers, config.dbSchemas)
  const isCallByQuery = action.kind === 'call' && action.method !== 'POST'
  const query = parseQuery(search, isCallByQuery)
  const preferences = parsePreferences(headers['prefer'])
  if (preferences.handling === 'strict' && preferences.invalid.length > 0) throw invalidPreferences(preferences.invalid)
  const contentType: MediaType =
    headers['content-type'] === undefined ? { kind: 'json' } : parseMediaType(headers['content-type'])
  const payload = payloadOf(action, http.body, contentType, query.columns !== undefined)
  return {
    action,
    schema,
    namesSchema,
    query,
    preferences,
    accept: parseAccept(headers['accept']),
    contentType,
    topRange: topRange(method, rangeAt(query, []), headers['range']),
    payload,
    columns: query.columns === undefined ? keysOf(payload) : [...new Set(query.columns)],
    method,
    path: `/${segments.join('/')}`,
    headers,
    cookies,
  }
}

function segmentsOf(path: string): string[] {
  return path
    .split('/')
    .filter((segment) => segment !== '')
    .map((segment) => {
      try {
        return decodeURIComponent(segment)
      } catch {
        throw invalidPath()
      }
    })
}

const invalidPath = (): DataApiError =>
  new DataApiError({ code: 'PGRST125', message: 'Invalid path specified in request URL' })

function resourceOf([first, second, ...rest]: readonly string[]): Resource {
  if (first === undefined) return { kind: 'root' }
  if (first === 'rpc' && second !== undefined && rest.length === 0) return { kind: 'function', name: second }
  if (second === undefined && first !== 'rpc') return { kind: 'relation', name: first }
  throw invalidPath()
}

function actionOf(method: string, resource: Resource): Action {
  if (method === 'OPTIONS') return { kind: 'inspect', resource }
  const isHead = method === 'HEAD'
  const unsupported = (code: 'PGRST101' | 'PGRST117'): DataApiError =>
    new DataApiError({
      code,
      message: code === 'PGRST101' ? `Cannot use the ${method} method on RPC` : `Unsupported HTTP method: ${method}`,
    })
  switch (resource.kind) {
    case 'root':
      if (method === 'GET' || isHead) return { kind: 'describe', isHead }
      throw unsupported('PGRST117')
    case 'function':
      if (method === 'GET' || method === 'HEAD' || method === 'POST')
        return { kind: 'call', function: resource.name, method }
      throw unsupported('PGRST101')
    case 'relation': {
      const relation = resource.name
      if (method === 'GET' || isHead) return { kind: 'read', relation, isHead }
      if (method === 'POST') return { kind: 'mutate', relation, mutation: 'insert' }
      if (method === 'PUT') return { kind: 'mutate', relation, mutation: 'upsert-one' }
      if (method === 'PATCH') return { kind: 'mutate', relation, mutation: 'update' }
      if (method === 'DELETE') return { kind: 'mutate', relation, mutation: 'delete' }
      throw unsupported('PGRST117')
    }
  }
}

function schemaOf(
  method: string,
  headers: Readonly<Record<string, string>>,
  schemas: DataApiConfig['dbSchemas'],
): Pick<ApiRequest, 'schema' | 'namesSchema'> {
  const isRead = method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
  const asked = headers[isRead ? 'accept-profile' : 'content-profile']
  if (asked !== undefined && !schemas.includes(asked)) {
    throw new DataApiError({
      code: 'PGRST106',
      message: `Invalid schema: ${asked}`,
      hint: `Only the following schemas are exposed: ${schemas.join(', ')}`,
    })
  }
  return { schema: asked ?? schemas[0], namesSchema: schemas.length > 1 }
}

function payloadOf(action: Action, body: Buffer, type: MediaType, hasColumns: boolean): Payload | undefined {
  switch (action.kind) {
    case 'read':
    case 'inspect':
    case 'describe':
      return undefined
    case 'call':
      if (action.method !== 'POST') return undefined
      return callPayload(body, type, hasColumns)
    case 'mutate':
      return action.mutation === 'delete' ? undefined : parsePayload(body, type, hasColumns)
  }
}

function callPayload(body: Buffer, type: MediaType, hasColumns: boolean): Payload {
  if (type.kind === 'text' || type.kind === 'xml' || type.kind === 'octet-stream') return { kind: 'raw', bytes: body }
  if (type.kind === 'json' || type.kind === 'any') {
    // A call without a body is one without arguments; one that is no object may be for a parameter without a name.
    if (body.toString('utf8').trim() === '') return { kind: 'json', text: '{}', keys: [], isArray: false, rows: 1 }
    if (!hasColumns && !/^\s*[{[]/.test(body.toString('utf8', 0, 100))) return { kind: 'raw', bytes: body }
  }
  return parsePayload(body, type, hasColumns)
}

function keysOf(payload: Payload | undefined): readonly string[] {
  switch (payload?.kind) {
    case 'json':
      return payload.keys
    case 'urlencoded':
      return [...new Set(payload.pairs.map(([key]) => key))]
    case 'raw':
    case 'raw-json':
    case undefined:
      return []
  }
}

/** `Range` counts for GET alone, and beside `limit` and `offset` only what is in both. */
function topRange(method: string, asked: RowRange, header: string | undefined): RowRange {
  const match =
    method === 'GET' && header !== undefined ? /^(?:items=)?(\d{1,15})-(\d{0,15})$/.exec(header.trim()) : null
  if (match === null) return asked
  const first = Number(match[1])
  const last = match[2] === '' || match[2] === undefined ? undefined : Number(match[2])
  if (last !== undefined && last < first) {
    throw new DataApiError({
      code: 'PGRST103',
      message: 'Requested range not satisfiable',
      details: 'The lower boundary must be lower than or equal to the upper boundary in the Range header.',
    })
  }
  const offset = Math.max(first, asked.offset)
  const ends = [
    ...(last === undefined ? [] : [last + 1]),
    ...(asked.limit === undefined ? [] : [asked.offset + asked.limit]),
  ]
  return { offset, limit: ends.length === 0 ? undefined : Math.max(0, Math.min(...ends) - offset) }
}

function headersOf({ headers }: HttpRequest): { headers: Record<string, string>; cookies: Record<string, string> } {
  const kept: Record<string, string> = {}
  const cookies: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    if (name !== 'cookie') {
      kept[name] = value
      continue
    }
    for (const piece of value.split(';')) {
      const at = piece.indexOf('=')
      if (at > 0) cookies[piece.slice(0, at).trim()] = piece.slice(at + 1).trim()
    }
  }
  return { headers: kept, cookies }
}
