// Timelines that wait for a project: a few with a started compute, more as a copy of the template on disk.
//
// Creating a project is then a claim. A slot has its own uid and its own service secret before it can be claimed, so nothing that
// one tenant learns is of use against another. Refilled in the background, by how fast slots have been taken lately.

import type pg from 'pg'
import { failpoint } from '../lib/failpoint.ts'
import { defaultPgMajor, smallestCu, type ComputeSpec, type PgMajor } from '../model/compute.ts'
import { errorChain, isAppError } from '../model/errors.ts'
import { newTimelineId, type TimelineId } from '../model/ids.ts'
import { makeVerifier, randomSecretIterations } from '../pgwire/scram-verifier.ts'
import type { Timeline } from '../model/timeline.ts'
import { setServiceVerifier } from '../compute/roles.ts'
import type { Sql } from '../store/database.ts'
import { insertTimeline, listTimelinesInState, moveTimeline } from '../store/timelines.ts'
import { removeTimeline } from './timeline-removal.ts'
import type { ControlContext } from './context.ts'

export type PoolSizes = { started: number; unstarted: number }
/** `startedAtMost`, `unstartedAtMost`: how far a burst of creations may widen the pool. */
export type PoolLimits = PoolSizes & { startedAtMost: number; unstartedAtMost: number }

type StartedSlot = { timeline: Timeline; client: pg.Client | undefined }
/** `client`: a connection of the service role that is open already. */
export type Slot = StartedSlot & { started: boolean }

/** Secret of a timeline that is still as the template made it. */
export const templateServiceKey = 'template'

const rateWindowMs = 10_000
const refillPauseMs = 150

/** What a slot's compute runs as, and what a claim therefore gets. Pure. */
export function slotSpec(
  timeline: Timeline,
  { ownerOf, defaultLibraries }: Pick<ControlContext, 'ownerOf' | 'defaultLibraries'>,
): ComputeSpec {
  return {
    timelineId: timeline.id,
    pgMajor: timeline.pgMajor,
    minCu: smallestCu,
    pgSettings: {},
    preloadLibraries: defaultLibraries(timeline.pgMajor),
    logicalReplication: false,
    outbound: false,
    owner: ownerOf(timeline.uidOffset),
    serviceKeyId: timeline.serviceKeyId,
  }
}

/** Can a started slot serve a compute with these wishes without a restart? */
export function isSlotClass(
  wish: Pick<ComputeSpec, 'minCu' | 'pgSettings' | 'preloadLibraries' | 'logicalReplication' | 'outbound'>,
  defaultLibraries: readonly string[],
): boolean {
  return (
    wish.minCu === smallestCu &&
    Object.keys(wish.pgSettings).length === 0 &&
    wish.preloadLibraries.join() === defaultLibraries.join() &&
    !wish.logicalReplication &&
    !wish.outbound
  )
}

/** How many slots there should be, given how many were taken within the last ten seconds. Pure. */
export function wantedSizes(limits: PoolLimits, takenLately: number): PoolSizes {
  if (limits.unstarted === 0 && limits.started === 0) return { started: 0, unstarted: 0 }
  return {
    started: Math.min(limits.startedAtMost, Math.max(limits.started, Math.ceil(takenLately / 5))),
    unstarted: Math.min(limits.unstartedAtMost, Math.max(limits.unstarted, Math.ceil(takenLately / 2))),
  }
}

export class WarmPool {
  readonly #context: () => ControlContext
  readonly #limits: PoolLimits
  readonly #started = new Map<PgMajor, StartedSlot[]>()
  readonly #unstarted = new Map<PgMajor, Timeline[]>()
  readonly #taken: number[] = []
  #stopping = false
  #soon: NodeJS.Timeout | undefined
  #making: TimelineId | undefined
  #refilling: Promise<void> | undefined
  #wanted = false

  constructor(context: () => ControlContext, limits: PoolLimits) {
    this.#context = context
    this.#limits = limits
  }

  /** Takes up the slots that an earlier process left. Those half made are removed by `tidy`. */
  async open(): Promise<void> {
    const { store, storage, supervisor, cell } = this.#context()
    for (const timeline of await listTimelinesInState(store, cell, ['pooled'])) {
      if (!(await storage.hasTimeline(timeline.id))) {
        await removeTimeline(this.#context(), timeline.id)
        continue
      }
      const running = supervisor.state(timeline.id).kind === 'running' && timeline.serviceKeyId !== templateServiceKey
      if (running) slots(this.#started, timeline.pgMajor).push({ timeline, client: undefined })
      else slots(this.#unstarted, timeline.pgMajor).push(timeline)
    }
  }

  counts(): PoolSizes {
    const sum = (map: ReadonlyMap<PgMajor, unknown[]>): number =>
      [...map.values()].reduce((total, list) => total + list.length, 0)
    return { started: sum(this.#started), unstarted: sum(this.#unstarted) }
  }

  /**
   * Takes a slot out of the pool, for a transaction that makes it somebody's with `ownSlot`. Where that fails, `giveBack`.
   * `started`: a slot whose compute runs is wanted.
   */
  take(major: PgMajor, wish: { started: boolean }): Slot | undefined {
    const started = wish.started ? slots(this.#started, major).shift() : undefined
    const timeline = started?.timeline ?? slots(this.#unstarted, major).shift()
    if (!timeline) return undefined
    this.#taken.push(Date.now())
    this.#refillSoon()
    return { timeline, client: started?.client, started: started !== undefined }
  }

  giveBack(slot: Slot): void {
    if (slot.started) slots(this.#started, slot.timeline.pgMajor).unshift(slot)
    else slots(this.#unstarted, slot.timeline.pgMajor).unshift(slot.timeline)
  }

  /** After a while: whoever has just taken a slot is still at work with it, and the machine has better things to do for him. */
  #refillSoon(): void {
    if (this.#started.get(defaultPgMajor)?.length === 0) return this.refill()
    if (this.#soon) return
    this.#soon = setTimeout(() => {
      this.#soon = undefined
      this.refill()
    }, refillPauseMs).unref()
  }

  /** Nudges the refilling; returns at once. */
  refill(): void {
    this.#wanted = true
    if (this.#stopping) return
    this.#refilling ??= this.#refill()
      .catch((error: unknown) =>
        this.#context().logger.warn({ cause: errorChain(error) }, 'could not refill the warm pool'),
      )
      .finally(() => (this.#refilling = undefined))
  }

  /** Waits until nothing is being made. */
  async settled(): Promise<void> {
    while (this.#refilling) await this.#refilling
  }

  /** The slots stay for the next start; only our connections to them end. */
  async close(): Promise<void> {
    this.#stopping = true
    await this.settled()
    for (const list of this.#started.values()) for (const slot of list) await slot.client?.end().catch(() => {})
  }

  /** A slot's compute has died: it is an unstarted one now. */
  computeExited(timelineId: TimelineId): void {
    for (const [major, list] of this.#started) {
      const index = list.findIndex((slot) => slot.timeline.id === timelineId)
      if (index === -1) continue
      const [slot] = list.splice(index, 1)
      if (slot) slots(this.#unstarted, major).push(slot.timeline)
      this.refill()
    }
  }

  /** Any other timeline that is `making` and no branch's was given up while the control database was away. */
  isMaking(timelineId: TimelineId): boolean {
    return this.#making === timelineId
  }

  isSlot(timelineId: TimelineId): boolean {
    for (const list of this.#started.values()) if (list.some((slot) => slot.timeline.id === timelineId)) return true
    for (const list of this.#unstarted.values()) if (list.some((timeline) => timeline.id === timelineId)) return true
    return false
  }

  async #refill(): Promise<void> {
    while (this.#wanted && !this.#stopping) {
      this.#wanted = false
      const now = Date.now()
      while ((this.#taken[0] ?? now) < now - rateWindowMs) this.#taken.shift()
      const wanted = wantedSizes(this.#limits, this.#taken.length)
      const started = slots(this.#started, defaultPgMajor)
      const unstarted = slots(this.#unstarted, defaultPgMajor)
      if (started.length < wanted.started && unstarted.length > 0) {
        this.#wanted = true
        await this.#startOne(defaultPgMajor)
      } else if (unstarted.length < wanted.unstarted || (started.length < wanted.started && unstarted.length === 0)) {
        this.#wanted = true
        await this.#makeOne(defaultPgMajor)
      }
    }
  }

  async #makeOne(major: PgMajor): Promise<void> {
    const control = this.#context()
    await control.storage.assertRoom()
    await control.ensureTemplate(major)
    const id = newTimelineId()
    this.#making = id
    try {
      const timeline = await insertTimeline(control.store, control.cell, {
        id,
        pgMajor: major,
        state: 'making',
        uidOffset: undefined,
        serviceKeyId: templateServiceKey,
      })
      await control.storage.cloneTimeline(
        id,
        { template: String(major) },
        // Blocks that are shared are on disk already, and the file system's log keeps the rest in order; a full copy has to be synced.
        { owner: control.ownerOf(timeline.uidOffset), sync: !control.storage.description.copyOnWrite },
      )
      await failpoint('pool.cloned')
      await moveTimeline(control.store, id, 'making', 'pooled')
      slots(this.#unstarted, major).push(timeline)
    } catch (error) {
      await removeTimeline(control, id)
      throw error
    } finally {
      this.#making = undefined
    }
  }

  async #startOne(major: PgMajor): Promise<void> {
    const control = this.#context()
    const timeline = slots(this.#unstarted, major).shift()
    if (!timeline) return
    try {
      const own = await personalise(control, timeline)
      await control.supervisor.ensureRunning(slotSpec(own.timeline, control))
      const client = own.client ?? (await control.supervisor.client(timeline.id))
      client.on('error', () => {})
      slots(this.#started, major).push({ timeline: own.timeline, client })
    } catch (error) {
      // It can be begun again, and its row could not be removed now anyway.
      if (isAppError(error, 'control_database_unavailable')) slots(this.#unstarted, major).push(timeline)
      else await removeTimeline(control, timeline.id)
      throw error
    }
  }
}

/** In the transaction that gives the slot to a branch: from its commit on, whatever happens, it is nobody else's. */
export async function ownSlot(sql: Sql, slot: Slot): Promise<boolean> {
  return await moveTimeline(sql, slot.timeline.id, 'pooled', 'owned')
}

function slots<T>(map: Map<PgMajor, T[]>, major: PgMajor): T[] {
  const list = map.get(major) ?? []
  map.set(major, list)
  return list
}

/**
 * Gives a timeline its own service secret in place of the template's. Leaves its compute running, with the connection that it took.
 * Repeatable: a timeline whose secret was changed but not yet written down is recognised by the secret that opens it.
 */
export async function personalise(
  control: ControlContext,
  timeline: Timeline,
  spec?: ComputeSpec,
): Promise<{ timeline: Timeline; client: pg.Client | undefined }> {
  if (timeline.serviceKeyId !== templateServiceKey) return { timeline, client: undefined }
  const { supervisor, store, servicePassword } = control
  const own: Timeline = { ...timeline, serviceKeyId: timeline.id }
  const wanted = spec ?? slotSpec(timeline, control)
  await supervisor.ensureRunning({ ...wanted, serviceKeyId: templateServiceKey })
  const client = await supervisor.client(timeline.id).catch(async (error: unknown) => {
    if ((error as { code?: string }).code !== wrongPassword) throw error
    await supervisor.reconfigure({ ...wanted, serviceKeyId: own.serviceKeyId })
    return await supervisor.client(timeline.id)
  })
  try {
    const verifier = await makeVerifier(servicePassword(own.serviceKeyId), { iterations: randomSecretIterations })
    await setServiceVerifier(client, verifier)
    await failpoint('pool.personalised')
    // Before the row: a compute that is adopted is opened with the secret of its spec, and a row that says 'own' is believed.
    await supervisor.reconfigure({ ...wanted, serviceKeyId: own.serviceKeyId })
    await failpoint('pool.reconfigured')
    await store.query('update timelines set service_key_id = $2 where id = $1', [timeline.id, own.serviceKeyId])
    await failpoint('pool.recorded')
    return { timeline: own, client }
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/** invalid_password */
const wrongPassword = '28P01'
