// How large each compute is and why. The rule is `model/autoscaling.ts`; here its figures come from a compute, and its answer goes to it.

import { nextSize, withinLimits, type HeldSize, type Load, type Size } from '../model/autoscaling.ts'
import { bytesInCu } from '../model/compute.ts'
import type { TimelineId } from '../model/ids.ts'
import { loadSince, type Readings } from '../model/load.ts'
import type { Serving } from './computes.ts'
import type { ControlContext } from './context.ts'

/** `load`: undefined until a compute was looked at twice, and where the system does not say. */
export type SizeStatus = Size & { enforced: boolean; load: Load | undefined }

type Known = {
  serving: Serving
  held: HeldSize
  readings: Readings | undefined
  load: Load | undefined
  /** Memory is being freed for a smaller size, which may take seconds. */
  isBeingApplied: boolean
}

export class Sizes {
  readonly #context: () => ControlContext
  readonly #known = new Map<TimelineId, Known>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** Undefined where it serves no endpoint. */
  of(timelineId: TimelineId): SizeStatus | undefined {
    const { computes, supervisor } = this.#context()
    const serving = computes.serving().get(timelineId)
    if (!serving) return undefined
    const { held, load } = this.#knownOf(timelineId, serving)
    return { cu: held.cu, reason: held.reason, enforced: supervisor.enforcesSizes, load }
  }

  /** To be called every few seconds for each compute that serves; reads it at once. True where its size has changed. */
  async look(timelineId: TimelineId, serving: Serving): Promise<boolean> {
    const { supervisor, limits } = this.#context()
    const known = this.#knownOf(timelineId, serving)
    if (known.isBeingApplied) return false
    const usage = supervisor.load(timelineId)
    const nowMs = performance.now()
    if (usage) {
      const { load, readings } = loadSince(known.readings, usage, { atMs: nowMs, sizeBytes: known.held.cu * bytesInCu })
      known.readings = readings
      if (load) {
        known.load = load
        known.held = nextSize(known.held, load, serving.scaling, { nowMs, settleMs: limits.scaleDownMs })
      }
    }
    return await this.#apply(timelineId, known)
  }

  /** After an endpoint's limits were changed: they hold when this returns. */
  async limitsChanged(endpointId: string): Promise<void> {
    const found = this.#context().computes.servingEndpoint(endpointId)
    if (!found) return
    const known = this.#knownOf(found.timelineId, found.serving)
    known.held = withinLimits(known.held, found.serving.scaling)
    await this.#apply(found.timelineId, known)
  }

  /** Forgets what does not serve any more. */
  retain(serving: ReadonlyMap<TimelineId, Serving>): void {
    for (const [timelineId, known] of this.#known)
      if (serving.get(timelineId) !== known.serving) this.#known.delete(timelineId)
  }

  /** Repeated where nothing has changed: memory that was in use may be free by now. */
  async #apply(timelineId: TimelineId, known: Known): Promise<boolean> {
    const { supervisor, computes } = this.#context()
    const { serving, held } = known
    known.isBeingApplied = true
    try {
      await supervisor.resize(timelineId, { cu: held.cu, mostCu: serving.scaling.maxCu })
    } finally {
      known.isBeingApplied = false
    }
    if (serving.currentCu === held.cu || computes.serving().get(timelineId) !== serving) return false
    computes.setCu(timelineId, held.cu)
    return true
  }

  #knownOf(timelineId: TimelineId, serving: Serving): Known {
    const known = this.#known.get(timelineId)
    if (known?.serving === serving) return known
    const made = { serving, held: firstSize(serving), readings: undefined, load: undefined, isBeingApplied: false }
    this.#known.set(timelineId, made)
    return made
  }
}

/** One that was found running may be larger than its minimum; what made it so was CPU most likely, and the next looks will tell. */
function firstSize({ currentCu, scaling }: Serving): HeldSize {
  const size: HeldSize = { cu: currentCu, reason: currentCu > scaling.minCu ? 'cpu' : 'minimum' }
  return withinLimits(size, scaling)
}
