// From an error to an answer. The one table from codes to HTTP statuses; what is not an AppError is a defect of ours, and its text
// goes to the log and nowhere else.

import { AppError, isAppError, type ErrorCode } from '../model/errors.ts'

type Rule = {
  status: number
  /** Whether the caller may read the message. Of what went wrong inside, only messages that tell him what to do. */
  shown: boolean
  /** Said where the error does not say it itself: these calls succeed later as they are. */
  retryAfterSeconds?: number
}

const rules: Readonly<Record<ErrorCode, Rule>> = {
  bad_request: { status: 400, shown: true },
  unauthorized: { status: 401, shown: true },
  forbidden: { status: 403, shown: true },
  not_found: { status: 404, shown: true },
  endpoint_not_found: { status: 404, shown: true },
  not_acceptable: { status: 406, shown: true },
  already_exists: { status: 409, shown: true },
  gone: { status: 410, shown: true },
  precondition_failed: { status: 412, shown: true },
  too_large: { status: 413, shown: true },
  unprocessable: { status: 422, shown: true },
  endpoint_disabled: { status: 422, shown: true },
  quota_exceeded: { status: 422, shown: true },
  // Neon's clients retry 423, 429 and 503 on their own: these three mean that nothing was done.
  locked: { status: 423, shown: true, retryAfterSeconds: 1 },
  rate_limited: { status: 429, shown: true, retryAfterSeconds: 1 },
  unavailable: { status: 503, shown: true, retryAfterSeconds: 1 },
  control_database_unavailable: { status: 503, shown: true, retryAfterSeconds: 1 },
  not_implemented: { status: 501, shown: true },
  // Not 503: retrying does not free a disk.
  disk_full: { status: 507, shown: true },
  // The installation lacks what was asked for; asking again changes nothing.
  postgres_missing: { status: 422, shown: true },
  compute_start_failed: { status: 500, shown: true },
  compute_stop_failed: { status: 500, shown: true },
  internal: { status: 500, shown: false },
  storage_failed: { status: 500, shown: false },
  command_failed: { status: 500, shown: false },
  config_invalid: { status: 500, shown: false },
  home_in_use: { status: 500, shown: false },
  port_taken: { status: 500, shown: false },
  schema_newer: { status: 500, shown: false },
  master_key_wrong: { status: 500, shown: false },
}

export type ErrorBody = Readonly<Record<string, unknown>> & { code: string; message: string; request_id: string }

export type ErrorAnswer = { status: number; retryAfterSeconds: number | undefined; body: ErrorBody }

export function errorAnswer(error: unknown, requestId: string): ErrorAnswer {
  const known = isAppError(error) ? error : (fromFramework(error) ?? new AppError('internal', 'internal error'))
  const { status, shown, retryAfterSeconds } = rules[known.code]
  return {
    status,
    retryAfterSeconds: known.retryAfterSeconds ?? retryAfterSeconds,
    body: {
      ...known.details,
      code: known.apiCode,
      message: shown ? known.message : 'internal server error; the log has the reason under this request id',
      request_id: requestId,
    },
  }
}

/** What Fastify and its JSON parser find wrong with a request. */
function fromFramework(error: unknown): AppError | undefined {
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown }
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return undefined
  if (statusCode === 413) return new AppError('too_large', 'request body is too large', { cause: error })
  if (code === 'FST_ERR_BAD_URL')
    return new AppError('bad_request', 'invalid request: the path is not valid percent-encoded UTF-8', { cause: error })
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new AppError('bad_request', 'invalid request: Content-Type is not a media type', { cause: error })
  return new AppError('bad_request', 'invalid request: malformed HTTP request', { cause: error })
}
