// How this surface says no. Its clients know a closed set of codes and build an error of its own from each, with what stands in
// `details`; a code they do not know they cannot even name. So a known code is told in a header and in the body, and all else is a
// status and a sentence.

import { isAppError, type AppError, type ErrorCode } from '../../model/errors.ts'

/** Code → status. Both generations of clients know these, but for those of the second group, which the newer one alone knows. */
const knownErrors = {
  BODY_PARSING_ERROR: 400,
  SCHEMA_ERROR: 400,
  INVALID_ACCESS_TYPE: 400,
  ACCESS_TYPE_WITHOUT_PROJECT_ID: 400,
  ACCESS_TYPE_REQUIRED: 400,
  PROJECT_KEY_WITHOUT_ACCESS_TYPE: 400,
  CURRENT_PROJECT_NOT_FOUND: 400,
  INSUFFICIENT_ACCESS_TYPE: 401,
  INVALID_PUBLISHABLE_CLIENT_KEY: 401,
  INVALID_SECRET_SERVER_KEY: 401,
  INVALID_SUPER_SECRET_ADMIN_KEY: 401,
  CLIENT_AUTHENTICATION_REQUIRED: 401,
  SERVER_AUTHENTICATION_REQUIRED: 401,
  EXPECTED_INTERNAL_PROJECT: 401,
  UNPARSABLE_ACCESS_TOKEN: 401,
  ACCESS_TOKEN_EXPIRED: 401,
  INVALID_PROJECT_FOR_ACCESS_TOKEN: 401,
  USER_AUTHENTICATION_REQUIRED: 401,
  REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED: 401,
  CANNOT_DELETE_CURRENT_SESSION: 400,
  CANNOT_GET_OWN_USER_WITHOUT_USER: 400,
  USER_EMAIL_ALREADY_EXISTS: 409,
  USER_ID_DOES_NOT_EXIST: 400,
  USER_NOT_FOUND: 404,
  SIGN_UP_NOT_ENABLED: 400,
  PASSWORD_AUTHENTICATION_NOT_ENABLED: 400,
  PASSKEY_AUTHENTICATION_NOT_ENABLED: 400,
  ANONYMOUS_ACCOUNTS_NOT_ENABLED: 400,
  EMAIL_PASSWORD_MISMATCH: 400,
  EMAIL_NOT_VERIFIED: 400,
  EMAIL_ALREADY_VERIFIED: 409,
  EMAIL_IS_NOT_PRIMARY_EMAIL: 400,
  REDIRECT_URL_NOT_WHITELISTED: 400,
  PASSWORD_TOO_SHORT: 400,
  PASSWORD_TOO_LONG: 400,
  PASSWORD_CONFIRMATION_MISMATCH: 400,
  USER_DOES_NOT_HAVE_PASSWORD: 400,
  VERIFICATION_CODE_NOT_FOUND: 404,
  VERIFICATION_CODE_EXPIRED: 400,
  VERIFICATION_CODE_ALREADY_USED: 409,
  VERIFICATION_CODE_MAX_ATTEMPTS_REACHED: 400,
  PERMISSION_NOT_FOUND: 404,
  TEAM_NOT_FOUND: 404,
  TEAM_MEMBERSHIP_NOT_FOUND: 404,
  TEAM_MEMBERSHIP_ALREADY_EXISTS: 409,
  TEAM_PERMISSION_REQUIRED: 401,
  TEAM_PERMISSION_NOT_FOUND: 401,
  CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE: 409,
  OAUTH_CONNECTION_NOT_CONNECTED_TO_USER: 400,
  OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER: 409,
  OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE: 400,
  OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS: 400,
  OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS: 400,
  OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN: 400,
  OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED: 400,
  OAUTH_PROVIDER_ACCESS_DENIED: 400,
  USER_ALREADY_CONNECTED_TO_ANOTHER_OAUTH_CONNECTION: 409,
  OUTER_OAUTH_TIMEOUT: 408,
  INVALID_OAUTH_CLIENT_ID_OR_SECRET: 400,
  INVALID_SCOPE: 400,
  INVALID_AUTHORIZATION_CODE: 400,
  API_KEY_NOT_FOUND: 404,
  ITEM_NOT_FOUND: 404,
  DATA_VAULT_STORE_DOES_NOT_EXIST: 400,

  SIGN_UP_REJECTED: 403,
  RESTRICTED_USER_NOT_ALLOWED: 403,
  TEAM_INVITATION_EMAIL_MISMATCH: 403,
} as const satisfies Record<string, number>

export type KnownErrorCode = keyof typeof knownErrors

/** A refusal. `code` is known to clients, or undefined where none of theirs fits. */
export class StackError extends Error {
  readonly status: number
  readonly code: KnownErrorCode | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined
  readonly retryAfterSeconds: number | undefined

  private constructor(
    status: number,
    message: string,
    options: { code?: KnownErrorCode; details?: Readonly<Record<string, unknown>>; retryAfterSeconds?: number } = {},
  ) {
    super(message)
    this.name = 'StackError'
    this.status = status
    this.code = options.code
    this.details = options.details
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  static known(code: KnownErrorCode, message: string, details?: Readonly<Record<string, unknown>>): StackError {
    return new StackError(knownErrors[code], message, { code, ...(details && { details }) })
  }

  /** For what clients have no code for. */
  static plain(status: number, message: string, retryAfterSeconds?: number): StackError {
    return new StackError(status, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
  }
}

export const known = (code: KnownErrorCode, message: string, details?: Readonly<Record<string, unknown>>): StackError =>
  StackError.known(code, message, details)
export const plain = (status: number, message: string, retryAfterSeconds?: number): StackError =>
  StackError.plain(status, message, retryAfterSeconds)

export const schemaError = (message: string): StackError => known('SCHEMA_ERROR', message, { message })

const appStatus: Partial<Record<ErrorCode, number>> = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  already_exists: 409,
  unprocessable: 422,
  locked: 423,
  rate_limited: 429,
  too_large: 413,
  not_implemented: 501,
  endpoint_not_found: 404,
  endpoint_disabled: 403,
  quota_exceeded: 403,
  unavailable: 503,
  compute_start_failed: 503,
  control_database_unavailable: 503,
}

/** What is thrown below us (a compute that may not start, too many who hash passwords) in this surface's words. */
export function fromAppError(error: AppError): StackError {
  if (error.apiCode === 'SIGN_UP_REJECTED') return known('SIGN_UP_REJECTED', error.message, { message: error.message })
  const status = appStatus[error.code] ?? 500
  return plain(status, status === 500 ? 'something went wrong here; it is in the log' : error.message, waitOf(error))
}

/** A client that is not told how long to wait comes again at once, and four more times. */
function waitOf(error: AppError): number | undefined {
  return (
    error.retryAfterSeconds ?? (isAppError(error, 'rate_limited') || isAppError(error, 'unavailable') ? 1 : undefined)
  )
}
