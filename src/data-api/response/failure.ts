// A failure as an answer, in PostgREST's form. What is no refusal of ours or of Postgres is told as nothing but that.

import { isDataApiError } from '../errors.ts'
import type { HttpAnswer } from './answer.ts'
import { isPostgresError, raisedError, statusOfPostgres } from './postgres-errors.ts'

type Body = { code: string; details: unknown; hint: unknown; message: string }

export function failureAnswer(error: unknown, isAnonymous: boolean): HttpAnswer {
  if (isDataApiError(error)) {
    const { code, details, hint = null, message, status, headers } = error
    return answer(status, { code, details, hint, message }, headers)
  }
  if (!isPostgresError(error))
    return answer(500, { code: 'PGRSTX00', details: null, hint: null, message: 'An unexpected error happened' }, [])
  if (error.code === 'PGRST') return raised(error, isAnonymous)
  const { code, detail = null, hint = null, message } = error
  const status = statusOfPostgres(error, isAnonymous)
  const made = answer(
    status,
    { code, details: detail, hint, message },
    status === 401 ? [['WWW-Authenticate', 'Bearer']] : [],
  )
  return code.startsWith('PT') ? { ...made, reason: message } : made
}

function raised(error: Parameters<typeof raisedError>[0], isAnonymous: boolean): HttpAnswer {
  try {
    const { status, reason, headers, body } = raisedError(error)
    return { ...answer(status, body as Body, headers), reason }
  } catch (unreadable) {
    return failureAnswer(unreadable, isAnonymous)
  }
}

function answer(status: number, body: Body, headers: readonly (readonly [string, string])[]): HttpAnswer {
  return {
    status,
    headers: [
      ['Content-Type', 'application/json; charset=utf-8'],
      // A code that somebody has raised is any text.
      ['Proxy-Status', `PostgREST; error=${body.code.replaceAll(/[^\u0021-\u007e]/g, '')}`],
      ...headers,
    ],
    // Keys in this order, all of them.
    body: JSON.stringify({ code: body.code, details: body.details, hint: body.hint, message: body.message }),
  }
}
