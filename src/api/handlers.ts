// Every operation that is written. What is not here, the server answers with 501 and docs/api-coverage.md says so.

import { apiKeys } from './api-keys.ts'
import { auditLog } from './audit-log.ts'
import { authDomains } from './auth-domains.ts'
import { authEmail } from './auth-email.ts'
import { authIntegrations } from './auth-integrations.ts'
import { authOauthProviders } from './auth-oauth-providers.ts'
import { authSettings } from './auth-settings.ts'
import { authUsers } from './auth-users.ts'
import { authWebhooks } from './auth-webhooks.ts'
import { authMailbox } from './auth-mailbox.ts'
import { branches } from './branches.ts'
import { connectionUri } from './connection-uri.ts'
import { consumption } from './consumption.ts'
import { costs } from './costs.ts'
import { dataApi } from './data-api.ts'
import { databases } from './databases.ts'
import { endpoints } from './endpoints.ts'
import { events } from './events.ts'
import type { Handlers } from './handler.ts'
import { invitations } from './invitations.ts'
import { jwks } from './jwks.ts'
import { operations } from './operations.ts'
import { organizationLimits } from './organization-limits.ts'
import { organizations } from './organizations.ts'
import { projectPermissions } from './project-permissions.ts'
import { projects } from './projects.ts'
import { rateLimits } from './rate-limits.ts'
import { regions } from './regions.ts'
import { roles } from './roles.ts'
import { schemas } from './schemas.ts'
import { snapshots } from './snapshots.ts'
import { transfers } from './transfers.ts'
import { users } from './users.ts'
import { webhooks } from './webhooks.ts'

export const handlers: Handlers = {
  ...projects,
  ...branches,
  ...snapshots,
  ...endpoints,
  ...roles,
  ...databases,
  ...schemas,
  ...operations,
  ...connectionUri,
  ...consumption,
  ...jwks,
  ...events,
  ...webhooks,
  ...authMailbox,
  ...costs,
  ...rateLimits,
  ...regions,
  ...apiKeys,
  ...transfers,
  ...users,
  ...organizations,
  ...invitations,
  ...projectPermissions,
  ...auditLog,
  ...organizationLimits,
  ...dataApi,
  ...authIntegrations,
  ...authUsers,
  ...authOauthProviders,
  ...authDomains,
  ...authEmail,
  ...authSettings,
  ...authWebhooks,
}
