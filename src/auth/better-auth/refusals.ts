// Refusals of ours, in the form that the library's clients read.

import { isAppError, type AppError } from '../../model/errors.ts'
import { errorAnswer } from '../../lib/error-answer.ts'

/** Rejects with what is no refusal: it is for whoever writes the log. */
export function refusal(error: unknown): Response {
  if (!isAppError(error)) throw error
  const { status, message, retryAfterSeconds } = errorAnswer(error)
  if (status === 500) throw error
  const headers = retryAfterSeconds === undefined ? undefined : { 'retry-after': String(Math.ceil(retryAfterSeconds)) }
  return Response.json({ code: refusalCode(error), message }, { status, ...(headers && { headers }) })
}

/** The tenant's own where it was his to refuse. */
export function refusalCode({ apiCode, code, details }: AppError): string {
  const own = details?.['errorCode']
  return typeof own === 'string' ? own : apiCode || code.toUpperCase()
}
