// One integration's database as the auth process sees it: connections as `pgrove_auth` with `search_path = neon_auth`, made through a
// wake. A compute that was suspended or replaced meanwhile is woken by the next query; idle connections never keep one awake.

import type pg from 'pg'

export interface Queries {
  /** Values come back as `pg` reads them. */
  query<R extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<R[]>
}

/** As much of a pool's connection as Kysely's Postgres dialect uses. */
export interface DatabaseClient {
  query<R extends pg.QueryResultRow = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<R>>
  release(): void
}

/** Whatever fails for want of a compute or of its patience fails with `unavailable`, or with the refusal that a wake heard. */
export interface AuthDatabase extends Queries {
  /** All or nothing; repeated as a whole where the compute went away before anything could have been committed. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  /** What Kysely's Postgres dialect wants of a pool. A transaction of its own goes on after a wake only where nothing was done in it yet. */
  readonly pool: { connect(): Promise<DatabaseClient>; end(): Promise<void> }
  close(): Promise<void>
}
