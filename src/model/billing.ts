import type { Cost } from './cost.ts'
import { AppError } from './errors.ts'
import type { OrganizationId, UserId } from './ids.ts'
import { periodOf, type Period } from './usage.ts'

/** Below zero: a correction. `grantedBy` undefined: whoever runs the installation, from its machine. */
export type CreditGrant = {
  id: number
  amount: bigint
  note: string
  grantedBy: UserId | undefined
  createdAt: Date
}

/** A period that is over, at the prices of its end. */
export type Statement = { periodStart: Date; currency: string; cost: Cost; creditsUsed: bigint }

export type SpendingLimit = {
  orgId: OrganizationId
  cents: number
  /** Which mark was said last, and of which period. */
  alertedPeriod: Date | undefined
  alertedPercent: number | undefined
}

/** Usage is known for so many periods before the current one. */
const keptPeriods = 12

/** `2026-11`; the current one where nothing is said. Throws `bad_request`. */
export function parsePeriod(text: string | undefined, now: Date): Period {
  const current = periodOf(now)
  if (text === undefined) return current
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text) ?? []
  if (year === undefined || month === undefined)
    throw new AppError('bad_request', `period ${JSON.stringify(text.slice(0, 40))} is no month such as 2026-11`)
  const asked = periodOf(new Date(Date.UTC(Number(year), Number(month) - 1, 1)))
  if (asked.start > current.start) throw new AppError('bad_request', `period ${text} has not begun`)
  if (asked.start < oldestPeriod(now).start)
    throw new AppError('bad_request', `period ${text} is too long ago: usage is kept for ${keptPeriods} months`)
  return asked
}

export function oldestPeriod(now: Date): Period {
  return periodOf(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - keptPeriods, 1)))
}

/** From the first that usage is kept of, and an organization was there in, up to the one before `until`; oldest first. */
export function periodsUntil(until: Period, since: Date, now: Date): Period[] {
  const first = since > oldestPeriod(now).start ? periodOf(since) : oldestPeriod(now)
  const periods: Period[] = []
  for (let at = first; at.start < until.start; at = periodOf(at.end)) periods.push(at)
  return periods
}
