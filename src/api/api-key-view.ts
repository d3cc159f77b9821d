// API keys, as the API shows them. The list says who made a key in full, creation and revocation only by id: so does Neon.

import type {
  ApiKeyCreateResponse,
  ApiKeyRevokeResponse,
  ApiKeysListResponseItem,
  OrgApiKeyCreateResponse,
  OrgApiKeyRevokeResponse,
  OrgApiKeysListResponseItem,
} from '@neondatabase/api-client'
import type { ApiKey, Creator } from '../model/caller.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

export function apiKeyView(key: ApiKey, creator: Creator): Wire<ApiKeysListResponseItem> {
  return { ...commonFields(key), ...usageFields(key), created_by: { id: creator.id, name: creator.name, image: '' } }
}

export function createdApiKeyView(key: ApiKey, secret: string): Wire<ApiKeyCreateResponse> {
  return { ...commonFields(key), key: secret, created_by: key.userId }
}

export function revokedApiKeyView(key: ApiKey): Wire<ApiKeyRevokeResponse> {
  return { ...commonFields(key), ...usageFields(key), created_by: key.userId, revoked: true }
}

export function organizationKeyView(key: ApiKey, creator: Creator): Wire<OrgApiKeysListResponseItem> {
  return { ...apiKeyView(key, creator), ...projectOf(key) }
}

export function createdOrganizationKeyView(key: ApiKey, secret: string): Wire<OrgApiKeyCreateResponse> {
  return { ...createdApiKeyView(key, secret), ...projectOf(key) }
}

export function revokedOrganizationKeyView(key: ApiKey): Wire<OrgApiKeyRevokeResponse> {
  return { ...revokedApiKeyView(key), ...projectOf(key) }
}

function projectOf({ projectId }: ApiKey): { project_id?: string } {
  return projectId === undefined ? {} : { project_id: projectId }
}

function commonFields(key: ApiKey) {
  return { id: key.id, name: key.name, created_at: seconds(key.createdAt) }
}

function usageFields(key: ApiKey) {
  return { last_used_at: key.lastUsedAt ? seconds(key.lastUsedAt) : null, last_used_from_addr: key.lastUsedFrom }
}
