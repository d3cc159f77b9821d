// What the engine may be told: PostgREST's options under PostgREST's names, in camel case. How they are written in a file, in the
// environment or in the database is read elsewhere (`configuration/`).
//
// Source: https://docs.postgrest.org/en/v14/references/configuration.html

import type { JsPath } from '../lib/js-path.ts'

export type TransactionEnd = 'commit' | 'commit-allow-override' | 'rollback' | 'rollback-allow-override'

/** Of the description at `/`: of what the request's role may use, of everything, or none. */
export type OpenapiMode = 'follow-privileges' | 'ignore-privileges' | 'disabled'

export type DataApiConfig = {
  /** `db-schemas`: the exposed ones; the first is the default. */
  dbSchemas: readonly [string, ...string[]]
  /** `db-anon-role`: of requests without a token. Undefined: they get 401 PGRST302. */
  dbAnonRole: string | undefined
  /** `db-extra-search-path` */
  dbExtraSearchPath: readonly string[]
  /** `db-max-rows`: of every level of a read. */
  dbMaxRows: number | undefined
  /** `db-aggregates-enabled` */
  dbAggregatesEnabled: boolean
  /** `db-plan-enabled` */
  dbPlanEnabled: boolean
  /** `db-pre-request`: a function without arguments, as `schema.name` or `name`. */
  dbPreRequest: string | undefined
  /** `db-root-spec`: a function that answers `/` in place of the description, as `schema.name` or `name`. */
  dbRootSpec: string | undefined
  /** `db-tx-end` */
  dbTxEnd: TransactionEnd
  /** `db-hoisted-tx-settings` */
  dbHoistedTxSettings: readonly string[]
  /** `db-prepared-statements` */
  dbPreparedStatements: boolean
  /** `jwt-role-claim-key` */
  jwtRoleClaimKey: JsPath
  /** `jwt-aud` */
  jwtAud: string | undefined
  /** `jwt-cache-max-entries` */
  jwtCacheMaxEntries: number
  /** Ours: after so long a token is verified again, with the keys that there are then. Undefined: never. */
  jwtCacheMaxLifetimeSeconds: number | undefined
  /** `openapi-mode` */
  openapiMode: OpenapiMode
  /** `openapi-server-proxy-uri`: where the API is reached. Undefined: where the request says that it was. */
  openapiServerProxyUri: string | undefined
  /** `openapi-security-active` */
  openapiSecurityActive: boolean
  /** `server-cors-allowed-origins`. Undefined or empty: all. */
  serverCorsAllowedOrigins: readonly string[] | undefined
  /** `server-timing-enabled` */
  serverTimingEnabled: boolean
  /** `server-trace-header` */
  serverTraceHeader: string | undefined
  /** `app.settings.*`, by their whole names. */
  appSettings: Readonly<Record<string, string>>
  /** Ours: of a request's body, in bytes. Undefined: no bound. */
  longestBodyBytes: number | undefined
}

export const defaultConfig: DataApiConfig = {
  dbSchemas: ['public'],
  dbAnonRole: undefined,
  dbExtraSearchPath: ['public'],
  dbMaxRows: undefined,
  dbAggregatesEnabled: false,
  dbPlanEnabled: false,
  dbPreRequest: undefined,
  dbRootSpec: undefined,
  dbTxEnd: 'commit',
  dbHoistedTxSettings: ['statement_timeout', 'plan_filter.statement_cost_limit', 'default_transaction_isolation'],
  dbPreparedStatements: true,
  jwtRoleClaimKey: [{ kind: 'key', key: 'role' }],
  jwtAud: undefined,
  jwtCacheMaxEntries: 1000,
  jwtCacheMaxLifetimeSeconds: undefined,
  openapiMode: 'disabled',
  openapiServerProxyUri: undefined,
  openapiSecurityActive: false,
  serverCorsAllowedOrigins: undefined,
  serverTimingEnabled: false,
  serverTraceHeader: undefined,
  appSettings: {},
  longestBodyBytes: undefined,
}
