// API keys, by the hash of their secret: the secret itself is nowhere.

import type { ApiKey, ApiKeyKind, Creator } from '../model/caller.ts'
import type { OrganizationId, ProjectId, UserId } from '../model/ids.ts'
import type { Row, Sql, Store } from './database.ts'

const toApiKey = (row: Row): ApiKey => ({
  id: row['id'] as number,
  kind: row['kind'] as ApiKeyKind,
  userId: row['user_id'] as UserId,
  orgId: (row['org_id'] as OrganizationId | null) ?? undefined,
  projectId: (row['project_id'] as ProjectId | null) ?? undefined,
  name: row['name'] as string,
  createdAt: row['created_at'] as Date,
  lastUsedAt: (row['last_used_at'] as Date | null) ?? undefined,
  lastUsedFrom: row['last_used_from'] as string,
  revokedAt: (row['revoked_at'] as Date | null) ?? undefined,
})

export type NewApiKey = {
  kind: ApiKeyKind
  userId: UserId
  orgId?: OrganizationId | undefined
  projectId?: ProjectId | undefined
  name: string
  hash: Buffer
}

export async function insertApiKey(sql: Sql, key: NewApiKey): Promise<ApiKey> {
  const [row] = await sql.query(
    'insert into api_keys (kind, user_id, org_id, project_id, name, key_hash) values ($1, $2, $3, $4, $5, $6) returning *',
    [key.kind, key.userId, key.orgId ?? null, key.projectId ?? null, key.name, key.hash],
  )
  return toApiKey(row ?? {})
}

/** Revoked keys too: the caller decides what that means. */
export async function findApiKey(sql: Sql, hash: Buffer): Promise<ApiKey | undefined> {
  const [row] = await sql.query('select * from api_keys where key_hash = $1', [hash])
  return row && toApiKey(row)
}

export async function listUserKeys(sql: Sql, userId: UserId): Promise<ApiKey[]> {
  const rows = await sql.query(
    `select * from api_keys where user_id = $1 and kind = 'user' and revoked_at is null order by id`,
    [userId],
  )
  return rows.map(toApiKey)
}

/** The organization's own keys and those of its projects, each with who made it. */
export async function listOrganizationKeys(
  sql: Sql,
  orgId: OrganizationId,
): Promise<{ key: ApiKey; creator: Creator }[]> {
  const rows = await sql.query(
    `select k.*, u.name as creator_name from api_keys k join users u on u.id = k.user_id
      where k.org_id = $1 and k.revoked_at is null order by k.id`,
    [orgId],
  )
  return rows.map((row) => {
    const key = toApiKey(row)
    return { key, creator: { id: key.userId, name: row['creator_name'] as string } }
  })
}

export async function countUserKeys(sql: Sql, userId: UserId): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `select count(*) as count from api_keys where user_id = $1 and kind = 'user' and revoked_at is null`,
    [userId],
  )
  return row?.count ?? 0
}

export async function countOrganizationKeys(sql: Sql, orgId: OrganizationId): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    'select count(*) as count from api_keys where org_id = $1 and revoked_at is null',
    [orgId],
  )
  return row?.count ?? 0
}

/** One that is not revoked. */
export async function getOrganizationKey(sql: Sql, orgId: OrganizationId, id: number): Promise<ApiKey | undefined> {
  const [row] = await sql.query('select * from api_keys where id = $1 and org_id = $2 and revoked_at is null', [
    id,
    orgId,
  ])
  return row && toApiKey(row)
}

/** Undefined where the key is not this user's own or was revoked before. */
export async function revokeUserKey(sql: Sql, userId: UserId, id: number): Promise<ApiKey | undefined> {
  const [row] = await sql.query(
    `update api_keys set revoked_at = now() where id = $1 and user_id = $2 and kind = 'user' and revoked_at is null returning *`,
    [id, userId],
  )
  return row && toApiKey(row)
}

/** Undefined where the key is not this organization's or was revoked before. */
export async function revokeOrganizationKey(sql: Sql, orgId: OrganizationId, id: number): Promise<ApiKey | undefined> {
  const [row] = await sql.query(
    'update api_keys set revoked_at = now() where id = $1 and org_id = $2 and revoked_at is null returning *',
    [id, orgId],
  )
  return row && toApiKey(row)
}

export async function revokeKeysOfProjects(sql: Sql, projectIds: readonly ProjectId[]): Promise<void> {
  await sql.query('update api_keys set revoked_at = now() where project_id = any($1) and revoked_at is null', [
    projectIds,
  ])
}

/** Those that he made for this organization. */
export async function revokeKeysMadeBy(
  sql: Sql,
  orgId: OrganizationId,
  userId: UserId,
  kinds: readonly ApiKeyKind[],
): Promise<void> {
  await sql.query(
    'update api_keys set revoked_at = now() where org_id = $1 and user_id = $2 and kind = any($3::text[]) and revoked_at is null',
    [orgId, userId, kinds],
  )
}

/** Not waited for on the disk: a use that a crash of the machine forgets is no harm. */
export async function touchApiKey(store: Store, id: number, from: string): Promise<void> {
  await store.quick('update api_keys set last_used_at = now(), last_used_from = $2 where id = $1', [id, from])
}

/** As `isLiveKey`; whoever revokes it waits until the transaction ends. */
export async function holdLiveKey(sql: Sql, id: number): Promise<boolean> {
  const rows = await sql.query('select from api_keys where id = $1 and revoked_at is null for share', [id])
  return rows.length > 0
}

export async function isLiveKey(sql: Sql, id: number): Promise<boolean> {
  const rows = await sql.query('select from api_keys where id = $1 and revoked_at is null', [id])
  return rows.length > 0
}

export async function deleteKeysRevokedBefore(sql: Sql, moment: Date): Promise<number> {
  const rows = await sql.query('delete from api_keys where revoked_at < $1 returning id', [moment])
  return rows.length
}
