// What the Data API's process is told by control, and what it may have done.

import { tokenRolesOf, type Jwks } from '../../model/jwks.ts'
import type { DataApi } from '../../model/data-api.ts'
import type { DataApiTarget, DataApiTargetName, TokenIssuer } from '../../model/data-api-target.ts'
import type { AuthIntegrationId } from '../../model/ids.ts'
import type { WokenDatabase } from '../../model/woken-database.ts'
import { listSigningKeys } from '../../store/auth/signing-keys.ts'
import { findDataApiTarget } from '../../store/data-apis.ts'
import { listJwks } from '../../store/jwks.ts'
import { addressRules } from '../address-rules.ts'
import type { ControlContext } from '../context.ts'
import { PreparedData } from '../prepared-data.ts'
import { ServiceWakes } from '../service-wakes.ts'
import { dataApiRolePassword, ensureDataApiPrepared } from './provisioning.ts'

/** Whatever is named has changed; nothing named: everything has. `address`: only where a compute answers. */
export type DataApiChange = {
  dataApiId?: string
  endpointId?: string
  projectId?: string
  branchId?: string
  what: 'address' | 'all'
}
export type DataApiListener = (changed: DataApiChange) => Promise<void>

/** What the process has seen of one endpoint since its start, its `run`. */
export type DataApiActivity = {
  endpointId: string
  lastActivityAt: number
  bytesToClient: number
  bytesFromClient: number
}

export class DataApiPlane {
  readonly #context: () => ControlContext
  readonly #listeners = new Set<DataApiListener>()
  readonly #wakes: ServiceWakes

  constructor(context: () => ControlContext) {
    this.#context = context
    const prepared = new PreparedData((id, timelineId) => ensureDataApiPrepared(context(), id, timelineId))
    this.#wakes = new ServiceWakes({
      context,
      endpointOf: async (id) => (await findDataApiTarget(context().store, { id }))?.endpointId,
      passwordOf: dataApiRolePassword,
      // A request is what a compute is awake for.
      wake: (endpointId) => context().computes.wake(endpointId),
      prepare: (id, timelineId) => prepared.ensure(id, timelineId),
      missing: 'no Data API is set up here any more',
    })
  }

  onChanged(listener: DataApiListener): void {
    this.#listeners.add(listener)
  }

  /** Returns when everybody who held something of it has dropped that. Never rejects. */
  async changed(change: DataApiChange): Promise<void> {
    await Promise.allSettled([...this.#listeners].map((listener) => listener(change)))
  }

  /** Undefined where there is none, or its branch has no read-write endpoint any more. */
  async findTarget(name: DataApiTargetName): Promise<DataApiTarget | undefined> {
    const { store, addresses } = this.#context()
    const found = await findDataApiTarget(store, name)
    if (!found) return undefined
    const { api, version, endpointId, projectSettings, branchProtected, integrationId } = found
    this.#wakes.remember(api.id, endpointId)
    return {
      id: api.id,
      version,
      projectId: api.projectId,
      branchId: api.branchId,
      endpointId,
      database: api.databaseName,
      url: addresses.serviceUrl('data-api', endpointId, api.databaseName),
      settings: api.settings ?? {},
      issuers: await this.#issuersOf(api, integrationId),
      audience: api.audience,
      ...addressRules(projectSettings, branchProtected),
    }
  }

  /** Throws what a connect would hear. */
  wake(id: string): Promise<WokenDatabase> {
    return this.#wakes.wake(id)
  }

  reportActivity(activity: readonly DataApiActivity[], run: string): void {
    const { computes, metering } = this.#context()
    metering.noteTransfer(run, activity)
    for (const { endpointId, lastActivityAt } of activity) computes.noteActivity(endpointId, lastActivityAt)
  }

  async #issuersOf(api: DataApi, integrationId: AuthIntegrationId | undefined): Promise<TokenIssuer[]> {
    const { store } = this.#context()
    const signIn = api.authProvider === 'neon_auth' ? integrationId : undefined
    const [sets, keys] = await Promise.all([
      listJwks(store, api.projectId),
      signIn === undefined ? [] : listSigningKeys(store, signIn),
    ])
    return [
      ...(keys.length === 0 ? [] : [{ kind: 'sign-in' as const, keys: keys.map(({ publicJwk }) => publicJwk) }]),
      ...sets.filter((set) => isTrusted(set, api)).map((set) => issuerOf(set, api)),
    ]
  }
}

/** Those of the branch or of all branches; what was given along with another Data API is that one's. */
function isTrusted({ branchId, authIntegrationId, dataApiId }: Jwks, api: DataApi): boolean {
  if (authIntegrationId !== undefined) return false
  if (dataApiId !== undefined) return dataApiId === api.id
  return branchId === undefined || branchId === api.branchId
}

function issuerOf(set: Jwks, api: DataApi): TokenIssuer {
  const { url, privateAllowed, audience } = set
  // Its audience is that of the Data API, which says nothing against tokens without one.
  if (set.dataApiId === api.id)
    return { kind: 'key-set', url, privateAllowed, audience: undefined, roles: set.roleNames }
  return { kind: 'key-set', url, privateAllowed, audience, roles: tokenRolesOf(set) }
}
