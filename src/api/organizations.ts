// Organizations.

import type { GetOrganizationMembersParams, OrganizationMemberUpdateRequest } from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import { AppError } from '../model/errors.ts'
import type { Wire } from './contract/wire.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { memberFields, memberView, organizationView } from './organization-view.ts'

export const organizations = {
  /** Unwrapped, unlike every other single resource. */
  async getOrganization({ control, caller, params }: ApiRequest) {
    return ok(organizationView(await control.organizations.get(caller, params.org_id)))
  },

  async createOrganization({
    control,
    caller,
    body,
  }: ApiRequest<unknown, { name: string; plan?: string; admin_email?: string }>) {
    const organization = await control.organizations.create(caller, {
      name: body.name,
      plan: body.plan ?? planOfNewOnes,
      adminEmail: body.admin_email,
    })
    return ok({ organization: organizationView(organization) })
  },

  async getOrganizationMembers({ control, caller, params, query }: ApiRequest<GetOrganizationMembersParams>) {
    const members = await control.organizations.members(caller, params.org_id)
    const page = memberPage(members, query)
    return ok({
      members: page.members.map((member) => memberView(member, params.org_id)),
      pagination: page.pagination,
    })
  },

  async getOrganizationMember({ control, caller, params }: ApiRequest) {
    const member = await control.organizations.member(caller, params.org_id, params.member_id)
    return ok(memberFields(member, params.org_id))
  },

  async updateOrganizationMember({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, OrganizationMemberUpdateRequest>) {
    const { org_id: orgId, member_id: memberId } = params
    return ok(memberFields(await control.organizations.updateMember(caller, orgId, memberId, body.role), orgId))
  },

  async removeOrganizationMember({ control, caller, params }: ApiRequest) {
    await control.organizations.removeMember(caller, params.org_id, params.member_id)
    return ok({})
  },
} satisfies Handlers

const planOfNewOnes = 'free_v3'

type MemberOfUser = Awaited<ReturnType<Control['organizations']['members']>>[number]

/** Neon's default, and its most. */
const membersPerPage = 500

/** The cursor is the last member's id: an organization has few enough members to be sorted whole. */
function memberPage(
  members: readonly MemberOfUser[],
  query: Pick<Wire<GetOrganizationMembersParams>, 'sort_by' | 'sort_order' | 'limit' | 'cursor'>,
) {
  const sortBy = query.sort_by ?? 'joined_at'
  const ascending = query.sort_order === 'asc'
  const sortKey = (member: MemberOfUser): string =>
    sortBy === 'email' ? member.user.email : sortBy === 'role' ? member.role : member.joinedAt.toISOString()
  const sorted = members.toSorted((a, b) => sortKey(a).localeCompare(sortKey(b)) || a.id.localeCompare(b.id))
  if (!ascending) sorted.reverse()
  const start = query.cursor === undefined ? 0 : sorted.findIndex(({ id }) => id === query.cursor) + 1
  if (query.cursor !== undefined && start === 0)
    throw new AppError('bad_request', 'invalid request: cursor is none that this list gave; leave it out to begin anew')
  const page = sorted.slice(start, start + (query.limit ?? membersPerPage))
  const last = page.at(-1)
  const more = last !== undefined && start + page.length < sorted.length
  return {
    members: page,
    pagination: {
      sort_by: sortBy,
      sort_order: ascending ? ('ASC' as const) : ('DESC' as const),
      ...(more ? { next: last.id } : {}),
    },
  }
}
