// What can go wrong with `POST /sql`, and how it is said: a status and the JSON that Neon's driver makes a NeonDbError of.
//
// The driver reads the fields only from a 400; of any other status it shows the text. So what a program can act upon is a 400, and
// others say who is at fault: 402 the quota, 500 we, 503 nobody, try again.

import { isAppError, type AppError, type ErrorCode } from '../../model/errors.ts'
import { readErrorFields } from '../../pgwire/error-fields.ts'
import { errorFieldsFor } from '../errors.ts'
import { ServerRefused } from '../server-refused.ts'
import { Refusal } from '../refusal.ts'

export type SqlAnswer = { status: number; headers: Readonly<Record<string, string>>; body: readonly Buffer[] }

/** The request, or what came of it, cannot be had over HTTP. Worded by us. */
export class SqlHttpError extends Error {
  readonly status: number
  readonly sqlState: string

  constructor(status: 400 | 403 | 413 | 500 | 507, message: string, sqlState = '') {
    super(message)
    this.name = 'SqlHttpError'
    this.status = status
    this.sqlState = sqlState
  }
}

export function badRequest(message: string): SqlHttpError {
  return new SqlHttpError(400, message)
}

/** Postgres said no to a statement. */
export class QueryFailed extends Error {
  /** By their letter in the protocol. */
  readonly fields: ReadonlyMap<string, string>

  constructor(fields: ReadonlyMap<string, string>) {
    super(fields.get('M') ?? 'the query failed')
    this.name = 'QueryFailed'
    this.fields = fields
  }
}

/** The server connection ended without an answer. */
export class ServerLost extends Error {
  /** Nothing of what was asked can have been done: it is safe to ask somewhere else. */
  readonly untouched: boolean

  constructor(untouched: boolean, cause?: Error) {
    super('the connection to the compute was lost', cause === undefined ? undefined : { cause })
    this.name = 'ServerLost'
    this.untouched = untouched
  }
}

const connectionFailure = '08006'
const retryAfterSeconds = 1

/** Of a login: Postgres is on its way down or up, and has done nothing. */
const notNow = new Set(['57P01', '57P02', '57P03'])

/** Nothing of what was asked can have been done, and another connection may do it. */
export function wasUntouched(error: unknown): boolean {
  return (
    (error instanceof ServerLost && error.untouched) || (error instanceof ServerRefused && notNow.has(error.sqlState))
  )
}

export function answerForError(error: unknown): SqlAnswer {
  if (error instanceof SqlHttpError) {
    return errorAnswer(error.status, new Map([['M', error.message], ['C', error.sqlState]])) // prettier-ignore
  }
  if (error instanceof QueryFailed) return errorAnswer(400, error.fields)
  if (error instanceof ServerRefused) {
    const answer = errorAnswer(
      notNow.has(error.sqlState) ? 503 : 400,
      readErrorFields(error.response.subarray(headLength)),
    )
    return answer.status === 503 ? tryAgain(answer) : answer
  }
  if (error instanceof ServerLost) {
    return errorAnswer(500, new Map([['M', error.message], ['C', connectionFailure]])) // prettier-ignore
  }
  const { severity, sqlState, message, detail, hint } = errorFieldsFor(error)
  const fields = new Map([['S', severity], ['C', sqlState], ['M', message]]) // prettier-ignore
  if (detail) fields.set('D', detail)
  if (hint) fields.set('H', hint)
  if (error instanceof Refusal) return errorAnswer(400, fields)
  if (!isAppError(error)) return errorAnswer(500, fields)
  const answer = errorAnswer(statusOf(error), fields)
  return answer.status === 503 ? tryAgain(answer, error.retryAfterSeconds) : answer
}

const headLength = 5

/** Nothing was done, and it may be otherwise in a moment. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['unavailable', 'control_database_unavailable', 'locked'])

function statusOf({ code, isCallersFault }: AppError): number {
  if (code === 'quota_exceeded') return 402
  if (passing.has(code)) return 503
  return isCallersFault ? 400 : 500
}

function tryAgain(answer: SqlAnswer, afterSeconds = retryAfterSeconds): SqlAnswer {
  return { ...answer, headers: { ...answer.headers, 'retry-after': String(afterSeconds) } }
}

function errorAnswer(status: number, fields: ReadonlyMap<string, string>): SqlAnswer {
  const of = (letter: string): string | null => fields.get(letter) ?? null
  return jsonAnswer(status, {
    message: of('M') ?? '',
    code: of('C') ?? '',
    detail: of('D'),
    hint: of('H'),
    position: of('P'),
    internalPosition: of('p'),
    internalQuery: of('q'),
    severity: of('S') ?? '',
    where: of('W'),
    table: of('t'),
    column: of('c'),
    schema: of('s'),
    dataType: of('d'),
    constraint: of('n'),
    file: of('F'),
    line: of('L'),
    routine: of('R'),
  })
}

function jsonAnswer(status: number, body: object): SqlAnswer {
  return { status, headers: { 'content-type': 'application/json' }, body: [Buffer.from(JSON.stringify(body))] }
}
