// A Data API's settings, under Neon's names, as the engine's configuration. Pure.

import { parseJsPath } from '../../lib/js-path.ts'
import { dataApiRoles, namesIn } from '../../model/data-api.ts'
import type { DataApiTarget } from '../../model/data-api-target.ts'
import { defaultConfig, type DataApiConfig } from '../config.ts'
import { longestBodyBytes } from './limits.ts'

/** Where nothing is said: as long as a key set is not asked for again. */
const defaultTokenLifetimeSeconds = 300

export function configOf({
  settings,
  audience,
  url,
}: Pick<DataApiTarget, 'settings' | 'audience' | 'url'>): DataApiConfig {
  const [first = 'public', ...others] = settings.db_schemas ?? []
  const anonymous = settings.db_anon_role === undefined ? dataApiRoles.anonymous : settings.db_anon_role
  const searchPath = settings.db_extra_search_path
  const lifetime = settings.jwt_cache_max_lifetime ?? defaultTokenLifetimeSeconds
  const path = settings.jwt_role_claim_key === undefined ? undefined : parseJsPath(settings.jwt_role_claim_key)
  return {
    ...defaultConfig,
    dbSchemas: [first, ...others],
    dbAnonRole: anonymous || undefined,
    dbExtraSearchPath: searchPath === undefined ? defaultConfig.dbExtraSearchPath : namesIn(searchPath),
    dbMaxRows: settings.db_max_rows,
    dbAggregatesEnabled: settings.db_aggregates_enabled ?? true,
    jwtRoleClaimKey: path ?? defaultConfig.jwtRoleClaimKey,
    jwtAud: audience,
    jwtCacheMaxEntries: lifetime === 0 ? 0 : defaultConfig.jwtCacheMaxEntries,
    jwtCacheMaxLifetimeSeconds: lifetime,
    openapiMode: settings.openapi_mode ?? 'disabled',
    openapiServerProxyUri: url,
    serverCorsAllowedOrigins: namesIn(settings.server_cors_allowed_origins ?? ''),
    serverTimingEnabled: settings.server_timing_enabled ?? false,
    longestBodyBytes,
  }
}
