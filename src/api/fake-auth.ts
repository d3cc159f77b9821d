// Sign-in without anything behind it, for tests of the API alone: one integration, and whatever is set is said back.

import { defaultAuthSettings, type AuthIntegration } from '../model/auth.ts'
import type { AuthControl } from '../control/auth/auth-control.ts'
import type { AuthIntegrationId, BranchId, ProjectId } from '../model/ids.ts'

export function fakeAuth(then: Date): AuthControl {
  const integration: AuthIntegration = {
    id: '1f9f0c1e-3f0c-4d6e-9a61-2d0b7f5d1c15' as AuthIntegrationId,
    projectId: 'quiet-river-12345678' as ProjectId,
    branchId: 'br-quiet-river-aaaa1111' as BranchId,
    databaseName: 'neondb',
    provider: 'stack',
    ownedBy: 'neon',
    transferStatus: undefined,
    name: undefined,
    settings: defaultAuthSettings,
    createdAt: then,
    updatedAt: then,
  }
  const urls = { baseUrl: 'https://example.com', jwksUrl: 'https://example.com/jwks.json' }
  const shown = { integration, appName: 'a project', urls }
  const created = { ...shown, keys: { publishable: 'pck_new', secret: 'ssk_new' } }
  const provider = { id: 'google', type: 'shared', clientId: undefined } as const
  const server = { type: 'shared', senderEmail: undefined, senderName: undefined } as const
  return {
    create: async () => created,
    get: async () => shown,
    list: async () => [shown],
    disable: async () => {},
    createKeys: async () => created,
    transfer: async () => 'https://example.com',
    rename: async (_caller, _place, name) => name,
    settings: async () => defaultAuthSettings,
    changeSettings: async () => defaultAuthSettings,
    setWebhook: async () => defaultAuthSettings.webhooks,
    oauthProviders: {
      list: async () => [provider],
      add: async () => provider,
      update: async () => provider,
      delete: async () => {},
    },
    domains: {
      list: async () => ({ domains: ['https://example.com'], provider: 'stack' as const }),
      add: async () => {},
      delete: async () => {},
    },
    emailServer: {
      get: async () => server,
      set: async () => server,
      test: async () => ({ success: true, error: undefined }),
    },
    users: { create: async () => integration.id, delete: async () => {}, setRoles: async (_caller, _place, id) => id },
  }
}
