// An error as an answer, where a surface has no answer of its own for it.

import { errorAnswer } from '../lib/error-answer.ts'
import { isAppError } from '../model/errors.ts'

export function errorResponse(error: unknown): Response {
  const { status, message, retryAfterSeconds } = errorAnswer(error)
  const code = isAppError(error) && status !== 500 ? error.apiCode : ''
  return Response.json(
    { code, message },
    {
      status,
      headers: {
        'cache-control': 'no-store',
        ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterSeconds)) }),
      },
    },
  )
}
