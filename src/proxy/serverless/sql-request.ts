// One `POST /sql`, as its headers and its body ask for it.

import type { IncomingHttpHeaders } from 'node:http'
import { parseExactJson } from './exact-json.ts'
import { paramText } from './param-text.ts'
import { badRequest } from './sql-answer.ts'

export const isolationLevels = {
  ReadUncommitted: 'READ UNCOMMITTED',
  ReadCommitted: 'READ COMMITTED',
  RepeatableRead: 'REPEATABLE READ',
  Serializable: 'SERIALIZABLE',
} as const

export type IsolationLevel = keyof typeof isolationLevels

export type SqlOptions = {
  connectionString: string
  /** A JWT, in place of a password. */
  token: string | undefined
  /** Values as Postgres prints them; otherwise as the JSON types closest to theirs. */
  rawText: boolean
  /** Rows as arrays, where a query does not say. */
  arrayMode: boolean
  transaction: { isolationLevel: IsolationLevel | undefined; readOnly: boolean; deferrable: boolean }
}

export type SqlQuery = { query: string; params: (string | null)[]; arrayMode: boolean | undefined }

export type SqlBody = { kind: 'single'; query: SqlQuery } | { kind: 'batch'; queries: SqlQuery[] }

/** The count is 16 bits on the wire. */
const mostParams = 65_535

/** Throws SqlHttpError. */
export function readSqlHeaders(headers: IncomingHttpHeaders): SqlOptions {
  const isTrue = (name: string): boolean => headers[name] === 'true'
  return {
    connectionString: connectionStringIn(headers),
    token: tokenIn(headers.authorization),
    rawText: isTrue('neon-raw-text-output'),
    arrayMode: isTrue('neon-array-mode'),
    transaction: {
      isolationLevel: isolationLevelIn(headers['neon-batch-isolation-level']),
      readOnly: isTrue('neon-batch-read-only'),
      deferrable: isTrue('neon-batch-deferrable'),
    },
  }
}

function connectionStringIn(headers: IncomingHttpHeaders): string {
  const value = headers['neon-connection-string']
  if (typeof value !== 'string' || !/^[\x20-\x7e]+$/.test(value)) {
    throw badRequest('invalid header: neon-connection-string')
  }
  return value
}

function tokenIn(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? []
  if (token === undefined) throw missingToken()
  return token
}

export function missingToken(): Error {
  return badRequest('missing authentication credentials: required authorization bearer token in JWT format')
}

export function missingPassword(): Error {
  return badRequest('missing authentication credentials: required password')
}

function isolationLevelIn(value: string | string[] | undefined): IsolationLevel | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !isIsolationLevel(value)) throw badRequest('invalid isolation level')
  return value
}

function isIsolationLevel(text: string): text is IsolationLevel {
  return Object.hasOwn(isolationLevels, text)
}

/** Throws SqlHttpError. */
export function readSqlBody(bytes: Buffer): SqlBody {
  try {
    const body = parseExactJson(utf8.decode(bytes))
    if (isRecord(body) && typeof body['query'] === 'string') return { kind: 'single', query: readQuery(body) }
    if (isRecord(body) && Array.isArray(body['queries'])) {
      return { kind: 'batch', queries: body['queries'].map(readQuery) }
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw badRequest(`could not parse the HTTP request body: ${why}`)
  }
  throw badRequest('could not parse the HTTP request body: it holds neither a `query` nor `queries`')
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readQuery(value: unknown): SqlQuery {
  if (!isRecord(value)) throw new TypeError('a query is not an object')
  const { query, params, arrayMode } = value
  if (typeof query !== 'string') throw new TypeError('`query` is not a string')
  // On the wire it would end there.
  if (query.includes('\0')) throw new TypeError('`query` holds a NUL character')
  if (params !== undefined && params !== null && !Array.isArray(params)) throw new TypeError('`params` is not an array')
  if (arrayMode !== undefined && arrayMode !== null && typeof arrayMode !== 'boolean') {
    throw new TypeError('`arrayMode` is not a boolean')
  }
  const given = params ?? []
  if (given.length > mostParams) throw new TypeError(`more than ${mostParams} \`params\``)
  return { query, params: given.map(paramText), arrayMode: arrayMode ?? undefined }
}
