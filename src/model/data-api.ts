// The Data API of tenants: one database of a branch as REST, and what may be set on it.
//
// It belongs to one branch and one of its databases. Its roles and grants lie in that database and go wherever the data goes; that it is on,
// whom it trusts and its settings are rows of the control database and do not.

import type { BranchId, DataApiId, ProjectId } from './ids.ts'

/** Whose tokens are taken: those of the branch's own sign-in, or those of a key set elsewhere. Key sets of the project are trusted beside either. */
export type DataApiAuthProvider = 'neon_auth' | 'external'

/** Neon's names. What is not there is as `defaultDataApiSettings` has it. */
export type DataApiSettings = {
  db_aggregates_enabled?: boolean
  /** Empty or null: requests without a token are refused. */
  db_anon_role?: string | null
  /** Names with commas between them. */
  db_extra_search_path?: string
  db_max_rows?: number
  /** The first is the default. */
  db_schemas?: string[]
  /** A path such as `.role`. */
  jwt_role_claim_key?: string
  /** In seconds; 0: each token is verified each time. */
  jwt_cache_max_lifetime?: number
  openapi_mode?: 'ignore-privileges' | 'disabled'
  /** Origins with commas between them; empty: all. */
  server_cors_allowed_origins?: string
  server_timing_enabled?: boolean
}

export const openapiModes = ['ignore-privileges', 'disabled'] as const

export type DataApi = {
  id: DataApiId
  projectId: ProjectId
  branchId: BranchId
  databaseName: string
  authProvider: DataApiAuthProvider
  /** Tokens that say they are for somebody else are refused; those that do not say it are not. */
  audience: string | undefined
  /** Done once for the data, and again for data from before it was done. */
  grantsDefaults: boolean
  skipsAuthSchema: boolean
  /** As they were given; undefined: never. */
  settings: DataApiSettings | undefined
  createdAt: Date
  updatedAt: Date
}

/** PostgREST's, by Neon's names: the first may become the others, and is nobody itself. */
export const dataApiRoles = { authenticator: 'authenticator', user: 'authenticated', anonymous: 'anonymous' } as const

/** Of a setting with commas between names. */
export const namesIn = (text: string): string[] =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
