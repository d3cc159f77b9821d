// What the auth process is told by control, and what it may have done.

import type { AuthIntegration, OauthProvider } from '../../model/auth.ts'
import type { AuthTarget, AuthTargetName, TargetOauthProvider } from '../../model/auth-target.ts'
import { AppError, isAppError } from '../../model/errors.ts'
import type { AuthIntegrationId, EndpointId } from '../../model/ids.ts'
import { listAuthDomains } from '../../store/auth/domains.ts'
import { listAuthKeys } from '../../store/auth/keys.ts'
import { listOauthProviders } from '../../store/auth/oauth-providers.ts'
import { listSigningKeys } from '../../store/auth/signing-keys.ts'
import { findAuthTarget } from '../../store/auth/targets.ts'
import { getEndpointTarget } from '../../store/endpoints.ts'
import type { ControlContext } from '../context.ts'
import { authRolePassword } from './auth-role.ts'
import { AuthDatabases } from './copies.ts'
import { integrationSecret, openClientSecret, openSigningKey } from './secrets.ts'

/** Neither is named: all. `address`: only where its compute answers. */
export type AuthChange = { integrationId?: string; endpointId?: string; what: 'address' | 'all' }
export type AuthListener = (changed: AuthChange) => Promise<void>

export type WokenDatabase = { socketDir: string; generation: string; password: string }

const mostRemembered = 10_000
const mostTries = 5

export class AuthPlane {
  readonly databases: AuthDatabases
  readonly #context: () => ControlContext
  readonly #listeners = new Set<AuthListener>()
  /** Of those that were found: a wake has to work while the control database is away. */
  readonly #endpoints = new Map<string, EndpointId>()

  constructor(context: () => ControlContext) {
    this.#context = context
    this.databases = new AuthDatabases(context)
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
    this.#remember(integration.id, endpointId)
    return {
      integrationId: integration.id,
      version: found.version,
      provider: integration.provider,
      projectId: integration.projectId,
      projectName: found.projectName,
      branchId: integration.branchId,
      endpointId,
      database: integration.databaseName,
      baseUrl: addresses.authBaseUrl(endpointId, integration.databaseName),
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
  async wake(integrationId: string): Promise<WokenDatabase> {
    const { computes } = this.#context()
    const endpointId = await this.#endpointOf(integrationId)
    for (let tries = 1; ; tries++) {
      const { socketDir, generation } = await computes.wakeInPassing(endpointId)
      const serving = computes.servingEndpoint(endpointId)
      if (serving) {
        await this.databases.ensure(integrationId, serving.timelineId)
        return { socketDir, generation, password: await this.#passwordOf(endpointId) }
      }
      // It went to sleep again right away: it does not stay awake for us.
      if (tries === mostTries)
        throw new AppError('unavailable', 'the compute went away; try again', { retryAfterSeconds: 1 })
    }
  }

  async #endpointOf(integrationId: string): Promise<EndpointId> {
    try {
      const found = await findAuthTarget(this.#context().store, { kind: 'project', id: integrationId })
      if (!found) throw new AppError('not_found', 'no sign-in is set up any more')
      this.#remember(integrationId, found.endpointId)
      return found.endpointId
    } catch (error) {
      const known = this.#endpoints.get(integrationId)
      if (known && isAppError(error, 'control_database_unavailable')) return known
      throw error
    }
  }

  /** Of whatever serves the endpoint at this moment: a restore puts another timeline in its place. */
  async #passwordOf(endpointId: EndpointId): Promise<string> {
    const { store, assignments, cipher } = this.#context()
    try {
      const target = await getEndpointTarget(store, endpointId)
      return authRolePassword(cipher, target?.serviceKeyId ?? '')
    } catch (error) {
      const assignment = await assignments.read(endpointId)
      if (!assignment || !isAppError(error, 'control_database_unavailable')) throw error
      return authRolePassword(cipher, assignment.spec.serviceKeyId)
    }
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

  #remember(integrationId: string, endpointId: EndpointId): void {
    this.#endpoints.delete(integrationId)
    this.#endpoints.set(integrationId, endpointId)
    for (const oldest of this.#endpoints.keys()) {
      if (this.#endpoints.size <= mostRemembered) break
      this.#endpoints.delete(oldest)
    }
  }
}

/** After the commit of whatever changed an integration, or removed it. */
export async function authChanged(control: ControlContext, integrationId: AuthIntegrationId): Promise<void> {
  await control.authPlane.changed({ integrationId, what: 'all' })
}
