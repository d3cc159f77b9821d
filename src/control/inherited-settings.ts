// What a copy of a database cannot do without, whatever its own endpoint says.

import type { Sql } from '../store/database.ts'
import { listBranchEndpoints } from '../store/endpoints.ts'

/** Postgres does not start on prepared transactions that it has no room for, and a copy has its source's. */
const needed = 'max_prepared_transactions'

/** Settings of the endpoint of what a branch is made from, for the branch's own. */
export async function inheritedSettings(sql: Sql, sourceId: string | undefined): Promise<Record<string, string>> {
  if (sourceId === undefined) return {}
  for (const endpoint of await listBranchEndpoints(sql, sourceId)) {
    const value = endpoint.pgSettings[needed]
    if (value !== undefined) return { [needed]: value }
  }
  return {}
}
