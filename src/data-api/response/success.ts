// The answer to what was done: status, headers and body.

import type { DataApiConfig } from '../config.ts'
import { DataApiError } from '../errors.ts'
import { rollsBack } from '../execution/execute.ts'
import type { MainResult } from '../execution/result.ts'
import type { ActionPlan } from '../plan/plan.ts'
import { mediaTypeName, type MediaType } from '../request/media-type.ts'
import type { ApiRequest } from '../request/request.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import type { HttpAnswer } from './answer.ts'
import { isHeader, isStatus } from './header.ts'

type Header = readonly [name: string, value: string]

export function successAnswer(
  request: ApiRequest,
  plan: ActionPlan,
  result: MainResult,
  cache: SchemaCache,
  config: Pick<DataApiConfig, 'dbTxEnd'>,
): HttpAnswer {
  const shaped = plan.negotiated.plan ? explainedShape(plan) : shapeOf(request, plan, result)
  const headers: Header[] = [
    ...shaped.headers,
    ...(request.namesSchema ? [['Content-Profile', request.schema] as const] : []),
    ...appliedHeader(request, plan, cache, config),
  ]
  const own = setByDatabase(result.responseHeaders)
  const replaced = new Set(own.map(([name]) => name.toLowerCase()))
  return {
    status: statusSet(result.responseStatus) ?? shaped.status,
    headers: [...headers.filter(([name]) => !replaced.has(name.toLowerCase())), ...own],
    body: shaped.hasBody ? result.body : '',
  }
}

type Shape = { status: number; headers: Header[]; hasBody: boolean }

function explainedShape(plan: ActionPlan): Shape {
  return { status: 200, headers: [contentType(plan.negotiated.mediaType)], hasBody: true }
}

function shapeOf(request: ApiRequest, plan: ActionPlan, result: MainResult): Shape {
  switch (plan.kind) {
    case 'read': {
      const { offset } = request.topRange
      assertRange(offset, result)
      const query = request.query.canonical
      const location = `/${encodeURIComponent(plan.read.from.name)}${query === '' ? '' : `?${query}`}`
      const headers: Header[] = [
        contentType(plan.negotiated.mediaType),
        ['Content-Location', location],
        contentRange(offset, result.pageTotal, result.total),
      ]
      return { status: pageStatus(result), headers, hasBody: !plan.isHead }
    }
    case 'call': {
      const { offset } = request.topRange
      assertRange(offset, result)
      if (plan.call.function.returns.kind === 'void') return { status: 204, headers: [], hasBody: false }
      const headers = [contentType(plan.negotiated.mediaType), contentRange(offset, result.pageTotal, result.total)]
      return { status: pageStatus(result), headers, hasBody: !plan.isHead }
    }
    case 'describe':
      return { status: 200, headers: [contentType(plan.negotiated.mediaType)], hasBody: !plan.isHead }
    case 'mutate':
      return mutationShape(request, plan, result)
  }
}

function mutationShape(request: ApiRequest, plan: Extract<ActionPlan, { kind: 'mutate' }>, result: MainResult): Shape {
  const { mutate, negotiated } = plan
  const { preferences } = request
  const isReturned = preferences.return === 'representation'
  const total = preferences.count === 'exact' ? String(result.pageTotal) : '*'
  const body = isReturned ? [contentType(negotiated.mediaType)] : []
  switch (mutate.mutation) {
    case 'insert': {
      const headers: Header[] = [...body, ['Content-Range', `*/${total}`]]
      if (result.location.length > 0) headers.unshift(['Location', locationOf(mutate.into.name, result.location)])
      if (!isReturned) headers.push(['Content-Length', '0'])
      const isMerged =
        mutate.onConflict?.resolution === 'merge-duplicates' && result.inserted !== undefined && result.inserted <= 0
      return { status: isMerged ? 200 : 201, headers, hasBody: isReturned }
    }
    case 'upsert-one':
      if (!isReturned) return { status: 204, headers: [], hasBody: false }
      return { status: (result.inserted ?? 0) > 0 ? 201 : 200, headers: body, hasBody: true }
    case 'update': {
      const rows = result.pageTotal === 0 ? `*/${total}` : `0-${result.pageTotal - 1}/${total}`
      return { status: isReturned ? 200 : 204, headers: [...body, ['Content-Range', rows]], hasBody: isReturned }
    }
    case 'delete':
      return {
        status: isReturned ? 200 : 204,
        headers: [...body, ['Content-Range', `*/${total}`]],
        hasBody: isReturned,
      }
  }
}

const locationOf = (name: string, pairs: MainResult['location']): string =>
  `/${encodeURIComponent(name)}?${pairs.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&')}`

function assertRange(offset: number, { total }: MainResult): void {
  if (total === undefined || offset <= total || offset === 0) return
  throw new DataApiError({
    code: 'PGRST103',
    message: 'Requested range not satisfiable',
    details: `An offset of ${offset} was requested, but there are only ${total} rows.`,
  })
}

const pageStatus = ({ total, pageTotal }: MainResult): number => (total !== undefined && pageTotal < total ? 206 : 200)

function contentRange(offset: number, rows: number, total: number | undefined): Header {
  const range = rows === 0 ? '*' : `${offset}-${offset + rows - 1}`
  return ['Content-Range', `${range}/${total ?? '*'}`]
}

/** Texts of ours are UTF-8, and say so; what somebody else has made says what it says. */
function contentType(type: MediaType): Header {
  const name = mediaTypeName(type)
  return ['Content-Type', type.kind === 'octet-stream' || type.kind === 'other' ? name : `${name}; charset=utf-8`]
}

function appliedHeader(
  { preferences }: ApiRequest,
  plan: ActionPlan,
  cache: SchemaCache,
  { dbTxEnd }: Pick<DataApiConfig, 'dbTxEnd'>,
): Header[] {
  if (plan.kind === 'describe') return []
  const isWrite = plan.kind === 'mutate'
  const isBounded =
    plan.kind === 'call' || (isWrite && (plan.mutate.mutation === 'update' || plan.mutate.mutation === 'delete'))
  const { resolution, missing, count, tx, handling, timezone, maxAffected } = preferences
  const allowsTx = dbTxEnd === 'commit-allow-override' || dbTxEnd === 'rollback-allow-override'
  const applied = [
    ...(isWrite && plan.mutate.mutation === 'insert' && plan.mutate.onConflict && resolution
      ? [`resolution=${resolution}`]
      : []),
    ...(isWrite && missing !== undefined && (plan.mutate.mutation === 'insert' || plan.mutate.mutation === 'update')
      ? [`missing=${missing}`]
      : []),
    ...(isWrite && preferences.return !== undefined ? [`return=${preferences.return}`] : []),
    ...(count === undefined ? [] : [`count=${count}`]),
    ...(tx !== undefined && allowsTx && rollsBack(tx, dbTxEnd) === (tx === 'rollback') ? [`tx=${tx}`] : []),
    ...(handling === undefined ? [] : [`handling=${handling}`]),
    ...(timezone !== undefined && cache.timezones.has(timezone) ? [`timezone=${timezone}`] : []),
    ...(maxAffected !== undefined && handling === 'strict' && isBounded ? [`max-affected=${maxAffected}`] : []),
  ]
  return applied.length === 0 ? [] : [['Preference-Applied', applied.join(', ')]]
}

/** `response.headers`: a list of objects of one key each. Throws PGRST111. */
function setByDatabase(text: string | undefined): Header[] {
  if (text === undefined) return []
  const bad = (): DataApiError =>
    new DataApiError({
      code: 'PGRST111',
      message: 'response.headers guc must be a JSON array composed of objects with a single key and a string value',
    })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw bad()
  }
  if (!Array.isArray(value)) throw bad()
  return value.map((each: unknown): Header => {
    const [pair, ...others] = typeof each === 'object' && each !== null ? Object.entries(each) : []
    if (!pair || others.length > 0 || typeof pair[1] !== 'string' || !isHeader(pair[0], pair[1])) throw bad()
    return [pair[0], pair[1]]
  })
}

function statusSet(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const status = Number(text)
  if (!isStatus(status))
    throw new DataApiError({ code: 'PGRST112', message: 'response.status guc must be a valid status code' })
  return status
}
