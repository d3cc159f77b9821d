// Logical replication into a compute. A copy of a data directory has its source's subscriptions, and must not act on them.

import type pg from 'pg'

/** In any of its databases: the catalog is shared. */
export async function hasSubscriptions(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>('SELECT EXISTS (SELECT FROM pg_subscription) AS found')
  return rows[0]?.found ?? false
}

/**
 * Switched off, and parted from the slot at the publisher, so that dropping one here does not drop the source's. By the catalog itself:
 * ALTER SUBSCRIPTION works from the subscription's own database only.
 */
export async function disableSubscriptions(client: pg.Client): Promise<void> {
  await client.query('UPDATE pg_catalog.pg_subscription SET subenabled = false, subslotname = NULL')
}
