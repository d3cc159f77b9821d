// A copy of a data directory that never changes, from which a point of a timeline's past is replayed.

import type { PgMajor } from './compute.ts'
import type { Lsn } from './lsn.ts'
import type { ImageId } from './ids.ts'

/** `making` → `ready` → `deleting`. Whatever is found `making` after a crash is thrown away. */
export type ImageState = 'making' | 'ready' | 'deleting'

/** From where a copy is replayed: the newest checkpoint that was complete before the copying began. */
export type ReplayStart = { checkpointLsn: Lsn; redoLsn: Lsn; tli: number }

export type Image = ReplayStart & {
  id: ImageId
  state: ImageState
  /** Name of the template that it stands for; undefined where it has a folder of its own. */
  template: string | undefined
  pgMajor: PgMajor
  /** From here on it is one moment of its source: no earlier point can be replayed from it. */
  wholeLsn: Lsn
  wholeAt: Date
}
