// The body of a write or a call, as one JSON text for the statement. What it says of columns is read here; numbers and texts in it are left as
// they came, since Postgres reads them better than we do.

import { DataApiError } from '../errors.ts'
import { parseCsv } from './csv.ts'
import type { MediaType } from './media-type.ts'
import { mediaTypeName } from './media-type.ts'
import { pairsOf } from './query-params.ts'
import type { Payload } from './request.ts'

const invalid = (message: string): DataApiError => new DataApiError({ code: 'PGRST102', message })

/** `hasColumns`: `columns=` says what is taken of it, so its keys need not be looked at. Throws PGRST102. */
export function parsePayload(body: Buffer, type: MediaType, hasColumns: boolean): Payload {
  const text = body.toString('utf8')
  switch (type.kind) {
    case 'any':
    case 'json':
    case 'array':
    case 'object':
      return hasColumns ? { kind: 'raw-json', text: text.trim() === '' ? '[]' : text } : ofJson(text)
    case 'csv':
      return ofRows(parseCsv(text))
    case 'urlencoded': {
      const pairs = pairsOf(text)
      return { kind: 'urlencoded', pairs }
    }
    case 'geojson':
    case 'openapi':
    case 'plan':
    case 'octet-stream':
    case 'text':
    case 'xml':
    case 'other':
      throw invalid(`Content-Type not acceptable: ${mediaTypeName(type)}`)
  }
}

function ofJson(text: string): Payload {
  if (text.trim() === '') throw invalid('Empty or invalid json')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid('Empty or invalid json')
  }
  if (Array.isArray(value)) {
    const [first, ...others] = value as unknown[]
    if (value.length === 0) return { kind: 'json', text, keys: [], isArray: true, rows: 0 }
    if (!isObject(first)) throw invalid('All object keys must match')
    const keys = Object.keys(first)
    for (const other of others)
      if (!isObject(other) || !hasKeys(other, keys)) throw invalid('All object keys must match')
    return { kind: 'json', text, keys, isArray: true, rows: value.length }
  }
  if (isObject(value)) return { kind: 'json', text, keys: Object.keys(value), isArray: false, rows: 1 }
  return { kind: 'json', text: '[]', keys: [], isArray: true, rows: 0 }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function hasKeys(value: Record<string, unknown>, keys: readonly string[]): boolean {
  return Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key))
}

function ofRows({ header, rows }: { header: string[]; rows: (string | null)[][] }): Payload {
  const objects = rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i] ?? null])))
  return { kind: 'json', text: JSON.stringify(objects), keys: header, isArray: true, rows: rows.length }
}
