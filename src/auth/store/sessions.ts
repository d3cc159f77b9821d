// Sessions: Better Auth's rows. Its token is what Stack's refresh token is made of, so that signing out ends one on both surfaces.

import { randomBytes } from 'node:crypto'
import type { Queries } from '../database.ts'
import { userColumns, type StoredUser } from './users.ts'

export type StoredSession = {
  id: string
  userId: string
  createdAt: Date
  lastUsedAt: Date | null
  isImpersonation: boolean
}

export type SignedIn = { session: StoredSession; user: StoredUser }

/** Who impersonates is no user. A session that somebody else began does not count as the user's own coming in. */
const impersonator = 'secret server key'
/** A session is marked as used no more often than that, so that reading costs no writing. */
const touchAfterMs = 60_000

const columns = `e."id" as "sessionId", e."createdAt" as "sessionCreatedAt", t.last_used_at as "lastUsedAt",
  e."impersonatedBy" is not null as "isImpersonation"`
const from = `from "session" e join "user" u on u."id" = e."userId" left join stack_user s on s.user_id = u."id"
  left join stack_session t on t.session_id = e."id"`

type Row = StoredUser & { sessionId: string; sessionCreatedAt: Date; lastUsedAt: Date | null; isImpersonation: boolean }

export async function createSession(
  queries: Queries,
  session: {
    userId: string
    lifeMs: number
    clientAddress: string
    userAgent: string | null
    isImpersonation?: boolean
  },
): Promise<{ id: string; token: string }> {
  const token = randomBytes(32).toString('base64url')
  const [row] = await queries.query<{ id: string }>(
    `insert into "session" ("expiresAt", "token", "updatedAt", "ipAddress", "userAgent", "userId", "impersonatedBy")
     values (now() + $1 * interval '1 millisecond', $2, now(), $3, $4, $5, $6) returning "id"`,
    [
      session.lifeMs,
      token,
      session.clientAddress,
      session.userAgent?.slice(0, 1024).toWellFormed() ?? null,
      session.userId,
      session.isImpersonation === true ? impersonator : null,
    ],
  )
  if (!row) throw new Error('a session that was inserted has no row')
  return { id: row.id, token }
}

/** Whoever is banned has none. */
export async function findSessionByToken(queries: Queries, token: string): Promise<SignedIn | undefined> {
  return await findSession(queries, `e."token" = $1`, [token])
}

export async function findSessionById(queries: Queries, id: string, userId: string): Promise<SignedIn | undefined> {
  return await findSession(queries, `e."id" = $1 and e."userId" = $2`, [id, userId])
}

async function findSession(queries: Queries, where: string, values: unknown[]): Promise<SignedIn | undefined> {
  const [row] = await queries.query<Row>(
    `select ${columns}, ${userColumns} ${from} where ${where} and e."expiresAt" > now()`,
    values,
  )
  if (!row || row.banned) return undefined
  const { sessionId, sessionCreatedAt, lastUsedAt, isImpersonation, ...user } = row
  return { session: { id: sessionId, userId: user.id, createdAt: sessionCreatedAt, lastUsedAt, isImpersonation }, user }
}

/** Nothing is written where that was done within the minute. */
export async function noteUse(queries: Queries, { session }: SignedIn): Promise<void> {
  const lastKnown = session.lastUsedAt ?? session.createdAt
  if (Date.now() - lastKnown.getTime() < touchAfterMs) return
  await queries.query(
    `with used as (
       insert into stack_session as t (session_id, last_used_at)
       select "id", now() from "session" where "id" = $1
       on conflict (session_id) do update set last_used_at = now()
       where t.last_used_at is null or t.last_used_at < now() - interval '50 seconds' returning 1)
     update stack_user set last_active_at = now()
     where user_id = $2 and $3 and exists (select from used) and (last_active_at is null or last_active_at < now() - interval '50 seconds')`,
    [session.id, session.userId, !session.isImpersonation],
  )
}

export async function listSessions(queries: Queries, userId: string): Promise<StoredSession[]> {
  return await queries.query<StoredSession>(
    `select e."id", e."userId", e."createdAt", t.last_used_at as "lastUsedAt", e."impersonatedBy" is not null as "isImpersonation"
     from "session" e left join stack_session t on t.session_id = e."id"
     where e."userId" = $1 and e."expiresAt" > now() order by e."createdAt" desc, e."id" limit 1000`,
    [userId],
  )
}

export async function findSessionOwner(queries: Queries, id: string): Promise<string | undefined> {
  const [row] = await queries.query<{ userId: string }>(`select "userId" from "session" where "id" = $1`, [id])
  return row?.userId
}

export async function deleteSession(queries: Queries, id: string): Promise<void> {
  await queries.query(`delete from "session" where "id" = $1`, [id])
}

export async function deleteSessions(queries: Queries, userId: string, butFor?: string): Promise<void> {
  await queries.query(`delete from "session" where "userId" = $1 and ($2::uuid is null or "id" <> $2)`, [
    userId,
    butFor ?? null,
  ])
}
