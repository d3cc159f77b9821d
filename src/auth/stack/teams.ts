// Teams: organizations of the same tables, as this surface shows them. Whoever makes one owns it.

import type { Queries } from '../database.ts'
import {
  countMemberships,
  deleteTeam,
  findMember,
  findTeam,
  insertMember,
  insertTeam,
  listTeams,
  updateTeam,
  type Team,
  type TeamChanges,
} from '../store/organizations.ts'
import { findUser, lockUser } from '../store/users.ts'
import { found, isServer, reply, signedIn, userIdOf, type Call, type Reply, type Route } from './call.ts'
import { known, plain, schemaError } from './errors.ts'
import { isUuid, metadata, nullableImageUrl, numberInQuery, optionalText } from './fields.ts'
import { assertMay } from './team-permissions.ts'
import { clientTeamView, serverTeamView } from './views.ts'

const mostOnPage = 1000

export const teamRoutes: Route[] = [
  { method: 'GET', path: '/teams', access: 'client', handle: list },
  { method: 'POST', path: '/teams', access: 'client', handle: create },
  { method: 'GET', path: '/teams/:team', access: 'client', handle: get },
  { method: 'PATCH', path: '/teams/:team', access: 'client', handle: update },
  { method: 'DELETE', path: '/teams/:team', access: 'client', handle: remove },
]

const view = (call: Call, team: Team): Record<string, unknown> =>
  isServer(call) ? serverTeamView(team) : clientTeamView(team)

async function list(call: Call): Promise<Reply> {
  const { query, instance } = call
  const given = query.get('user_id')
  if (given === null && !isServer(call)) throw schemaError("clients list their own teams: user_id must be 'me'")
  const userId = given === null ? undefined : userIdOf(call, given)
  const cursor = query.get('cursor') || undefined
  if (cursor !== undefined && !isUuid(cursor)) throw schemaError('cursor must be one that a page before has given')
  const limit = numberInQuery(query, 'limit', mostOnPage) ?? mostOnPage
  const search = query.get('query')?.trim().slice(0, 256) || undefined
  const descending = query.get('desc') === 'true'
  const teams = await listTeams(instance.database, { userId, limit, after: cursor, descending, search })
  const shown = teams.slice(0, limit)
  return reply({
    items: shown.map((team) => view(call, team)),
    is_paginated: true,
    pagination: { next_cursor: teams.length > limit ? (shown.at(-1)?.id ?? null) : null },
  })
}

async function create(call: Call): Promise<Reply> {
  const { instance, body } = call
  const { organization } = instance.target.settings
  const name = displayName(call) ?? ''
  if (name === '') throw schemaError('display_name is required')
  const creator = optionalText(body, 'creator_user_id')
  const creatorId = creator === undefined && isServer(call) ? undefined : userIdOf(call, creator ?? 'me')
  if (!isServer(call) && !organization.enabled) throw plain(403, 'making teams is not enabled for this project')
  const changes = changesOf(call)
  const team = await instance.database.transaction(async (queries) => {
    if (creatorId !== undefined) {
      await lockUser(queries, creatorId)
      found(await findUser(queries, creatorId))
      if (!isServer(call) && (await countMemberships(queries, creatorId)) >= organization.organizationLimit)
        throw plain(403, `a user may be in ${organization.organizationLimit} teams`)
    }
    const id = await insertTeam(queries, { ...changes, name })
    if (creatorId !== undefined)
      await insertMember(queries, { teamId: id, userId: creatorId, role: organization.creatorRole })
    return await findTeam(queries, id)
  })
  return reply(view(call, existing(team, '')), 201)
}

async function get(call: Call): Promise<Reply> {
  const team = await visibleTeam(call, call.instance.database, call.params['team'])
  return reply(view(call, team))
}

async function update(call: Call): Promise<Reply> {
  const { database } = call.instance
  const team = await visibleTeam(call, database, call.params['team'])
  await assertMay(call, database, team.id, '$update_team')
  const name = displayName(call)
  if (name === '') throw schemaError('display_name must not be empty')
  await database.transaction((queries) =>
    updateTeam(queries, team.id, { ...changesOf(call), ...(name !== undefined && { name }) }),
  )
  return reply(view(call, existing(await findTeam(database, team.id), team.id)))
}

async function remove(call: Call): Promise<undefined> {
  const { database } = call.instance
  const team = await visibleTeam(call, database, call.params['team'])
  await assertMay(call, database, team.id, '$delete_team')
  await deleteTeam(database, team.id)
  return undefined
}

function changesOf(call: Call): TeamChanges {
  const { body } = call
  const changes = {
    image: nullableImageUrl(body, 'profile_image_url'),
    clientMetadata: metadata(body, 'client_metadata'),
    ...(isServer(call) && {
      clientReadOnlyMetadata: metadata(body, 'client_read_only_metadata'),
      serverMetadata: metadata(body, 'server_metadata'),
    }),
  }
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
}

const displayName = (call: Call): string | undefined => optionalText(call.body, 'display_name', 256)

/** Clients see the teams that they are in; of others they do not even hear that there are any. */
export async function visibleTeam(call: Call, queries: Queries, id: string | undefined): Promise<Team> {
  const team = id !== undefined && isUuid(id) ? await findTeam(queries, id) : undefined
  if (team && !isServer(call) && !(await findMember(queries, team.id, signedIn(call).user.id))) throw teamNotFound(id)
  return existing(team, id)
}

function existing(team: Team | undefined, id: string | undefined): Team {
  if (!team) throw teamNotFound(id)
  return team
}

export const teamNotFound = (id: string | undefined): Error =>
  known('TEAM_NOT_FOUND', 'there is no such team', { team_id: id?.slice(0, 64) ?? '' })
