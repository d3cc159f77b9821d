// What the Data API's process is told of one database: all it needs to serve it. Kept in memory only, and forgotten when control says that it
// changed.

import type { DataApiSettings } from './data-api.ts'

export type TokenIssuer =
  /** The branch's own sign-in; its public keys are told, and nothing is fetched. */
  | { kind: 'sign-in'; keys: readonly Readonly<Record<string, unknown>>[] }
  | {
      kind: 'key-set'
      url: string
      /** Whether the URL may lead into a private network. */
      privateAllowed: boolean
      /** What a token has to say as `aud`; undefined: anything. */
      audience: string | undefined
      /** Which roles its tokens may name; undefined: those that Postgres lets them have. */
      roles: readonly string[] | undefined
    }

export type DataApiTarget = {
  id: string
  /** Raised by every change of what stands here. */
  version: number
  projectId: string
  branchId: string
  /** The branch's read-write endpoint; its compute is woken under this name. */
  endpointId: string
  database: string
  /** Without a slash at its end: `http://…/<db>/rest/v1`. */
  url: string
  settings: DataApiSettings
  issuers: readonly TokenIssuer[]
  /** Of all tokens: `jwt_audience`. */
  audience: string | undefined
  /** From where clients may come, in the forms of a project's allowed addresses; undefined: from anywhere. */
  allowedIps: readonly string[] | undefined
  /** Nobody comes in but by a private network. */
  publicBlocked: boolean
}

/** How requests name a database. */
export type DataApiTargetName = { endpointId: string; database: string }
