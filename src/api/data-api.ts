// The Data API of a branch's database: enabling, looking at it, changing and disabling it.

import type { DataAPICreateRequest, DataAPIUpdateRequest } from '@neondatabase/api-client'
import type { DataApiPlace } from '../control/data-api/data-api-control.ts'
import type { DataApiSettings } from '../model/data-api.ts'
import { created, ok, type ApiRequest, type Handlers, type PathParams } from './handler.ts'

const placeOf = ({ project_id, branch_id, database_name }: PathParams): DataApiPlace => ({
  projectId: project_id,
  branchId: branch_id,
  databaseName: database_name,
})

/** What is not known to the contract is not kept; that its texts are among those that mean something, control looks at. */
function settingsOf(given: { [Name in keyof DataApiSettings]?: unknown } | undefined): DataApiSettings | undefined {
  if (!given) return undefined
  const known: Record<string, unknown> = {}
  for (const name of settingNames) if (given[name] !== undefined) known[name] = given[name]
  return known
}

const settingNames = [
  'db_aggregates_enabled',
  'db_anon_role',
  'db_extra_search_path',
  'db_max_rows',
  'db_schemas',
  'jwt_role_claim_key',
  'jwt_cache_max_lifetime',
  'openapi_mode',
  'server_cors_allowed_origins',
  'server_timing_enabled',
] as const satisfies readonly (keyof DataApiSettings)[]

export const dataApi = {
  async createProjectBranchDataAPI({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, DataAPICreateRequest | undefined>) {
    const given = body ?? {}
    const { url } = await control.dataApi.enable(caller, placeOf(params), {
      authProvider: given.auth_provider,
      jwksUrl: given.jwks_url,
      providerName: given.provider_name,
      audience: given.jwt_audience,
      grantsDefaults: given.add_default_grants ?? false,
      skipsAuthSchema: given.skip_auth_schema ?? false,
      settings: settingsOf(given.settings),
    })
    return created({ url })
  },

  async getProjectBranchDataAPI({ control, caller, params }: ApiRequest) {
    const { api, url, status, schemas } = await control.dataApi.get(caller, placeOf(params))
    const { db_anon_role: anonymous, ...settings } = api.settings ?? {}
    return ok({
      url,
      status,
      // neonctl takes null for settings that could not be read.
      settings: { ...settings, ...(anonymous === undefined ? {} : { db_anon_role: anonymous ?? '' }) },
      available_schemas: schemas ? [...schemas] : null,
    })
  },

  async updateProjectBranchDataAPI({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, DataAPIUpdateRequest | undefined>) {
    await control.dataApi.update(caller, placeOf(params), settingsOf(body?.settings))
    return created({})
  },

  async deleteProjectBranchDataAPI({ control, caller, params }: ApiRequest) {
    await control.dataApi.disable(caller, placeOf(params))
    return ok({})
  },
} satisfies Handlers
