// A request as the engine understands it: everything that can be said of it without knowing the database.

import type { MediaType } from './media-type.ts'
import type { Preferences } from './preferences.ts'
import type { QueryParams, RowRange } from './syntax.ts'

/** As HTTP has it, before anything is read into it. Names of headers are in lower case. */
export type HttpRequest = {
  method: string
  /** Path and query, as they came, below the root of the API: `/items?id=eq.1`. */
  target: string
  headers: Readonly<Record<string, string | undefined>>
  body: Buffer
}

export type Resource = { kind: 'root' } | { kind: 'relation'; name: string } | { kind: 'function'; name: string }

export type MutationKind = 'insert' | 'upsert-one' | 'update' | 'delete'

export type Action =
  | { kind: 'read'; relation: string; isHead: boolean }
  | { kind: 'mutate'; relation: string; mutation: MutationKind }
  | { kind: 'call'; function: string; method: 'GET' | 'HEAD' | 'POST' }
  /** OPTIONS */
  | { kind: 'inspect'; resource: Resource }
  /** The OpenAPI description. */
  | { kind: 'describe'; isHead: boolean }

export type Payload =
  /** JSON text, checked; `keys` as in its first object, in its order. */
  | { kind: 'json'; text: string; keys: readonly string[]; isArray: boolean; rows: number }
  /** JSON text of which nothing is known: `columns=` says what is taken from it. */
  | { kind: 'raw-json'; text: string }
  | { kind: 'urlencoded'; pairs: readonly (readonly [string, string])[] }
  /** For a function with a single parameter without a name. */
  | { kind: 'raw'; bytes: Buffer }

export type ApiRequest = {
  action: Action
  /** One of the exposed ones. */
  schema: string
  /** Whether the answer names its schema: there are several. */
  namesSchema: boolean
  query: QueryParams
  preferences: Preferences
  accept: readonly MediaType[]
  contentType: MediaType
  /** Of the root: `limit` and `offset` together with `Range`. */
  topRange: RowRange
  payload: Payload | undefined
  /** What the function or the mutation takes of the payload: `columns=`, or its keys. */
  columns: readonly string[]
  method: string
  /** Decoded, below the root of the API. */
  path: string
  /** For `request.headers`: in lower case, without `cookie`. */
  headers: Readonly<Record<string, string>>
  cookies: Readonly<Record<string, string>>
}
