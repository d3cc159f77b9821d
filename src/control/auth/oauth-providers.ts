// Providers that an integration lets people sign in with: `standard` with credentials of the tenant's own, `shared` with the operator's.

import type { AuthIntegration, OauthProvider, OauthProviderId } from '../../model/auth.ts'
import { AppError } from '../../model/errors.ts'
import { toMicrosoftTenant } from '../../model/microsoft-tenant.ts'
import { deleteOauthProvider, listOauthProviders, putOauthProvider } from '../../store/auth/oauth-providers.ts'
import type { Sql } from '../../store/database.ts'
import type { ControlContext } from '../context.ts'
import type { AuthControl, OauthCredentials, ShownOauthProvider } from './auth-control.ts'
import { changeIntegration, visibleIntegration } from './find.ts'
import { hasSharedProvider } from './new-integration.ts'
import { sealClientSecret } from './secrets.ts'

const longestClientId = 512
const longestSecret = 8192

export function oauthProviderControl(control: ControlContext): AuthControl['oauthProviders'] {
  return {
    async list(caller, place) {
      const integration = await visibleIntegration(control, caller, place)
      return (await listOauthProviders(control.store, integration.id)).map((provider) => shown(provider))
    },

    async add(caller, place, id, given) {
      assertCredentials(id, given)
      return await changeIntegration(control, caller, place, async (sql, integration) => {
        // A new integration has some with shared credentials, which nobody has asked for by name: there they are as good as not there.
        if ((await findProvider(sql, integration, id))?.clientId !== undefined)
          throw new AppError('already_exists', `OAuth provider ${id} has credentials already; PATCH changes them`)
        return await put(control, sql, integration, { id, clientSecret: undefined }, given)
      })
    },

    async update(caller, place, id, given) {
      return await changeIntegration(control, caller, place, async (sql, integration) => {
        const before = await findProvider(sql, integration, id)
        if (!before) throw providerNotFound(id)
        assertCredentials(before.id, given)
        return await put(control, sql, integration, before, given)
      })
    },

    async delete(caller, place, id) {
      await changeIntegration(control, caller, place, async (sql, integration) => {
        if (!(await deleteOauthProvider(sql, integration.id, id))) throw providerNotFound(id)
      })
    },
  }
}

const providerNotFound = (id: string): AppError =>
  new AppError('not_found', `OAuth provider ${id} is not enabled; POST adds it`)

async function findProvider(sql: Sql, { id }: AuthIntegration, wanted: string): Promise<OauthProvider | undefined> {
  return (await listOauthProviders(sql, id)).find((provider) => provider.id === wanted)
}

/** What is not given stays as it was. */
async function put(
  control: ControlContext,
  sql: Sql,
  integration: AuthIntegration,
  before: Pick<OauthProvider, 'id' | 'clientSecret'> & Partial<OauthProvider>,
  given: OauthCredentials,
): Promise<ShownOauthProvider> {
  const { id } = before
  const clientId = given.clientId ?? before.clientId
  const clientSecret =
    given.clientSecret === undefined
      ? before.clientSecret
      : sealClientSecret(control.cipher, integration.id, id, given.clientSecret)
  if ((clientId === undefined) !== (clientSecret === undefined))
    throw new AppError(
      'bad_request',
      'client_id and client_secret come together: give both, or neither for the shared ones',
    )
  const type = clientId === undefined ? 'shared' : 'standard'
  const microsoftTenantId = given.microsoftTenantId ?? before.microsoftTenantId
  if (type === 'shared' && microsoftTenantId !== undefined)
    throw new AppError('bad_request', 'microsoft_tenant_id goes with a client_id and client_secret of that directory')
  if (type === 'shared' && !hasSharedProvider(control.authOperator, integration, id))
    throw noSharedProvider(integration, id)
  await putOauthProvider(sql, integration.id, { id, type, clientId, clientSecret, microsoftTenantId })
  return { ...shown({ id, type, clientId }), clientSecret: given.clientSecret }
}

function noSharedProvider({ provider }: AuthIntegration, id: OauthProviderId): AppError {
  return new AppError(
    'bad_request',
    provider === 'mock'
      ? 'the mock provider signs in with the development identity provider only, which is off here (PGROVE_DEV_IDP)'
      : `there are no shared credentials for ${id} here: give client_id and client_secret of your own, or let the operator set oauth.${id} in the file that PGROVE_AUTH_CONFIG names`,
  )
}

const shown = ({ id, type, clientId }: Pick<OauthProvider, 'id' | 'type' | 'clientId'>): ShownOauthProvider => ({
  id,
  type,
  clientId,
})

/** They end up in URLs and headers. */
const isPlain = (text: string, longest: number): boolean =>
  text.length > 0 && text.length <= longest && /^[\u0021-\u007e]+$/.test(text)

function assertCredentials(id: OauthProviderId, { clientId, clientSecret, microsoftTenantId }: OauthCredentials): void {
  if (clientId !== undefined && !isPlain(clientId, longestClientId))
    throw new AppError('bad_request', `client_id must be 1 to ${longestClientId} printable characters without spaces`)
  if (clientSecret !== undefined && !isPlain(clientSecret, longestSecret))
    throw new AppError('bad_request', `client_secret must be 1 to ${longestSecret} printable characters without spaces`)
  if (microsoftTenantId === undefined) return
  if (id !== 'microsoft') throw new AppError('bad_request', 'microsoft_tenant_id is for the provider microsoft')
  toMicrosoftTenant(microsoftTenantId)
}
