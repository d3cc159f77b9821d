// Teams of Stack's surface are organizations of Better Auth's: `organization`, `member` and `invitation`, and beside them what Stack alone
// knows of a team and of a member.

import { randomBytes } from 'node:crypto'
import type { Queries } from '../database.ts'
import { json, likePattern, updateRow } from './users.ts'

export type Team = {
  id: string
  name: string
  image: string | null
  clientMetadata: unknown
  clientReadOnlyMetadata: unknown
  serverMetadata: unknown
  createdAt: Date
}

export type TeamChanges = Partial<
  Pick<Team, 'name' | 'image' | 'clientMetadata' | 'clientReadOnlyMetadata' | 'serverMetadata'>
>

export type Member = {
  teamId: string
  userId: string
  role: string
  /** Undefined where the member shows as the user does. */
  displayName: string | null
  image: string | null
}

export type Invitation = {
  id: string
  teamId: string
  teamName: string
  email: string
  role: string
  expiresAt: Date
  inviterId: string
}

const teamColumns = `o."id", o."name", coalesce(t.profile_image_url, o."logo") as "image", t.client_metadata as "clientMetadata",
  t.client_read_only_metadata as "clientReadOnlyMetadata", t.server_metadata as "serverMetadata", o."createdAt"`
const teamSource = `from "organization" o left join stack_team t on t.organization_id = o."id"`

export async function findTeam(queries: Queries, id: string): Promise<Team | undefined> {
  const [row] = await queries.query<Team>(`select ${teamColumns} ${teamSource} where o."id" = $1`, [id])
  return row
}

export async function findTeams(queries: Queries, ids: readonly string[]): Promise<Map<string, Team>> {
  if (ids.length === 0) return new Map()
  const rows = await queries.query<Team>(`select ${teamColumns} ${teamSource} where o."id" = any ($1::uuid[])`, [ids])
  return new Map(rows.map((row) => [row.id, row]))
}

export type TeamPage = {
  userId: string | undefined
  limit: number
  after: string | undefined
  descending: boolean
  search: string | undefined
}

/** One more than asked for, where there are more. */
export async function listTeams(queries: Queries, page: TeamPage): Promise<Team[]> {
  const [direction, compare] = page.descending ? ['desc', '<'] : ['asc', '>']
  return await queries.query<Team>(
    `select ${teamColumns} ${teamSource}
     where ($1::uuid is null or exists (select from "member" m where m."organizationId" = o."id" and m."userId" = $1))
       and ($2::uuid is null or (o."createdAt", o."id") ${compare} (select p."createdAt", p."id" from "organization" p where p."id" = $2))
       and ($3::text is null or o."name" ilike $3 or o."id"::text = $4)
     order by o."createdAt" ${direction}, o."id" ${direction} limit $5`,
    [
      page.userId ?? null,
      page.after ?? null,
      page.search === undefined ? null : likePattern(page.search),
      page.search ?? null,
      page.limit + 1,
    ],
  )
}

export async function insertTeam(queries: Queries, team: TeamChanges & { name: string }): Promise<string> {
  const [row] = await queries.query<{ id: string }>(
    `insert into "organization" ("name", "slug", "createdAt") values ($1, $2, now()) returning "id"`,
    [team.name, newSlug(team.name)],
  )
  if (!row) throw new Error('an organization that was inserted has no row')
  const { name: _name, ...rest } = team
  await updateTeam(queries, row.id, rest)
  return row.id
}

export async function updateTeam(queries: Queries, id: string, changes: TeamChanges): Promise<void> {
  await updateRow(queries, '"organization"', '"id"', id, { '"name"': changes.name, '"logo"': changes.image })
  const beside = {
    client_metadata: json(changes.clientMetadata),
    client_read_only_metadata: json(changes.clientReadOnlyMetadata),
    server_metadata: json(changes.serverMetadata),
    profile_image_url: changes.image,
  }
  if (Object.values(beside).every((value) => value === undefined)) return
  await queries.query(`insert into stack_team (organization_id) values ($1) on conflict do nothing`, [id])
  await updateRow(queries, 'stack_team', 'organization_id', id, beside)
}

export async function deleteTeam(queries: Queries, id: string): Promise<boolean> {
  const rows = await queries.query(`delete from "organization" where "id" = $1 returning "id"`, [id])
  return rows.length > 0
}

/** Members come and go one after the other: limits and the last owner are counted under this. */
export async function lockTeam(queries: Queries, id: string): Promise<boolean> {
  const rows = await queries.query(`select "id" from "organization" where "id" = $1 for update`, [id])
  return rows.length > 0
}

const memberColumns = `m."organizationId" as "teamId", m."userId", m."role", t.display_name as "displayName", t.profile_image_url as "image"`
const memberSource = `from "member" m left join stack_member t on t.member_id = m."id"`

export async function findMember(queries: Queries, teamId: string, userId: string): Promise<Member | undefined> {
  const [row] = await queries.query<Member>(
    `select ${memberColumns} ${memberSource} where m."organizationId" = $1 and m."userId" = $2 order by m."createdAt" limit 1`,
    [teamId, userId],
  )
  return row
}

export async function listMembers(
  queries: Queries,
  filter: { teamId: string | undefined; userId: string | undefined },
): Promise<Member[]> {
  return await queries.query<Member>(
    `select ${memberColumns} ${memberSource}
     where ($1::uuid is null or m."organizationId" = $1) and ($2::uuid is null or m."userId" = $2)
     order by m."createdAt", m."id" limit 1000`,
    [filter.teamId ?? null, filter.userId ?? null],
  )
}

export async function countMembers(queries: Queries, teamId: string): Promise<number> {
  const [row] = await queries.query<{ count: number }>(
    `select count(*)::int as "count" from "member" where "organizationId" = $1`,
    [teamId],
  )
  return row?.count ?? 0
}

export async function countMemberships(queries: Queries, userId: string): Promise<number> {
  const [row] = await queries.query<{ count: number }>(
    `select count(*)::int as "count" from "member" where "userId" = $1`,
    [userId],
  )
  return row?.count ?? 0
}

export async function insertMember(
  queries: Queries,
  member: Pick<Member, 'teamId' | 'userId' | 'role'>,
): Promise<void> {
  await queries.query(
    `insert into "member" ("organizationId", "userId", "role", "createdAt") values ($1, $2, $3, now())`,
    [member.teamId, member.userId, member.role],
  )
}

export async function setMemberRole(queries: Queries, teamId: string, userId: string, role: string): Promise<void> {
  await queries.query(`update "member" set "role" = $3 where "organizationId" = $1 and "userId" = $2`, [
    teamId,
    userId,
    role,
  ])
}

/** Nobody works for a team that he is no longer in: his sessions and his choice let go of it too. */
export async function deleteMember(queries: Queries, teamId: string, userId: string): Promise<void> {
  await queries.query(`delete from "member" where "organizationId" = $1 and "userId" = $2`, [teamId, userId])
  await queries.query(`update stack_user set selected_team_id = null where user_id = $2 and selected_team_id = $1`, [
    teamId,
    userId,
  ])
  await queries.query(
    `update "session" set "activeOrganizationId" = null where "userId" = $2::uuid and "activeOrganizationId" = $1::text`,
    [teamId, userId],
  )
}

export async function updateMemberProfile(
  queries: Queries,
  teamId: string,
  userId: string,
  profile: { displayName: string | null | undefined; image: string | null | undefined },
): Promise<void> {
  const [row] = await queries.query<{ id: string }>(
    `select "id" from "member" where "organizationId" = $1 and "userId" = $2 order by "createdAt" limit 1`,
    [teamId, userId],
  )
  if (!row) return
  await queries.query(`insert into stack_member (member_id) values ($1) on conflict do nothing`, [row.id])
  await updateRow(queries, 'stack_member', 'member_id', row.id, {
    display_name: profile.displayName,
    profile_image_url: profile.image,
  })
}

const invitationColumns = `i."id", i."organizationId" as "teamId", o."name" as "teamName", i."email", coalesce(i."role", 'member') as "role",
  i."expiresAt", i."inviterId"`
const invitationSource = `from "invitation" i join "organization" o on o."id" = i."organizationId"`
const isOpen = `i."status" = 'pending' and i."expiresAt" > now()`

export async function insertInvitation(
  queries: Queries,
  invitation: { teamId: string; email: string; role: string; inviterId: string; lifeSeconds: number },
): Promise<string> {
  const [row] = await queries.query<{ id: string }>(
    `insert into "invitation" ("organizationId", "email", "role", "status", "expiresAt", "inviterId")
     values ($1, $2, $3, 'pending', now() + $4 * interval '1 second', $5) returning "id"`,
    [invitation.teamId, invitation.email, invitation.role, invitation.lifeSeconds, invitation.inviterId],
  )
  return row?.id ?? ''
}

/** Those that can still be accepted. */
export async function listInvitations(
  queries: Queries,
  filter: { teamId: string } | { email: string },
): Promise<Invitation[]> {
  const [where, value] =
    'teamId' in filter ? [`i."organizationId" = $1`, filter.teamId] : [`i."email" = $1`, filter.email]
  return await queries.query<Invitation>(
    `select ${invitationColumns} ${invitationSource} where ${where} and ${isOpen} order by i."createdAt", i."id" limit 1000`,
    [value],
  )
}

/** Locked, so that it is accepted once. */
export async function lockInvitation(queries: Queries, id: string): Promise<Invitation | undefined> {
  const [row] = await queries.query<Invitation>(
    `select ${invitationColumns} ${invitationSource} where i."id" = $1 and ${isOpen} for update of i`,
    [id],
  )
  return row
}

export async function findInvitation(queries: Queries, id: string): Promise<Invitation | undefined> {
  const [row] = await queries.query<Invitation>(
    `select ${invitationColumns} ${invitationSource} where i."id" = $1 and ${isOpen}`,
    [id],
  )
  return row
}

export async function closeInvitation(queries: Queries, id: string, status: 'accepted' | 'canceled'): Promise<void> {
  await queries.query(`update "invitation" set "status" = $2 where "id" = $1`, [id, status])
}

export async function countInvitations(queries: Queries, teamId: string): Promise<number> {
  const [row] = await queries.query<{ count: number }>(
    `select count(*)::int as "count" ${invitationSource} where i."organizationId" = $1 and ${isOpen}`,
    [teamId],
  )
  return row?.count ?? 0
}

function newSlug(name: string): string {
  const words = name
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40)
  return `${words || 'team'}-${randomBytes(6).toString('hex')}`
}
