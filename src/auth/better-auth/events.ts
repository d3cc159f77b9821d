// What happens here and the tenant's webhook may hear of, beside users that come to be (those are noted in the database, with the user).

import { randomUUID } from 'node:crypto'
import type { AuthEventType } from '../../model/auth.ts'
import type { AuthInstance } from '../instance.ts'
import { hasWebhook, type WebhookUser } from '../webhooks.ts'

type Person = { id: string; email: string; name?: string | null; emailVerified?: boolean }

/** Of something that has happened already: that it cannot be told does not undo it. */
export async function tell(
  { controlPlane, target }: AuthInstance,
  type: AuthEventType,
  user: Person,
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (!hasWebhook(target, type)) return
  const event = { id: randomUUID(), type, body: { user: toWebhookUser(user), event_data: data }, at: Date.now() }
  await controlPlane.recordEvents(target.integrationId, [event]).catch(() => {})
}

const toWebhookUser = ({ id, email, name, emailVerified }: Person): WebhookUser => ({
  id,
  email: email.endsWith('.invalid') ? null : email,
  name,
  email_verified: emailVerified === true,
})
