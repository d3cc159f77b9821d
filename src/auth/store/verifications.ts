// Codes that go out by mail and come back once: to sign in, to reset a password, to show that an address is one's own, to join a team.
//
// A code is a short part that can be typed and a long one that finds its row. Both are kept as hashes only: who reads the table cannot
// use what stands in it. The short part may be guessed wrong a few times, and then the row is of no use to anybody.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Queries } from '../database.ts'

export type CodeKind = 'sign-in' | 'password-reset' | 'email' | 'team-invitation'

export type CodeOutcome<T> =
  | { kind: 'valid'; data: T }
  | { kind: 'not_found' }
  | { kind: 'expired' }
  | { kind: 'used' }
  | { kind: 'exhausted' }

type Value = { hash: string; tries: number; used: boolean; data: unknown }

const shortLength = 6
const longLength = 39
const mostTries = 5
/** No letters that look like digits. 32 of them: five bits each. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const form = new RegExp(`^[${alphabet}]{${shortLength + longLength}}$`)

/** `code` is the whole of it, `short` its part to be typed, `nonce` the rest. */
export async function createCode(
  queries: Queries,
  kind: CodeKind,
  data: Readonly<Record<string, unknown>>,
  lifeSeconds: number,
): Promise<{ code: string; short: string; nonce: string }> {
  const short = randomLetters(shortLength)
  const nonce = randomLetters(longLength)
  const value: Value = { hash: hashOf(short + nonce), tries: 0, used: false, data }
  await queries.query(
    `with old as (
       delete from "verification" where "id" in (
         select "id" from "verification" where "expiresAt" < now() - interval '1 day' limit 100 for update skip locked))
     insert into "verification" ("identifier", "value", "expiresAt") values ($1, $2, now() + $3 * interval '1 second')`,
    [identifierOf(kind, nonce), JSON.stringify(value), lifeSeconds],
  )
  return { code: short + nonce, short, nonce }
}

/** Whether it would be taken. A wrong guess counts. */
export const checkCode = <T>(queries: Queries, kind: CodeKind, code: string): Promise<CodeOutcome<T>> =>
  tryCode<T>(queries, kind, code, false)

/** Once. What is made of it belongs into the same transaction, and the transaction has to commit whatever the outcome is. */
export const takeCode = <T>(queries: Queries, kind: CodeKind, code: string): Promise<CodeOutcome<T>> =>
  tryCode<T>(queries, kind, code, true)

async function tryCode<T>(queries: Queries, kind: CodeKind, given: string, takes: boolean): Promise<CodeOutcome<T>> {
  const code = given.trim().toLowerCase()
  if (!form.test(code)) return { kind: 'not_found' }
  const [row] = await queries.query<{ id: string; value: string; isExpired: boolean }>(
    `select "id", "value", "expiresAt" <= now() as "isExpired" from "verification" where "identifier" = $1 for update`,
    [identifierOf(kind, code.slice(shortLength))],
  )
  if (!row) return { kind: 'not_found' }
  const value = JSON.parse(row.value) as Value
  if (value.used) return { kind: 'used' }
  if (value.tries >= mostTries) return { kind: 'exhausted' }
  if (row.isExpired) return { kind: 'expired' }
  const isRight = timingSafeEqual(Buffer.from(hashOf(code)), Buffer.from(value.hash.padEnd(64).slice(0, 64)))
  if (!isRight) await write(queries, row.id, { ...value, tries: value.tries + 1 })
  else if (takes) await write(queries, row.id, { ...value, used: true })
  return isRight ? { kind: 'valid', data: value.data as T } : { kind: 'not_found' }
}

async function write(queries: Queries, id: string, value: Value): Promise<void> {
  await queries.query(`update "verification" set "value" = $2, "updatedAt" = now() where "id" = $1`, [
    id,
    JSON.stringify(value),
  ])
}

const identifierOf = (kind: CodeKind, nonce: string): string => `stack:${kind}:${hashOf(nonce)}`

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

function randomLetters(length: number): string {
  let letters = ''
  for (const byte of randomBytes(length)) letters += alphabet[byte & 31]
  return letters
}
