// Says when an organization's month comes near its spending limit, and when it has reached it. Nothing is suspended for it.

import type { SpendingLimit } from '../../model/billing.ts'
import { spendingMark } from '../../model/cost.ts'
import { amountText, fromCents } from '../../model/money.ts'
import { periodOf } from '../../model/usage.ts'
import { listSpendingLimits, noteSpendingAlert } from '../../store/billing.ts'
import { recordEvent } from '../../store/events.ts'
import { getOrganization } from '../../store/organizations.ts'
import { organizationBill } from '../billing/bills.ts'
import type { ControlContext } from '../context.ts'

type Billing = Pick<ControlContext, 'store' | 'prices'>

/** Each mark once for a limit and a period, whichever control plane sees it first. */
export async function watchSpending(control: Billing, now = new Date()): Promise<{ alerted: number }> {
  let alerted = 0
  for (const limit of await listSpendingLimits(control.store)) if (await watch(control, limit, now)) alerted++
  return { alerted }
}

async function watch(control: Billing, limit: SpendingLimit, now: Date): Promise<boolean> {
  const period = periodOf(now)
  const said = limit.alertedPeriod?.getTime() === period.start.getTime() ? (limit.alertedPercent ?? 0) : 0
  if (said >= 100) return false
  const organization = await getOrganization(control.store, limit.orgId, undefined)
  if (!organization) return false
  const { due, currency } = await organizationBill(control, control.store, organization, period, { now, projects: 0 })
  const percent = spendingMark(due, fromCents(limit.cents))
  if (percent === undefined || percent <= said) return false
  const most = amountText(fromCents(limit.cents))
  return await control.store.transaction(async (sql) => {
    if (!(await noteSpendingAlert(sql, limit, { period: period.start, percent }))) return false
    return await recordEvent(sql, {
      orgId: limit.orgId,
      kind: percent === 100 ? 'spending.exceeded' : 'spending.warning',
      message: `this month has cost ${amountText(due)} ${currency} so far, which is ${percent} % of the spending limit of ${most} ${currency} or more; nothing is suspended for it`,
      details: {
        percent,
        spending_limit_cents: limit.cents,
        due: amountText(due),
        currency,
        period_start: period.start.toISOString(),
      },
      once: ['spending', limit.orgId, period.start.toISOString(), limit.cents, percent].join('/'),
    })
  })
}
