// Which endpoint each running compute serves, and the two things that happen to one beside the operations: a wake and a suspension.
//
// A wake is not a mutation. It takes its branch's lock only, and works from the assignment file while the control database is down.

import { SingleFlight } from '../lib/single-flight.ts'
import { failpoint } from '../lib/failpoint.ts'
import { withinLimits, type ScalingLimits } from '../model/autoscaling.ts'
import type { ComputeState } from '../model/compute.ts'
import { AppError, errorChain, isAppError } from '../model/errors.ts'
import { newOperationId, type BranchId, type EndpointId, type ProjectId, type TimelineId } from '../model/ids.ts'
import type { Quotas } from '../model/quota.ts'
import { getEndpointTarget, type EndpointTarget } from '../store/endpoints.ts'
import type { Assignment } from '../compute/assignments.ts'
import { noteAssignment } from './assignments.ts'
import { toComputeSpec } from './compute-spec.ts'
import type { ControlContext } from './context.ts'
import type { Journal } from './journal.ts'
import { nobodyConnected, type AskToPark, type ParkReport } from './parking.ts'
import { assertMayConnect, assertMayStart, type Standings } from './start-gate.ts'
import { sizeNoticeOf } from './quotas/refusals.ts'

export type Serving = {
  endpointId: EndpointId
  projectId: ProjectId
  branchId: BranchId
  suspendTimeoutSeconds: number
  /** Its size at this moment; begins as the endpoint's minimum. Changed by `setCu` only. */
  currentCu: number
  scaling: ScalingLimits
  startedAt: number
  /** Client traffic, and queries seen running at a look. */
  lastActivityAt: number
  /** That have a server connection: one may be at work for long without a byte of traffic. */
  openSessions: number
  /** Sessions at rest whose state only lives in Postgres, when the proxy was asked last: they are waited for, up to a limit. */
  held: { count: number; askedAt: number } | undefined
}

export type Running = {
  socketDir: string
  generation: string
  /** What new sessions are told. */
  notice?: string | undefined
}

/** `notice`: what new sessions are told from now on; null is nothing, undefined is as before. */
export type EndpointListener = (endpointId: string, what: 'address' | 'all', notice?: string | null) => Promise<void>

/** What woke a compute or put it to sleep; API chains have operation rows of their own. */
export type Cause = 'chain' | 'connect' | 'idle' | 'quota' | 'network'

const chainPatienceMs = 60_000
const drainPatienceMs = 2_000
/** Whoever is at work meanwhile uses what there is no more of. */
const farewellPatienceMs = 1_000

export class Computes {
  readonly #context: () => ControlContext
  readonly #journal: Journal
  readonly #wakes = new SingleFlight<Running>()
  readonly #serving = new Map<TimelineId, Serving>()
  readonly #changed = new Set<EndpointListener>()
  #askToPark: AskToPark = async () => nobodyConnected

  constructor(context: () => ControlContext, journal: Journal) {
    this.#context = context
    this.#journal = journal
  }

  /** Called with an endpoint whose address or state is no longer what it was. */
  onChanged(listener: EndpointListener): void {
    this.#changed.add(listener)
  }

  /** Returns when everybody who held an address has dropped it. Never rejects. */
  async changed(endpointId: string): Promise<void> {
    await this.#tell(endpointId, 'all')
  }

  /** As `changed`, where only the place is another one: who may come in is as before. */
  async moved(endpointId: string): Promise<void> {
    await this.#tell(endpointId, 'address')
  }

  /** As `moved`; from now on new sessions are told this. Undefined: nothing. */
  async noticeChanged(endpointId: string, notice: string | undefined): Promise<void> {
    await this.#tell(endpointId, 'address', notice ?? null)
  }

  async #tell(...changed: Parameters<EndpointListener>): Promise<void> {
    await Promise.allSettled([...this.#changed].map((listener) => listener(...changed)))
  }

  /** Who asks the proxy; until then nobody is connected. */
  parkWith(ask: AskToPark): void {
    this.#askToPark = ask
  }

  /** Before a suspension: whoever is at rest and has nothing to lose goes on without its server connection. Not for one that is stopped anyway. */
  async park(endpointId: string, { endHeld }: { endHeld: boolean }): Promise<ParkReport> {
    return await this.#askToPark({ endpointId, mode: 'suspend', patienceMs: 0, endHeld })
  }

  /** Before a compute is stopped that its clients may still use: they get a moment to come to rest, and are set aside. */
  async drain(computeName: string, farewell?: string): Promise<void> {
    const patienceMs = farewell === undefined ? drainPatienceMs : farewellPatienceMs
    const request = { endpointId: computeName, mode: 'drain' as const, patienceMs }
    await this.#askToPark(
      farewell === undefined ? { ...request, endHeld: false } : { ...request, endHeld: true, farewell },
    )
  }

  serving(): ReadonlyMap<TimelineId, Serving> {
    return this.#serving
  }

  servingEndpoint(endpointId: string): { timelineId: TimelineId; serving: Serving } | undefined {
    for (const [timelineId, serving] of this.#serving)
      if (serving.endpointId === endpointId) return { timelineId, serving }
    return undefined
  }

  state(timelineId: TimelineId | undefined, endpointId: string): ComputeState {
    if (timelineId === undefined) return { kind: 'stopped' }
    const state = this.#context().supervisor.state(timelineId)
    const serving = this.#serving.get(timelineId)
    // A compute that runs for its branch only (a role is being changed, say) is not this endpoint's.
    if (state.kind === 'running' && serving?.endpointId !== endpointId) return { kind: 'stopped' }
    return state
  }

  /**
   * What lies in the future did not happen: whoever tells us is not trusted to keep a compute awake for ever. `openSessions`: where it is known
   * there.
   */
  noteActivity(endpointId: string, at: number, openSessions?: number): void {
    const found = this.servingEndpoint(endpointId)
    if (found && openSessions !== undefined) found.serving.openSessions = openSessions
    const seen = Math.min(at, Date.now())
    if (!found || seen <= found.serving.lastActivityAt) return
    found.serving.lastActivityAt = seen
    found.serving.held = undefined
  }

  /** Of a compute found running at boot. */
  adopt(target: EndpointTarget & { timelineId: TimelineId }, startedAt: number): void {
    if (target.place) this.#context().activeComputes.take(target.endpointId, target.place)
    const serving = servingOf(target)
    const cu = this.#context().supervisor.sizeOf(target.timelineId) ?? serving.currentCu
    this.#serving.set(target.timelineId, {
      ...serving,
      currentCu: withinLimits({ cu, reason: 'cpu' }, serving.scaling).cu,
      startedAt,
      lastActivityAt: Date.now(),
      openSessions: 0,
      held: undefined,
    })
  }

  forget(timelineId: TimelineId): void {
    const serving = this.#serving.get(timelineId)
    this.#serving.delete(timelineId)
    if (!serving) return
    void this.#context().metering.ended(timelineId)
    this.#context().activeComputes.release(serving.endpointId)
    void this.changed(serving.endpointId)
  }

  setSuspendTimeout(endpointId: string, seconds: number): void {
    const found = this.servingEndpoint(endpointId)
    if (found) found.serving.suspendTimeoutSeconds = seconds
  }

  setScaling(endpointId: string, limits: ScalingLimits): void {
    const found = this.servingEndpoint(endpointId)
    if (found) found.serving.scaling = limits
  }

  /** Of a compute that serves; what was used until now is accounted at the size it had. */
  setCu(timelineId: TimelineId, cu: number): void {
    const serving = this.#serving.get(timelineId)
    if (!serving || serving.currentCu === cu) return
    serving.currentCu = cu
    this.#context().metering.resized(timelineId, cu)
  }

  /** Many connects at once are one wake. Throws endpoint_not_found, endpoint_disabled, quota_exceeded, compute_start_failed, unavailable. */
  wake(endpointId: string): Promise<Running> {
    return this.#wakes.run(endpointId, () => this.#wake(endpointId, { isActivity: true }))
  }

  /** As `wake`, for whoever can do without the compute at any moment: one that runs already does not stay awake for it. */
  wakeInPassing(endpointId: string): Promise<Running> {
    return this.#wakes.run(`${endpointId} in passing`, () => this.#wake(endpointId, { isActivity: false }))
  }

  async #wake(endpointId: string, { isActivity }: { isActivity: boolean }): Promise<Running> {
    const { store, branchLocks } = this.#context()
    try {
      const seen = await this.#wakeableTarget(endpointId)
      assertMayConnect(seen)
      const running = await this.#runningFor(seen, { isActivity })
      if (running) return withNotice(running, seen)
      using _lock = await branchLocks.acquire(seen.branchId, `wake of ${endpointId}`)
      // Whoever had the lock may have deleted, disabled or moved what we looked at.
      const target = assertWakeable(await getEndpointTarget(store, endpointId))
      await assertMayStart(this.#context(), target)
      return withNotice(await this.start(target, 'connect'), target)
    } catch (error) {
      if (!isAppError(error, 'control_database_unavailable')) throw error
      return await this.#wakeFromAssignment(endpointId, error)
    }
  }

  async #runningFor(
    { timelineId, endpointId }: EndpointTarget & { timelineId: TimelineId },
    { isActivity }: { isActivity: boolean },
  ): Promise<Running | undefined> {
    const serving = this.#serving.get(timelineId)
    if (serving?.endpointId !== endpointId) return undefined
    const running = await this.#context().supervisor.answering(timelineId)
    // Put to sleep since: then there is a lock to wait for.
    if (!running || this.#serving.get(timelineId) !== serving) return undefined
    // Who asks is about to connect and cannot be seen in Postgres yet: whoever is making up his mind to suspend it looks at this.
    if (isActivity) serving.lastActivityAt = Date.now()
    return running
  }

  async #wakeableTarget(endpointId: string): Promise<EndpointTarget & { timelineId: TimelineId }> {
    const { store, runner } = this.#context()
    const deadline = Date.now() + chainPatienceMs
    for (;;) {
      const target = await getEndpointTarget(store, endpointId)
      if (!target) throw new AppError('endpoint_not_found', `endpoint ${endpointId} not found`)
      if (target.disabled) throw new AppError('endpoint_disabled', `endpoint ${endpointId} is disabled`)
      const settled = target.branchReady && !target.busy
      if (settled) return assertWakeable(target)
      if (!(await runner.whenQuiet(target.projectId, deadline - Date.now()))) {
        throw new AppError('unavailable', `endpoint ${endpointId} is being worked on; try again shortly`, {
          retryAfterSeconds: 1,
        })
      }
    }
  }

  async #wakeFromAssignment(endpointId: string, cause: unknown): Promise<Running> {
    const { assignments, branchLocks, logger } = this.#context()
    const assignment = await assignments.read(endpointId)
    if (!assignment) throw cause
    if (assignment.disabled) throw new AppError('endpoint_disabled', `endpoint ${endpointId} is disabled`)
    const standings = { usageStandings: assignment.usageStandings, sizeStanding: assignment.sizeStanding }
    assertMayConnect(standings)
    logger.warn({ endpoint: endpointId, cause: errorChain(cause) }, 'waking from the assignment file')
    using _lock = await branchLocks.acquire(assignment.branchId, `wake of ${endpointId}`)
    return withNotice(await this.#startAssigned(assignment, 'connect'), standings)
  }

  /** The caller holds the branch's lock. */
  async start(target: EndpointTarget & { timelineId: TimelineId }, cause: Cause): Promise<Running> {
    const assignment: Assignment = {
      endpointId: target.endpointId,
      projectId: target.projectId,
      branchId: target.branchId,
      disabled: target.disabled,
      suspendTimeoutSeconds: target.suspendTimeoutSeconds,
      maxCu: target.maxCu,
      spec: toComputeSpec(target, this.#context()),
      usageStandings: target.usageStandings,
      sizeStanding: target.sizeStanding,
    }
    const { activeComputes, hardLimits, supervisor } = this.#context()
    if (target.place) activeComputes.take(target.endpointId, target.place)
    const quotas = (target.projectSettings['quota'] ?? {}) as Quotas
    const limited = hardLimits.apply(target.timelineId, { quotas, pgSettings: target.pgSettings })
    // One that has ended for want of room gets it before it starts.
    if (!supervisor.address(target.timelineId)) await limited
    try {
      const running = await this.#startAssigned(assignment, cause)
      // Whoever had claimed it for a call that failed has given it back meanwhile.
      if (target.place && this.servingEndpoint(target.endpointId)) activeComputes.take(target.endpointId, target.place)
      return running
    } catch (error) {
      if (!this.servingEndpoint(target.endpointId)) activeComputes.release(target.endpointId)
      throw error
    }
  }

  async #startAssigned(assignment: Assignment, cause: Cause): Promise<Running> {
    const { supervisor, metering, logger } = this.#context()
    const { timelineId } = assignment.spec
    const known = this.#serving.get(timelineId)
    const ids = {
      endpointId: assignment.endpointId as EndpointId,
      projectId: assignment.projectId as ProjectId,
      branchId: assignment.branchId as BranchId,
    }
    const startedAt = Date.now()
    const wasServing = known?.endpointId === assignment.endpointId && supervisor.state(timelineId).kind === 'running'
    try {
      const running = await supervisor.ensureRunning(assignment.spec)
      if (!wasServing) {
        const at = Date.now()
        const serving: Serving = {
          ...ids,
          suspendTimeoutSeconds: assignment.suspendTimeoutSeconds,
          currentCu: assignment.spec.minCu,
          scaling: scalingOf(assignment),
          startedAt: at,
          lastActivityAt: at,
          openSessions: 0,
          held: undefined,
        }
        this.#serving.set(timelineId, serving)
        metering.began(timelineId, serving)
        await failpoint('wake.serving')
        // For a wake while the control database is down; nobody has to wait for it.
        void noteAssignment(this.#context(), assignment)
        await failpoint('wake.assigned')
        const ms = at - startedAt
        logger.info(
          { endpoint: ids.endpointId, timeline: timelineId, process: running.pid, ms, cause },
          'compute started',
        )
        this.#record({ ...ids, action: 'start_compute', startedAt, durationMs: ms, cause })
        void this.moved(ids.endpointId)
      }
      return running
    } catch (error) {
      logger.error(
        { endpoint: ids.endpointId, timeline: timelineId, cause: errorChain(error) },
        'compute did not start',
      )
      if (cause !== 'chain') {
        this.#record({
          ...ids,
          action: 'start_compute',
          startedAt,
          durationMs: Date.now() - startedAt,
          cause,
          error: 'the compute did not start',
        })
      }
      throw error
    }
  }

  /**
   * Stops a compute, whoever it serves. The caller holds the branch's lock, and has parked its sessions where the cause is that it is idle.
   * `drains`: what is connected is given a moment to set itself aside, since it may go on afterwards; there is no afterwards where the
   * endpoint is going away. `farewell`: what those are told who could not.
   */
  async suspend(
    timelineId: TimelineId,
    cause: Cause,
    { drains = cause !== 'idle', farewell }: { drains?: boolean; farewell?: string } = {},
  ): Promise<void> {
    const { supervisor, sessions, metering, logger } = this.#context()
    const serving = this.#serving.get(timelineId)
    const startedAt = Date.now()
    // First out of the books, so that a connect from here on asks for a wake and waits for our lock.
    this.#serving.delete(timelineId)
    if (serving) await this.moved(serving.endpointId)
    if (serving && drains) {
      await this.drain(serving.endpointId, farewell)
      await metering.measureBeforeStop(timelineId, serving.branchId)
    }
    sessions.close(timelineId)
    try {
      await supervisor.ensureStopped(timelineId, 'fast')
    } catch (error) {
      if (serving) this.#serving.set(timelineId, serving)
      throw error
    }
    if (!serving) return
    this.#context().activeComputes.release(serving.endpointId)
    await failpoint('suspend.stopped')
    await metering.ended(timelineId)
    const ms = Date.now() - startedAt
    logger.info({ endpoint: serving.endpointId, timeline: timelineId, ms, cause }, 'compute suspended')
    this.#record({
      endpointId: serving.endpointId,
      projectId: serving.projectId,
      branchId: serving.branchId,
      action: 'suspend_compute',
      startedAt,
      durationMs: ms,
      lastActiveAt: serving.lastActivityAt,
      cause,
    })
  }

  /**
   * After an endpoint was deleted or disabled: a wake that had looked at it before that may have started its compute since. Waits for
   * such a wake, and takes back what it did.
   */
  async dismiss(branchId: BranchId, endpointId: EndpointId): Promise<void> {
    using _lock = await this.#context().branchLocks.acquire(branchId, `dismissal of ${endpointId}`)
    const found = this.servingEndpoint(endpointId)
    if (found) await this.suspend(found.timelineId, 'chain', { drains: false })
    await this.#context().assignments.remove(endpointId)
  }

  #record(entry: {
    endpointId: EndpointId
    projectId: ProjectId
    branchId: BranchId
    action: 'start_compute' | 'suspend_compute'
    startedAt: number
    durationMs: number
    lastActiveAt?: number
    error?: string
    cause: Cause
  }): void {
    const { cause, ...rest } = entry
    this.#journal.append({ operationId: newOperationId(), recordOperation: cause !== 'chain', ...rest })
  }
}

function servingOf(
  target: EndpointTarget,
): Pick<Serving, 'endpointId' | 'projectId' | 'branchId' | 'suspendTimeoutSeconds' | 'currentCu' | 'scaling'> {
  return {
    endpointId: target.endpointId,
    projectId: target.projectId,
    branchId: target.branchId,
    suspendTimeoutSeconds: target.suspendTimeoutSeconds,
    currentCu: target.minCu,
    scaling: { minCu: target.minCu, maxCu: target.maxCu },
  }
}

function scalingOf({ spec, maxCu = spec.minCu }: Assignment): ScalingLimits {
  return { minCu: spec.minCu, maxCu: Math.max(spec.minCu, maxCu) }
}

function withNotice(running: Running, { sizeStanding }: Standings): Running {
  const notice = sizeNoticeOf(sizeStanding)
  return notice === undefined ? running : { ...running, notice }
}

function assertWakeable(target: EndpointTarget | undefined): EndpointTarget & { timelineId: TimelineId } {
  if (!target) throw new AppError('endpoint_not_found', 'endpoint not found')
  if (target.disabled) throw new AppError('endpoint_disabled', `endpoint ${target.endpointId} is disabled`)
  const { timelineId } = target
  if (timelineId === undefined) {
    throw new AppError('unavailable', `endpoint ${target.endpointId} has no data yet; try again shortly`, {
      retryAfterSeconds: 1,
    })
  }
  return { ...target, timelineId }
}
