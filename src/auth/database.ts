// One integration's database as the auth process sees it: connections as `pgrove_auth` with `search_path = neon_auth`, made through a
// wake. A compute that was suspended or replaced meanwhile is woken by the next query; idle connections never keep one awake.

import type pg from 'pg'

export interface Queries {
  /** Values come back as `pg` reads them. */
  query<R extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<R[]>
}

export interface AuthDatabase extends Queries {
  /** All or nothing; repeated as a whole where the compute went away before anything could have been committed. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  /** What Kysely's Postgres dialect wants of a pool. */
  readonly pool: { connect(): Promise<pg.PoolClient>; end(): Promise<void> }
  close(): Promise<void>
}
