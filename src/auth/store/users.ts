// Users: rows of Better Auth's `user`, and what Stack knows beside it in `stack_user`, which a trigger makes with each of them.

import { randomUUID } from 'node:crypto'
import type { Queries } from '../database.ts'

export type StoredUser = {
  id: string
  /** Null: has none, and cannot sign in by it. */
  email: string | null
  emailVerified: boolean
  name: string | null
  image: string | null
  createdAt: Date
  updatedAt: Date
  banned: boolean
  banReason: string | null
  clientMetadata: unknown
  clientReadOnlyMetadata: unknown
  serverMetadata: unknown
  selectedTeamId: string | null
  /** Whether the address signs in by Stack's surface. */
  emailSignsIn: boolean
  codeSignsIn: boolean
  lastActiveAt: Date
  hasPassword: boolean
  oauthAccounts: { id: string; account_id: string }[]
}

export type UserChanges = Partial<
  Pick<
    StoredUser,
    | 'email'
    | 'emailVerified'
    | 'name'
    | 'image'
    | 'banned'
    | 'banReason'
    | 'clientMetadata'
    | 'clientReadOnlyMetadata'
    | 'serverMetadata'
    | 'selectedTeamId'
    | 'emailSignsIn'
    | 'codeSignsIn'
  >
>

/** `user.email` may not be null: this stands for none, and can be nobody's. */
const noEmail = (id: string): string => `${id}@none.invalid`

const isBanned = `(u."banned" is true and (u."banExpires" is null or u."banExpires" > now()))`

/** Over `u` and `s`. */
const columns = `
  u."id", case when u."email" not like '%.invalid' then u."email" end as "email",
  u."emailVerified" and u."email" not like '%.invalid' as "emailVerified", nullif(u."name", '') as "name", u."image",
  u."createdAt", u."updatedAt", ${isBanned} as "banned", case when ${isBanned} then u."banReason" end as "banReason",
  s.client_metadata as "clientMetadata", s.client_read_only_metadata as "clientReadOnlyMetadata",
  s.server_metadata as "serverMetadata", s.selected_team_id as "selectedTeamId",
  s.primary_email_auth_enabled is not false as "emailSignsIn", s.otp_auth_enabled is true as "codeSignsIn",
  coalesce(s.last_active_at, u."createdAt") as "lastActiveAt",
  exists (select from "account" a where a."userId" = u."id" and a."providerId" = 'credential' and a."password" is not null) as "hasPassword",
  (select coalesce(jsonb_agg(jsonb_build_object('id', a."providerId", 'account_id', a."accountId") order by a."createdAt"), '[]')
   from (select * from "account" b where b."userId" = u."id" and b."providerId" <> 'credential' order by b."createdAt" limit 100) a
  ) as "oauthAccounts"`

const from = `from "user" u left join stack_user s on s.user_id = u."id"`

export const userColumns = columns

export async function findUser(queries: Queries, id: string): Promise<StoredUser | undefined> {
  const [row] = await queries.query<StoredUser>(`select ${columns} ${from} where u."id" = $1`, [id])
  return row
}

export async function findUsers(queries: Queries, ids: readonly string[]): Promise<Map<string, StoredUser>> {
  const rows = await queries.query<StoredUser>(`select ${columns} ${from} where u."id" = any ($1::uuid[])`, [ids])
  return new Map(rows.map((row) => [row.id, row]))
}

export async function findUserByEmail(queries: Queries, email: string): Promise<StoredUser | undefined> {
  const [row] = await queries.query<StoredUser>(`select ${columns} ${from} where u."email" = $1`, [email])
  return row
}

/** Of whom the address is, or who has verified it beside his own and signs in by it. */
export async function findUserToSignIn(queries: Queries, email: string): Promise<StoredUser | undefined> {
  const own = await findUserByEmail(queries, email)
  if (own) return own
  const [row] = await queries.query<StoredUser>(
    `select ${columns} ${from} join stack_contact_channel c on c.user_id = u."id"
     where c.value = $1 and c.is_verified and c.used_for_auth`,
    [email],
  )
  return row
}

/** Nobody else changes who is locked until the transaction ends. */
export async function lockUser(queries: Queries, id: string): Promise<boolean> {
  const rows = await queries.query(`select "id" from "user" where "id" = $1 for update`, [id])
  return rows.length > 0
}

export async function insertUser(queries: Queries, user: UserChanges): Promise<string> {
  const id = randomUUID()
  await queries.query(
    `insert into "user" ("id", "name", "email", "emailVerified", "image") values ($1, $2, $3, $4, $5)`,
    [
      id,
      user.name ?? '',
      user.email ?? noEmail(id),
      user.email != null && user.emailVerified === true,
      user.image ?? null,
    ],
  )
  const { email: _email, emailVerified: _verified, name: _name, image: _image, ...rest } = user
  await updateUser(queries, id, rest)
  return id
}

export async function updateUser(queries: Queries, id: string, changes: UserChanges): Promise<void> {
  await updateRow(queries, '"user"', '"id"', id, {
    '"email"': changes.email === null ? noEmail(id) : changes.email,
    '"emailVerified"': changes.emailVerified,
    '"name"': changes.name === null ? '' : changes.name,
    '"image"': changes.image,
    '"banned"': changes.banned,
    '"banExpires"': changes.banned === undefined ? undefined : null,
    '"banReason"': changes.banned === false ? null : changes.banReason,
  })
  await updateRow(queries, 'stack_user', 'user_id', id, {
    client_metadata: json(changes.clientMetadata),
    client_read_only_metadata: json(changes.clientReadOnlyMetadata),
    server_metadata: json(changes.serverMetadata),
    selected_team_id: changes.selectedTeamId,
    primary_email_auth_enabled: changes.emailSignsIn,
    otp_auth_enabled: changes.codeSignsIn,
  })
}

export async function deleteUser(queries: Queries, id: string): Promise<boolean> {
  const rows = await queries.query(`delete from "user" where "id" = $1 returning "id"`, [id])
  return rows.length > 0
}

export type UserPage = {
  limit: number
  /** The last user of the page before. */
  after: string | undefined
  orderBy: 'signed_up_at' | 'last_active_at'
  descending: boolean
  search: string | undefined
  teamId: string | undefined
}

/** One more than asked for, where there are more. */
export async function listUsers(queries: Queries, page: UserPage): Promise<StoredUser[]> {
  const place = page.orderBy === 'signed_up_at' ? `u."createdAt"` : `coalesce(s.last_active_at, u."createdAt")`
  const [direction, compare] = page.descending ? ['desc', '<'] : ['asc', '>']
  return await queries.query<StoredUser>(
    `select ${columns} ${from}
     where ($1::uuid is null or (${place}, u."id") ${compare} (select ${place}, u."id" ${from} where u."id" = $1))
       and ($2::text is null or u."name" ilike $2 or (u."email" ilike $2 and u."email" not like '%.invalid') or u."id"::text = $3)
       and ($4::uuid is null or exists (select from "member" m where m."userId" = u."id" and m."organizationId" = $4))
     order by ${place} ${direction}, u."id" ${direction} limit $5`,
    [
      page.after ?? null,
      page.search === undefined ? null : likePattern(page.search),
      page.search ?? null,
      page.teamId ?? null,
      page.limit + 1,
    ],
  )
}

/** Contains the text as it stands. */
export const likePattern = (text: string): string => `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`

/** What is undefined stays as it is. Names of columns are ours; values are parameters. */
export async function updateRow(
  queries: Queries,
  table: string,
  key: string,
  id: string,
  changes: Readonly<Record<string, unknown>>,
): Promise<void> {
  const changed = Object.entries(changes).filter(([, value]) => value !== undefined)
  if (changed.length === 0) return
  const sets = changed.map(([column], at) => `${column} = $${at + 2}`)
  if (table === '"user"' || table === '"account"') sets.push(`"updatedAt" = now()`)
  await queries.query(`update ${table} set ${sets.join(', ')} where ${key} = $1`, [
    id,
    ...changed.map(([, value]) => value),
  ])
}

/** As text: a driver would turn a list into one of SQL's own. */
export const json = (value: unknown): string | null | undefined =>
  value === undefined ? undefined : value === null ? null : JSON.stringify(value)
