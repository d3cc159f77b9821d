// The rows that an integration begins with. Whoever calls this has its project's row held, and the schema in the database made.

import { authKeySetRoles, firstOauthProviders, type AuthIntegration, type OauthProviderId } from '../../model/auth.ts'
import type { AuthOperator } from '../../model/auth-operator.ts'
import { newAuthIntegrationId } from '../../model/ids.ts'
import { insertIntegration } from '../../store/auth/integrations.ts'
import { insertAuthKey } from '../../store/auth/keys.ts'
import { putOauthProvider } from '../../store/auth/oauth-providers.ts'
import { insertSigningKey } from '../../store/auth/signing-keys.ts'
import type { Sql } from '../../store/database.ts'
import { insertJwks } from '../../store/jwks.ts'
import type { ControlContext } from '../context.ts'
import { newSdkKey, newSigningKey } from './secrets.ts'
import { authUrls } from './urls.ts'

/** Told once. */
export type SdkKeys = { publishable: string; secret: string }

/** An integration with a signing key of its own, and its key set among the project's. */
export async function insertNewIntegration(
  control: ControlContext,
  sql: Sql,
  wanted: Pick<AuthIntegration, 'projectId' | 'branchId' | 'databaseName' | 'provider' | 'settings'>,
): Promise<AuthIntegration> {
  const integration = await insertIntegration(sql, { ...wanted, id: newAuthIntegrationId() })
  await insertSigningKey(sql, integration.id, newSigningKey(control.cipher))
  await insertKeySet(control, sql, integration)
  return integration
}

/** So that a token of the integration opens what the project lets tokens open, on its own branch. */
async function insertKeySet(control: ControlContext, sql: Sql, integration: AuthIntegration): Promise<void> {
  const { jwksUrl } = await authUrls(control, sql, integration)
  await insertJwks(sql, {
    id: crypto.randomUUID(),
    projectId: integration.projectId,
    branchId: integration.branchId,
    url: jwksUrl,
    // It is never fetched.
    privateAllowed: false,
    providerName: integration.provider === 'better_auth' ? 'neon_auth' : integration.provider,
    audience: undefined,
    roleNames: [...authKeySetRoles],
    authIntegrationId: integration.id,
    dataApiId: undefined,
  })
}

export async function insertSdkKeys(sql: Sql, { id }: Pick<AuthIntegration, 'id'>): Promise<SdkKeys> {
  const [publishable, secret] = [newSdkKey('publishable'), newSdkKey('secret')]
  await insertAuthKey(sql, { integrationId: id, kind: 'publishable', sha256: publishable.sha256 })
  await insertAuthKey(sql, { integrationId: id, kind: 'secret', sha256: secret.sha256 })
  return { publishable: publishable.key, secret: secret.key }
}

/** Whether a provider without credentials of its own leads anywhere. `mock` never leaves this machine. */
export function hasSharedProvider(
  operator: AuthOperator,
  { provider }: Pick<AuthIntegration, 'provider'>,
  id: OauthProviderId,
): boolean {
  return operator.hasDevelopmentProvider || (provider !== 'mock' && operator.oauth[id] !== undefined)
}

export async function insertFirstProviders(
  { authOperator }: Pick<ControlContext, 'authOperator'>,
  sql: Sql,
  integration: Pick<AuthIntegration, 'id' | 'provider'>,
): Promise<void> {
  for (const id of firstOauthProviders(integration.provider)) {
    if (!hasSharedProvider(authOperator, integration, id)) continue
    await putOauthProvider(sql, integration.id, {
      id,
      type: 'shared',
      clientId: undefined,
      clientSecret: undefined,
      microsoftTenantId: undefined,
    })
  }
}
