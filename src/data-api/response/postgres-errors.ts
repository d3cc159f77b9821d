// What Postgres refuses, as a status. https://docs.postgrest.org/en/v14/references/errors.html#http-status-codes

import { DataApiError } from '../errors.ts'
import { isHeader, isStatus } from './header.ts'

/** As `pg` throws it. */
export type PostgresError = Error & { code: string; detail?: string; hint?: string }

export function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof Error && /^[0-9A-Z]{5}$/.test(String((error as { code?: unknown }).code))
}

/** `isAnonymous`: nobody has said who he is, so that he may be allowed more when he does. */
export function statusOfPostgres({ code, message }: PostgresError, isAnonymous: boolean): number {
  switch (code) {
    case '23503':
    case '23505':
      return 409
    case '25006':
      return 405
    case '21000':
      return message.endsWith('requires a WHERE clause') ? 400 : 500
    case '22023':
      return /^role ".*" does not exist$/.test(message) ? 401 : 400
    case '42501':
      return isAnonymous ? 401 : 403
    case '42883':
      return message.startsWith('function xmlagg(') ? 406 : 404
    case '42P01':
      return 404
    case '42P17':
    case '53400':
      return 500
    case '57P01':
      return 503
    case 'P0001':
      return 400
  }
  const own = Number(/^PT(\d{3})$/.exec(code)?.[1])
  if (isStatus(own)) return own
  const kind = code.slice(0, 2)
  if (kind === '08' || kind === '53') return 503
  if (kind === '0L' || kind === '0P' || kind === '28') return 403
  return failures.has(kind) ? 500 : 400
}

const failures = new Set(['09', '25', '2D', '38', '39', '3B', '40', '54', '55', '57', '58', 'F0', 'HV', 'P0', 'XX'])

export type RaisedError = {
  status: number
  reason: string | undefined
  headers: (readonly [string, string])[]
  body: Record<string, unknown>
}

/** `RAISE sqlstate 'PGRST'`: its message and detail are JSON that says everything. Throws PGRST121. */
export function raisedError({ message, detail }: PostgresError): RaisedError {
  const bad = (what: string): DataApiError =>
    new DataApiError({
      code: 'PGRST121',
      message: 'Could not parse JSON in the "RAISE SQLSTATE \'PGRST\'" error',
      details: what,
      hint: 'MESSAGE must be a JSON object with obligatory keys: "code", "message" and optional keys: "details", "hint". DETAIL must be a JSON object with obligatory keys: "status", "headers" and optional key: "status_text".',
    })
  const said = objectOf(message)
  if (!said || typeof said['code'] !== 'string' || typeof said['message'] !== 'string')
    throw bad('Invalid JSON value for MESSAGE')
  const about = objectOf(detail ?? '')
  const headers = about?.['headers']
  if (!about || typeof about['status'] !== 'number' || typeof headers !== 'object' || headers === null)
    throw bad('Invalid JSON value for DETAIL')
  const named = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
  if (!isStatus(about['status']) || !named.every(([name, value]) => isHeader(name, value)))
    throw bad('Invalid JSON value for DETAIL')
  return {
    status: about['status'],
    reason: typeof about['status_text'] === 'string' ? about['status_text'] : undefined,
    headers: named,
    body: {
      code: said['code'],
      details: said['details'] ?? null,
      hint: said['hint'] ?? null,
      message: said['message'],
    },
  }
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
