// Integrations at work, made when they are first asked for and kept as long as others are not used more. One that changed is replaced;
// requests that hold the old one finish with it.

import type { Logger } from '../lib/logger.ts'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import type { AuthControlPlane, AuthControlPlaneEvents, TargetChanged } from './control-plane.ts'
import type { AuthInstance } from './instance.ts'
import { Targets } from './targets.ts'
import { TenantDatabase } from './tenant-database.ts'

const mostInstances = 200

type Entry = { instance: AuthInstance; database: TenantDatabase }

export type InstancesOptions = {
  controlPlane: AuthControlPlane & AuthControlPlaneEvents
  /** As which each database is entered. */
  role: string
  /** Given to each instance as they are. */
  shared: Pick<AuthInstance, 'developmentProvider' | 'passwords' | 'limits'>
  logger: Logger
}

export class Instances {
  readonly #options: InstancesOptions
  readonly #targets: Targets
  readonly #entries = new Map<string, Entry>()

  constructor(options: InstancesOptions) {
    this.#options = options
    this.#targets = new Targets(options.controlPlane)
    options.controlPlane.onTargetChanged((changed) => this.#forget(changed))
  }

  /** Undefined where there is none. Throws `unavailable`. */
  async find(name: AuthTargetName): Promise<AuthInstance | undefined> {
    const target = await this.#targets.find(name)
    return target && this.#instanceOf(target)
  }

  /** Requests have ended. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()]
    this.#entries.clear()
    await Promise.all(entries.map(({ database }) => database.close()))
  }

  #instanceOf(target: AuthTarget): AuthInstance {
    const { integrationId } = target
    const known = this.#entries.get(integrationId)
    // The same may have been found by another of its names.
    if (known && known.instance.target.version >= target.version) {
      this.#keep(integrationId, known)
      return known.instance
    }
    if (known) this.#retire(integrationId, known)
    const made = this.#make(target)
    this.#keep(integrationId, made)
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= mostInstances) break
      this.#retire(oldest, entry)
    }
    return made.instance
  }

  /** As the one used last. */
  #keep(integrationId: string, entry: Entry): void {
    this.#entries.delete(integrationId)
    this.#entries.set(integrationId, entry)
  }

  #make(target: AuthTarget): Entry {
    const { controlPlane, role, shared, logger } = this.#options
    const { integrationId, database: name } = target
    const database = new TenantDatabase({ integrationId, role, database: name, controlPlane, logger })
    return { instance: { ...shared, target, database, controlPlane, logger }, database }
  }

  #forget(changed: TargetChanged): void {
    this.#targets.forget(changed)
    const { integrationId, endpointId, what } = changed
    const isAll = integrationId === undefined && endpointId === undefined
    for (const [id, entry] of this.#entries) {
      if (!isAll && id !== integrationId && entry.instance.target.endpointId !== endpointId) continue
      if (what === 'all') this.#retire(id, entry)
      else entry.database.forgetAddress()
    }
  }

  /** Whoever still holds it goes on with it, and asks anew where the compute is. */
  #retire(integrationId: string, entry: Entry): void {
    this.#entries.delete(integrationId)
    entry.database.forgetAddress()
  }
}
