// Organizations and who belongs to them.

import type { Caller, User } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId } from '../model/ids.ts'
import type { Member, Organization } from '../model/organization.ts'
import { findUserByEmail, getUser, getUsers } from '../store/accounts.ts'
import type { Sql } from '../store/database.ts'
import { deleteInvitationsBy } from '../store/invitations.ts'
import {
  deleteMember,
  getMember,
  listMembers,
  listOrganizationsOf,
  lockOrganization,
  updateMemberRole,
} from '../store/organizations.ts'
import { revokePermissionsInOrganization } from '../store/project-permissions.ts'
import { organizationFor } from './access.ts'
import { makeOrganization } from './accounts.ts'
import { revokeKeysBeyond } from './api-keys.ts'
import { isMemberRole, may, memberRoles, type MemberRole, type Role } from './authorization.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDisplayName } from './names.ts'

const memberNotFound = (): AppError => new AppError('not_found', 'member not found')

export function assertMemberRole(role: string): asserts role is MemberRole {
  if (isMemberRole(role)) return
  throw new AppError(
    'unprocessable',
    `the role ${JSON.stringify(role)} cannot be had in an organization; roles are ${memberRoles.join(', ')}. To let somebody into single projects, share them`,
  )
}

/** An organization that nobody administers could be given to nobody. */
async function assertAdminRemains(sql: Sql, orgId: OrganizationId, member: Member): Promise<void> {
  if (member.role !== 'admin') return
  const others = (await listMembers(sql, orgId)).filter(({ id, role }) => id !== member.id && role === 'admin')
  if (others.length > 0) return
  throw new AppError('unprocessable', 'this is the last admin of the organization; make another member an admin first')
}

/** What a member handed out ends where it would give more than he has from now on: it may be in his own other hand. */
async function endBeyond(sql: Sql, orgId: OrganizationId, { userId }: Member, role: Role): Promise<void> {
  await revokeKeysBeyond(sql, orgId, userId, role)
  if (!may(role, 'organization:admin')) await deleteInvitationsBy(sql, orgId, userId)
}

/** One change of members at a time: two admins that remove each other would leave none. */
async function changeMember<Outcome>(
  control: ControlContext,
  caller: Caller,
  orgId: string,
  memberId: string,
  change: (sql: Sql, organization: Organization, member: Member) => Promise<Outcome>,
): Promise<Outcome> {
  return await control.store.transaction(async (sql) => {
    await lockOrganization(sql, orgId)
    const organization = await organizationFor(sql, caller, orgId, 'organization:admin')
    const member = await getMember(sql, organization.id, memberId)
    if (!member) throw memberNotFound()
    return await change(sql, organization, member)
  })
}

async function listWithUsers(sql: Sql, members: readonly Member[]): Promise<(Member & { user: User })[]> {
  const users = await getUsers(
    sql,
    members.map(({ userId }) => userId),
  )
  const byId = new Map(users.map((user) => [user.id, user]))
  return members.flatMap((member) => {
    const user = byId.get(member.userId)
    return user ? [{ ...member, user }] : []
  })
}

export function organizationControl(control: ControlContext): Control['organizations'] {
  return {
    list: (caller) => listOrganizationsOf(control.store, caller.userId),
    get: (caller, orgId) => organizationFor(control.store, caller, orgId),
    async members(caller, orgId) {
      const organization = await organizationFor(control.store, caller, orgId)
      return await listWithUsers(control.store, await listMembers(control.store, organization.id))
    },
    async member(caller, orgId, memberId) {
      const organization = await organizationFor(control.store, caller, orgId)
      const member = await getMember(control.store, organization.id, memberId)
      if (!member) throw memberNotFound()
      return member
    },
    updateMember: (caller, orgId, memberId, role) =>
      changeMember(control, caller, orgId, memberId, async (sql, organization, member) => {
        assertMemberRole(role)
        if (role !== 'admin') await assertAdminRemains(sql, organization.id, member)
        await endBeyond(sql, organization.id, member, role)
        return await updateMemberRole(sql, member.id, role)
      }),
    removeMember: (caller, orgId, memberId) =>
      changeMember(control, caller, orgId, memberId, async (sql, organization, member) => {
        await assertAdminRemains(sql, organization.id, member)
        await endBeyond(sql, organization.id, member, 'stranger')
        const user = await getUser(sql, member.userId)
        if (user) await revokePermissionsInOrganization(sql, organization.id, user.email)
        await deleteMember(sql, organization.id, member)
      }),
    async create(caller, { name, plan, adminEmail }) {
      assertDisplayName(name, 'organization')
      return await control.store.transaction(async (sql) => {
        const admin = adminEmail === undefined ? undefined : await findUserByEmail(sql, adminEmail)
        if (adminEmail !== undefined && !admin)
          throw new AppError('not_found', `there is no user with the address ${adminEmail}; create the user first`)
        return await makeOrganization(sql, { name, plan }, admin?.id ?? caller.userId)
      })
    },
  }
}
