// What the auth process is told by control, and what it may have done.

import type { AuthIntegration, OauthProvider } from '../../model/auth.ts'
import type { AuthTarget, AuthTargetName, TargetOauthProvider } from '../../model/auth-target.ts'
import type { AuthIntegrationId } from '../../model/ids.ts'
import type { WokenDatabase } from '../../model/woken-database.ts'
import { listAuthDomains } from '../../store/auth/domains.ts'
import { listAuthKeys } from '../../store/auth/keys.ts'
import { listOauthProviders } from '../../store/auth/oauth-providers.ts'
import { listSigningKeys } from '../../store/auth/signing-keys.ts'
import { findAuthTarget } from '../../store/auth/targets.ts'
import type { ControlContext } from '../context.ts'
import { PreparedData } from '../prepared-data.ts'
import { ServiceWakes } from '../service-wakes.ts'
import { authRolePassword } from './auth-role.ts'
import { ensurePrepared } from './copies.ts'
import { integrationSecret, openClientSecret, openSigningKey } from './secrets.ts'

/** Neither is named: all. `address`: only where its compute answers. */
export type AuthChange = { integrationId?: string; endpointId?: string; what: 'address' | 'all' }
export type AuthListener = (changed: AuthChange) => Promise<void>

export class AuthPlane {
  /** Which data is ready for which integration. */
  readonly databases: PreparedData
  readonly #context: () => ControlContext
  readonly #listeners = new Set<AuthListener>()
  readonly #wakes: ServiceWakes

  constructor(context: () => ControlContext) {
    this.#context = context
    this.databases = new PreparedData((id, timelineId) => ensurePrepared(context(), id, timelineId))
    this.#wakes = new ServiceWakes({
      context,
      endpointOf: async (id) => (await findAuthTarget(context().store, { kind: 'project', id }))?.endpointId,
      passwordOf: authRolePassword,
      wake: (endpointId) => context().computes.wakeInPassing(endpointId),
      prepare: (id, timelineId) => this.databases.ensure(id, timelineId),
      missing: 'no sign-in is set up any more',
    })
  }

  onChanged(listener: AuthListener): void {
    this.#listeners.add(listener)
  }

  /** Returns when everybody who held something of it has dropped that. Never rejects. */
  async changed(change: AuthChange): Promise<void> {
    await Promise.allSettled([...this.#listeners].map((listener) => listener(change)))
  }

  /** Undefined where there is none, or its branch has no read-write endpoint any more. */
  async findTarget(name: AuthTargetName): Promise<AuthTarget | undefined> {
    const { store, addresses, cipher } = this.#context()
    const found = await findAuthTarget(store, name)
    if (!found) return undefined
    const { integration, endpointId } = found
    const [domains, providers, signingKeys, keys] = await Promise.all([
      listAuthDomains(store, integration.id),
      listOauthProviders(store, integration.id),
      listSigningKeys(store, integration.id),
      listAuthKeys(store, integration.id),
    ])
    this.#wakes.remember(integration.id, endpointId)
    return {
      integrationId: integration.id,
      version: found.version,
      provider: integration.provider,
      projectId: integration.projectId,
      projectName: found.projectName,
      branchId: integration.branchId,
      endpointId,
      database: integration.databaseName,
      baseUrl: addresses.serviceUrl('auth', endpointId, integration.databaseName),
      stackUrl: addresses.stackUrl(),
      appName: integration.name ?? found.projectName,
      settings: integration.settings,
      trustedDomains: domains,
      oauthProviders: providers.flatMap((provider) => this.#usable(integration, provider)),
      signingKeys: signingKeys.map((key) => ({
        kid: key.kid,
        publicJwk: key.publicJwk,
        privateJwk: openSigningKey(cipher, key),
        createdAt: key.createdAt.getTime(),
      })),
      secret: integrationSecret(cipher, integration.id),
      keys: keys.map(({ kind, sha256 }) => ({ kind, sha256: Buffer.from(sha256).toString('hex') })),
    }
  }

  /** Throws what a connect would hear. A compute that runs already does not stay awake for it. */
  wake(integrationId: string): Promise<WokenDatabase> {
    return this.#wakes.wake(integrationId)
  }

  /** None where a shared one leads nowhere: the operator has taken his credentials back. */
  #usable(integration: AuthIntegration, provider: OauthProvider): TargetOauthProvider[] {
    const { authOperator, cipher } = this.#context()
    const { id, type } = provider
    const own = authOperator.oauth[id]
    const isOurs = integration.provider === 'mock' || (type === 'shared' && !own)
    if (isOurs) {
      if (!authOperator.hasDevelopmentProvider) return []
      return [{ id, type, clientId: '', clientSecret: '', microsoftTenantId: undefined, isDevelopment: true }]
    }
    const endpoints = own?.endpoints
    if (type === 'shared') {
      if (!own) return []
      const { clientId, clientSecret, microsoftTenantId } = own
      return [{ id, type, clientId, clientSecret, microsoftTenantId, isDevelopment: false, endpoints }]
    }
    const clientSecret = openClientSecret(cipher, integration.id, provider)
    const { clientId, microsoftTenantId } = provider
    if (clientId === undefined || clientSecret === undefined) return []
    return [{ id, type, clientId, clientSecret, microsoftTenantId, isDevelopment: false, endpoints }]
  }
}

/** After the commit of whatever changed an integration, or removed it. */
export async function authChanged(control: ControlContext, integrationId: AuthIntegrationId): Promise<void> {
  await control.authPlane.changed({ integrationId, what: 'all' })
}
