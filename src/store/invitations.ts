// Invitations into organizations, by the invited user's address.

import type { Invitation } from '../model/organization.ts'
import type { OrganizationId, UserId } from '../model/ids.ts'
import type { Row, Sql } from './database.ts'

const toInvitation = (row: Row): Invitation => ({
  id: row['id'] as string,
  orgId: row['org_id'] as OrganizationId,
  email: row['email'] as string,
  role: row['role'] as string,
  invitedBy: row['invited_by'] as UserId,
  invitedAt: row['invited_at'] as Date,
})

export async function listInvitations(sql: Sql, orgId: OrganizationId): Promise<Invitation[]> {
  const rows = await sql.query('select * from invitations where org_id = $1 order by invited_at, id', [orgId])
  return rows.map(toInvitation)
}

export async function listInvitationsOf(
  sql: Sql,
  email: string,
): Promise<{ invitation: Invitation; orgName: string }[]> {
  const rows = await sql.query(
    `select i.*, o.name as org_name from invitations i join organizations o on o.id = i.org_id
      where i.email = lower($1) order by i.invited_at, i.id`,
    [email],
  )
  return rows.map((row) => ({ invitation: toInvitation(row), orgName: row['org_name'] as string }))
}

/**
 * Each address once. Who is invited already is invited again: with the new role, by the new inviter. In one statement: others wait for
 * the organization meanwhile, each with a connection.
 */
export async function saveInvitations(
  sql: Sql,
  by: Pick<Invitation, 'orgId' | 'invitedBy'>,
  wanted: readonly Pick<Invitation, 'email' | 'role'>[],
): Promise<Invitation[]> {
  const rows = await sql.query(
    `insert into invitations (org_id, email, role, invited_by)
     select $1, lower(w.email), w.role, $2 from unnest($3::text[], $4::text[]) with ordinality as w (email, role, n) order by w.n
     on conflict (org_id, email) do update set role = excluded.role, invited_by = excluded.invited_by, invited_at = excluded.invited_at
     returning *`,
    [by.orgId, by.invitedBy, wanted.map(({ email }) => email), wanted.map(({ role }) => role)],
  )
  return rows.map(toInvitation)
}

/** False where there is none. */
export async function deleteInvitation(sql: Sql, orgId: OrganizationId, id: string): Promise<boolean> {
  const rows = await sql.query('delete from invitations where org_id = $1 and id = $2 returning id', [orgId, id])
  return rows.length > 0
}

/** What somebody invited others to. */
export async function deleteInvitationsBy(sql: Sql, orgId: OrganizationId, userId: UserId): Promise<void> {
  await sql.query('delete from invitations where org_id = $1 and invited_by = $2', [orgId, userId])
}

/** Takes it, so that it is used once: undefined where there is none for this address. */
export async function takeInvitation(sql: Sql, id: string, email: string): Promise<Invitation | undefined> {
  const [row] = await sql.query('delete from invitations where id = $1 and email = lower($2) returning *', [id, email])
  return row && toInvitation(row)
}

export async function countInvitations(sql: Sql, orgId: OrganizationId): Promise<number> {
  const [row] = await sql.query<{ count: number }>('select count(*) as count from invitations where org_id = $1', [
    orgId,
  ])
  return row?.count ?? 0
}
