import type { MemberRole, MemberWithUser, Organization as OrganizationWire } from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import type { Organization } from '../model/organization.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

export function organizationView(organization: Organization): Wire<OrganizationWire> {
  return {
    id: organization.id,
    name: organization.name,
    handle: organization.handle,
    plan: organization.plan,
    created_at: seconds(organization.createdAt),
    updated_at: seconds(organization.updatedAt),
    managed_by: 'console',
  }
}

type Member = Awaited<ReturnType<Control['organizations']['members']>>[number]

export function memberView(member: Member, orgId: string): Wire<MemberWithUser> {
  return {
    member: {
      id: member.id,
      user_id: member.user.id,
      org_id: orgId,
      role: member.role as `${MemberRole}`,
      joined_at: seconds(member.joinedAt),
    },
    user: { email: member.user.email },
  }
}
