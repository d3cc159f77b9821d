// How often each account may call the API. An account is a user, an organization (with all its own keys) or, for keys that open one
// project, that project at its organization's pace: whoever was handed such a key can use up his own budget and nobody else's.
//
// All control planes of a database share one budget (`leased-budgets.ts`).

import { SingleFlight } from '../lib/single-flight.ts'
import { subjectOf, type Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import {
  budgetsOf,
  defaultRateLimits,
  parseRateLimits,
  rateLimitForm,
  rateLimitText,
  refusalText,
  type Budget,
  type RateLimits,
} from '../model/rate-limit.ts'
import { getRateLimit, leaseTokens, refillBudgets, setRateLimit, type LimitedKind } from '../store/rate-limits.ts'
import type { Sql } from '../store/database.ts'
import type { Control } from './control.ts'
import type { RateLimitOf } from './params.ts'
import { LeasedBudgets } from './leased-budgets.ts'

type Known = { limits: RateLimits | 'off'; readAt: number }

/** Who has limits of his own. */
type Owner = { kind: LimitedKind; id: string }

/** What an operator set through another control plane holds here after so long. */
const rereadEveryMs = 5_000
const mostKnown = 20_000

export class RateLimiter {
  readonly #store: () => Sql
  /** Of all who have none of their own. */
  readonly #usual: RateLimits | 'off'
  readonly #budgets: LeasedBudgets
  readonly #known = new Map<string, Known>()
  readonly #reading = new SingleFlight<void>()

  constructor(store: () => Sql, usual: RateLimits | 'off') {
    this.#store = store
    this.#usual = usual
    this.#budgets = new LeasedBudgets((asks) => leaseTokens(store(), asks))
  }

  /** Counts a request. Throws `rate_limited`. */
  async take(caller: Caller, operationId: string): Promise<void> {
    const limits = await this.#limitsOf(ownerOf(caller))
    if (limits === 'off') return
    const taken: string[] = []
    for (const budget of budgetsOf(operationId, limits)) {
      const name = `${subjectOf(caller)} ${budget.name}`
      const waitMs = await this.#budgets.take(name, budget.pace)
      if (waitMs > 0) {
        for (const each of taken) this.#budgets.giveBack(each)
        throw refused(budget, waitMs)
      }
      taken.push(name)
    }
  }

  /** What `take` would throw, as far as that is known without asking anybody. */
  refusal(caller: Caller, operationId: string): AppError | undefined {
    const limits = this.#known.get(nameOf(ownerOf(caller)))?.limits
    if (!limits || limits === 'off') return undefined
    for (const budget of budgetsOf(operationId, limits)) {
      const waitMs = this.#budgets.blockedFor(`${subjectOf(caller)} ${budget.name}`)
      if (waitMs > 0) return refused(budget, waitMs)
    }
    return undefined
  }

  /** Throws `not_found`. */
  async get(owner: Owner): Promise<RateLimitOf> {
    const found = await getRateLimit(this.#store(), owner)
    if (!found) throw notFound(owner)
    return { text: rateLimitText(this.#effective(found.text)), isDefault: found.text === undefined }
  }

  /** Undefined: as everybody's. The budgets begin anew. Throws `not_found`, `bad_request`. */
  async set(owner: Owner, text: string | undefined): Promise<RateLimitOf> {
    if (text !== undefined && parseRateLimits(text, this.#base()) === undefined) {
      const shown = JSON.stringify(text.slice(0, 100))
      throw new AppError('bad_request', `rate_limit ${shown} cannot be used: ${rateLimitForm}`)
    }
    if (!(await setRateLimit(this.#store(), owner, text))) throw notFound(owner)
    const prefix = `${nameOf(owner)} `
    await refillBudgets(this.#store(), prefix)
    this.#known.delete(nameOf(owner))
    this.#budgets.forget(prefix)
    return await this.get(owner)
  }

  /** What a text that names but a part is completed from. */
  #base(): RateLimits {
    return this.#usual === 'off' ? defaultRateLimits : this.#usual
  }

  /** A text that cannot be read was written by a newer pgrove, and counts as none. */
  #effective(text: string | undefined): RateLimits | 'off' {
    return (text === undefined ? undefined : parseRateLimits(text, this.#base())) ?? this.#usual
  }

  /** Those that are known, while newer ones are read; only an account's first request waits. */
  async #limitsOf(owner: Owner): Promise<RateLimits | 'off'> {
    const known = this.#known.get(nameOf(owner))
    if (!known) await this.#read(owner)
    else if (performance.now() - known.readAt > rereadEveryMs) void this.#read(owner)
    return this.#known.get(nameOf(owner))?.limits ?? this.#usual
  }

  #read(owner: Owner): Promise<void> {
    const name = nameOf(owner)
    return this.#reading.run(name, async () => {
      const before = this.#known.get(name)?.limits
      const limits = await getRateLimit(this.#store(), owner).then(
        (found) => this.#effective(found?.text),
        () => before ?? this.#usual,
      )
      this.#known.delete(name)
      this.#known.set(name, { limits, readAt: performance.now() })
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= mostKnown) break
        this.#known.delete(oldest)
      }
    })
  }
}

const nameOf = ({ kind, id }: Owner): string => `${kind}:${id}`

function ownerOf(caller: Caller): Owner {
  return caller.kind === 'user' ? { kind: 'user', id: caller.userId } : { kind: 'organization', id: caller.orgId }
}

function refused(budget: Budget, waitMs: number): AppError {
  return new AppError('rate_limited', refusalText(budget, waitMs), { retryAfterSeconds: waitMs / 1000 })
}

function notFound({ kind }: Owner): AppError {
  return new AppError('not_found', `${kind} not found`)
}

export function rateLimitControl(limiter: RateLimiter): Control['rateLimits'] {
  return {
    take: (caller, operationId) => limiter.take(caller, operationId),
    refusal: (caller, operationId) => limiter.refusal(caller, operationId),
    get: (kind, id) => limiter.get({ kind, id }),
    set: (kind, id, text) => limiter.set({ kind, id }, text),
  }
}
