// Users: the one who is signed in, and for an app's server all of them.

import type { Queries } from '../database.ts'
import { connectAccount, setPassword } from '../store/accounts.ts'
import { findContactChannelByValue, deleteContactChannel, isTakenByAnother } from '../store/contact-channels.ts'
import { findMember, findTeams } from '../store/organizations.ts'
import { deleteSessions } from '../store/sessions.ts'
import {
  deleteUser,
  findUser,
  listUsers,
  lockUser,
  updateUser,
  type StoredUser,
  type UserChanges,
} from '../store/users.ts'
import { isImportableHash } from '../passwords.ts'
import { found, isServer, reply, sqlState, userIdOf, userNotFound, type Call, type Reply, type Route } from './call.ts'
import { known, schemaError } from './errors.ts'
import {
  email,
  flag,
  isUuid,
  metadata,
  nullableImageUrl,
  nullableName,
  nullableText,
  numberInQuery,
  optionalText,
  text,
  type Fields,
} from './fields.ts'
import { createUser, emailTaken, isEmailTaken } from './new-users.ts'
import { newPassword } from './passwords.ts'
import { teamNotFound } from './teams.ts'
import { clientUserView, serverUserView } from './views.ts'

const pageLimit = 100
const mostOnPage = 1000

export const userRoutes: Route[] = [
  { method: 'GET', path: '/users/me', access: 'client', handle: get },
  { method: 'PATCH', path: '/users/me', access: 'client', handle: update },
  { method: 'DELETE', path: '/users/me', access: 'client', handle: remove },
  { method: 'GET', path: '/users', access: 'server', handle: list },
  { method: 'POST', path: '/users', access: 'server', handle: create },
  { method: 'GET', path: '/users/:user', access: 'server', handle: get },
  { method: 'PATCH', path: '/users/:user', access: 'server', handle: update },
  { method: 'DELETE', path: '/users/:user', access: 'server', handle: remove },
]

async function get(call: Call): Promise<Reply> {
  // Whoever is signed in was read with the request.
  if (call.params['user'] === undefined) return reply(await userView(call, signedInUser(call)))
  return reply(await userView(call, found(await findUser(call.instance.database, userIdOf(call, call.params['user'])))))
}

function signedInUser(call: Call): StoredUser {
  userIdOf(call, 'me')
  return found(call.signedIn?.user)
}

export async function userView(call: Call, user: StoredUser): Promise<Record<string, unknown>> {
  const [view] = await userViews(call, [user])
  return view ?? {}
}

/** With the teams that they have selected, in one question. */
export async function userViews(call: Call, users: readonly StoredUser[]): Promise<Record<string, unknown>[]> {
  const teamIds = new Set(users.flatMap(({ selectedTeamId }) => selectedTeamId ?? []))
  const teams = await findTeams(call.instance.database, [...teamIds])
  const view = isServer(call) ? serverUserView : clientUserView
  return users.map((user) => view(user, teams.get(user.selectedTeamId ?? '')))
}

async function list(call: Call): Promise<Reply> {
  const { database } = call.instance
  const { query } = call
  const cursor = query.get('cursor') || undefined
  const teamId = query.get('team_id') || undefined
  const orderBy = query.get('order_by') ?? 'signed_up_at'
  if (cursor !== undefined && !isUuid(cursor)) throw schemaError('cursor must be one that a page before has given')
  if (teamId !== undefined && !isUuid(teamId)) throw teamNotFound(teamId)
  if (orderBy !== 'signed_up_at' && orderBy !== 'last_active_at')
    throw schemaError("order_by must be 'signed_up_at' or 'last_active_at'")
  // Nobody here is anonymous.
  if (query.get('only_anonymous') === 'true') return reply(pageOf([], undefined))
  const limit = numberInQuery(query, 'limit', mostOnPage) ?? (teamId === undefined ? pageLimit : mostOnPage)
  const search = query.get('query')?.trim().slice(0, 256) || undefined
  const users = await listUsers(database, {
    limit,
    after: cursor,
    orderBy,
    descending: query.get('desc') === 'true',
    search,
    teamId,
  })
  const shown = users.slice(0, limit)
  return reply(pageOf(await userViews(call, shown), users.length > limit ? shown.at(-1)?.id : undefined))
}

const pageOf = (items: unknown[], next: string | undefined): Record<string, unknown> => ({
  items,
  is_paginated: true,
  pagination: { next_cursor: next ?? null },
})

async function create(call: Call): Promise<Reply> {
  const { body, instance } = call
  if (flag(body, 'is_anonymous') === true)
    throw known('ANONYMOUS_ACCOUNTS_NOT_ENABLED', 'there are no anonymous users here')
  const changes = { ...profile(body), ...forServers(body), ...address(body) }
  const credential = await passwordOf(call)
  const connections = oauthProviders(body)
  if (changes.email != null && (await isTakenByAnother(instance.database, null, changes.email)))
    throw emailTaken(changes.email)
  const id = await createUser(call, { emailSignsIn: false, ...changes }, 'credential', async (queries, userId) => {
    if (typeof credential === 'string') await setPassword(queries, userId, credential)
    for (const { providerId, accountId } of connections) await connect(queries, { userId, providerId, accountId })
    return userId
  })
  return reply(await userView(call, found(await findUser(instance.database, id))), 201)
}

async function connect(
  queries: Queries,
  account: { userId: string; providerId: string; accountId: string },
): Promise<void> {
  try {
    await connectAccount(queries, account)
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw known(
      'OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER',
      'this account is connected to another user already',
    )
  }
}

async function update(call: Call): Promise<Reply> {
  const { body, instance } = call
  const id = userIdOf(call, call.params['user'] ?? 'me')
  const changes: UserChanges = isServer(call)
    ? { ...profile(body), ...forServers(body), ...address(body) }
    : { ...profile(body), ...(body['primary_email'] !== undefined && { email: email(body, 'primary_email') }) }
  const team = selectedTeam(body)
  const credential = isServer(call) ? await passwordOf(call) : undefined
  const user = await instance.database
    .transaction(async (queries) => {
      if (!(await lockUser(queries, id))) throw userNotFound()
      const old = found(await findUser(queries, id))
      await updateUser(queries, id, { ...changes, ...(await addressChanges(queries, old, changes)), ...team })
      if (typeof team.selectedTeamId === 'string' && !(await findMember(queries, team.selectedTeamId, id)))
        throw teamNotFound(team.selectedTeamId)
      if (typeof credential === 'string') await setPassword(queries, id, credential)
      // Whoever may not come in, or was let in by what is no longer so, is out.
      if (changes.banned === true || credential !== undefined)
        await deleteSessions(queries, id, changes.banned === true ? undefined : currentSession(call, id))
      return found(await findUser(queries, id))
    })
    .catch((error: unknown) => {
      if (isEmailTaken(error)) throw emailTaken(changes.email ?? '')
      throw error
    })
  return reply(await userView(call, user))
}

const currentSession = (call: Call, userId: string): string | undefined =>
  call.signedIn?.user.id === userId ? call.signedIn.session.id : undefined

/** An address that has not been shown to be the user's own is not verified, unless the server says so or the user showed it before. */
async function addressChanges(queries: Queries, old: StoredUser, changes: UserChanges): Promise<UserChanges> {
  const address = changes.email
  if (address === undefined || address === old.email) return {}
  if (address === null) return { emailVerified: false }
  if (await isTakenByAnother(queries, old.id, address)) throw emailTaken(address)
  const channel = await findContactChannelByValue(queries, old.id, address)
  if (channel) await deleteContactChannel(queries, channel.id)
  return { emailVerified: changes.emailVerified ?? channel?.isVerified ?? false }
}

async function remove(call: Call): Promise<undefined> {
  const id = userIdOf(call, call.params['user'] ?? 'me')
  if (!(await deleteUser(call.instance.database, id))) throw userNotFound()
  return undefined
}

/** What a user may say of himself. */
function profile(body: Fields): UserChanges {
  refuseUnbuilt(body)
  return defined({
    name: nullableName(body, 'display_name'),
    image: nullableImageUrl(body, 'profile_image_url'),
    clientMetadata: metadata(body, 'client_metadata'),
  })
}

function forServers(body: Fields): UserChanges {
  const banned = flag(body, 'restricted_by_admin')
  const banReason = nullableText(body, 'restricted_by_admin_reason', 1024)
  if (banReason != null && banned !== true)
    throw schemaError('restricted_by_admin_reason belongs to restricted_by_admin: true')
  return defined({
    clientReadOnlyMetadata: metadata(body, 'client_read_only_metadata'),
    serverMetadata: metadata(body, 'server_metadata'),
    codeSignsIn: flag(body, 'otp_auth_enabled'),
    banned,
    banReason,
  })
}

function address(body: Fields): UserChanges {
  return defined({
    email:
      body['primary_email'] === null
        ? null
        : body['primary_email'] === undefined
          ? undefined
          : email(body, 'primary_email'),
    emailVerified: flag(body, 'primary_email_verified'),
    emailSignsIn: flag(body, 'primary_email_auth_enabled'),
  })
}

function selectedTeam(body: Fields): Pick<UserChanges, 'selectedTeamId'> {
  const id = nullableText(body, 'selected_team_id')
  if (id === undefined || id === null) return id === null ? { selectedTeamId: null } : {}
  if (!isUuid(id)) throw teamNotFound(id)
  return { selectedTeamId: id }
}

/** Its hash; undefined: none is given. */
async function passwordOf(call: Call): Promise<string | undefined> {
  const { body, instance } = call
  const hash = optionalText(body, 'password_hash')
  const password = body['password'] === null ? undefined : optionalText(body, 'password', 1024)
  if (body['password'] === null) throw schemaError('a password cannot be taken away, only replaced')
  if (hash !== undefined && password !== undefined) throw schemaError('password and password_hash exclude each other')
  if (hash !== undefined) {
    if (!isImportableHash(hash)) throw schemaError('password_hash must be a bcrypt hash with a cost of 4 to 12')
    return hash
  }
  return password === undefined
    ? undefined
    : await instance.passwords.hash(instance.target.integrationId, newPassword(password))
}

function oauthProviders(body: Fields): { providerId: string; accountId: string }[] {
  const given = body['oauth_providers'] ?? []
  if (!Array.isArray(given) || given.length > 20) throw schemaError('oauth_providers must be a list of at most 20')
  return given.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) throw schemaError('oauth_providers must be objects')
    const fields = item as Fields
    const providerId = text(fields, 'id', 64)
    if (!/^[a-z0-9_-]+$/.test(providerId) || providerId === 'credential')
      throw schemaError('there is no such OAuth provider')
    return { providerId, accountId: text(fields, 'account_id', 512) }
  })
}

/** Saying yes to these would be a lie. */
function refuseUnbuilt(body: Fields): void {
  if (body['totp_secret_base64'] != null)
    throw schemaError('one-time passwords by an app (TOTP) are not available here')
  if (body['passkey_auth_enabled'] === true)
    throw known('PASSKEY_AUTHENTICATION_NOT_ENABLED', 'passkeys are not available here')
  if (body['restricted_by_admin_private_details'] != null)
    throw schemaError('restricted_by_admin_private_details is not kept here: use server_metadata')
  if (body['country_code'] != null) throw schemaError('country_code is not kept here: use server_metadata')
}

function defined(changes: { [K in keyof UserChanges]: UserChanges[K] | undefined }): UserChanges {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
}
