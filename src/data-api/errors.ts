// What the Data API refuses or fails with: PostgREST's codes, each with its status, in PostgREST's form.
//
// Source: https://docs.postgrest.org/en/v14/references/errors.html; where documentation and behaviour differ, behaviour.

/** PostgREST's own codes. Those of Postgres (SQLSTATEs) are mapped in `response/postgres-errors.ts`. */
export const statusOf = {
  PGRST000: 503,
  PGRST001: 503,
  PGRST002: 503,
  PGRST003: 504,
  PGRST100: 400,
  PGRST101: 405,
  PGRST102: 400,
  PGRST103: 416,
  PGRST105: 405,
  PGRST106: 406,
  PGRST107: 406,
  PGRST108: 400,
  PGRST111: 500,
  PGRST112: 500,
  PGRST114: 400,
  PGRST115: 400,
  PGRST116: 406,
  PGRST117: 405,
  PGRST118: 400,
  PGRST120: 400,
  PGRST121: 500,
  PGRST122: 400,
  PGRST123: 400,
  PGRST124: 400,
  PGRST125: 404,
  PGRST126: 404,
  PGRST127: 400,
  PGRST128: 400,
  PGRST200: 400,
  PGRST201: 300,
  PGRST202: 404,
  PGRST203: 300,
  PGRST204: 400,
  PGRST205: 404,
  PGRST300: 500,
  PGRST301: 401,
  PGRST302: 401,
  PGRST303: 401,
  PGRSTX00: 500,
} as const

export type DataApiErrorCode = keyof typeof statusOf

export type DataApiErrorFields = {
  code: DataApiErrorCode
  message: string
  /** Where it is not that of the code. */
  status?: number
  /** Mostly a text; PGRST201 gives a list. */
  details?: unknown
  hint?: string | undefined
  /** Beside those that every error has. */
  headers?: readonly (readonly [name: string, value: string])[]
  cause?: unknown
}

/** A request that ends in one of PostgREST's own errors. Its message is for the caller. */
export class DataApiError extends Error {
  readonly code: DataApiErrorCode
  readonly details: unknown
  readonly hint: string | undefined
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly status: number

  constructor({ code, message, status = statusOf[code], details, hint, headers = [], cause }: DataApiErrorFields) {
    super(message, cause === undefined ? {} : { cause })
    this.name = 'DataApiError'
    this.code = code
    this.details = details ?? null
    this.hint = hint
    this.headers = headers
    this.status = status
  }
}

export const isDataApiError = (error: unknown): error is DataApiError => error instanceof DataApiError
