// Organizations.

import type { GetOrganizationMembersParams } from '@neondatabase/api-client'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { memberView, organizationView } from './organization-view.ts'

export const organizations = {
  /** Unwrapped, unlike every other single resource. */
  async getOrganization({ control, caller, params }: ApiRequest) {
    return ok(organizationView(await control.organizations.get(caller, params.org_id)))
  },

  /** All on one page. */
  async getOrganizationMembers({ control, caller, params, query }: ApiRequest<GetOrganizationMembersParams>) {
    const sortBy = query.sort_by ?? 'joined_at'
    const ascending = query.sort_order === 'asc'
    const members = await control.organizations.members(caller, params.org_id)
    const sortKey = (member: (typeof members)[number]): string =>
      sortBy === 'email' ? member.user.email : sortBy === 'role' ? member.role : member.joinedAt.toISOString()
    const sorted = members.toSorted((a, b) => sortKey(a).localeCompare(sortKey(b)))
    return ok({
      members: (ascending ? sorted : sorted.toReversed()).map((member) => memberView(member, params.org_id)),
      pagination: { sort_by: sortBy, sort_order: ascending ? 'ASC' : 'DESC' },
    })
  },
} satisfies Handlers
