// Closes what is over: each organization's cost of a month is written down once, at the prices that hold when that is done, and its
// credits are drawn on. What is metered later than that is billed to nobody.

import { oldestPeriod, periodsUntil, type Statement } from '../../model/billing.ts'
import { drawDown } from '../../model/cost.ts'
import type { OrganizationId } from '../../model/ids.ts'
import { periodOf, type Period } from '../../model/usage.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { insertStatement, listStatements, organizationsToClose } from '../../store/billing.ts'
import { getOrganization, lockOrganization } from '../../store/organizations.ts'
import { costOf, creditsBefore, projectCosts, usedBy } from '../billing/bills.ts'
import type { ControlContext } from '../context.ts'

type Billing = Pick<ControlContext, 'store' | 'prices'>

/** Usage that could not be delivered while the control database was away still comes in. */
const graceMs = 24 * 3_600_000

/** Any number of control planes may do so at once. `now` is for tests. */
export async function closePeriods(control: Billing, now = new Date()): Promise<{ closed: number }> {
  let closed = 0
  // The oldest first: what one uses of the credits, the next has not.
  for (const period of periodsUntil(periodOf(now), oldestPeriod(now).start, now)) {
    if (period.end.getTime() + graceMs > now.getTime()) continue
    for (const orgId of await organizationsToClose(control.store, period)) {
      if (await close(control, orgId, period, now)) closed++
    }
  }
  return { closed }
}

async function close(control: Billing, orgId: OrganizationId, period: Period, now: Date): Promise<boolean> {
  return await control.store.transaction(async (sql) => {
    await lockOrganization(sql, orgId)
    const organization = await getOrganization(sql, orgId, undefined)
    if (!organization) return false
    const used = await usedBy(control, sql, organization, period)
    const cost = costOf(control, organization, used)
    const credits = await creditsBefore(control, sql, organization, period, await listStatements(sql, orgId), { now })
    const statement: Statement = {
      periodStart: period.start,
      currency: control.prices.currency,
      cost,
      creditsUsed: drawDown(cost.total, credits).used,
    }
    const isNew = await insertStatement(sql, orgId, statement, projectCosts(control, organization, used))
    await failpoint('billing.closing')
    return isNew
  })
}
