// What was used: counted as it happens, stored by the hour, and told for the current period within seconds.
//
// Every source has a reading that only grows: a compute's time, a timeline's log, what a run of the proxy has sent. What is new of it is
// accounted for in the transaction that stores the reading, so nothing counts twice, and whoever comes after a crash goes on from there.

import { failpoint } from '../../lib/failpoint.ts'
import { errorChain, isAppError } from '../../model/errors.ts'
import type { BranchId, TimelineId } from '../../model/ids.ts'
import {
  addUsage,
  periodOf,
  type PeriodUsage,
  type ProjectStorage,
  type Usage,
  type UsagePlace,
} from '../../model/usage.ts'
import {
  forgetOldUsage,
  listEdgeReadings,
  listEndpointPlaces,
  listEndpointTimes,
  sumBranchUsage,
  sumProjectUsage,
} from '../../store/usage.ts'
import { currentStorage } from '../../store/usage-levels.ts'
import type { Serving } from '../computes.ts'
import type { ControlContext } from '../context.ts'
import { Deliveries } from './deliveries.ts'
import { EdgeTotals, isAbsurd, type EdgeTotal } from './edge-totals.ts'
import { Ledger } from './ledger.ts'
import { LogReadings } from './log-readings.ts'
import { LogicalSizes } from './logical-sizes.ts'
import { PeriodTotals, type StoreOptions } from './period-totals.ts'
import { takeUp } from './take-up.ts'

const hourMs = 3_600_000
const measureEveryMs = 60_000
const measuresARound = 4
/** The API goes a year back; hours before that are of no use. */
const keptMs = 400 * 24 * hourMs

export class Metering {
  readonly #context: () => ControlContext
  readonly #deliveries: () => Deliveries
  readonly #ledger: Ledger
  readonly #edges = new EdgeTotals()
  readonly #logs: LogReadings
  readonly #sizes: LogicalSizes
  readonly #totals: PeriodTotals
  #sending: Promise<unknown> = Promise.resolve()
  #hour = Math.floor(Date.now() / hourMs)
  #warnedOfJump = false

  constructor(context: () => ControlContext, folder: string) {
    this.#context = context
    let deliveries: Deliveries | undefined
    this.#deliveries = () => {
      const { store, cell, processId, logger } = context()
      return (deliveries ??= new Deliveries({ folder, store, cell, run: processId, logger }))
    }
    this.#ledger = new Ledger((place, usage, at) => this.#totals.add(place.projectId, usage, at))
    this.#logs = new LogReadings(context, this.#ledger)
    this.#sizes = new LogicalSizes(context)
    this.#totals = new PeriodTotals(context, {
      store: (options) => this.#send(options),
      isLocal: (projectId) => this.#serves(projectId),
    })
  }

  /** When what runs has been given back to its endpoints, and the journal has been brought in. */
  async open(): Promise<void> {
    const { store, computes } = this.#context()
    const { aliveAt, running: rows } = await this.#deliveries().open()
    const now = Date.now()
    const serving = [...computes.serving()]
    const adopted = serving.map(([timelineId, each]) => ({ timelineId, ...placeOf(each), cu: each.currentCu }))
    const times = await listEndpointTimes(store, [
      ...new Set([...rows, ...adopted].flatMap(({ endpointId }) => (endpointId === '' ? [] : [endpointId]))),
    ])
    const taken = takeUp({ rows, adopted, times, aliveAt, now })
    for (const interval of taken.ended) this.#ledger.addInterval(interval)
    for (const timelineId of taken.gone) this.#ledger.forget(timelineId)
    await this.#logs.readLeft(rows.filter(({ timelineId }) => taken.gone.includes(timelineId)))
    for (const compute of taken.running) this.#ledger.start(compute)
    for (const [timelineId, { currentCu }] of serving) {
      this.#ledger.resize(timelineId, currentCu, now)
      this.#logs.positions.begin(timelineId)
    }
    await failpoint('usage.opened')
    await this.#send()
  }

  /** `stopsComputes`: all that serves is about to end. */
  async close({ stopsComputes }: { stopsComputes: boolean }): Promise<void> {
    if (stopsComputes) {
      for (const timelineId of this.#ledger.running().keys()) await this.ended(timelineId)
    }
    await this.#collectTransfer()
    await this.#send()
  }

  /** What was counted until now is in the rows when this returns, as far as the database takes it. Never rejects. */
  async settle(): Promise<void> {
    await this.#send()
  }

  /** Once a second. */
  async round(): Promise<void> {
    const now = Date.now()
    const hour = Math.floor(now / hourMs)
    if (hour !== this.#hour) {
      this.#hour = hour
      for (const timelineId of this.#ledger.running().keys()) this.#ledger.accrue(timelineId, now)
    }
    await this.#logs.readDue(now)
    await this.#collectTransfer()
    await this.#measureSizes(now)
    await this.#send()
  }

  /** Now and then: what is of no use any more. */
  async forgetOld(): Promise<void> {
    const { store, cell } = this.#context()
    await forgetOldUsage(store, cell, this.#edges.runs(), new Date(Date.now() - keptMs))
    this.#totals.forgetUnused()
  }

  /** A compute serves its endpoint from now on. */
  began(timelineId: TimelineId, serving: Serving): void {
    this.#ledger.start({ timelineId, ...placeOf(serving), cu: serving.currentCu, since: Date.now() })
    this.#logs.positions.begin(timelineId)
  }

  /** What was used until now counts at the size it had. */
  resized(timelineId: TimelineId, cu: number): void {
    this.#ledger.resize(timelineId, cu, Date.now())
  }

  /** It has stopped, or died. Never rejects. */
  async ended(timelineId: TimelineId): Promise<void> {
    const compute = this.#ledger.running().get(timelineId)
    if (!compute) return
    const place = { ...compute }
    using _kept = this.#logs.positions.keep(timelineId)
    this.#ledger.stop(timelineId, Date.now())
    this.#sizes.forget(timelineId)
    await this.#logs.readSoon(timelineId, place)
    await failpoint('usage.ended').catch(() => {})
  }

  /** Before a compute that is in use is stopped: asleep, it cannot say how much it holds. */
  async measureBeforeStop(timelineId: TimelineId, branchId: BranchId): Promise<void> {
    await this.#logs.readSoon(timelineId, this.#ledger.running().get(timelineId))
    const position = this.#logs.positions.position(timelineId)
    if (this.#sizes.isOutdated(timelineId, position)) await this.#sizes.measure(timelineId, branchId, position)
  }

  /** What is being made of a timeline is not its tenant's writing, until `logBegins`. */
  holdLog(timelineId: TimelineId): void {
    this.#logs.positions.hold(timelineId)
  }

  /** All that the log has so far is not the tenant's. Never rejects. */
  async logBegins(timelineId: TimelineId): Promise<void> {
    await this.#logs.skip(timelineId)
  }

  /** We wrote so many bytes into the log of a tenant's timeline. */
  wroteOurselves(timelineId: TimelineId, bytes: bigint): void {
    this.#logs.positions.addOurs(timelineId, bytes)
  }

  /** `run`: of the proxy whose totals these are. May be repeated. */
  noteTransfer(run: string, totals: readonly EdgeTotal[]): void {
    this.#edges.note(run, totals)
  }

  /** Of the current calendar month. Cheap: may be asked for each active project every second. Throws `control_database_unavailable`. */
  async periodUsage(projectId: string): Promise<PeriodUsage> {
    const now = new Date()
    const { start, end } = periodOf(now)
    const stored = await this.#totals.get(projectId, start)
    const running = this.#ledger.runningUsage(projectId, start.getTime(), now.getTime())
    return { ...addUsage(stored, running), periodStart: start, periodEnd: end }
  }

  /** Of many projects in the current month, as of a second ago; none for one that used nothing. */
  async usageOf(projectIds: readonly string[]): Promise<Map<string, Usage>> {
    if (projectIds.length === 0) return new Map()
    return await sumProjectUsage(this.#context().store, projectIds, periodOf(new Date()).start, undefined)
  }

  /** Of a project's branches in the current month, each with its running compute; none for a branch that used nothing. */
  async branchUsage(projectId: string): Promise<Map<string, Usage>> {
    await this.settle()
    return await sumBranchUsage(this.#context().store, projectId, periodOf(new Date()).start)
  }

  /** What a branch's databases hold, in bytes; of a running branch that was written to, at most a few seconds old. Undefined: never measured. */
  async logicalSize(branchId: string): Promise<number | undefined> {
    for (const [timelineId, compute] of this.#ledger.running()) {
      if (compute.branchId !== branchId) continue
      await this.#logs.readIfUsed(timelineId, compute)
      const bytes = await this.#sizes.current(timelineId, compute.branchId, this.#logs.positions.position(timelineId))
      if (bytes !== undefined) return bytes
    }
    const [row] = await this.#context().store.query<{ bytes: number | null }>(
      'select logical_size_bytes as bytes from branches where id = $1',
      [branchId],
    )
    return row?.bytes ?? undefined
  }

  /** As it was last measured: at the last suspension, and every so often while a compute runs. */
  async projectStorage(projectId: string): Promise<ProjectStorage> {
    return await currentStorage(this.#context().store, projectId)
  }

  #serves(projectId: string): boolean {
    return [...this.#ledger.running().values()].some((compute) => compute.projectId === projectId)
  }

  async #collectTransfer(): Promise<void> {
    if (!this.#edges.hasNews) return
    const { store, cell } = this.#context()
    try {
      const unknown = this.#edges.unknownRuns()
      if (unknown.length > 0) this.#edges.learn(unknown, await listEdgeReadings(store, cell, unknown))
      const growths = this.#edges.growths()
      const places = await this.#placesOf(growths.map(({ reading }) => endpointOf(reading.endpointId)))
      const at = Date.now()
      for (const growth of growths) {
        const place = places.get(endpointOf(growth.reading.endpointId))
        if (!place) {
          this.#edges.forget(growth.reading)
          continue
        }
        this.#edges.settle(growth.reading)
        this.#ledger.readEdge(growth.reading)
        if (!isAbsurd(growth)) {
          this.#ledger.addBytes({ ...place, at, writtenBytes: 0, transferBytes: growth.bytes })
        } else if (!this.#warnedOfJump) {
          this.#warnedOfJump = true
          this.#context().logger.warn({ ...growth.reading }, 'the proxy claims to have sent more than it can have')
        }
      }
    } catch (error) {
      this.#warnUnlessAway(error, 'transfer could not be accounted for; it is tried again')
    }
  }

  async #placesOf(endpointIds: readonly string[]): Promise<Map<string, UsagePlace>> {
    const places = new Map<string, UsagePlace>()
    for (const compute of this.#ledger.running().values()) places.set(compute.endpointId, compute)
    const others = [...new Set(endpointIds)].filter((id) => !places.has(id))
    for (const [id, place] of await listEndpointPlaces(this.#context().store, others)) places.set(id, place)
    return places
  }

  /** In the background: nobody waits for it. */
  async #measureSizes(now: number): Promise<void> {
    let left = measuresARound
    for (const [timelineId, { branchId }] of this.#ledger.running()) {
      if (left === 0) return
      const position = this.#logs.positions.position(timelineId)
      if (now - this.#sizes.measuredAt(timelineId) < measureEveryMs) continue
      if (!this.#sizes.isOutdated(timelineId, position)) continue
      left -= 1
      void this.#sizes.measure(timelineId, branchId, position)
    }
  }

  /** One after the other. False where the database did not take it. */
  async #send(options: StoreOptions = {}): Promise<boolean> {
    const sent = this.#sending.then(() => this.#sendNow(options))
    this.#sending = sent.catch(() => false)
    return await sent
  }

  async #sendNow({ taken, stored }: StoreOptions): Promise<boolean> {
    const isRunning = (timelineId: TimelineId): boolean => this.#ledger.running().has(timelineId)
    const deliveries = this.#deliveries()
    const idle = this.#logs.positions.idle(isRunning)
    const content = this.#ledger.take()
    taken?.()
    const isNews = content !== undefined || this.#ledger.running().size > 0 || deliveries.isWaiting
    if (isNews && !(await deliveries.send(content, Date.now()))) return false
    this.#logs.positions.forget(idle, isRunning)
    await stored?.()
    return true
  }

  #warnUnlessAway(error: unknown, what: string): void {
    if (isAppError(error, 'control_database_unavailable')) return
    this.#context().logger.warn({ cause: errorChain(error) }, what)
  }
}

const placeOf = ({
  projectId,
  branchId,
  endpointId,
}: Serving): Pick<Serving, 'projectId' | 'branchId' | 'endpointId'> => ({
  projectId,
  branchId,
  endpointId,
})

/** What is read of the past is its endpoint's: `ep-…@lsn:…`. */
const endpointOf = (computeName: string): string => computeName.split('@')[0] ?? computeName
