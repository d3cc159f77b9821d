// What a user is to an organization and to the installation. What he is to a project stands with the projects.

import type { OrganizationId, UserId } from '../model/ids.ts'
import type { Sql } from './database.ts'

/** Undefined where there is no such organization. */
export async function findMemberRole(
  sql: Sql,
  orgId: string,
  userId: UserId | undefined,
): Promise<{ memberRole: string | undefined } | undefined> {
  const [row] = await sql.query<{ member_role: string | null }>(
    'select m.role as member_role from organizations o left join members m on m.org_id = o.id and m.user_id = $2 where o.id = $1',
    [orgId, userId ?? null],
  )
  return row && { memberRole: row.member_role ?? undefined }
}

export async function isOperator(sql: Sql, userId: UserId): Promise<boolean> {
  const [row] = await sql.query<{ is_operator: boolean }>('select is_operator from users where id = $1', [userId])
  return row?.is_operator === true
}

/** Whether somebody who runs this installation is among the organization's admins: it is one of his own, not a stranger's. */
export async function isAdministeredByOperator(sql: Sql, orgId: OrganizationId): Promise<boolean> {
  const rows = await sql.query(
    `select from members m join users u on u.id = m.user_id where m.org_id = $1 and m.role = 'admin' and u.is_operator limit 1`,
    [orgId],
  )
  return rows.length > 0
}
