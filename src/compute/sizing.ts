// What gives computes their sizes while they run, and tells what they use. With or without means to enforce anything.

import type { Usage } from '../model/load.ts'
import type { TimelineId } from '../model/ids.ts'

/** In CU. `mostCu`: beyond the memory of this one nothing is had, be it for a moment. */
export type GivenSize = { cu: number; mostCu: number }

export type Sizing = {
  /** Whether a size bounds what its compute uses. Otherwise it is a figure. */
  readonly enforced: boolean
  /** May be repeated, and is to be: what did not fit into a smaller size the last time may fit now. Throws nothing where the compute is gone. */
  resize(id: TimelineId, size: GivenSize): Promise<void>
  /** Full speed from here on, for work of ours, until it is given a size again. */
  lift(id: TimelineId): Promise<void>
  /** What it was given last, by an earlier process of pgrove too. */
  sizeOf(id: TimelineId): number | undefined
  /** At once, so that hundreds can be read in turn. Undefined where it is gone, or nothing can be read. */
  usage(id: TimelineId, pid: number): Usage | undefined
}
