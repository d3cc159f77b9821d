// Settings of the installation, and users.

import type { User } from '../model/caller.ts'
import type { OrganizationId, UserId } from '../model/ids.ts'
import type { Row, Sql } from './database.ts'

const toUser = (row: Row): User => ({
  id: row['id'] as UserId,
  email: row['email'] as string,
  name: row['name'] as string,
  createdAt: row['created_at'] as Date,
})

export async function getSetting(sql: Sql, name: string): Promise<string | undefined> {
  const [row] = await sql.query<{ value: string }>('select value from settings where name = $1', [name])
  return row?.value
}

/** Leaves a value that is there as it is, and returns what is stored. */
export async function ensureSetting(sql: Sql, name: string, value: string): Promise<string> {
  await sql.query('insert into settings (name, value) values ($1, $2) on conflict do nothing', [name, value])
  return (await getSetting(sql, name)) ?? value
}

/** Undefined where somebody has this address already. */
export async function insertUser(
  sql: Sql,
  user: { id: UserId; email: string; name: string; isOperator: boolean },
): Promise<User | undefined> {
  const [row] = await sql.query(
    'insert into users (id, email, name, is_operator) values ($1, lower($2), $3, $4) on conflict do nothing returning *',
    [user.id, user.email, user.name, user.isOperator],
  )
  return row && toUser(row)
}

export async function firstUser(sql: Sql): Promise<User | undefined> {
  const [row] = await sql.query('select * from users order by created_at, id limit 1')
  return row && toUser(row)
}

export async function getUser(sql: Sql, id: UserId): Promise<User | undefined> {
  const [row] = await sql.query('select * from users where id = $1', [id])
  return row && toUser(row)
}

export async function getUsers(sql: Sql, ids: readonly UserId[]): Promise<User[]> {
  if (ids.length === 0) return []
  return (await sql.query('select * from users where id = any($1::uuid[])', [ids])).map(toUser)
}

export async function findUserByEmail(sql: Sql, email: string): Promise<User | undefined> {
  const [row] = await sql.query('select * from users where lower(email) = lower($1)', [email])
  return row && toUser(row)
}

export async function setDefaultOrganization(sql: Sql, userId: UserId, orgId: OrganizationId): Promise<void> {
  await sql.query('update users set default_org_id = $2 where id = $1', [userId, orgId])
}

/** Whoever changes something of this user waits for others who do. */
export async function lockUser(sql: Sql, id: UserId): Promise<void> {
  await sql.query('select from users where id = $1 for no key update', [id])
}
