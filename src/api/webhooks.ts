// Where an organization's events are sent.

import type { Webhook } from '../model/webhook.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { seconds } from './timestamps.ts'

export const webhooks = {
  /** The secret is in no other answer. */
  async setOrganizationWebhook({ control, caller, params, body }: ApiRequest<unknown, { url: string }>) {
    const { webhook, secret } = await control.webhooks.put(caller, params.org_id, { url: body.url })
    return ok({ webhook: webhookView(webhook), secret })
  },

  async getOrganizationWebhook({ control, caller, params }: ApiRequest) {
    return ok({ webhook: webhookView(await control.webhooks.get(caller, params.org_id)) })
  },

  async deleteOrganizationWebhook({ control, caller, params }: ApiRequest) {
    await control.webhooks.delete(caller, params.org_id)
    return { status: 204 as const }
  },
} satisfies Handlers

const secondsOrNull = (moment: Date | undefined): string | null => (moment ? seconds(moment) : null)

function webhookView(webhook: Webhook): Record<string, string | null> {
  return {
    url: webhook.url,
    created_at: seconds(webhook.createdAt),
    updated_at: seconds(webhook.updatedAt),
    last_delivered_at: secondsOrNull(webhook.lastDeliveredAt),
    last_failed_at: secondsOrNull(webhook.lastFailedAt),
    last_error: webhook.lastError ?? null,
  }
}
