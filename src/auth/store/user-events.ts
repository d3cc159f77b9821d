// Users that came to be, from the tenant's database into control's hands. They are removed here once they are stored there, so that
// neither a crash of ours nor one of control loses one; told twice is no harm, as each has an id.

import type { AuthControlPlane, AuthEvent } from '../control-plane.ts'
import type { Queries } from '../database.ts'

const atOnce = 100
/** Whoever owns the database can have it that there is always one more, or that none ever goes. What is left is the next call's. */
const mostRounds = 20

type Row = { id: string; type: string; body: Record<string, unknown>; created_at: Date }

export async function drainUserEvents(
  queries: Queries,
  controlPlane: Pick<AuthControlPlane, 'recordEvents'>,
  integrationId: string,
): Promise<void> {
  for (let round = 0; round < mostRounds; round++) {
    const rows = await queries.query<Row>(
      `select id, type, body, created_at from user_events order by created_at, id limit ${atOnce}`,
    )
    if (rows.length === 0) return
    const events: AuthEvent[] = rows.map(({ id, type, body, created_at }) => ({
      id,
      type: type as AuthEvent['type'],
      body,
      at: created_at.getTime(),
    }))
    await controlPlane.recordEvents(integrationId, events)
    await queries.query(`delete from user_events where id = any ($1::uuid[])`, [rows.map(({ id }) => id)])
    if (rows.length < atOnce) return
  }
}
