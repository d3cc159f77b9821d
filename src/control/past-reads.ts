// Reading a branch as it was: a connection with `options=neon_lsn:…` or `neon_timestamp:…` gets a compute of its own at that point.
//
// The point is placed as for a branch and then started as a standby of nobody, so that Postgres itself refuses to write. It lives while
// somebody reads from it; no row but its timeline's knows of it, and whatever a crash leaves is removed at the next start.

import { readActivity } from '../compute/activity.ts'
import { assertReplayedTo, makeStandby } from '../compute/placement.ts'
import { failpoint } from '../lib/failpoint.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Branch } from '../model/branch.ts'
import type { ComputeSpec } from '../model/compute.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../model/ids.ts'
import { formatLsn, type Lsn } from '../model/lsn.ts'
import { getBranch } from '../store/branches.ts'
import { getEndpointTarget } from '../store/endpoints.ts'
import { branchSpec, withClient } from './branch-compute.ts'
import { toComputeSpec } from './compute-spec.ts'
import type { Running } from './computes.ts'
import type { ControlContext } from './context.ts'
import { originOf, placeTimeline, withoutReceiving } from './placing.ts'
import { assertMayConnect, assertMayStart } from './start-gate.ts'
import { parsePoint, resolvePoint, type Point, type ResolvedPoint } from './points.ts'
import { removeTimeline } from './timeline-removal.ts'

/** `ep-…@lsn:0/1A2B3C8` or `ep-…@timestamp:2026-…`: what the proxy asks to be woken. */
const address = /^([a-z0-9-]+)@(lsn|timestamp):(.+)$/i

/** Without a connection, milliseconds. */
const idleMs = 60_000
/** A tenant who asks for ever other moments would otherwise fill the machine. */
const mostPerEndpoint = 4

type PastRead = {
  endpointId: EndpointId
  projectId: ProjectId
  branchId: BranchId
  timelineId: TimelineId
  running: Running
  lastUsedAt: number
  /** As clients call it: many names may come to the same place. */
  names: Set<string>
}

export class PastReads {
  readonly #context: () => ControlContext
  readonly #flights = new SingleFlight<Running>()
  /** By endpoint, source timeline and place in its log. */
  readonly #open = new Map<string, PastRead>()
  readonly #making = new Set<TimelineId>()

  constructor(context: () => ControlContext) {
    this.#context = context
  }

  /** Undefined where the address names no point: it is an endpoint's own compute that is asked for. */
  static parse(
    name: string,
  ): { endpointId: string; lsn: string | undefined; timestamp: string | undefined } | undefined {
    const [, endpointId, kind, value] = address.exec(name) ?? []
    if (endpointId === undefined || value === undefined) return undefined
    const isLsn = kind?.toLowerCase() === 'lsn'
    return { endpointId, lsn: isLsn ? value : undefined, timestamp: isLsn ? undefined : value }
  }

  /** Of computes that clients may be reading from. */
  timelines(): TimelineId[] {
    return [...this.#open.values()].map(({ timelineId }) => timelineId)
  }

  /** Timelines that look forsaken and are not. */
  isServing(id: TimelineId): boolean {
    return this.#making.has(id) || [...this.#open.values()].some((read) => read.timelineId === id)
  }

  /** Throws endpoint_not_found, endpoint_disabled, bad_request for a point that cannot be had, rate_limited. */
  wake(asked: { endpointId: string; lsn: string | undefined; timestamp: string | undefined }): Promise<Running> {
    return this.#flights.run(JSON.stringify(asked), () => this.#wake(asked))
  }

  async #wake(asked: { endpointId: string; lsn: string | undefined; timestamp: string | undefined }): Promise<Running> {
    const control = this.#context()
    const target = await getEndpointTarget(control.store, asked.endpointId)
    if (!target) throw new AppError('endpoint_not_found', `endpoint ${asked.endpointId} not found`)
    if (target.disabled) throw new AppError('endpoint_disabled', `endpoint ${asked.endpointId} is disabled`)
    assertMayConnect(target)
    const branch = await getBranch(control.store, target.projectId, target.branchId)
    if (!branch?.timelineId) throw new AppError('unavailable', `endpoint ${asked.endpointId} has no data yet`)
    using _lock = await control.historyLocks.acquire(branch.timelineId, 'past read')
    const resolved = await resolvePoint(control, branch, parsePoint(asked.lsn, asked.timestamp, new Date()))
    const key = `${target.endpointId}/${branch.timelineId}/${formatLsn(resolved.lsn)}`
    const known = this.#open.get(key)
    if (known) {
      known.lastUsedAt = Date.now()
      known.names.add(nameOf(asked))
      if (await control.supervisor.answering(known.timelineId)) return known.running
      await this.#close(key, known)
    }
    await this.#makeRoom(target.endpointId)
    await assertMayStart(control, target, key)
    let timelineId: TimelineId | undefined
    try {
      timelineId = await this.#place(control, resolved)
      const { serviceKeyId } = resolved.timeline
      const spec = toComputeSpec({ ...target, timelineId, serviceKeyId }, control)
      await this.#recover(control, spec, resolved.lsn)
      await control.supervisor.ensureStopped(timelineId, 'fast')
      await makeStandby(control.storage.timelineDir(timelineId), spec.owner)
      const running = await control.supervisor.ensureRunning(spec, { fresh: true })
      const { endpointId, projectId, branchId } = target
      const names = new Set([nameOf(asked)])
      this.#open.set(key, { endpointId, projectId, branchId, timelineId, running, lastUsedAt: Date.now(), names })
      return running
    } catch (error) {
      control.activeComputes.release(key)
      if (timelineId) await removeTimeline(control, timelineId)
      throw error
    } finally {
      if (timelineId) this.#making.delete(timelineId)
    }
  }

  /** A compute of the branch at a point, for one piece of work of ours; nothing of it is left. */
  async during<T>(branch: Branch, point: Point, work: (timelineId: TimelineId) => Promise<T>): Promise<T> {
    const control = this.#context()
    if (!branch.timelineId) throw new AppError('unavailable', `branch ${branch.id} has no data yet`)
    let timelineId: TimelineId | undefined
    try {
      {
        using _lock = await control.historyLocks.acquire(branch.timelineId, 'past read')
        const resolved = await resolvePoint(control, branch, point)
        timelineId = await this.#place(control, resolved)
        const spec = await branchSpec(control, branch)
        await this.#recover(control, { ...spec, timelineId }, resolved.lsn)
      }
      return await work(timelineId)
    } finally {
      if (timelineId) {
        this.#making.delete(timelineId)
        await removeTimeline(control, timelineId)
      }
    }
  }

  async #place(control: ControlContext, resolved: ResolvedPoint): Promise<TimelineId> {
    return await placeTimeline(control, { ...resolved, ...originOf(resolved.timeline) }, async (_sql, id) => {
      this.#making.add(id)
    })
  }

  /** Never made durable: it does not outlive us. */
  async #recover(control: ControlContext, spec: ComputeSpec, lsn: Lsn): Promise<void> {
    await control.supervisor.ensureRunning(withoutReceiving(spec), { fresh: true })
    await assertReplayedTo(control.storage.timelineDir(spec.timelineId), lsn)
    await failpoint('past_read.recovered')
  }

  /** The one that was used longest ago goes, unless somebody is connected to it. */
  async #makeRoom(endpointId: EndpointId): Promise<void> {
    const open = [...this.#open].filter(([, read]) => read.endpointId === endpointId)
    if (open.length < mostPerEndpoint) return
    for (const [key, read] of open.toSorted(([, a], [, b]) => a.lastUsedAt - b.lastUsedAt)) {
      const { sessions } = await withClient(this.#context(), read.timelineId, readActivity)
      if (sessions === 0) return await this.#close(key, read)
    }
    throw new AppError('rate_limited', `at most ${mostPerEndpoint} past points of an endpoint can be read at once`)
  }

  noteActivity(name: string, at: number): void {
    const asked = PastReads.parse(name)
    if (!asked) return
    for (const read of this.#open.values()) {
      if (read.endpointId === asked.endpointId && at > read.lastUsedAt) read.lastUsedAt = Math.min(at, Date.now())
    }
  }

  /** To be called every few seconds: ends what nobody reads from any more. */
  async closeIdle(): Promise<void> {
    const control = this.#context()
    for (const [key, read] of this.#open) {
      if (Date.now() - read.lastUsedAt < idleMs) continue
      try {
        const { sessions } = await withClient(control, read.timelineId, readActivity)
        if (sessions > 0) read.lastUsedAt = Date.now()
        else await this.#close(key, read)
      } catch (error) {
        control.logger.warn(
          { timeline: read.timelineId, cause: errorChain(error) },
          'a past read could not be looked at',
        )
        await this.#close(key, read)
      }
    }
  }

  /** The endpoint is gone, disabled or serves other data: its past is to be asked for anew. */
  async endpointChanged(endpointId: string): Promise<void> {
    for (const [key, read] of this.#open) {
      const target = read.endpointId === endpointId && (await getEndpointTarget(this.#context().store, endpointId))
      if (target === false || (target && !target.disabled && target.branchId === read.branchId)) continue
      await this.#close(key, read)
    }
  }

  /** Whose past is being read at the moment. */
  projects(): ProjectId[] {
    return [...this.#open.values()].map((read) => read.projectId)
  }

  /** Its clients are set aside, and those that cannot be are told `farewell`. */
  async closeOf(projectId: ProjectId, farewell: string): Promise<void> {
    for (const [key, read] of this.#open) {
      if (read.projectId !== projectId) continue
      this.#open.delete(key)
      this.#context().activeComputes.release(key)
      for (const name of read.names) {
        await this.#context().computes.moved(name)
        await this.#context().computes.drain(name, farewell)
      }
      await removeTimeline(this.#context(), read.timelineId)
    }
  }

  async closeAll(): Promise<void> {
    for (const [key, read] of this.#open) await this.#close(key, read)
  }

  async #close(key: string, read: PastRead): Promise<void> {
    this.#open.delete(key)
    this.#context().activeComputes.release(key)
    await removeTimeline(this.#context(), read.timelineId)
  }
}

const nameOf = ({
  endpointId,
  lsn,
  timestamp,
}: {
  endpointId: string
  lsn: string | undefined
  timestamp: string | undefined
}): string => (lsn === undefined ? `${endpointId}@timestamp:${timestamp}` : `${endpointId}@lsn:${lsn}`)
