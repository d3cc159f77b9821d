// Invitations into organizations.

import type { OrganizationInvitesCreateRequest } from '@neondatabase/api-client'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { invitationView, memberFields, organizationView } from './organization-view.ts'

export const invitations = {
  async getOrganizationInvitations({ control, caller, params }: ApiRequest) {
    const open = await control.invitations.list(caller, params.org_id)
    return ok({ invitations: open.map(invitationView) })
  },

  async createOrganizationInvitations({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, OrganizationInvitesCreateRequest>) {
    const made = await control.invitations.create(caller, params.org_id, body.invitations)
    return ok({ invitations: made.map(invitationView) })
  },

  async withdrawOrganizationInvitation({ control, caller, params }: ApiRequest) {
    await control.invitations.withdraw(caller, params.org_id, params.invitation_id)
    return { status: 204 as const }
  },

  async listOwnInvitations({ control, caller }: ApiRequest) {
    const open = await control.invitations.listOwn(caller)
    return ok({
      invitations: open.map(({ invitation, orgName }) => ({ ...invitationView(invitation), org_name: orgName })),
    })
  },

  async acceptInvitation({ control, caller, params }: ApiRequest) {
    const { organization, member } = await control.invitations.accept(caller, params.invitation_id)
    return ok({ organization: organizationView(organization), member: memberFields(member, organization.id) })
  },
} satisfies Handlers
