// Where a new control process goes on counting: from what is stored of the computes that ran under the one before. Pure.

import type { EndpointId, TimelineId } from '../../model/ids.ts'
import type { RunningSince, ServedInterval } from '../../model/usage.ts'

/** A compute that was found running and given back to its endpoint. */
export type Adopted = Omit<RunningSince, 'since'> & { endpointId: EndpointId }

export type EndpointTimes = ReadonlyMap<string, { startedAt: number | undefined; suspendedAt: number | undefined }>

export type TakenUp = {
  /** Time of computes that do not run any more, or have run anew since. */
  ended: ServedInterval[]
  gone: TimelineId[]
  running: RunningSince[]
}

/**
 * `rows`: what is stored of running computes. `times`: when their endpoints last started and stopped, which the journal has brought in: it
 * knows of starts and stops that a crash kept out of the rows. Who ended in between unseen, ended at the last sign of life.
 */
export function takeUp(given: {
  rows: readonly RunningSince[]
  adopted: readonly Adopted[]
  times: EndpointTimes
  aliveAt: number
  now: number
}): TakenUp {
  const { rows, adopted, times, aliveAt, now } = given
  const taken: TakenUp = { ended: [], gone: [], running: [] }
  const found = new Map(adopted.map((each) => [each.timelineId, each]))
  for (const row of rows) {
    const compute = found.get(row.timelineId)
    const suspendedAt = times.get(row.endpointId)?.suspendedAt ?? 0
    const hasStopped = suspendedAt > row.since
    if (compute?.endpointId === row.endpointId && !hasStopped) {
      taken.running.push({ ...row })
      found.delete(row.timelineId)
      continue
    }
    const end = hasStopped ? suspendedAt : Math.max(row.since, aliveAt)
    taken.ended.push({ ...row, until: Math.min(end, now) })
    if (!compute) taken.gone.push(row.timelineId)
  }
  for (const compute of found.values()) {
    const { startedAt = now, suspendedAt = 0 } = times.get(compute.endpointId) ?? {}
    taken.running.push({ ...compute, since: startedAt > suspendedAt && startedAt < now ? startedAt : now })
  }
  return taken
}
