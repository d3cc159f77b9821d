// What accounts may still ask for, and how much they were allowed. All control planes of a database lease from the same rows.

import type { Sql } from './database.ts'

/** `owed`: spent beyond the last lease (or, below zero, left over from it). `wanted`: to be had now, as far as there is any. */
export type LeaseAsk = { name: string; capacity: number; perSecond: number; owed: number; wanted: number }

/** `level`: what is left in the bucket; below zero where more was owed than there was. */
export type Lease = { granted: number; level: number }

/** A bucket nobody drew on for long has no row, and is full. By name. */
export async function leaseTokens(sql: Sql, asks: readonly LeaseAsk[]): Promise<Map<string, Lease>> {
  const rows = await sql.query<{ name: string; granted: number; level: number }>(
    // In the order of names, so that two who want the same buckets do not wait for each other.
    `with asks as (
       select * from unnest($1::text[], $2::float8[], $3::float8[], $4::float8[], $5::float8[])
         as a (name, capacity, per_second, owed, wanted)
     )
     insert into rate_budgets as b (name, level, granted, refilled_at)
     select a.name, l.level - g.granted, g.granted, clock_timestamp()
       from asks a,
            lateral (select a.capacity - greatest(a.owed, 0) as level) l,
            lateral (select greatest(0, least(a.wanted, floor(l.level))) as granted) g
      order by a.name
     on conflict (name) do update set (level, granted, refilled_at) = (
       select l.level - g.granted, g.granted, t.now
         from asks a,
              lateral (select greatest(clock_timestamp(), b.refilled_at) as now) t,
              lateral (select least(a.capacity, b.level + extract(epoch from t.now - b.refilled_at)::float8 * a.per_second
                                                - least(a.owed, 0)) - greatest(a.owed, 0) as level) l,
              lateral (select greatest(0, least(a.wanted, floor(l.level))) as granted) g
        where a.name = excluded.name)
     returning b.name, b.granted, b.level`,
    [
      asks.map(({ name }) => name),
      asks.map(({ capacity }) => capacity),
      asks.map(({ perSecond }) => perSecond),
      asks.map(({ owed }) => owed),
      asks.map(({ wanted }) => wanted),
    ],
  )
  return new Map(rows.map(({ name, granted, level }) => [name, { granted, level }]))
}

/** Full again from one moment to the next. `prefix`: of the buckets' names. */
export async function refillBudgets(sql: Sql, prefix: string): Promise<void> {
  await sql.query('delete from rate_budgets where starts_with(name, $1)', [prefix])
}

/** After an hour each bucket is full. */
export async function forgetFullBudgets(sql: Sql): Promise<void> {
  await sql.query(`delete from rate_budgets where refilled_at < clock_timestamp() - interval '1 hour'`)
}

export type LimitedKind = 'user' | 'organization'

/** Undefined where there is no such user or organization; undefined within: as everybody's. */
export async function getRateLimit(
  sql: Sql,
  { kind, id }: { kind: LimitedKind; id: string },
): Promise<{ text: string | undefined } | undefined> {
  const [row] = await sql.query<{ rate_limit: string | null }>(
    kind === 'user'
      ? 'select rate_limit from users where id = $1'
      : 'select rate_limit from organizations where id = $1',
    [id],
  )
  return row && { text: row.rate_limit ?? undefined }
}

/** False where there is no such user or organization. */
export async function setRateLimit(
  sql: Sql,
  { kind, id }: { kind: LimitedKind; id: string },
  text: string | undefined,
): Promise<boolean> {
  const rows = await sql.query(
    kind === 'user'
      ? 'update users set rate_limit = $2 where id = $1 returning id'
      : 'update organizations set rate_limit = $2 where id = $1 returning id',
    [id, text ?? null],
  )
  return rows.length > 0
}
