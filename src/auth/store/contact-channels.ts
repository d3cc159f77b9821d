// Further addresses of a user. The primary one is the user's own `email`, and has no row here: both surfaces change it.

import type { Queries } from '../database.ts'

export type ContactChannel = { id: string; userId: string; value: string; isVerified: boolean; usedForAuth: boolean }

const columns = `id, user_id as "userId", value, is_verified as "isVerified", used_for_auth as "usedForAuth"`

export async function listContactChannels(queries: Queries, userId: string): Promise<ContactChannel[]> {
  return await queries.query<ContactChannel>(
    `select ${columns} from stack_contact_channel where user_id = $1 order by created_at, id limit 100`,
    [userId],
  )
}

export async function findContactChannel(
  queries: Queries,
  userId: string,
  id: string,
): Promise<ContactChannel | undefined> {
  const [row] = await queries.query<ContactChannel>(
    `select ${columns} from stack_contact_channel where user_id = $1 and id = $2`,
    [userId, id],
  )
  return row
}

export async function findContactChannelByValue(
  queries: Queries,
  userId: string,
  value: string,
): Promise<ContactChannel | undefined> {
  const [row] = await queries.query<ContactChannel>(
    `select ${columns} from stack_contact_channel where user_id = $1 and value = $2`,
    [userId, value],
  )
  return row
}

/** Somebody else signs in by this address, or would once it is verified. */
export async function isTakenByAnother(queries: Queries, userId: string | null, value: string): Promise<boolean> {
  const rows = await queries.query(
    `select 1 from "user" where "email" = $2 and "id" is distinct from $1::uuid
     union all
     select 1 from stack_contact_channel where value = $2 and is_verified and used_for_auth and user_id is distinct from $1::uuid limit 1`,
    [userId, value],
  )
  return rows.length > 0
}

export async function insertContactChannel(queries: Queries, channel: Omit<ContactChannel, 'id'>): Promise<string> {
  const [row] = await queries.query<{ id: string }>(
    `insert into stack_contact_channel (user_id, value, is_verified, used_for_auth) values ($1, $2, $3, $4)
     on conflict (user_id, value) do update set is_verified = stack_contact_channel.is_verified or excluded.is_verified
     returning id`,
    [channel.userId, channel.value, channel.isVerified, channel.usedForAuth],
  )
  return row?.id ?? ''
}

export async function updateContactChannel(
  queries: Queries,
  id: string,
  { value, isVerified, usedForAuth }: Pick<ContactChannel, 'value' | 'isVerified' | 'usedForAuth'>,
): Promise<void> {
  await queries.query(
    `update stack_contact_channel set value = $2, is_verified = $3, used_for_auth = $4 where id = $1`,
    [id, value, isVerified, usedForAuth],
  )
}

export async function deleteContactChannel(queries: Queries, id: string): Promise<void> {
  await queries.query(`delete from stack_contact_channel where id = $1`, [id])
}
