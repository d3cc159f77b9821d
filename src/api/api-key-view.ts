// API keys, as the API shows them. The list says who made a key in full, creation and revocation only by id: so does Neon.

import type { ApiKeyCreateResponse, ApiKeyRevokeResponse, ApiKeysListResponseItem } from '@neondatabase/api-client'
import type { ApiKey, User } from '../model/caller.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

export function apiKeyView(key: ApiKey, creator: User): Wire<ApiKeysListResponseItem> {
  return { ...commonFields(key), ...usageFields(key), created_by: { id: creator.id, name: creator.name, image: '' } }
}

export function createdApiKeyView(key: ApiKey, secret: string): Wire<ApiKeyCreateResponse> {
  return { ...commonFields(key), key: secret, created_by: key.userId }
}

export function revokedApiKeyView(key: ApiKey): Wire<ApiKeyRevokeResponse> {
  return { ...commonFields(key), ...usageFields(key), created_by: key.userId, revoked: true }
}

function commonFields(key: ApiKey) {
  return { id: key.id, name: key.name, created_at: seconds(key.createdAt) }
}

function usageFields(key: ApiKey) {
  return { last_used_at: key.lastUsedAt ? seconds(key.lastUsedAt) : null, last_used_from_addr: key.lastUsedFrom }
}
