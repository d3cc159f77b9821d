// What a period cost an organization or a project: of one that is closed, as it was closed; of any other, from what was used so far.
//
// Plain arithmetic on the metering: shown, and charged by nobody. Nothing here is stored.

import { BriefMemory } from '../../lib/brief-memory.ts'
import type { OrganizationId, ProjectId } from '../../model/ids.ts'
import type { Organization } from '../../model/organization.ts'
import type { Project } from '../../model/project.ts'
import type { Period } from '../../model/usage.ts'
import type { Statement } from '../../model/billing.ts'
import { periodsUntil } from '../../model/billing.ts'
import { drawDown, noQuantities, organizationCost, projectCost, type Cost, type Quantities } from '../../model/cost.ts'
import { pricesOf } from '../../model/prices.ts'
import { getStatementProject, listStatementProjects, listStatements, sumCredits } from '../../store/billing.ts'
import { sumQuantities, sumTransfer } from '../../store/costs.ts'
import type { Sql } from '../../store/database.ts'
import { getOrganization } from '../../store/organizations.ts'
import type { ControlContext } from '../context.ts'

type Billed = { orgId: OrganizationId; period: Period; currency: string; isFinal: boolean; cost: Cost }

export type ProjectBill = Billed & { projectId: ProjectId }

export type OrganizationBill = Billed & {
  creditsUsed: bigint
  /** After this period. */
  creditsRemaining: bigint
  due: bigint
  /** Those that cost most. */
  projects: { projectId: ProjectId; total: bigint }[]
}

type Prices = Pick<ControlContext, 'prices'>

/** What a project cost the organization that has it; what it cost another before is that one's to know. */
export async function projectBill(
  { prices }: Prices,
  sql: Sql,
  project: Project,
  period: Period,
  sums: Sums = freshSums,
): Promise<ProjectBill> {
  const { id: projectId, orgId } = project
  const closed = (await listStatements(sql, orgId)).find(isOf(period))
  if (closed) {
    const cost = (await getStatementProject(sql, orgId, period.start, projectId)) ?? costOfNothing(closed)
    return { projectId, orgId, period, currency: closed.currency, isFinal: true, cost }
  }
  const plan = (await getOrganization(sql, orgId, undefined))?.plan ?? ''
  const own = pricesOf(prices, plan)
  const span = { orgId, start: period.start, end: period.end }
  const quantities = (await sumQuantities(sql, span, own.branchesIncluded, [projectId])).get(projectId) ?? noQuantities
  const cost = projectCost(quantities, await sums.transfer(sql, span), own)
  return { projectId, orgId, period, currency: prices.currency, isFinal: false, cost }
}

/** `projects`: how many to name. */
export async function organizationBill(
  control: Prices,
  sql: Sql,
  organization: Organization,
  period: Period,
  { now, projects: most, sums = freshSums }: { now: Date; projects: number; sums?: Sums },
): Promise<OrganizationBill> {
  const orgId = organization.id
  const statements = await listStatements(sql, orgId)
  const credits = await creditsBefore(control, sql, organization, period, statements, { now, sums })
  const closed = statements.find(isOf(period))
  if (closed) {
    const { currency, cost, creditsUsed } = closed
    const projects = await listStatementProjects(sql, orgId, period.start, most)
    const standing = { creditsUsed, creditsRemaining: credits - creditsUsed, due: cost.total - creditsUsed }
    return { orgId, period, currency, isFinal: true, cost, ...standing, projects }
  }
  const used = await sums.used(control, sql, organization, period)
  const cost = costOf(control, organization, used)
  const { used: creditsUsed, remaining: creditsRemaining, due } = drawDown(cost.total, credits)
  const projects = projectCosts(control, organization, used)
    .map((each) => ({ projectId: each.projectId, total: each.cost.total }))
    .toSorted((a, b) => (a.total === b.total ? (a.projectId < b.projectId ? -1 : 1) : a.total > b.total ? -1 : 1))
    .slice(0, most)
  const { currency } = control.prices
  return { orgId, period, currency, isFinal: false, cost, creditsUsed, creditsRemaining, due, projects }
}

type Used = ReadonlyMap<ProjectId, Quantities>

export async function usedBy({ prices }: Prices, sql: Sql, { id, plan }: Organization, period: Period): Promise<Used> {
  const span = { orgId: id, start: period.start, end: period.end }
  return await sumQuantities(sql, span, pricesOf(prices, plan).branchesIncluded)
}

/** Where sums over many rows come from. */
export type Sums = { used: typeof usedBy; transfer: typeof sumTransfer }

const freshSums: Sums = { used: usedBy, transfer: sumTransfer }

/** For those who may ask as often as they like. */
export function briefSums(): Sums {
  const [used, transfer] = [new BriefMemory<Used>(), new BriefMemory<bigint>()]
  return {
    used: (control, sql, organization, period) =>
      used.run(`${organization.id} ${organization.plan} ${period.start.getTime()}`, () =>
        usedBy(control, sql, organization, period),
      ),
    transfer: (sql, span) => transfer.run(`${span.orgId} ${span.start.getTime()}`, () => sumTransfer(sql, span)),
  }
}

export const costOf = ({ prices }: Prices, { plan }: Organization, used: Used): Cost =>
  organizationCost(used.values(), pricesOf(prices, plan))

export function projectCosts(
  { prices }: Prices,
  { plan }: Organization,
  used: Used,
): { projectId: ProjectId; cost: Cost }[] {
  const transferOfAll = [...used.values()].reduce((sum, { transfer }) => sum + transfer, 0n)
  return [...used].map(([projectId, quantities]) => ({
    projectId,
    cost: projectCost(quantities, transferOfAll, pricesOf(prices, plan)),
  }))
}

/** What is left for a period: all that was given, less what earlier ones used; of those not closed yet, by what they come to so far. */
export async function creditsBefore(
  control: Prices,
  sql: Sql,
  organization: Organization,
  period: Period,
  statements: readonly Statement[],
  { now, sums = freshSums }: { now: Date; sums?: Sums },
): Promise<bigint> {
  let credits = await sumCredits(sql, organization.id)
  for (const { periodStart, creditsUsed } of statements) if (periodStart < period.start) credits -= creditsUsed
  if (credits <= 0n) return credits
  for (const earlier of periodsUntil(period, organization.createdAt, now)) {
    if (statements.some(isOf(earlier))) continue
    const { total } = costOf(control, organization, await sums.used(control, sql, organization, earlier))
    credits = drawDown(total, credits).remaining
  }
  return credits
}

const isOf =
  (period: Period) =>
  ({ periodStart }: Statement): boolean =>
    periodStart.getTime() === period.start.getTime()

const costOfNothing = ({ cost: { lines } }: Statement): Cost => ({
  lines: lines.map((line) => ({ ...line, quantity: 0n, included: 0n, amount: 0n })),
  total: 0n,
})
