// Users, organizations, members and API keys.

import type { ApiKey, User } from '../model/caller.ts'
import type { OrganizationId, UserId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import type { LimitOverrides } from '../model/plan.ts'
import type { Row, Sql } from './database.ts'

const toUser = (row: Row): User => ({
  id: row['id'] as UserId,
  email: row['email'] as string,
  name: row['name'] as string,
  createdAt: row['created_at'] as Date,
})

const toOrganization = (row: Row): Organization => ({
  id: row['id'] as OrganizationId,
  name: row['name'] as string,
  handle: row['handle'] as string,
  plan: row['plan'] as string,
  limits: row['limits'] as LimitOverrides,
  createdAt: row['created_at'] as Date,
  updatedAt: row['updated_at'] as Date,
})

const toApiKey = (row: Row): ApiKey => ({
  id: row['id'] as number,
  userId: row['user_id'] as UserId,
  name: row['name'] as string,
  createdAt: row['created_at'] as Date,
  lastUsedAt: (row['last_used_at'] as Date | null) ?? undefined,
  lastUsedFrom: row['last_used_from'] as string,
  revokedAt: (row['revoked_at'] as Date | null) ?? undefined,
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

export async function insertUser(sql: Sql, user: { id: UserId; email: string; name: string }): Promise<void> {
  await sql.query('insert into users (id, email, name) values ($1, $2, $3)', [user.id, user.email, user.name])
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

export async function insertOrganization(
  sql: Sql,
  organization: Pick<Organization, 'id' | 'name' | 'handle' | 'plan'>,
): Promise<void> {
  await sql.query('insert into organizations (id, name, handle, plan) values ($1, $2, $3, $4)', [
    organization.id,
    organization.name,
    organization.handle,
    organization.plan,
  ])
}

export async function insertMember(sql: Sql, orgId: OrganizationId, userId: UserId, role: string): Promise<void> {
  await sql.query('insert into members (org_id, user_id, role) values ($1, $2, $3)', [orgId, userId, role])
}

export async function listOrganizationsOf(sql: Sql, userId: UserId): Promise<Organization[]> {
  const rows = await sql.query(
    'select o.* from organizations o join members m on m.org_id = o.id where m.user_id = $1 order by o.created_at, o.id',
    [userId],
  )
  return rows.map(toOrganization)
}

export type Member = { id: string; userId: UserId; role: string; joinedAt: Date }

export async function listMembers(sql: Sql, orgId: OrganizationId): Promise<Member[]> {
  const rows = await sql.query('select * from members where org_id = $1 order by joined_at, id', [orgId])
  return rows.map((row) => ({
    id: row['id'] as string,
    userId: row['user_id'] as UserId,
    role: row['role'] as string,
    joinedAt: row['joined_at'] as Date,
  }))
}

export async function insertApiKey(sql: Sql, key: { userId: UserId; name: string; hash: Buffer }): Promise<ApiKey> {
  const [row] = await sql.query('insert into api_keys (user_id, name, key_hash) values ($1, $2, $3) returning *', [
    key.userId,
    key.name,
    key.hash,
  ])
  return toApiKey(row ?? {})
}

/** Revoked keys too: the caller decides what that means. */
export async function findApiKey(sql: Sql, hash: Buffer): Promise<ApiKey | undefined> {
  const [row] = await sql.query('select * from api_keys where key_hash = $1', [hash])
  return row && toApiKey(row)
}

export async function listApiKeys(sql: Sql, userId: UserId): Promise<ApiKey[]> {
  const rows = await sql.query('select * from api_keys where user_id = $1 and revoked_at is null order by id', [userId])
  return rows.map(toApiKey)
}

export async function touchApiKey(sql: Sql, id: number, from: string): Promise<void> {
  await sql.query('update api_keys set last_used_at = now(), last_used_from = $2 where id = $1', [id, from])
}

/** Undefined where the key is not this user's or was revoked before. */
export async function revokeApiKey(sql: Sql, userId: UserId, id: number): Promise<ApiKey | undefined> {
  const [row] = await sql.query(
    'update api_keys set revoked_at = now() where id = $1 and user_id = $2 and revoked_at is null returning *',
    [id, userId],
  )
  return row && toApiKey(row)
}
