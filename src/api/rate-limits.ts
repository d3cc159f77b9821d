// How often accounts may call, for whoever runs this installation.

import type { RateLimitOf } from '../control/params.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

/** Null: as everybody's. */
type Body = { rate_limit: string | null }

const view = ({ text, isDefault }: RateLimitOf) => ({ rate_limit: text, is_default: isDefault })

export const rateLimits = {
  async getOrganizationRateLimit({ control, params }: ApiRequest) {
    return ok(view(await control.rateLimits.get('organization', params.org_id)))
  },

  async updateOrganizationRateLimit({ control, params, body }: ApiRequest<unknown, Body>) {
    return ok(view(await control.rateLimits.set('organization', params.org_id, body.rate_limit ?? undefined)))
  },

  async getUserRateLimit({ control, params }: ApiRequest) {
    return ok(view(await control.rateLimits.get('user', params.user_id)))
  },

  async updateUserRateLimit({ control, params, body }: ApiRequest<unknown, Body>) {
    return ok(view(await control.rateLimits.set('user', params.user_id, body.rate_limit ?? undefined)))
  },
} satisfies Handlers
