// Places for computes: how many an organization has running at once, or about to. One process acts for one cell, so its own memory is
// the count of that cell, and a place that is taken here is taken at once.

import { AppError } from '../model/errors.ts'
import type { EndpointId, OrganizationId, ProjectId } from '../model/ids.ts'
import type { StartPlace } from '../model/start-place.ts'
import { listEndpointOwners } from '../store/endpoints.ts'
import type { ControlContext } from './context.ts'

type Taken = { endpointId: EndpointId; orgId: OrganizationId; isDefault: boolean }

export class ActiveComputes {
  readonly #context: () => ControlContext
  /** By endpoint; reads of the past by a name of their own. */
  readonly #taken = new Map<string, Taken>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** For one that runs or has to: counted, never refused. */
  take(endpointId: EndpointId, place: StartPlace, name: string = endpointId): void {
    this.#taken.set(name, { endpointId, orgId: place.orgId, isDefault: place.isDefault && name === endpointId })
  }

  release(name: string): void {
    this.#taken.delete(name)
  }

  /** False for one that has its place. Throws `quota_exceeded` where as many as may run do. */
  async claim(endpointId: EndpointId, place: StartPlace, name: string = endpointId): Promise<boolean> {
    if (this.#taken.has(name)) return false
    // Projects change their organizations and default branches without telling.
    if (this.#isFull(place, name === endpointId)) await this.#lookAgain()
    if (!this.#isFull(place, name === endpointId)) {
      this.take(endpointId, place, name)
      return true
    }
    throw new AppError(
      'quota_exceeded',
      `active computes limit of ${place.limits.activeComputes} exceeded in organization ${place.orgId}: suspend another compute or wait until one is idle, or ask the operator for a higher limit`,
      { apiCode: 'ACTIVE_ENDPOINTS_LIMIT_EXCEEDED' },
    )
  }

  #isFull({ orgId, isDefault, limits }: StartPlace, own: boolean): boolean {
    if (own && isDefault && limits.defaultBranchesExempt) return false
    let count = 0
    for (const taken of this.#taken.values())
      if (taken.orgId === orgId && !(taken.isDefault && limits.defaultBranchesExempt)) count++
    return count >= limits.activeComputes
  }

  async #lookAgain(): Promise<void> {
    const seen = [...this.#taken]
    const ids = [...new Set(seen.map(([, { endpointId }]) => endpointId))]
    const owners = await listEndpointOwners(this.#context().store, ids)
    for (const [name, taken] of seen) {
      const owner = owners.get(taken.endpointId)
      if (!owner || this.#taken.get(name) !== taken) continue
      this.#taken.set(name, { ...taken, orgId: owner.orgId, isDefault: owner.isDefault && name === taken.endpointId })
    }
  }
}

/**
 * For calls whose operations will start computes: the places that `work` claims are kept until those have ended, and given back
 * where the call fails. May claim the same again when it has to begin anew.
 */
export async function reservingPlaces<T>(
  control: ControlContext,
  projectId: string,
  work: (claim: (endpointId: EndpointId, place: StartPlace) => Promise<void>) => Promise<T>,
): Promise<T> {
  const claimed = new Set<EndpointId>()
  const giveBack = (): void => {
    for (const id of claimed) if (!control.computes.servingEndpoint(id)) control.activeComputes.release(id)
  }
  try {
    const result = await work(async (endpointId, place) => {
      if (await control.activeComputes.claim(endpointId, place)) claimed.add(endpointId)
    })
    if (claimed.size > 0) void control.runner.whenQuiet(projectId as ProjectId, longestChainMs).then(giveBack)
    return result
  } catch (error) {
    giveBack()
    throw error
  }
}

const longestChainMs = 600_000
