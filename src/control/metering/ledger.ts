// What was used and is not stored yet. Counts in memory only; what it has counted leaves it as the content of a delivery.

import type { BranchId, TimelineId } from '../../model/ids.ts'
import {
  addUsage,
  noUsage,
  type EdgeReading,
  type LogReading,
  type RunningSince,
  type ServedInterval,
  type Usage,
  type UsageDelivery,
  type UsagePlace,
  type UsedBytes,
} from '../../model/usage.ts'

export type UsageContent = Omit<UsageDelivery, 'number' | 'aliveAt'>

const hourMs = 3_600_000

export class Ledger {
  readonly #running = new Map<TimelineId, RunningSince>()
  /** Told of all that is added, as it is added. */
  readonly #added: (place: UsagePlace, usage: Usage, at: number) => void
  #intervals: ServedInterval[] = []
  /** By place and hour. */
  #bytes = new Map<string, UsedBytes>()
  #started = new Set<TimelineId>()
  #stopped = new Set<TimelineId>()
  #logs = new Map<TimelineId, LogReading>()
  #edges = new Map<string, EdgeReading>()
  #branches = new Set<BranchId>()

  constructor(added: (place: UsagePlace, usage: Usage, at: number) => void) {
    this.#added = added
  }

  running(): ReadonlyMap<TimelineId, RunningSince> {
    return this.#running
  }

  /** What served before on this timeline has ended with it. */
  start(compute: RunningSince): void {
    this.accrue(compute.timelineId, compute.since)
    this.#running.set(compute.timelineId, { ...compute })
    this.#started.add(compute.timelineId)
    this.#stopped.delete(compute.timelineId)
  }

  resize(timelineId: TimelineId, cu: number, at: number): void {
    const compute = this.#running.get(timelineId)
    if (!compute || compute.cu === cu) return
    this.accrue(timelineId, at)
    compute.cu = cu
    this.#started.add(timelineId)
  }

  /** Accounts for the time until now. A clock that was set back adds nothing. */
  accrue(timelineId: TimelineId, at: number): void {
    const compute = this.#running.get(timelineId)
    if (!compute || at <= compute.since) return
    this.addInterval({ ...compute, until: at })
    compute.since = at
    this.#started.add(timelineId)
  }

  stop(timelineId: TimelineId, at: number): RunningSince | undefined {
    const compute = this.#running.get(timelineId)
    if (!compute) return undefined
    this.accrue(timelineId, at)
    this.forget(timelineId)
    this.#branches.add(compute.branchId)
    return compute
  }

  /** Runs no more, and its time is accounted for. */
  forget(timelineId: TimelineId): void {
    this.#running.delete(timelineId)
    this.#started.delete(timelineId)
    this.#stopped.add(timelineId)
  }

  addInterval({ projectId, branchId, endpointId, cu, since, until }: ServedInterval): void {
    if (until <= since) return
    this.#intervals.push({ projectId, branchId, endpointId, cu, since, until })
    // By the hour, as it will be stored: what lies on both sides of a month's end is of two periods.
    for (let from = since; from < until;) {
      const end = Math.min(until, (Math.floor(from / hourMs) + 1) * hourMs)
      const activeSeconds = (end - from) / 1000
      this.#added(
        { projectId, branchId, endpointId },
        { ...noUsage, activeSeconds, computeSeconds: activeSeconds * cu },
        from,
      )
      from = end
    }
  }

  addBytes({ projectId, branchId, endpointId, at, writtenBytes, transferBytes }: UsedBytes): void {
    const key = [projectId, branchId, endpointId, Math.floor(at / hourMs)].join(' ')
    const known = this.#bytes.get(key)
    this.#bytes.set(key, {
      projectId,
      branchId,
      endpointId,
      at: known?.at ?? at,
      writtenBytes: writtenBytes + (known?.writtenBytes ?? 0),
      transferBytes: transferBytes + (known?.transferBytes ?? 0),
    })
    this.#added({ projectId, branchId, endpointId }, { ...noUsage, writtenBytes, transferBytes }, at)
  }

  readLog({ timelineId, lsn, writtenBytes }: LogReading): void {
    const known = this.#logs.get(timelineId)
    this.#logs.set(timelineId, { timelineId, lsn, writtenBytes: writtenBytes + (known?.writtenBytes ?? 0) })
  }

  readEdge(reading: EdgeReading): void {
    this.#edges.set(`${reading.run} ${reading.endpointId}`, reading)
  }

  /** Of a project's computes, since they were last accounted for and within the period. */
  runningUsage(projectId: string, periodStart: number, now: number): Usage {
    let usage = noUsage
    for (const compute of this.#running.values()) {
      if (compute.projectId !== projectId) continue
      const activeSeconds = Math.max(0, now - Math.max(compute.since, periodStart)) / 1000
      usage = addUsage(usage, { ...noUsage, activeSeconds, computeSeconds: activeSeconds * compute.cu })
    }
    return usage
  }

  /** Takes out all that there is; undefined where that is nothing. */
  take(): UsageContent | undefined {
    const content: UsageContent = {
      intervals: this.#intervals,
      bytes: [...this.#bytes.values()],
      started: [...this.#started].flatMap((id) => {
        const compute = this.#running.get(id)
        return compute ? [{ ...compute }] : []
      }),
      stopped: [...this.#stopped],
      logs: [...this.#logs.values()],
      edges: [...this.#edges.values()],
      branches: [...this.#branches],
    }
    this.#intervals = []
    for (const part of [this.#bytes, this.#started, this.#stopped, this.#logs, this.#edges, this.#branches])
      part.clear()
    return isEmpty(content) ? undefined : content
  }
}

const isEmpty = (content: UsageContent): boolean => Object.values(content).every((part) => part.length === 0)

/** Two deliveries that follow each other as one. */
export function joined(first: UsageContent, second: UsageContent): UsageContent {
  // Counted anew: a ledger knows how what is of the same thing comes together.
  const ledger = new Ledger(() => {})
  const started = new Map<TimelineId, RunningSince>()
  const stopped = new Set<TimelineId>()
  for (const content of [first, second]) {
    for (const each of content.intervals) ledger.addInterval(each)
    for (const each of content.bytes) ledger.addBytes(each)
    for (const each of content.logs) ledger.readLog(each)
    for (const each of content.edges) ledger.readEdge(each)
    for (const id of content.stopped) {
      started.delete(id)
      stopped.add(id)
    }
    for (const each of content.started) {
      stopped.delete(each.timelineId)
      started.set(each.timelineId, each)
    }
  }
  const counted = ledger.take()
  return {
    intervals: counted?.intervals ?? [],
    bytes: counted?.bytes ?? [],
    logs: counted?.logs ?? [],
    edges: counted?.edges ?? [],
    started: [...started.values()],
    stopped: [...stopped],
    branches: [...new Set([...first.branches, ...second.branches])],
  }
}
