// The hard limit behind a project's size quota, where the file system has such limits: should all that is gentler have failed, one tenant
// does not fill the disk under the others.
//
// It is not the quota. It leaves room for what the quota does not count, which is mostly log, so that nobody meets it who is stopped at 110 %
// of his quota in time. At the limit a server may end for want of room for its log; whoever raises the quota gets it back with the next start.

import { failpoint } from '../lib/failpoint.ts'
import { errorChain } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { sizeQuota, type Quotas } from '../model/quota.ts'
import type { ControlContext } from './context.ts'

const gibibyte = 2 ** 30
/** postgresql.conf: max_slot_wal_keep_size, and max_wal_size where a project says nothing else. */
const slotBytes = gibibyte
const defaultWalBytes = gibibyte
/** Finished log that has not been moved to the archive yet. */
const onTheWayBytes = 2 * gibibyte

/** In bytes; undefined: none. Pure. */
export function hardLimitOf(quotas: Quotas, pgSettings: Readonly<Record<string, string>>): number | undefined {
  const quota = quotas[sizeQuota] ?? 0
  if (quota === 0) return undefined
  return Math.ceil(quota * 1.1) + walBytes(pgSettings['max_wal_size']) + slotBytes + onTheWayBytes
}

const units: Readonly<Record<string, number>> = { kB: 1024, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 }

function walBytes(setting: string | undefined): number {
  const [, number, unit = 'MB'] = /^\s*([\d.]+)\s*(kB|MB|GB|TB)?\s*$/.exec(setting ?? '') ?? []
  return number === undefined ? defaultWalBytes : Number(number) * (units[unit] ?? 0)
}

export class HardLimits {
  readonly #context: () => ControlContext
  /** What this process has set already: most calls find nothing to do. */
  readonly #set = new Map<TimelineId, number | undefined>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** May be repeated, and does something where the limit is another one. Never rejects: a limit of yesterday is no reason not to start. */
  async apply(
    timelineId: TimelineId,
    wanted: { quotas: Quotas; pgSettings: Readonly<Record<string, string>> },
  ): Promise<void> {
    const { storage, logger } = this.#context()
    if (!storage.description.hardLimits) return
    const bytes = hardLimitOf(wanted.quotas, wanted.pgSettings)
    if (this.#set.has(timelineId) && this.#set.get(timelineId) === bytes) return
    try {
      await storage.setHardLimit(timelineId, bytes)
      await failpoint('hard_limit.set')
      this.#set.set(timelineId, bytes)
    } catch (error) {
      logger.warn({ timeline: timelineId, cause: errorChain(error) }, 'a hard limit could not be set')
    }
  }

  forget(timelineId: TimelineId): void {
    this.#set.delete(timelineId)
  }
}
