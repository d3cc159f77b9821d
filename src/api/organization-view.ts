import type {
  Invitation as InvitationWire,
  Member as MemberWire,
  MemberRole,
  MemberWithUser,
  Organization as OrganizationWire,
} from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import type { Invitation, Member, Organization } from '../model/organization.ts'
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

type MemberOfUser = Awaited<ReturnType<Control['organizations']['members']>>[number]

export function memberView(member: MemberOfUser, orgId: string): Wire<MemberWithUser> {
  return { member: memberFields(member, orgId), user: { email: member.user.email } }
}

export function memberFields(member: Member, orgId: string): Wire<MemberWire> {
  return {
    id: member.id,
    user_id: member.userId,
    org_id: orgId,
    role: member.role as `${MemberRole}`,
    joined_at: seconds(member.joinedAt),
  }
}

export function invitationView(invitation: Invitation): Wire<InvitationWire> {
  return {
    id: invitation.id,
    email: invitation.email,
    org_id: invitation.orgId,
    invited_by: invitation.invitedBy,
    invited_at: seconds(invitation.invitedAt),
    role: invitation.role as `${MemberRole}`,
  }
}
