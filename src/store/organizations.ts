// Organizations and their members.

import type { Member, Organization } from '../model/organization.ts'
import type { OrganizationId, UserId } from '../model/ids.ts'
import type { LimitOverrides } from '../model/plan.ts'
import type { Row, Sql } from './database.ts'

const toOrganization = (row: Row): Organization => ({
  id: row['id'] as OrganizationId,
  name: row['name'] as string,
  handle: row['handle'] as string,
  plan: row['plan'] as string,
  limits: row['limits'] as LimitOverrides,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

const toMember = (row: Row): Member => ({
  id: row['id'] as string,
  userId: row['user_id'] as UserId,
  role: row['role'] as string,
  joinedAt: row['joined_at'] as Date,
})

export async function insertOrganization(
  sql: Sql,
  organization: Pick<Organization, 'id' | 'name' | 'handle' | 'plan'>,
): Promise<Organization> {
  const [row] = await sql.query(
    'insert into organizations (id, name, handle, plan) values ($1, $2, $3, $4) returning *',
    [organization.id, organization.name, organization.handle, organization.plan],
  )
  return toOrganization(row ?? {})
}

/** With the role that a user has there. */
export type OrganizationStanding = Organization & { memberRole: string | undefined }

const toStanding = (row: Row): OrganizationStanding => ({
  ...toOrganization(row),
  memberRole: (row['member_role'] as string | null) ?? undefined,
})

export async function getOrganization(
  sql: Sql,
  orgId: string,
  userId: UserId | undefined,
): Promise<OrganizationStanding | undefined> {
  const [row] = await sql.query(
    'select o.*, m.role as member_role from organizations o left join members m on m.org_id = o.id and m.user_id = $2 where o.id = $1',
    [orgId, userId ?? null],
  )
  return row && toStanding(row)
}

/** Where a user's projects are created if he names no organization: the one he chose, else the first he joined. */
export async function getDefaultOrganization(sql: Sql, userId: UserId): Promise<OrganizationStanding | undefined> {
  const [row] = await sql.query(
    `select o.*, m.role as member_role from members m join organizations o on o.id = m.org_id where m.user_id = $1
      order by (m.org_id = (select default_org_id from users where id = $1)) desc nulls last, m.joined_at, m.org_id limit 1`,
    [userId],
  )
  return row && toStanding(row)
}

/** In the order in which they were made. */
export async function listOrganizationsOf(sql: Sql, userId: UserId): Promise<Organization[]> {
  const rows = await sql.query(
    'select o.* from organizations o join members m on m.org_id = o.id where m.user_id = $1 order by o.created_at, o.id',
    [userId],
  )
  return rows.map(toOrganization)
}

/** Changes of members and keys of one organization come one after another; its projects are not held up. */
export async function lockOrganization(sql: Sql, orgId: string): Promise<void> {
  await sql.query('select from organizations where id = $1 for no key update', [orgId])
}

/** Leaves one who is a member already as he is; false for him. */
export async function insertMember(sql: Sql, orgId: OrganizationId, userId: UserId, role: string): Promise<boolean> {
  const rows = await sql.query(
    'insert into members (org_id, user_id, role) values ($1, $2, $3) on conflict do nothing returning id',
    [orgId, userId, role],
  )
  return rows.length > 0
}

export async function listMembers(sql: Sql, orgId: OrganizationId): Promise<Member[]> {
  const rows = await sql.query('select * from members where org_id = $1 order by joined_at, id', [orgId])
  return rows.map(toMember)
}

export async function getMember(sql: Sql, orgId: OrganizationId, memberId: string): Promise<Member | undefined> {
  const [row] = await sql.query('select * from members where org_id = $1 and id = $2', [orgId, memberId])
  return row && toMember(row)
}

export async function findMember(sql: Sql, orgId: OrganizationId, userId: UserId): Promise<Member | undefined> {
  const [row] = await sql.query('select * from members where org_id = $1 and user_id = $2', [orgId, userId])
  return row && toMember(row)
}

/** The address of one of them who is a member already; they are in lower case. */
export async function findMemberAddress(
  sql: Sql,
  orgId: OrganizationId,
  emails: readonly string[],
): Promise<string | undefined> {
  const [row] = await sql.query<{ email: string }>(
    'select u.email from members m join users u on u.id = m.user_id where m.org_id = $1 and lower(u.email) = any($2) limit 1',
    [orgId, emails],
  )
  return row?.email
}

export async function updateMemberRole(sql: Sql, memberId: string, role: string): Promise<Member> {
  const [row] = await sql.query('update members set role = $2 where id = $1 returning *', [memberId, role])
  return toMember(row ?? {})
}

/** His default organization, if it was this one, is the next he joined. */
export async function deleteMember(sql: Sql, orgId: OrganizationId, member: Member): Promise<void> {
  await sql.query('delete from members where id = $1', [member.id])
  await sql.query('update users set default_org_id = null where id = $1 and default_org_id = $2', [
    member.userId,
    orgId,
  ])
}
