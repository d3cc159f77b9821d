// Costs, credits and limits of spending, as the API asks for them.

import { parsePeriod } from '../../model/billing.ts'
import { AppError } from '../../model/errors.ts'
import { parseAmount } from '../../model/money.ts'
import { periodOf } from '../../model/usage.ts'
import {
  deleteSpendingLimit,
  getSpendingLimit,
  insertCredit,
  listCredits,
  setSpendingLimit,
} from '../../store/billing.ts'
import type { Sql } from '../../store/database.ts'
import { getOrganization, lockOrganization } from '../../store/organizations.ts'
import { organizationFor, organizationNotFound, visibleProjectEvenDeleted } from '../access.ts'
import type { Control } from '../control.ts'
import type { CreditAccount, CreditInput } from '../params.ts'
import type { ControlContext } from '../context.ts'
import { briefSums, organizationBill, projectBill } from './bills.ts'

const shownGrants = 100
const longestNote = 200

export function costControl(control: ControlContext): Control['costs'] {
  const { store } = control
  const sums = briefSums()
  return {
    async ofProject(caller, projectId, periodText) {
      const period = parsePeriod(periodText, new Date())
      const project = await visibleProjectEvenDeleted(store, caller, projectId)
      return await projectBill(control, store, project, period, sums)
    },
    async ofOrganization(caller, orgId, { period: periodText, projects }) {
      const now = new Date()
      const period = parsePeriod(periodText, now)
      const organization = await organizationFor(store, caller, orgId)
      return await organizationBill(control, store, organization, period, { now, projects, sums })
    },
    credits: (orgId) => creditAccount(control, store, orgId),
    grantCredit: (orgId, grant) => grantCredit(control, orgId, grant),
    async spendingLimit(caller, orgId) {
      const organization = await organizationFor(store, caller, orgId)
      return (await getSpendingLimit(store, organization.id))?.cents
    },
    async setSpendingLimit(caller, orgId, cents) {
      if (!Number.isSafeInteger(cents) || cents < 1)
        throw new AppError('bad_request', 'spending_limit_cents must be a whole number of at least 1')
      const organization = await organizationFor(store, caller, orgId, 'organization:admin')
      await setSpendingLimit(store, organization.id, cents)
      return cents
    },
    async deleteSpendingLimit(caller, orgId) {
      const organization = await organizationFor(store, caller, orgId, 'organization:admin')
      await deleteSpendingLimit(store, organization.id)
    },
  }
}

/** Whoever asks has to be an operator. Throws `not_found`. */
export async function creditAccount(control: ControlContext, sql: Sql, orgId: string): Promise<CreditAccount> {
  const now = new Date()
  const organization = await getOrganization(sql, orgId, undefined)
  if (!organization) throw organizationNotFound()
  const { creditsRemaining } = await organizationBill(control, sql, organization, periodOf(now), { now, projects: 0 })
  const grants = await listCredits(sql, organization.id, shownGrants)
  return { orgId: organization.id, currency: control.prices.currency, remaining: creditsRemaining, grants }
}

/** Below zero: a correction, of no more than is left. Throws `bad_request`, `not_found`, `unprocessable`. */
export async function grantCredit(
  control: ControlContext,
  orgId: string,
  { amount: text, note = '', grantedBy }: CreditInput,
): Promise<CreditAccount> {
  const amount = parseAmount(text)
  if (amount === undefined || amount === 0n)
    throw new AppError('bad_request', 'amount must be a decimal number such as 25.00; below zero it is a correction')
  if (note.length > longestNote) throw new AppError('bad_request', `note has more than ${longestNote} characters`)
  return await control.store.transaction(async (sql) => {
    await lockOrganization(sql, orgId)
    const before = await creditAccount(control, sql, orgId)
    if (amount < 0n && before.remaining + amount < 0n)
      throw new AppError('unprocessable', 'the organization has not that much credit left')
    await insertCredit(sql, { orgId: before.orgId, amount, note, grantedBy })
    return await creditAccount(control, sql, orgId)
  })
}
