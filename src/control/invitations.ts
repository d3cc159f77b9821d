// Invitations: an admin names an address, and whoever is the user with that address accepts. Addresses are given to users by the
// operator, so nobody can make himself the invited one.

import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import {
  countInvitations,
  deleteInvitation,
  listInvitations,
  listInvitationsOf,
  saveInvitations,
  takeInvitation,
} from '../store/invitations.ts'
import { findMember, findMemberAddress, insertMember, lockOrganization } from '../store/organizations.ts'
import { organizationFor, userOf } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertMemberRole } from './organizations.ts'

const mostOpenInvitations = 1000

const invitationNotFound = (): AppError => new AppError('not_found', 'invitation not found')

const tooMany = (): AppError =>
  new AppError(
    'unprocessable',
    `an organization can have ${mostOpenInvitations} open invitations; withdraw some first. Nobody was invited`,
  )

async function invite(
  control: ControlContext,
  caller: Caller,
  orgId: string,
  wanted: readonly { email: string; role: string }[],
): ReturnType<Control['invitations']['create']> {
  if (wanted.length > mostOpenInvitations) throw tooMany()
  for (const { role } of wanted) assertMemberRole(role)
  // Of an address that is named twice, the last counts.
  const byAddress = new Map(wanted.map((each) => [each.email.toLowerCase(), each]))
  return await control.store.transaction(async (sql) => {
    await lockOrganization(sql, orgId)
    const organization = await organizationFor(sql, caller, orgId, 'organization:admin')
    const member = await findMemberAddress(sql, organization.id, [...byAddress.keys()])
    if (member !== undefined) {
      throw new AppError('unprocessable', `${member} is a member of the organization already; nobody was invited`)
    }
    const by = { orgId: organization.id, invitedBy: caller.userId }
    const invitations = await saveInvitations(sql, by, [...byAddress.values()])
    if ((await countInvitations(sql, organization.id)) > mostOpenInvitations) throw tooMany()
    return invitations
  })
}

async function accept(
  control: ControlContext,
  caller: Caller,
  invitationId: string,
): ReturnType<Control['invitations']['accept']> {
  return await control.store.transaction(async (sql) => {
    const user = await userOf(sql, caller)
    const invitation = await takeInvitation(sql, invitationId, user.email)
    if (!invitation) throw invitationNotFound()
    await insertMember(sql, invitation.orgId, user.id, invitation.role)
    const member = await findMember(sql, invitation.orgId, user.id)
    if (!member) throw new AppError('internal', 'the new member was not stored')
    return { organization: await organizationFor(sql, caller, invitation.orgId), member }
  })
}

export function invitationControl(control: ControlContext): Control['invitations'] {
  return {
    async list(caller, orgId) {
      const organization = await organizationFor(control.store, caller, orgId)
      return await listInvitations(control.store, organization.id)
    },
    create: (caller, orgId, invitations) => invite(control, caller, orgId, invitations),
    async withdraw(caller, orgId, invitationId) {
      const organization = await organizationFor(control.store, caller, orgId, 'organization:admin')
      if (!(await deleteInvitation(control.store, organization.id, invitationId))) throw invitationNotFound()
    },
    async listOwn(caller) {
      const { email } = await userOf(control.store, caller)
      return await listInvitationsOf(control.store, email)
    },
    accept: (caller, invitationId) => accept(control, caller, invitationId),
  }
}
