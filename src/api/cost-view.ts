import type { OrganizationBill, ProjectBill } from '../control/billing/bills.ts'
import type { CreditAccount } from '../control/params.ts'
import type { CreditGrant } from '../model/billing.ts'
import type { CostLine } from '../model/cost.ts'
import { amountText } from '../model/money.ts'
import { units } from '../model/prices.ts'
import { seconds } from './timestamps.ts'

/** Amounts are decimal texts, so that nobody's floating-point numbers change them. */
export const projectCostView = (bill: ProjectBill) => ({ project_id: bill.projectId, ...billView(bill) })

export const organizationCostView = (bill: OrganizationBill) => ({
  ...billView(bill),
  credits: { used: amountText(bill.creditsUsed), remaining: amountText(bill.creditsRemaining) },
  due: amountText(bill.due),
  projects: bill.projects.map(({ projectId, total }) => ({ project_id: projectId, total: amountText(total) })),
})

export const creditsView = ({ orgId, currency, remaining, grants }: CreditAccount) => ({
  org_id: orgId,
  currency,
  remaining: amountText(remaining),
  grants: grants.map(grantView),
})

const grantView = ({ id, amount, note, grantedBy, createdAt }: CreditGrant) => ({
  id,
  amount: amountText(amount),
  note,
  granted_by: grantedBy ?? null,
  created_at: seconds(createdAt),
})

function billView({
  orgId,
  period,
  currency,
  isFinal,
  cost,
}: Pick<ProjectBill, 'orgId' | 'period' | 'currency' | 'isFinal' | 'cost'>) {
  return {
    org_id: orgId,
    period_start: seconds(period.start),
    period_end: seconds(period.end),
    currency,
    is_final: isFinal,
    lines: cost.lines.map(lineView),
    total: amountText(cost.total),
  }
}

const lineView = ({ meter, quantity, included, price, amount }: CostLine) => ({
  meter,
  unit: units[meter].name,
  quantity: inUnits(quantity, units[meter].size),
  included: inUnits(included, units[meter].size),
  price: amountText(price),
  amount: amountText(amount),
})

/** For reading: amounts are computed from what was measured. */
const inUnits = (quantity: bigint, size: bigint): number => Number((quantity * 1_000_000n) / size) / 1_000_000
