// From an error to a status and a text, for services that answer strangers. What is not an AppError is a defect of ours, and its text goes to
// the log and nowhere else.

import { AppError, isAppError, type ErrorCode } from '../model/errors.ts'

/** Anything else that is ours to mend is 500 and says nothing. */
const statuses: Partial<Readonly<Record<ErrorCode, number>>> = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  endpoint_not_found: 404,
  not_acceptable: 406,
  already_exists: 409,
  gone: 410,
  precondition_failed: 412,
  too_large: 413,
  unprocessable: 422,
  endpoint_disabled: 422,
  quota_exceeded: 422,
  locked: 423,
  rate_limited: 429,
  unavailable: 503,
  control_database_unavailable: 503,
  compute_start_failed: 503,
  not_implemented: 501,
  disk_full: 507,
}
/** These succeed later as they are. */
const passing: ReadonlySet<number> = new Set([423, 429, 503])

export type ErrorAnswer = { status: number; message: string; retryAfterSeconds: number | undefined }

export function errorAnswer(error: unknown): ErrorAnswer {
  const known = isAppError(error) ? error : new AppError('internal', '')
  const status = statuses[known.code]
  if (status === undefined) return { status: 500, message: 'internal server error', retryAfterSeconds: undefined }
  const retryAfterSeconds = known.retryAfterSeconds ?? (passing.has(status) ? 1 : undefined)
  return { status, message: known.message, retryAfterSeconds }
}
