// Sign-ins with a provider that are under way: what we remember until the provider sends its user back (a state), and until the app
// fetches its session (a code). Both are found by hash only, and count once.

import { createHash, randomBytes } from 'node:crypto'
import type { Queries } from '../database.ts'

/** What an app has asked for. Addresses were looked at, and are looked at again before they are used. */
export type OauthState = {
  provider: string
  codeVerifier: string
  nonce: string
  redirectUri: string
  /** The app's own; given back as it is. */
  state: string
  codeChallenge: string
  errorRedirectUrl: string | undefined
  afterCallbackRedirectUrl: string | undefined
  scopes: string[]
  /** He is signed in, and asks for one more way in. */
  link: { userId: string; sessionId: string } | undefined
  /** The browser that began brings a cookie. */
  hasCookie: boolean
}

export type OauthGrant = {
  userId: string
  isNewUser: boolean
  /** Connected only now, when who has begun comes for it: anybody may have been sent to the provider. */
  connects: { sessionId: string; arrival: unknown } | undefined
  redirectUri: string
  codeChallenge: string
  afterCallbackRedirectUrl: string | undefined
}

const stateSeconds = 600
const grantSeconds = 60

/** `state` is chosen by the caller, as others have to find the integration by it. */
export async function putState(queries: Queries, state: string, value: OauthState): Promise<void> {
  await put(queries, 'state', state, value, stateSeconds)
}

/** Undefined where there is none, it is too old, or it was taken before. */
export async function takeState(queries: Queries, state: string): Promise<OauthState | undefined> {
  const [row] = await queries.query<{ value: string; isLive: boolean }>(
    `delete from "verification" where "identifier" = $1 returning "value", "expiresAt" > now() as "isLive"`,
    [identifierOf('state', state)],
  )
  return row?.isLive === true ? (JSON.parse(row.value) as OauthState) : undefined
}

export async function putGrant(queries: Queries, grant: OauthGrant): Promise<string> {
  const code = randomBytes(32).toString('base64url')
  await put(queries, 'code', code, grant, grantSeconds)
  return code
}

export type FoundGrant = { grant: OauthGrant; isLive: boolean; sessionId: string | undefined }

/** Locked until the transaction ends. `sessionId`: it was used before, for that one. */
export async function lockGrant(queries: Queries, code: string): Promise<FoundGrant | undefined> {
  const [row] = await queries.query<{ value: string; isLive: boolean }>(
    `select "value", "expiresAt" > now() as "isLive" from "verification" where "identifier" = $1 for update`,
    [identifierOf('code', code)],
  )
  if (!row) return undefined
  const { sessionId, ...grant } = JSON.parse(row.value) as OauthGrant & { sessionId?: string }
  return { grant, isLive: row.isLive, sessionId }
}

/** Stays for a day as a used one, so that who comes with it again is noticed. */
export async function markUsed(queries: Queries, code: string, grant: OauthGrant, sessionId: string): Promise<void> {
  await queries.query(`update "verification" set "value" = $2, "updatedAt" = now() where "identifier" = $1`, [
    identifierOf('code', code),
    JSON.stringify({ ...grant, sessionId }),
  ])
}

async function put(
  queries: Queries,
  kind: 'state' | 'code',
  name: string,
  value: object,
  seconds: number,
): Promise<void> {
  await queries.query(
    `with old as (
       delete from "verification" where "id" in (
         select "id" from "verification" where "expiresAt" < now() - interval '1 day' limit 100 for update skip locked))
     insert into "verification" ("identifier", "value", "expiresAt") values ($1, $2, now() + $3 * interval '1 second')`,
    [identifierOf(kind, name), JSON.stringify(value), seconds],
  )
}

const identifierOf = (kind: 'state' | 'code', name: string): string =>
  `stack:oauth-${kind}:${createHash('sha256').update(name).digest('hex')}`
