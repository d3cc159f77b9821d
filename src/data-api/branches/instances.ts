// Data APIs at work.

import { KeptInstances } from '../../lib/kept-instances.ts'
import type { KeySets } from '../../lib/key-sets.ts'
import { KnownTargets } from '../../lib/known-targets.ts'
import type { Logger } from '../../lib/logger.ts'
import type { DataApiTarget, DataApiTargetName } from '../../model/data-api-target.ts'
import { errorChain } from '../../model/errors.ts'
import { DataApi } from '../engine.ts'
import type { SchemaCache } from '../schema-cache/schema-cache.ts'
import { keeperOf } from '../schema-cache-keeper.ts'
import { configOf } from './config-of.ts'
import type { DataApiControlPlane, DataApiControlPlaneEvents, TargetChanged } from './control-plane.ts'
import { TenantConnections } from './tenant-connections.ts'
import { keySourceOf } from './token-keys.ts'

/** Each keeps its schema cache, and a connection while its compute is awake. */
const mostInstances = 500
/** Of all schema caches, in bytes as they were read. */
const mostWeight = 64 * 1024 ** 2

export type Instance = { target: DataApiTarget; engine: DataApi }

type Made = Instance & {
  connections: TenantConnections
  /** Requests that go on with it, also when nobody else is given it any more. */
  atWork: number
  isRetired: boolean
  /** Of what its schema cache was read from, in bytes. */
  weight: number
}

export type InstancesOptions = {
  controlPlane: DataApiControlPlane & DataApiControlPlaneEvents
  /** As which each database is entered. */
  role: string
  keySets: KeySets
  /** Control may be another one than before. */
  renewed: () => void
  logger: Logger
}

export class Instances {
  readonly #options: InstancesOptions
  readonly #targets: KnownTargets<DataApiTargetName, DataApiTarget>
  readonly #kept: KeptInstances<DataApiTarget, Made>
  readonly #ending = new Set<Promise<void>>()

  constructor(options: InstancesOptions) {
    const { controlPlane } = options
    this.#options = options
    this.#targets = new KnownTargets({
      ask: (name) => controlPlane.findTarget(name),
      keyOf: ({ endpointId, database }) => `${endpointId} ${database}`,
    })
    this.#kept = new KeptInstances({
      most: mostInstances,
      idOf: ({ id }) => id,
      versionOf: ({ version }) => version,
      make: (target) => this.#make(target),
      retire: (instance) => this.#end(instance),
    })
    controlPlane.onTargetChanged((changed) => this.#forget(changed))
  }

  /** Undefined where there is none. Throws `unavailable`. Whatever changes meanwhile, `work` goes on with what it was given. */
  async use<T>(name: DataApiTargetName, work: (instance: Instance) => Promise<T>): Promise<T | undefined> {
    const target = await this.#targets.find(name)
    if (!target) return undefined
    const made = this.#kept.of(target)
    made.atWork++
    try {
      return await work(made)
    } finally {
      made.atWork--
      if (made.isRetired) this.#endWhenIdle(made)
    }
  }

  /** Requests have ended. */
  async close(): Promise<void> {
    for (const instance of this.#kept.take()) this.#end(instance)
    await Promise.all(this.#ending)
  }

  #make(target: DataApiTarget): Made {
    const { controlPlane, role, keySets, logger } = this.#options
    const { id, database } = target
    const config = configOf(target)
    const connections: TenantConnections = new TenantConnections({
      dataApiId: id,
      role,
      database,
      controlPlane,
      schemaChanged: () => keeper.reload(),
      logger,
    })
    const keeper = keeperOf(connections, config, logger, { loaded: (bytes) => this.#weigh(made, bytes) })
    const cache = {
      // A compute that has just woken may have another schema.
      get: async () => {
        await connections.ready()
        return await keeper.get()
      },
      again: (known: SchemaCache) => keeper.again(known),
    }
    const keys = keySourceOf(target, keySets, config.jwtRoleClaimKey)
    const engine = new DataApi({ config, connections, cache, keys, logger })
    const made: Made = { target, engine, connections, atWork: 0, isRetired: false, weight: 0 }
    return made
  }

  #weigh(made: Made, bytes: number): void {
    made.weight = bytes
    const all: Made[] = []
    this.#kept.each((_target, each) => void all.push(each))
    let sum = all.reduce((total, { weight }) => total + weight, 0)
    for (const oldest of all) {
      if (sum <= mostWeight) return
      if (oldest === made) continue
      sum -= oldest.weight
      this.#kept.retire(({ id }) => id === oldest.target.id)
    }
  }

  #forget(changed: TargetChanged): void {
    const isMeant = isMeantBy(changed)
    if (changed.what === 'address') {
      this.#kept.each((target, { connections }) => {
        if (isMeant(target)) connections.forgetAddress()
      })
      return
    }
    this.#targets.forget(isMeant)
    this.#kept.retire(isMeant)
    if (isEverything(changed)) this.#options.renewed()
  }

  #end(made: Made): void {
    made.isRetired = true
    this.#endWhenIdle(made)
  }

  #endWhenIdle({ atWork, connections, target }: Made): void {
    if (atWork > 0) return
    const ended = connections.close().catch((error: unknown) => {
      this.#options.logger.debug({ dataApi: target.id, cause: errorChain(error) }, 'connections did not end cleanly')
    })
    this.#ending.add(ended)
    void ended.then(() => this.#ending.delete(ended))
  }
}

const isEverything = ({ dataApiId, endpointId, branchId, projectId }: TargetChanged): boolean =>
  dataApiId === undefined && endpointId === undefined && branchId === undefined && projectId === undefined

function isMeantBy(changed: TargetChanged): (target: DataApiTarget) => boolean {
  const { dataApiId, endpointId, branchId, projectId } = changed
  if (isEverything(changed)) return () => true
  return (target) =>
    target.id === dataApiId ||
    target.endpointId === endpointId ||
    target.branchId === branchId ||
    target.projectId === projectId
}
