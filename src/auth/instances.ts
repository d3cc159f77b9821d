// Integrations at work, made when they are first asked for and kept as long as others are not used more. One that changed is replaced;
// requests that hold the old one finish with it.

import type { Logger } from '../lib/logger.ts'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import type { AuthControlPlane, AuthControlPlaneEvents, TargetChanged } from './control-plane.ts'
import { TenantDatabase } from './tenant-database.ts'
import type { AuthInstance } from './instance.ts'
import { Targets } from './targets.ts'

const mostInstances = 200

type Entry = { instance: AuthInstance; database: TenantDatabase; holders: number; isRetired: boolean }

export type InstancesOptions = {
  controlPlane: AuthControlPlane & AuthControlPlaneEvents
  /** As which each database is entered. */
  role: string
  /** Given to each instance as they are. */
  shared: Pick<AuthInstance, 'developmentProvider' | 'passwords' | 'limits'>
  logger: Logger
}

/** One request's hold on whatever it asked for. */
export type Hold = { find(name: AuthTargetName): Promise<AuthInstance | undefined>; release(): void }

export class Instances {
  readonly #options: InstancesOptions
  readonly #targets: Targets
  readonly #entries = new Map<string, Entry>()

  constructor(options: InstancesOptions) {
    this.#options = options
    this.#targets = new Targets(options.controlPlane)
    options.controlPlane.onTargetChanged((changed) => this.#forget(changed))
  }

  hold(): Hold {
    const held = new Set<Entry>()
    return {
      find: async (name) => {
        const target = await this.#targets.find(name)
        if (!target) return undefined
        const entry = this.#entryOf(target)
        if (!held.has(entry)) entry.holders++
        held.add(entry)
        return entry.instance
      },
      release: () => {
        for (const entry of held) {
          entry.holders--
          closeUnused(entry)
        }
        held.clear()
      },
    }
  }

  /** Requests have ended. */
  async close(): Promise<void> {
    const entries = [...this.#entries.values()]
    this.#entries.clear()
    await Promise.all(entries.map(({ database }) => database.close()))
  }

  #entryOf(target: AuthTarget): Entry {
    const { integrationId } = target
    const known = this.#entries.get(integrationId)
    if (known?.instance.target === target) {
      this.#entries.delete(integrationId)
      this.#entries.set(integrationId, known)
      return known
    }
    // The same, found by another of its names.
    if (known && known.instance.target.version >= target.version) return known
    if (known) this.#retire(integrationId, known)
    const made = this.#make(target)
    this.#entries.set(integrationId, made)
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= mostInstances) break
      this.#retire(oldest, entry)
    }
    return made
  }

  #make(target: AuthTarget): Entry {
    const { controlPlane, role, shared, logger } = this.#options
    const database = new TenantDatabase({
      integrationId: target.integrationId,
      role,
      database: target.database,
      controlPlane,
      logger,
    })
    return { instance: { ...shared, target, database, controlPlane }, database, holders: 0, isRetired: false }
  }

  #forget(changed: TargetChanged): void {
    this.#targets.forget(changed)
    const { integrationId, endpointId, what } = changed
    for (const [id, entry] of this.#entries) {
      const isAll = integrationId === undefined && endpointId === undefined
      if (!isAll && id !== integrationId && entry.instance.target.endpointId !== endpointId) continue
      if (what === 'all') this.#retire(id, entry)
      else entry.database.forgetAddress()
    }
  }

  #retire(integrationId: string, entry: Entry): void {
    this.#entries.delete(integrationId)
    entry.isRetired = true
    // Who still holds it is in the middle of something; where the compute is, is asked again in any case.
    entry.database.forgetAddress()
    closeUnused(entry)
  }
}

function closeUnused(entry: Entry): void {
  if (entry.isRetired && entry.holders === 0) void entry.database.close()
}
