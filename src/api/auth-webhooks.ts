// Where a branch's sign-in tells what happens.

import type { NeonAuthWebhookConfig } from '@neondatabase/api-client'
import { ofBranch } from './auth-place.ts'
import { webhookView } from './auth-settings-view.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

const usualTimeoutSeconds = 5

export const authWebhooks = {
  async getNeonAuthWebhookConfig({ control, caller, params }: ApiRequest) {
    return ok(webhookView((await control.auth.settings(caller, ofBranch(params))).webhooks))
  },

  async updateNeonAuthWebhookConfig({ control, caller, params, body }: ApiRequest<unknown, NeonAuthWebhookConfig>) {
    const webhook = {
      enabled: body.enabled,
      url: body.webhook_url,
      events: body.enabled_events ?? [],
      timeoutSeconds: body.timeout_seconds ?? usualTimeoutSeconds,
    }
    return ok(webhookView(await control.auth.setWebhook(caller, ofBranch(params), webhook)))
  },
} satisfies Handlers
