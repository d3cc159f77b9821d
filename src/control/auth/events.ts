// What has happened in integrations, until their webhooks have heard of it.

import type { ControlContext } from '../context.ts'

export type AuthEvent = { id: string; type: string; body: Readonly<Record<string, unknown>>; at: number }

/** Returns when they are stored; one that is there already stays as it is. */
export async function storeEvents(
  control: ControlContext,
  integrationId: string,
  events: readonly AuthEvent[],
): Promise<void> {
  for (const { id, type, body, at } of events) {
    await control.store.query(
      `insert into auth_events (id, integration_id, type, body, created_at) values ($1, $2, $3, $4, $5) on conflict (id) do nothing`,
      [id, integrationId, type, JSON.stringify(body), new Date(at)],
    )
  }
}
