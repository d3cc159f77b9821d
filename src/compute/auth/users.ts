// Users as the management API makes them, gives them roles and removes them. Over a connection of `authRole`: triggers do the rest.

import type pg from 'pg'
import { AppError } from '../../model/errors.ts'
import { sqlState } from '../roles.ts'

export type UserEvent = { id: string; type: string; body: Record<string, unknown>; createdAt: Date }

/** As both surfaces compare and keep them. */
export const normalizedEmail = (email: string): string => email.normalize('NFKC').trim().toLowerCase()

/** Without a password: the user sets one by a reset, or comes in by a link. Throws `already_exists`. */
export async function createUser(
  client: pg.Client,
  user: { email: string; name: string | undefined },
): Promise<{ id: string }> {
  const email = normalizedEmail(user.email)
  if (!isStorable(email, 320)) throw new AppError('bad_request', 'email must be an address of at most 320 characters')
  const name = user.name ?? ''
  if (!isStorable(name, 1024)) throw new AppError('bad_request', 'name must be text of at most 1024 bytes')
  const [row] = await run<{ id: string }>(
    client,
    `INSERT INTO neon_auth."user" ("name", "email", "emailVerified") VALUES ($1, $2, false) RETURNING "id"`,
    [name, email],
    'a user with this email exists already',
  )
  if (!row) throw new AppError('internal', 'the user was not made')
  return row
}

/** With sessions, accounts and memberships; `users_sync` keeps the row, marked. False where there is none. */
export async function deleteUser(client: pg.Client, id: string): Promise<boolean> {
  if (!isUuid(id)) return false
  return (await run(client, `DELETE FROM neon_auth."user" WHERE "id" = $1 RETURNING "id"`, [id])).length > 0
}

/** Better Auth's: a user's roles as one text. False where there is no such user. */
export async function setUserRoles(client: pg.Client, id: string, roles: readonly string[]): Promise<boolean> {
  const bad = roles.find((role) => !/^[^\s,\0][^,\0]*$/.test(role) || !isStorable(role, 255))
  if (roles.length === 0 || bad !== undefined) {
    throw new AppError('bad_request', 'roles must be names of at most 255 bytes without commas')
  }
  const text = [...new Set(roles)].join(',')
  if (!isStorable(text, 1024)) throw new AppError('bad_request', 'roles must have at most 1024 bytes together')
  const rows = await run(
    client,
    `UPDATE neon_auth."user" SET "role" = $2, "updatedAt" = now() WHERE "id" = $1 RETURNING "id"`,
    [id, text],
  )
  return rows.length > 0
}

const eventsAtOnce = 100
/** Whoever owns the database can have it that there is always one more, or that none ever goes. What is left is the next call's. */
const mostRounds = 20

/**
 * Hands over what has happened, oldest first, and forgets it when `record` has it. What a crash leaves between the two is handed over again:
 * events are told apart by their ids. Those that another call is handing over are left to it.
 */
export async function drainEvents(
  client: pg.Client,
  record: (events: readonly UserEvent[]) => Promise<void>,
): Promise<number> {
  let drained = 0
  for (let round = 0; round < mostRounds; round++) {
    await client.query('BEGIN')
    try {
      const rows = await run<UserEvent>(
        client,
        `SELECT id, type, body, created_at AS "createdAt" FROM neon_auth.user_events ORDER BY created_at, id LIMIT ${eventsAtOnce} FOR UPDATE SKIP LOCKED`,
        [],
      )
      if (rows.length > 0) {
        await record(rows)
        await client.query('DELETE FROM neon_auth.user_events WHERE id = ANY ($1)', [rows.map(({ id }) => id)])
      }
      await client.query('COMMIT')
      drained += rows.length
      if (rows.length < eventsAtOnce) break
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
  }
  return drained
}

/** What a copy of a database must not have of its original's: whoever is signed in there, codes on their way, and what is still to be told. */
export async function forgetSessions(client: pg.Client): Promise<void> {
  // Not DELETE: there may be millions, and who waits for this is about to be served.
  await client.query(
    'TRUNCATE ONLY neon_auth."session", ONLY neon_auth.stack_session, ONLY neon_auth."verification", ONLY neon_auth.user_events',
  )
}

async function run<R extends pg.QueryResultRow>(
  client: pg.Client,
  text: string,
  values: unknown[],
  taken = 'this exists already',
): Promise<R[]> {
  try {
    return (await client.query<R>(text, values)).rows
  } catch (cause) {
    if (sqlState(cause) === '23505') throw new AppError('already_exists', taken, { cause })
    throw cause
  }
}

const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

const isStorable = (text: string, octets: number): boolean =>
  !text.includes('\0') && text.isWellFormed() && Buffer.byteLength(text) <= octets
