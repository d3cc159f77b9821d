// Invitations into teams. The mail's link has a code; whoever holds it has the mail, and joins by it.

import {
  closeInvitation,
  countInvitations,
  findInvitation,
  findMember,
  insertInvitation,
  insertMember,
  listInvitations,
  listMembers,
  lockInvitation,
  lockTeam,
  type Invitation,
} from '../store/organizations.ts'
import type { Queries } from '../database.ts'
import { findUser } from '../store/users.ts'
import { checkCode, createCode, takeCode, type CodeOutcome } from '../store/verifications.ts'
import { found, isServer, page, reply, signedIn, userIdOf, type Call, type Reply, type Route } from './call.ts'
import { assertValid, codeRefusal } from './codes.ts'
import { plain, schemaError } from './errors.ts'
import { email, isUuid, text } from './fields.ts'
import { callbackUrl, linkWithCode, sendLink } from './mails.ts'
import { alreadyMember, assertRoom } from './team-members.ts'
import { assertMay, isTeamOwner } from './team-permissions.ts'
import { teamNotFound, visibleTeam } from './teams.ts'
import { invitationView } from './views.ts'

const lifeSeconds = 7 * 86_400
const mostOpen = 100

export const teamInvitationRoutes: Route[] = [
  { method: 'POST', path: '/team-invitations/send-code', access: 'client', kind: 'send', handle: send },
  { method: 'POST', path: '/team-invitations/accept', access: 'client', kind: 'sign_in', handle: accept },
  { method: 'POST', path: '/team-invitations/accept/check-code', access: 'client', kind: 'sign_in', handle: check },
  { method: 'POST', path: '/team-invitations/accept/details', access: 'client', kind: 'sign_in', handle: details },
  { method: 'GET', path: '/team-invitations', access: 'client', handle: list },
  { method: 'POST', path: '/team-invitations/:invitation/accept', access: 'client', handle: acceptById },
  { method: 'DELETE', path: '/team-invitations/:invitation', access: 'client', handle: revoke },
]

type InvitationData = { invitationId: string }

async function send(call: Call): Promise<Reply> {
  const { database, target, limits } = call.instance
  const address = email(call.body)
  const callback = callbackUrl(call, text(call.body, 'callback_url', 4096))
  const team = await visibleTeam(call, database, text(call.body, 'team_id'))
  await assertMay(call, database, team.id, '$invite_members')
  limits.takeRecipient(target.integrationId, address)
  const { id, code } = await database.transaction(async (queries) => {
    if (!(await lockTeam(queries, team.id))) throw teamNotFound(team.id)
    if ((await countInvitations(queries, team.id)) >= mostOpen)
      throw plain(403, `a team may have ${mostOpen} open invitations`)
    const inviterId = await inviterOf(call, queries, team.id)
    const invitationId = await insertInvitation(queries, {
      teamId: team.id,
      email: address,
      role: 'member',
      inviterId,
      lifeSeconds,
    })
    const made = await createCode(queries, 'team-invitation', { invitationId }, lifeSeconds)
    return { id: invitationId, code: made.code }
  })
  await sendLink(call, {
    kind: 'invitation',
    to: address,
    url: linkWithCode(callback, code),
    organizationName: team.name,
    inviterName: call.signedIn?.user.name ?? undefined,
    expiresInMinutes: lifeSeconds / 60,
  })
  return reply({ success: true, id })
}

/** Somebody has to have invited: for an app's server it is the team's owner, or whoever has been in it longest. */
async function inviterOf(call: Call, queries: Queries, teamId: string): Promise<string> {
  if (!isServer(call)) return signedIn(call).user.id
  const members = await listMembers(queries, { teamId, userId: undefined })
  const inviter = members.find(isTeamOwner) ?? members[0]
  if (!inviter) throw plain(400, 'nobody is in this team who could invite: add a member first')
  return inviter.userId
}

async function list(call: Call): Promise<Reply> {
  const { database } = call.instance
  const teamId = call.query.get('team_id')
  const givenUser = call.query.get('user_id')
  if (teamId === null && givenUser === null) throw schemaError('team_id or user_id is required')
  if (teamId !== null) {
    const team = await visibleTeam(call, database, teamId)
    await assertMay(call, database, team.id, '$invite_members')
    return page((await listInvitations(database, { teamId: team.id })).map(invitationView))
  }
  const user = found(await findUser(database, userIdOf(call, givenUser)))
  // Whoever has not shown that the address is his own does not see what was sent to it.
  if (user.email === null || !user.emailVerified) return page([])
  return page((await listInvitations(database, { email: user.email })).map(invitationView))
}

async function revoke(call: Call): Promise<undefined> {
  const { database } = call.instance
  const team = await visibleTeam(call, database, call.query.get('team_id') ?? undefined)
  await assertMay(call, database, team.id, '$invite_members')
  const id = call.params['invitation'] ?? ''
  await database.transaction(async (queries) => {
    const invitation = isUuid(id) ? await lockInvitation(queries, id) : undefined
    if (invitation?.teamId !== team.id) throw plain(404, 'there is no such invitation')
    await closeInvitation(queries, id, 'canceled')
  })
  return undefined
}

async function check(call: Call): Promise<Reply> {
  await invitationOfCode(call)
  return reply({ is_code_valid: true })
}

async function details(call: Call): Promise<Reply> {
  const invitation = await invitationOfCode(call)
  return reply({ team_id: invitation.teamId, team_display_name: invitation.teamName })
}

async function invitationOfCode(call: Call): Promise<Invitation> {
  const { database } = call.instance
  const code = text(call.body, 'code', 64)
  signedIn(call)
  const outcome = await database.transaction((queries) => checkCode<InvitationData>(queries, 'team-invitation', code))
  const invitation = await findInvitation(database, assertValid(outcome).invitationId)
  if (!invitation) throw codeRefusal('used')
  return invitation
}

async function accept(call: Call): Promise<Reply> {
  const code = text(call.body, 'code', 64)
  const { user } = signedIn(call)
  const outcome = await call.instance.database.transaction(async (queries): Promise<CodeOutcome<InvitationData>> => {
    const taken = await takeCode<InvitationData>(queries, 'team-invitation', code)
    if (taken.kind !== 'valid') return taken
    const joined = await join(call, queries, taken.data.invitationId, user.id)
    return joined ? taken : { kind: 'used' }
  })
  assertValid(outcome)
  return reply({})
}

async function acceptById(call: Call): Promise<Reply> {
  const { database } = call.instance
  const id = call.params['invitation'] ?? ''
  const user = found(await findUser(database, userIdOf(call, call.query.get('user_id') ?? 'me')))
  await database.transaction(async (queries) => {
    const invitation = isUuid(id) ? await findInvitation(queries, id) : undefined
    // Without the code, the verified address is what shows that he is meant.
    const isMeant = invitation !== undefined && user.emailVerified && user.email === invitation.email
    if (!isMeant) throw plain(404, 'there is no such invitation for this user')
    if (!(await join(call, queries, id, user.id))) throw plain(404, 'there is no such invitation for this user')
  })
  return reply({})
}

/** False where it is no longer open. */
async function join(call: Call, queries: Queries, invitationId: string, userId: string): Promise<boolean> {
  const invitation = await findInvitation(queries, invitationId)
  if (!invitation || !(await lockTeam(queries, invitation.teamId))) return false
  if (!(await lockInvitation(queries, invitationId))) return false
  if (await findMember(queries, invitation.teamId, userId)) throw alreadyMember()
  await assertRoom(queries, invitation.teamId, call.instance.target.settings.organization.membershipLimit)
  await insertMember(queries, { teamId: invitation.teamId, userId, role: invitation.role })
  await closeInvitation(queries, invitationId, 'accepted')
  return true
}
