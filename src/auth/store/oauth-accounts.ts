// Connections to accounts elsewhere, with what of their provider's tokens is kept: sealed by whoever calls.

import type { Queries } from '../database.ts'

export type SealedTokens = {
  accessToken: string | null
  refreshToken: string | null
  expiresAt: Date | null
  scopes: readonly string[]
}

export type OauthAccount = SealedTokens & { id: string; userId: string }

export async function findOauthAccount(
  queries: Queries,
  providerId: string,
  accountId: string,
): Promise<OauthAccount | undefined> {
  return (await read(queries, `"providerId" = $1 and "accountId" = $2`, [providerId, accountId]))[0]
}

/** The one that was used last, where there are several of one provider. */
export async function findOauthAccountOf(
  queries: Queries,
  userId: string,
  providerId: string,
  accountId: string | undefined,
): Promise<OauthAccount | undefined> {
  const where = `"userId" = $1 and "providerId" = $2 and ($3::text is null or "accountId" = $3)`
  return (await read(queries, where, [userId, providerId, accountId ?? null]))[0]
}

export async function storeTokens(queries: Queries, id: string, tokens: SealedTokens): Promise<void> {
  await queries.query(
    `update "account" set "accessToken" = $2, "refreshToken" = coalesce($3, "refreshToken"), "accessTokenExpiresAt" = $4,
       "scope" = $5, "idToken" = null, "updatedAt" = now()
     where "id" = $1`,
    [id, tokens.accessToken, tokens.refreshToken, tokens.expiresAt, tokens.scopes.join(',')],
  )
}

/**
 * Of a user whose address nobody had shown to be his, when somebody does: whoever came first may have claimed it at a provider that does
 * not look, and would go on coming in.
 */
export async function removeConnections(queries: Queries, userId: string): Promise<void> {
  await queries.query(`delete from "account" where "userId" = $1 and "providerId" <> 'credential'`, [userId])
}

/** How many ways in there are: the last one stays. */
export async function countAccounts(queries: Queries, userId: string): Promise<number> {
  const [row] = await queries.query<{ count: number }>(
    `select count(*)::int as count from "account" where "userId" = $1`,
    [userId],
  )
  return row?.count ?? 0
}

async function read(queries: Queries, where: string, values: unknown[]): Promise<OauthAccount[]> {
  const rows = await queries.query<Omit<OauthAccount, 'scopes'> & { scope: string | null }>(
    `select "id", "userId", "accessToken", "refreshToken", "accessTokenExpiresAt" as "expiresAt", "scope"
     from "account" where ${where} and "providerId" <> 'credential' order by "updatedAt" desc limit 1`,
    values,
  )
  return rows.map(({ scope, ...row }) => ({ ...row, scopes: (scope ?? '').split(/[\s,]+/).filter(Boolean) }))
}
