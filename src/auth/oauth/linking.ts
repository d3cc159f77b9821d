// Whose account somebody comes into whom a provider has named. This is where accounts are stolen, so the rule is short:
//
//   the provider's account is known → its user
//   its address is verified by the provider AND by us, for one user → that user, and the account is his from now on
//   its address is somebody's, but not verified on both sides → refused
//   else → a new user
//
// If our side did not count, whoever signs up with another's address and a password would share what its owner puts there once he signs
// in with his provider; if theirs did not, whoever claims an address at a careless provider would be let in. Better Auth's surface holds
// the same (`better-auth/social-providers.ts`, `accountOptions`).

import type { AuthDatabase, Queries } from '../database.ts'
import { connectAccount } from '../store/accounts.ts'
import { findOauthAccount, storeTokens, type SealedTokens } from '../store/oauth-accounts.ts'
import { findUser, findUserToSignIn, insertUser, lockUser, updateUser, type StoredUser } from '../store/users.ts'
import type { OauthProfile } from './profile.ts'

export type Arrival = { providerId: string; profile: OauthProfile; tokens: SealedTokens }

export type Linked =
  | { kind: 'user'; userId: string; isNew: boolean }
  | { kind: 'address_taken' }
  | { kind: 'account_of_another' }
  | { kind: 'banned' }
  | { kind: 'gone' }

/** `mayCreate` is asked outside of any transaction, as it may ask others; throws where there is to be no such user. */
export async function findOrCreateUser(
  database: Pick<AuthDatabase, 'transaction'>,
  arrival: Arrival,
  mayCreate: () => Promise<void>,
): Promise<Linked> {
  const known = await repeatedOnConflict(() => database.transaction((queries) => findLinked(queries, arrival)))
  if (known) return known
  await mayCreate()
  // Meanwhile he may have come in by another window.
  return await repeatedOnConflict(() =>
    database.transaction(
      async (queries) => (await findLinked(queries, arrival)) ?? (await createUser(queries, arrival)),
    ),
  )
}

/** He is signed in already, and asks for one more way in. Within the caller's transaction, which is to be `repeatedOnConflict`. */
export async function connectToUser(queries: Queries, arrival: Arrival, userId: string): Promise<Linked> {
  if (!(await lockUser(queries, userId))) return { kind: 'gone' }
  const account = await findOauthAccount(queries, arrival.providerId, arrival.profile.subject)
  if (account && account.userId !== userId) return { kind: 'account_of_another' }
  if (account) await storeTokens(queries, account.id, arrival.tokens)
  else await connect(queries, arrival, userId)
  return { kind: 'user', userId, isNew: false }
}

/** Two at once for the same account or address: the second one finds what the first one made. */
export async function repeatedOnConflict<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== '23505') throw error
    return await work()
  }
}

async function findLinked(queries: Queries, arrival: Arrival): Promise<Linked | undefined> {
  const { providerId, profile } = arrival
  const account = await findOauthAccount(queries, providerId, profile.subject)
  if (account) {
    const user = await findUser(queries, account.userId)
    if (!user) return { kind: 'gone' }
    if (user.banned) return { kind: 'banned' }
    if (!isNarrower(arrival.tokens, account)) await storeTokens(queries, account.id, arrival.tokens)
    if (profile.emailVerified && !user.emailVerified && user.email === profile.email)
      await updateUser(queries, user.id, { emailVerified: true })
    return { kind: 'user', userId: user.id, isNew: false }
  }
  if (profile.email === undefined) return undefined
  const holder = await findUserToSignIn(queries, profile.email)
  if (!holder) return undefined
  // Looked at again under its lock: what is verified may be taken back meanwhile.
  await lockUser(queries, holder.id)
  const user = await findUserToSignIn(queries, profile.email)
  if (!user) return undefined
  if (!isHis(user, profile)) return { kind: 'address_taken' }
  if (user.banned) return { kind: 'banned' }
  await connect(queries, arrival, user.id)
  return { kind: 'user', userId: user.id, isNew: false }
}

/** Signing in asks for little: what he has allowed the app before is not lost by it. */
function isNarrower(tokens: SealedTokens, before: SealedTokens): boolean {
  return before.refreshToken !== null && before.scopes.some((scope) => !tokens.scopes.includes(scope))
}

/** An address beside his own is only found where we have verified it. */
function isHis(user: StoredUser, profile: OauthProfile): boolean {
  return profile.emailVerified && (user.email === profile.email ? user.emailVerified : true)
}

async function createUser(queries: Queries, arrival: Arrival): Promise<Linked> {
  const { email, emailVerified, name, image } = arrival.profile
  const userId = await insertUser(queries, {
    email: email ?? null,
    emailVerified,
    name: name ?? null,
    image: image ?? null,
  })
  await connect(queries, arrival, userId)
  return { kind: 'user', userId, isNew: true }
}

async function connect(queries: Queries, { providerId, profile, tokens }: Arrival, userId: string): Promise<void> {
  const id = await connectAccount(queries, { userId, providerId, accountId: profile.subject })
  await storeTokens(queries, id, tokens)
}
