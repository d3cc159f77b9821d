// What has happened in integrations, until their webhooks have heard of it (`reconcilers/deliver-auth-events.ts`).

import { authEventTypes, type AuthEventType, type AuthIntegration } from '../../model/auth.ts'
import { insertAuthEvents } from '../../store/auth/events.ts'
import { getIntegration } from '../../store/auth/integrations.ts'
import type { ControlContext } from '../context.ts'

export type AuthEvent = { id: string; type: string; body: Readonly<Record<string, unknown>>; at: number }

const mostOfOne = 1_000
const longestBody = 64 * 1024
const longestAgeMs = 24 * 3_600_000
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether the integration's webhook hears of it. A `mock` tells nobody of anything. */
export function isTold({ provider, settings }: Pick<AuthIntegration, 'provider' | 'settings'>, type: string): boolean {
  const { enabled, url, events } = settings.webhooks
  return provider !== 'mock' && enabled && url !== undefined && events.some((each) => each === type)
}

/**
 * Returns when they are stored; one that is there already stays as it is. They come out of the tenant's own database: what is no event is left
 * out, and who does not ask for it is not told.
 */
export async function storeEvents(
  { store }: ControlContext,
  integrationId: string,
  events: readonly AuthEvent[],
): Promise<void> {
  const integration = events.length > 0 ? await getIntegration(store, integrationId) : undefined
  if (!integration) return
  const told = events.filter((event) => isEvent(event) && isTold(integration, event.type))
  if (told.length === 0) return
  const now = Date.now()
  const rows = told.map(({ id, type, body, at }) => ({
    id,
    type,
    body: { user: body['user'], event_data: body['event_data'] },
    occurredAt: new Date(Math.min(now, Math.max(at, now - longestAgeMs))),
  }))
  await insertAuthEvents(store, integration.id, rows, mostOfOne)
}

const isType = (type: string): type is AuthEventType => authEventTypes.some((each) => each === type)

function isEvent({ id, type, body, at }: AuthEvent): boolean {
  const isWhole = uuid.test(id) && isType(type) && Number.isFinite(at)
  // Postgres takes no NUL in its JSON, and a whole delivery would fail for one.
  return isWhole && JSON.stringify(body).length <= longestBody && !JSON.stringify(body).includes('\\u0000')
}
