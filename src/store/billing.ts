// Credits, periods that are over, and limits of spending. Amounts go in and come out as whole numbers, see `model/money.ts`.

import type { CostLine } from '../model/cost.ts'
import { meters, type Meter } from '../model/prices.ts'
import type { CreditGrant, SpendingLimit, Statement } from '../model/billing.ts'
import type { OrganizationId, ProjectId, UserId } from '../model/ids.ts'
import type { Row, Sql } from './database.ts'

const toGrant = (row: Row): CreditGrant => ({
  id: row['id'] as number,
  amount: BigInt(row['amount'] as string),
  note: row['note'] as string,
  grantedBy: (row['granted_by'] as UserId | null) ?? undefined,
  createdAt: row['created_at'] as Date,
})

export async function insertCredit(
  sql: Sql,
  grant: { orgId: OrganizationId; amount: bigint; note: string; grantedBy: UserId | undefined },
): Promise<CreditGrant> {
  const [row] = await sql.query(
    'insert into credits (org_id, amount, note, granted_by) values ($1, $2, $3, $4) returning *',
    [grant.orgId, String(grant.amount), grant.note, grant.grantedBy ?? null],
  )
  return toGrant(row ?? {})
}

/** The newest ones first. */
export async function listCredits(sql: Sql, orgId: string, limit: number): Promise<CreditGrant[]> {
  return (await sql.query('select * from credits where org_id = $1 order by id desc limit $2', [orgId, limit])).map(
    toGrant,
  )
}

export async function sumCredits(sql: Sql, orgId: string): Promise<bigint> {
  const [row] = await sql.query<{ amount: string }>(
    'select coalesce(sum(amount), 0)::text as amount from credits where org_id = $1',
    [orgId],
  )
  return BigInt(row?.amount ?? 0)
}

/** Bigints have no place in JSON. */
type LineText = [meter: Meter, quantity: string, included: string, price: string, amount: string]

const toText = (lines: readonly CostLine[]): string =>
  JSON.stringify(
    lines.map(({ meter, quantity, included, price, amount }): LineText => [
      meter,
      String(quantity),
      String(included),
      String(price),
      String(amount),
    ]),
  )

const fromText = (lines: LineText[]): CostLine[] =>
  lines
    .filter(([meter]) => meters.includes(meter))
    .map(([meter, quantity, included, price, amount]) => ({
      meter,
      quantity: BigInt(quantity),
      included: BigInt(included),
      price: BigInt(price),
      amount: BigInt(amount),
    }))

const toStatement = (row: Row): Statement => ({
  periodStart: row['period_start'] as Date,
  currency: row['currency'] as string,
  cost: { lines: fromText(row['lines'] as LineText[]), total: BigInt(row['total'] as string) },
  creditsUsed: BigInt(row['credits_used'] as string),
})

/** Of all periods that are closed, oldest first. */
export async function listStatements(sql: Sql, orgId: string): Promise<Statement[]> {
  return (await sql.query('select * from statements where org_id = $1 order by period_start', [orgId])).map(toStatement)
}

/** What a project cost its organization in a period that is closed; undefined where that was nothing. */
export async function getStatementProject(
  sql: Sql,
  orgId: string,
  periodStart: Date,
  projectId: string,
): Promise<Statement['cost'] | undefined> {
  const [row] = await sql.query(
    'select lines, total from statement_projects where org_id = $1 and period_start = $2 and project_id = $3',
    [orgId, periodStart, projectId],
  )
  return row && { lines: fromText(row['lines'] as LineText[]), total: BigInt(row['total'] as string) }
}

/** Those that cost most first. */
export async function listStatementProjects(
  sql: Sql,
  orgId: string,
  periodStart: Date,
  limit: number,
): Promise<{ projectId: ProjectId; total: bigint }[]> {
  const rows = await sql.query<{ project_id: ProjectId; total: string }>(
    'select project_id, total from statement_projects where org_id = $1 and period_start = $2 order by total desc, project_id limit $3',
    [orgId, periodStart, limit],
  )
  return rows.map((row) => ({ projectId: row.project_id, total: BigInt(row.total) }))
}

/** A period is closed once: false where it was. */
export async function insertStatement(
  sql: Sql,
  orgId: string,
  statement: Statement,
  projects: readonly { projectId: ProjectId; cost: Statement['cost'] }[],
): Promise<boolean> {
  const inserted = await sql.query(
    `insert into statements (org_id, period_start, currency, lines, total, credits_used) values ($1, $2, $3, $4, $5, $6)
     on conflict do nothing returning org_id`,
    [
      orgId,
      statement.periodStart,
      statement.currency,
      toText(statement.cost.lines),
      String(statement.cost.total),
      String(statement.creditsUsed),
    ],
  )
  if (inserted.length === 0) return false
  await sql.query(
    `insert into statement_projects (org_id, period_start, project_id, lines, total)
     select $1, $2, * from unnest($3::text[], $4::jsonb[], $5::numeric[])`,
    [
      orgId,
      statement.periodStart,
      projects.map(({ projectId }) => projectId),
      projects.map(({ cost }) => toText(cost.lines)),
      projects.map(({ cost }) => String(cost.total)),
    ],
  )
  return true
}

/** Organizations that were there in the period and have no statement of it. */
export async function organizationsToClose(sql: Sql, period: { start: Date; end: Date }): Promise<OrganizationId[]> {
  const rows = await sql.query<{ id: OrganizationId }>(
    `select id from organizations o where created_at < $2
        and not exists (select from statements s where s.org_id = o.id and s.period_start = $1) order by id`,
    [period.start, period.end],
  )
  return rows.map(({ id }) => id)
}

const toLimit = (row: Row): SpendingLimit => ({
  orgId: row['org_id'] as OrganizationId,
  cents: row['cents'] as number,
  alertedPeriod: (row['alerted_period'] as Date | null) ?? undefined,
  alertedPercent: (row['alerted_percent'] as number | null) ?? undefined,
})

export async function getSpendingLimit(sql: Sql, orgId: string): Promise<SpendingLimit | undefined> {
  const [row] = await sql.query('select * from spending_limits where org_id = $1', [orgId])
  return row && toLimit(row)
}

export async function listSpendingLimits(sql: Sql): Promise<SpendingLimit[]> {
  return (await sql.query('select * from spending_limits order by org_id')).map(toLimit)
}

/** Another limit has said nothing yet. */
export async function setSpendingLimit(sql: Sql, orgId: string, cents: number): Promise<void> {
  await sql.query(
    `insert into spending_limits (org_id, cents) values ($1, $2)
     on conflict (org_id) do update set cents = excluded.cents, updated_at = now(),
       alerted_period = case when spending_limits.cents = excluded.cents then spending_limits.alerted_period end,
       alerted_percent = case when spending_limits.cents = excluded.cents then spending_limits.alerted_percent end`,
    [orgId, cents],
  )
}

export async function deleteSpendingLimit(sql: Sql, orgId: string): Promise<void> {
  await sql.query('delete from spending_limits where org_id = $1', [orgId])
}

/** False where the limit is another by now. */
export async function noteSpendingAlert(
  sql: Sql,
  limit: SpendingLimit,
  alert: { period: Date; percent: number },
): Promise<boolean> {
  const rows = await sql.query(
    'update spending_limits set alerted_period = $3, alerted_percent = $4 where org_id = $1 and cents = $2 returning org_id',
    [limit.orgId, limit.cents, alert.period, alert.percent],
  )
  return rows.length > 0
}
