// Who is in a team, and how members show in it.

import {
  countMembers,
  deleteMember,
  findMember,
  insertMember,
  listMembers,
  lockTeam,
  updateMemberProfile,
  type Member,
} from '../store/organizations.ts'
import type { Queries } from '../database.ts'
import { findUser, findUsers } from '../store/users.ts'
import { found, isServer, page, reply, signedIn, userIdOf, type Call, type Reply, type Route } from './call.ts'
import { known, plain, schemaError } from './errors.ts'
import { isUuid, nullableImageUrl, nullableName } from './fields.ts'
import { assertMay, isTeamOwner, membershipNotFound } from './team-permissions.ts'
import { teamNotFound, visibleTeam } from './teams.ts'
import { userViews } from './users.ts'
import { memberProfileView } from './views.ts'

const membership = '/team-memberships/:team/:user'
const profile = '/team-member-profiles/:team/:user'

export const teamMemberRoutes: Route[] = [
  { method: 'POST', path: membership, access: 'server', handle: add },
  { method: 'DELETE', path: membership, access: 'client', handle: remove },
  { method: 'GET', path: '/team-member-profiles', access: 'client', handle: list },
  { method: 'GET', path: profile, access: 'client', handle: get },
  { method: 'PATCH', path: profile, access: 'client', handle: update },
]

async function add(call: Call): Promise<Reply> {
  const { database, target } = call.instance
  const { team = '' } = call.params
  const userId = userIdOf(call, call.params['user'])
  await database.transaction(async (queries) => {
    if (!isUuid(team) || !(await lockTeam(queries, team))) throw teamNotFound(team)
    found(await findUser(queries, userId))
    if (await findMember(queries, team, userId)) throw alreadyMember()
    await assertRoom(queries, team, target.settings.organization.membershipLimit)
    await insertMember(queries, { teamId: team, userId, role: 'member' })
  })
  return reply({ team_id: team, user_id: userId }, 201)
}

export const alreadyMember = (): Error => known('TEAM_MEMBERSHIP_ALREADY_EXISTS', 'the user is in this team already')

/** Under the team's lock. */
export async function assertRoom(queries: Queries, teamId: string, limit: number): Promise<void> {
  if ((await countMembers(queries, teamId)) >= limit) throw plain(403, `a team may have ${limit} members`)
}

async function remove(call: Call): Promise<undefined> {
  const { database } = call.instance
  const { team = '', user = '' } = call.params
  const own = call.signedIn?.user.id
  const userId = user === 'me' || user.toLowerCase() === own ? userIdOf(call, 'me') : user.toLowerCase()
  await database.transaction(async (queries) => {
    if (!isUuid(team) || !(await lockTeam(queries, team))) throw teamNotFound(team)
    const member = isUuid(userId) ? await findMember(queries, team, userId) : undefined
    if (!isServer(call) && userId !== signedIn(call).user.id) await assertMay(call, queries, team, '$remove_members')
    if (!member) throw isServer(call) || userId !== own ? membershipNotFound(team, userId) : teamNotFound(team)
    if (!isServer(call)) await assertMayGo(call, queries, member)
    await deleteMember(queries, team, userId)
  })
  return undefined
}

/** An owner is removed by himself or by another owner, and the last one not while others are there: nobody could do anything for them. */
async function assertMayGo(call: Call, queries: Queries, member: Member): Promise<void> {
  if (!isTeamOwner(member)) return
  const members = await listMembers(queries, { teamId: member.teamId, userId: undefined })
  const owners = members.filter(isTeamOwner)
  if (!owners.some(({ userId }) => userId === signedIn(call).user.id))
    throw known('TEAM_PERMISSION_REQUIRED', 'only an owner removes an owner', {
      team_id: member.teamId,
      user_id: signedIn(call).user.id,
      permission_id: '$remove_members',
    })
  if (owners.length === 1 && members.length > 1)
    throw plain(
      400,
      'the last owner cannot leave while others are in the team: make somebody else an owner, or delete the team',
    )
}

async function list(call: Call): Promise<Reply> {
  const { database } = call.instance
  const teamId = call.query.get('team_id') ?? undefined
  const givenUser = call.query.get('user_id')
  if (teamId === undefined && givenUser === null) throw schemaError('team_id or user_id is required')
  if (!isServer(call) && teamId === undefined) throw schemaError('team_id is required')
  const userId = givenUser === null ? undefined : userIdOf(call, givenUser)
  if (teamId !== undefined) {
    await visibleTeam(call, database, teamId)
    if (userId === undefined) await assertMay(call, database, teamId, '$read_members')
  }
  const members = await listMembers(database, { teamId, userId })
  return page(await viewsOf(call, members))
}

async function get(call: Call): Promise<Reply> {
  const member = await lookAt(call)
  return reply(await viewOf(call, member))
}

async function update(call: Call): Promise<Reply> {
  const { database } = call.instance
  const displayName = nullableName(call.body, 'display_name')
  const image = nullableImageUrl(call.body, 'profile_image_url')
  userIdOf(call, call.params['user'])
  const member = await lookAt(call)
  await database.transaction((queries) =>
    updateMemberProfile(queries, member.teamId, member.userId, { displayName, image }),
  )
  return reply(await viewOf(call, (await findMember(database, member.teamId, member.userId)) ?? member))
}

/** Of a team that the caller sees; others in it only where he may read members. */
async function lookAt(call: Call): Promise<Member> {
  const { database } = call.instance
  const team = await visibleTeam(call, database, call.params['team'])
  const given = call.params['user'] ?? ''
  const userId = given === 'me' ? userIdOf(call, 'me') : given.toLowerCase()
  if (!isServer(call) && userId !== signedIn(call).user.id) await assertMay(call, database, team.id, '$read_members')
  const member = isUuid(userId) ? await findMember(database, team.id, userId) : undefined
  if (!member) throw membershipNotFound(team.id, userId)
  return member
}

async function viewOf(call: Call, member: Member): Promise<Record<string, unknown> | undefined> {
  const [view] = await viewsOf(call, [member])
  return view
}

async function viewsOf(call: Call, members: readonly Member[]): Promise<Record<string, unknown>[]> {
  const byId = await findUsers(
    call.instance.database,
    members.map(({ userId }) => userId),
  )
  const known = members.flatMap((member) => {
    const user = byId.get(member.userId)
    return user ? [{ member, user }] : []
  })
  const profiles = known.map(({ member, user }) => memberProfileView(member, user))
  if (!isServer(call)) return profiles
  const users = await userViews(
    call,
    known.map(({ user }) => user),
  )
  return profiles.map((profile, at) => ({ ...profile, user: users[at] }))
}
