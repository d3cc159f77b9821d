// One error class with a closed set of codes. Who turns a code into something else: `api/errors.ts` into an HTTP status,
// `proxy/errors.ts` into a SQLSTATE. The message may be shown to the caller; whatever is secret or internal goes into the cause.

/** The caller can do something about these. */
const callerCodes = [
  'bad_request',
  'unauthorized',
  'forbidden',
  'not_found',
  'already_exists',
  'not_acceptable',
  'precondition_failed',
  'gone',
  'unprocessable',
  'locked',
  'rate_limited',
  'too_large',
  'not_implemented',
  'endpoint_not_found',
  'endpoint_disabled',
  'quota_exceeded',
] as const

/** The operator, or we, have to do something about these. */
const ourCodes = [
  'internal',
  'unavailable',
  'disk_full',
  'compute_start_failed',
  'compute_stop_failed',
  'storage_failed',
  'command_failed',
  'config_invalid',
  'home_in_use',
  'port_taken',
  'postgres_missing',
  'schema_newer',
  'control_database_unavailable',
  'master_key_wrong',
] as const

export type CallerCode = (typeof callerCodes)[number]
export type OurCode = (typeof ourCodes)[number]
export type ErrorCode = CallerCode | OurCode

const allCodes: readonly ErrorCode[] = [...callerCodes, ...ourCodes]

/** For a code that crossed from another process, perhaps of another version: one that is not known here is `internal`. */
export function toErrorCode(text: unknown): ErrorCode {
  return allCodes.find((code) => code === text) ?? 'internal'
}

const callerCodeSet: ReadonlySet<string> = new Set(callerCodes)

export class AppError extends Error {
  readonly code: ErrorCode
  /** Neon's machine code (`BRANCHES_LIMIT_EXCEEDED` …) where it has one; the API's `code` field is empty otherwise. */
  readonly apiCode: string
  /** Seconds after which the same call may succeed. */
  readonly retryAfterSeconds: number | undefined
  /** Further fields of the API's answer, where the contract has some for this refusal. */
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      cause?: unknown
      apiCode?: string
      retryAfterSeconds?: number
      details?: Readonly<Record<string, unknown>>
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.apiCode = options.apiCode ?? ''
    this.retryAfterSeconds = options.retryAfterSeconds
    this.details = options.details
  }

  get isCallersFault(): boolean {
    return callerCodeSet.has(this.code)
  }
}

export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code)
}

/** The whole chain of causes as one line, for logs. A message never repeats its cause, so the chain reads as a sentence. */
export function errorChain(error: unknown): string {
  const parts: string[] = []
  for (let at: unknown = error; at !== undefined && at !== null && parts.length < 8;) {
    if (at instanceof Error) {
      parts.push(at.message)
      at = at.cause
    } else {
      parts.push(typeof at === 'string' ? at : JSON.stringify(at))
      at = undefined
    }
  }
  return parts.join(': ')
}
