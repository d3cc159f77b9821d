// Personal API keys.

import type { ApiKeyCreateRequest } from '@neondatabase/api-client'
import { apiKeyView, createdApiKeyView, revokedApiKeyView } from './api-key-view.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

export const apiKeys = {
  /** A bare array, unlike every other list. */
  async listApiKeys({ control, caller }: ApiRequest) {
    const { keys, user } = await control.apiKeys.list(caller)
    return ok(keys.map((key) => apiKeyView(key, user)))
  },

  async createApiKey({ control, caller, body }: ApiRequest<unknown, ApiKeyCreateRequest>) {
    const { key, secret } = await control.apiKeys.create(caller, body.key_name)
    return ok(createdApiKeyView(key, secret))
  },

  async revokeApiKey({ control, caller, params }: ApiRequest) {
    const { key } = await control.apiKeys.revoke(caller, params.key_id)
    return ok(revokedApiKeyView(key))
  },
} satisfies Handlers
