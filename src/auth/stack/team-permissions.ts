// What members of a team may do: two permissions that are given, and those that are part of them. Better Auth's roles are behind them.

import type { Queries } from '../database.ts'
import { findMember, listMembers, lockTeam, setMemberRole, type Member } from '../store/organizations.ts'
import { isServer, page, reply, signedIn, userIdOf, type Call, type Reply, type Route } from './call.ts'
import { known, plain, schemaError } from './errors.ts'
import { isUuid } from './fields.ts'

const ofMember = ['$read_members'] as const
const ofAdmin = [
  '$delete_team',
  '$invite_members',
  '$manage_api_keys',
  '$read_members',
  '$remove_members',
  '$update_team',
] as const
export type TeamPermission = (typeof ofAdmin)[number]

const one = '/team-permissions/:team/:user/:permission'

export const teamPermissionRoutes: Route[] = [
  { method: 'GET', path: '/team-permissions', access: 'client', handle: list },
  { method: 'POST', path: one, access: 'server', handle: grant },
  { method: 'DELETE', path: one, access: 'server', handle: revoke },
  { method: 'GET', path: '/project-permissions', access: 'client', handle: listOfProject },
  { method: 'POST', path: '/project-permissions/:user/:permission', access: 'server', handle: refuse },
  { method: 'DELETE', path: '/project-permissions/:user/:permission', access: 'server', handle: refuse },
]

/** Better Auth keeps several roles in one text. */
export const isTeamAdmin = ({ role }: Pick<Member, 'role'>): boolean =>
  role.split(',').some((one) => one.trim() === 'owner' || one.trim() === 'admin')

export const isTeamOwner = ({ role }: Pick<Member, 'role'>): boolean =>
  role.split(',').some((one) => one.trim() === 'owner')

/** Servers may everything. */
export async function assertMay(
  call: Call,
  queries: Queries,
  teamId: string,
  permission: TeamPermission,
): Promise<void> {
  if (isServer(call)) return
  const userId = signedIn(call).user.id
  const member = await findMember(queries, teamId, userId)
  const held: readonly string[] = member === undefined ? [] : isTeamAdmin(member) ? ofAdmin : ofMember
  if (held.includes(permission)) return
  throw known('TEAM_PERMISSION_REQUIRED', `the user lacks the permission ${permission} in this team`, {
    team_id: teamId,
    user_id: userId,
    permission_id: permission,
  })
}

async function list(call: Call): Promise<Reply> {
  const { query, instance } = call
  const givenUser = query.get('user_id')
  if (givenUser === null && !isServer(call))
    throw schemaError("clients list their own permissions: user_id must be 'me'")
  const userId = givenUser === null ? undefined : userIdOf(call, givenUser)
  const teamId = query.get('team_id') ?? undefined
  if (teamId !== undefined && !isUuid(teamId)) return page([])
  if (teamId === undefined && userId === undefined) throw schemaError('team_id or user_id is required')
  const members = await listMembers(instance.database, { teamId, userId })
  const wanted = query.get('permission_id')
  const items = members
    .flatMap((member) =>
      permissionsOf(member, query.get('recursive') === 'true').map((id) => ({
        id,
        user_id: member.userId,
        team_id: member.teamId,
      })),
    )
    .filter(({ id }) => wanted === null || id === wanted)
  return page(items)
}

function permissionsOf(member: Member, withParts: boolean): string[] {
  const isAdmin = isTeamAdmin(member)
  const given = isAdmin ? 'team_admin' : 'team_member'
  return withParts ? [...(isAdmin ? ofAdmin : ofMember), given].sort() : [given]
}

async function grant(call: Call): Promise<Reply> {
  const permission = await change(call, 'admin')
  return reply({ id: permission, user_id: call.params['user'], team_id: call.params['team'] }, 201)
}

async function revoke(call: Call): Promise<undefined> {
  await change(call, 'member')
  return undefined
}

/** Only being an admin of a team is given and taken; whoever is in it is a member anyway. */
async function change(call: Call, role: 'admin' | 'member'): Promise<string> {
  const { team = '', user = '', permission = '' } = call.params
  if (permission !== 'team_admin' && permission !== 'team_member') throw permissionNotFound(permission)
  if (permission === 'team_member' && role === 'member')
    throw plain(400, 'every member has this permission: remove the user from the team instead')
  await call.instance.database.transaction(async (queries) => {
    const member =
      isUuid(team) && isUuid(user) && (await lockTeam(queries, team))
        ? await findMember(queries, team, user)
        : undefined
    if (!member) throw membershipNotFound(team, user)
    if (permission === 'team_member' || (role === 'admin' && isTeamAdmin(member))) return
    await setMemberRole(queries, team, user, role)
  })
  return permission
}

async function listOfProject(call: Call): Promise<Reply> {
  const given = call.query.get('user_id')
  if (given !== null) userIdOf(call, given)
  else if (!isServer(call)) throw schemaError("clients list their own permissions: user_id must be 'me'")
  return page([])
}

async function refuse(call: Call): Promise<undefined> {
  throw permissionNotFound(call.params['permission'] ?? '')
}

const permissionNotFound = (id: string): Error =>
  known('PERMISSION_NOT_FOUND', 'there is no such permission here: teams have team_admin and team_member', {
    permission_id: id.slice(0, 128),
  })

export const membershipNotFound = (teamId: string, userId: string): Error =>
  known('TEAM_MEMBERSHIP_NOT_FOUND', 'the user is not in this team', {
    team_id: teamId.slice(0, 64),
    user_id: userId.slice(0, 64),
  })
