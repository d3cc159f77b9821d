// Integrations at work.

import { KeptInstances } from '../lib/kept-instances.ts'
import type { Logger } from '../lib/logger.ts'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import type { AuthControlPlane, AuthControlPlaneEvents, TargetChanged } from './control-plane.ts'
import type { AuthInstance } from './instance.ts'
import { Targets } from './targets.ts'
import { TenantDatabase } from './tenant-database.ts'

const mostInstances = 200

type Made = { instance: AuthInstance; database: TenantDatabase }

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
  readonly #kept: KeptInstances<AuthTarget, Made>

  constructor(options: InstancesOptions) {
    this.#options = options
    this.#targets = new Targets(options.controlPlane)
    this.#kept = new KeptInstances({
      most: mostInstances,
      idOf: ({ integrationId }) => integrationId,
      versionOf: ({ version }) => version,
      make: (target) => this.#make(target),
      // Whoever still holds it asks anew where the compute is.
      retire: ({ database }) => database.forgetAddress(),
    })
    options.controlPlane.onTargetChanged((changed) => this.#forget(changed))
  }

  /** Undefined where there is none. Throws `unavailable`. */
  async find(name: AuthTargetName): Promise<AuthInstance | undefined> {
    const target = await this.#targets.find(name)
    return target && this.#kept.of(target).instance
  }

  /** Requests have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#kept.take().map(({ database }) => database.close()))
  }

  #make(target: AuthTarget): Made {
    const { controlPlane, role, shared, logger } = this.#options
    const { integrationId, database: name } = target
    const database = new TenantDatabase({ integrationId, role, database: name, controlPlane, logger })
    return { instance: { ...shared, target, database, controlPlane, logger }, database }
  }

  #forget(changed: TargetChanged): void {
    this.#targets.forget(changed)
    const { integrationId, endpointId, what } = changed
    const isAll = integrationId === undefined && endpointId === undefined
    const isMeant = (target: AuthTarget): boolean =>
      isAll || target.integrationId === integrationId || target.endpointId === endpointId
    if (what === 'all') return this.#kept.retire(isMeant)
    this.#kept.each((target, { database }) => {
      if (isMeant(target)) database.forgetAddress()
    })
  }
}
