// Who may name what for us to connect to.

import type { Caller } from '../model/caller.ts'
import type { OrganizationId } from '../model/ids.ts'
import { isAdministeredByOperator } from '../store/access.ts'
import type { Sql } from '../store/database.ts'
import { findAccess } from './access.ts'
import { may } from './authorization.ts'

export { assertOutboundUrl, requestOutbound } from '../lib/outbound-requests.ts'

/**
 * Admins of an organization and its own key, where the organization is one of the operator's own: a developer's machine is his to name,
 * the network that pgrove runs in is not a stranger's, however much he is the admin of what he claimed.
 */
export async function mayNamePrivate(sql: Sql, caller: Caller, orgId: OrganizationId): Promise<boolean> {
  const { role } = await findAccess(sql, caller, 'organization:admin', { orgId })
  return may(role, 'organization:admin') && (await isAdministeredByOperator(sql, orgId))
}
