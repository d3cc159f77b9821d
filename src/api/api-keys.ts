// API keys: personal ones, and those of organizations and their projects.

import type { ApiKeyCreateRequest, OrgApiKeyCreateRequest } from '@neondatabase/api-client'
import {
  apiKeyView,
  createdApiKeyView,
  createdOrganizationKeyView,
  organizationKeyView,
  revokedApiKeyView,
  revokedOrganizationKeyView,
} from './api-key-view.ts'
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

  async listOrgApiKeys({ control, caller, params }: ApiRequest) {
    const keys = await control.apiKeys.listForOrganization(caller, params.org_id)
    return ok(keys.map(({ key, creator }) => organizationKeyView(key, creator)))
  },

  async createOrgApiKey({ control, caller, params, body }: ApiRequest<unknown, OrgApiKeyCreateRequest>) {
    const input = { name: body.key_name, projectId: body.project_id }
    const { key, secret } = await control.apiKeys.createForOrganization(caller, params.org_id, input)
    return ok(createdOrganizationKeyView(key, secret))
  },

  async revokeOrgApiKey({ control, caller, params }: ApiRequest) {
    return ok(
      revokedOrganizationKeyView(await control.apiKeys.revokeForOrganization(caller, params.org_id, params.key_id)),
    )
  },
} satisfies Handlers
