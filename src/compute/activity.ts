// What a compute is busy with, asked over a service connection. Not by us: the service role's own sessions do not count, nor do those of
// sign-in, which come back through a wake.

import type pg from 'pg'
import { authRole, serviceRole } from './postgres-service.ts'

export type Activity = {
  activeQueries: number
  openTransactions: number
  walsenders: number
  /** Workers that apply what a subscription receives; asleep, they would miss it. */
  subscriptionWorkers: number
  autovacuumWorkers: number
  /** Client sessions that are connected, whatever they do. */
  sessions: number
  /** When a session last began or ended a statement, of those that are still there. */
  lastChangeAt: Date | undefined
}

const activityQuery = `
  SELECT
    count(*) FILTER (WHERE backend_type = 'client backend' AND state IN ('active', 'fastpath function call', 'disabled'))::int AS active,
    count(*) FILTER (WHERE backend_type = 'client backend' AND state LIKE 'idle in transaction%')::int AS open,
    count(*) FILTER (WHERE backend_type = 'walsender')::int AS walsenders,
    count(*) FILTER (WHERE backend_type LIKE 'logical replication%' AND backend_type <> 'logical replication launcher')::int AS subscriptions,
    count(*) FILTER (WHERE backend_type = 'autovacuum worker')::int AS autovacuum,
    count(*) FILTER (WHERE backend_type = 'client backend')::int AS sessions,
    max(state_change) FILTER (WHERE backend_type = 'client backend') AS last_change
  FROM pg_catalog.pg_stat_activity
  WHERE pid <> pg_backend_pid() AND (usename IS NULL OR usename NOT IN ('${serviceRole}', '${authRole}'))`

export async function readActivity(client: pg.Client): Promise<Activity> {
  const { rows } = await client.query<{
    active: number
    open: number
    walsenders: number
    subscriptions: number
    autovacuum: number
    sessions: number
    last_change: Date | null
  }>(activityQuery)
  const [row] = rows
  return {
    activeQueries: row?.active ?? 0,
    openTransactions: row?.open ?? 0,
    walsenders: row?.walsenders ?? 0,
    subscriptionWorkers: row?.subscriptions ?? 0,
    autovacuumWorkers: row?.autovacuum ?? 0,
    sessions: row?.sessions ?? 0,
    lastChangeAt: row?.last_change ?? undefined,
  }
}
