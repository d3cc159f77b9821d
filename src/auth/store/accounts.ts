// How users come in: one row a password (`credential`) or a connection to an account elsewhere.

import type { Queries } from '../database.ts'

export type ConnectedAccount = { id: string; providerId: string; accountId: string; createdAt: Date }

export async function findPassword(queries: Queries, userId: string): Promise<string | undefined> {
  const [row] = await queries.query<{ password: string | null }>(
    `select "password" from "account" where "userId" = $1 and "providerId" = 'credential' and "password" is not null`,
    [userId],
  )
  return row?.password ?? undefined
}

/** `accountId` of a password is the user's own id, as Better Auth writes it. */
export async function setPassword(queries: Queries, userId: string, hash: string): Promise<void> {
  await queries.query(
    `insert into "account" ("accountId", "providerId", "userId", "password", "updatedAt") values ($1::text, 'credential', $1::text::uuid, $2, now())
     on conflict ("providerId", "accountId") do update set "password" = excluded."password", "updatedAt" = now()`,
    [userId, hash],
  )
}

/** Only where it is still the one that was looked at. */
export async function replacePassword(queries: Queries, userId: string, old: string, hash: string): Promise<boolean> {
  const rows = await queries.query(
    `update "account" set "password" = $3, "updatedAt" = now()
     where "userId" = $1 and "providerId" = 'credential' and "password" = $2 returning "id"`,
    [userId, old, hash],
  )
  return rows.length > 0
}

export async function removePassword(queries: Queries, userId: string): Promise<void> {
  await queries.query(`delete from "account" where "userId" = $1 and "providerId" = 'credential'`, [userId])
}

export async function connectAccount(
  queries: Queries,
  account: { userId: string; providerId: string; accountId: string },
): Promise<string> {
  const [row] = await queries.query<{ id: string }>(
    `insert into "account" ("accountId", "providerId", "userId", "updatedAt") values ($1, $2, $3, now()) returning "id"`,
    [account.accountId, account.providerId, account.userId],
  )
  return row?.id ?? ''
}

export async function listConnections(queries: Queries, userId: string): Promise<ConnectedAccount[]> {
  return await queries.query<ConnectedAccount>(
    `select "id", "providerId", "accountId", "createdAt" from "account"
     where "userId" = $1 and "providerId" <> 'credential' order by "createdAt", "id" limit 100`,
    [userId],
  )
}

export async function removeConnection(queries: Queries, userId: string, id: string): Promise<void> {
  await queries.query(`delete from "account" where "userId" = $1 and "id" = $2 and "providerId" <> 'credential'`, [
    userId,
    id,
  ])
}
