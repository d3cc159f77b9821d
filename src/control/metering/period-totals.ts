// What projects used in the current period, kept in memory for those that are asked about: quotas look every second, and a month is some
// seven hundred rows an endpoint.

import { AppError } from '../../model/errors.ts'
import { addUsage, noUsage, periodOf, type Usage } from '../../model/usage.ts'
import { sumProjectUsage } from '../../store/usage.ts'
import type { ControlContext } from '../context.ts'

/** Of a project that no compute of ours serves: it may be another control process' by now. */
const foreignFreshMs = 2_000
const unusedMs = 600_000

/** Hooks into the storing of what was counted. */
export type StoreOptions = {
  /** What is counted from here on is not in the rows that `stored` finds. */
  taken?: () => void
  /** Nothing else is stored until it ends. */
  stored?: () => Promise<void>
}

type Total = { start: number; usage: Usage; loadedAt: number; usedAt: number; loading: Promise<void> | undefined }

export class PeriodTotals {
  readonly #context: () => ControlContext
  /** Stores all that was counted so far; false where it could not. */
  readonly #store: (options: StoreOptions) => Promise<boolean>
  readonly #isLocal: (projectId: string) => boolean
  readonly #totals = new Map<string, Total>()
  #wanted: { ids: Set<string>; start: Date; loaded: Promise<void> } | undefined

  constructor(
    context: () => ControlContext,
    options: { store: (options: StoreOptions) => Promise<boolean>; isLocal: (projectId: string) => boolean },
  ) {
    this.#context = context
    this.#store = options.store
    this.#isLocal = options.isLocal
  }

  /** Something was counted; it will be stored later than it is added here. */
  add(projectId: string, usage: Usage, at: number): void {
    const total = this.#totals.get(projectId)
    if (total && at >= total.start) total.usage = addUsage(total.usage, usage)
  }

  /** Stored, and what was counted since. Throws `control_database_unavailable`. */
  async get(projectId: string, start: Date): Promise<Usage> {
    const now = Date.now()
    const known = this.#totals.get(projectId)
    const isFresh =
      known?.start === start.getTime() && (this.#isLocal(projectId) || now - known.loadedAt < foreignFreshMs)
    if (known?.loading) await known.loading
    else if (!isFresh) await this.#load(projectId, start)
    const total = this.#totals.get(projectId)
    if (!total) return noUsage
    total.usedAt = now
    return total.usage
  }

  forgetUnused(): void {
    const start = periodOf(new Date()).start.getTime()
    for (const [id, { usedAt, start: period }] of this.#totals) {
      if (period !== start || Date.now() - usedAt > unusedMs) this.#totals.delete(id)
    }
  }

  /** Those who ask at the same time are one question. */
  async #load(projectId: string, start: Date): Promise<void> {
    if (this.#wanted?.start.getTime() !== start.getTime()) {
      const ids = new Set<string>()
      const loaded = Promise.resolve().then(() => this.#loadAll(ids, start))
      this.#wanted = { ids, start, loaded }
    }
    this.#wanted.ids.add(projectId)
    await this.#wanted.loaded
  }

  async #loadAll(ids: Set<string>, start: Date): Promise<void> {
    this.#wanted = undefined
    const { promise: loading, resolve } = Promise.withResolvers<void>()
    const begin = (): void => {
      const now = Date.now()
      const total = { start: start.getTime(), usage: noUsage, loadedAt: now, usedAt: now }
      for (const id of ids) this.#totals.set(id, { ...total, loading })
    }
    const addStored = async (): Promise<void> => {
      const { store, cell } = this.#context()
      const stored = await sumProjectUsage(store, [...ids], start, cell)
      for (const id of ids) {
        const total = this.#totals.get(id)
        if (total) Object.assign(total, { usage: addUsage(total.usage, stored.get(id) ?? noUsage), loading: undefined })
      }
    }
    try {
      if (await this.#store({ taken: begin, stored: addStored })) return
      throw new AppError('control_database_unavailable', 'usage cannot be told while the control database is away', {
        retryAfterSeconds: 1,
      })
    } catch (error) {
      for (const id of ids) if (this.#totals.get(id)?.loading === loading) this.#totals.delete(id)
      throw error
    } finally {
      resolve()
    }
  }
}
