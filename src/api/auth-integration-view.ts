import type { NeonAuthCreateIntegrationResponse, NeonAuthIntegration } from '@neondatabase/api-client'
import type { CreatedIntegration, ShownIntegration } from '../control/auth/auth-control.ts'
import { authSchema, usersTable } from '../model/auth.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

export function integrationView({ integration, appName, urls }: ShownIntegration): Wire<NeonAuthIntegration> {
  return {
    auth_provider: integration.provider,
    auth_provider_project_id: integration.id,
    branch_id: integration.branchId,
    db_name: integration.databaseName,
    created_at: seconds(integration.createdAt),
    owned_by: integration.ownedBy,
    transfer_status: integration.transferStatus,
    jwks_url: urls.jwksUrl,
    base_url: urls.baseUrl,
    name: appName,
  }
}

/** The only answer that shows keys. */
export function createdIntegrationView({
  integration,
  urls,
  keys,
}: CreatedIntegration): Wire<NeonAuthCreateIntegrationResponse> {
  return {
    auth_provider: integration.provider,
    auth_provider_project_id: integration.id,
    pub_client_key: keys?.publishable ?? '',
    secret_server_key: keys?.secret ?? '',
    jwks_url: urls.jwksUrl,
    schema_name: authSchema,
    table_name: usersTable,
    base_url: urls.baseUrl,
  }
}
