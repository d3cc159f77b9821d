// How a sign-in that leaves the app's page comes back to it. The app lives on another site: when the browser returns from a provider or
// from a mail to us, it does not send the cookies that it has for us on the app's pages, and what we would set then is not seen there.
//
// So the page that begins gets a challenge (a cookie), and we keep its hash with the sign-in. At the end the browser is sent to the app
// with a verifier in the address, good once and for two minutes, and the app's page shows both. Who has read the address has no challenge;
// who planted a sign-in of his own in somebody's browser has no verifier; neither gets a session.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { BetterAuthPlugin } from 'better-auth'
import { addOAuthServerContext, createAuthMiddleware, getOAuthState } from 'better-auth/api'
import { setSessionCookie } from 'better-auth/cookies'
import type { AuthInstance } from '../instance.ts'
import { cookieNames, readCookie, verifierParameter } from './headers.ts'
import { challengeLifeSeconds, verificationLifeSeconds, verifierLifeSeconds } from './lifetimes.ts'
import { currentState } from './request-state.ts'

/** What begins here may end in another tab, after a detour. */
const beginnings = new Set(['/sign-in/social', '/sign-in/magic-link', '/sign-up/email', '/send-verification-email'])
const mailedEnds = new Set(['/magic-link/verify', '/verify-email'])
const isProviderEnd = (path: string | undefined): boolean => path?.startsWith('/callback/') === true

type Hooks = Required<NonNullable<BetterAuthPlugin['hooks']>>
type Handler = Hooks['before'][number]['handler']

export function sessionVerifierHooks(instance: AuthInstance): Hooks {
  return {
    before: [
      { matcher: ({ path }) => beginnings.has(path ?? ''), handler: challengeBrowser(instance) },
      { matcher: ({ path }) => path === '/get-session', handler: redeemVerifier() },
    ],
    after: [
      { matcher: ({ path }) => isProviderEnd(path) || mailedEnds.has(path ?? ''), handler: sendBack(instance) },
      { matcher: ({ path }) => path === '/get-session', handler: handOver() },
    ],
  }
}

/** Of a link that goes out by mail: it comes back without anything but its token. */
export async function rememberChallenge({ database, target }: AuthInstance, token: string): Promise<void> {
  const challenge = currentState()?.challenge
  if (challenge === undefined) return
  await database.query(
    `INSERT INTO "verification" ("identifier", "value", "expiresAt") VALUES ($1, $2, now() + $3 * interval '1 second')`,
    [challengeIdentifier(token), challenge, linkLifeSeconds(target.settings.magicLink.expiresInMinutes)],
  )
}

/** Whichever of the links it belongs to. */
const linkLifeSeconds = (magicLinkMinutes: number): number => Math.max(magicLinkMinutes * 60, verificationLifeSeconds)

function challengeBrowser({ target }: AuthInstance): Handler {
  return createAuthMiddleware(async (ctx) => {
    const isSocial = ctx.path === '/sign-in/social'
    const callbackUrl = (ctx.body as { callbackURL?: unknown } | undefined)?.callbackURL
    if (!isSocial && (typeof callbackUrl !== 'string' || !leavesUs(target.baseUrl, callbackUrl))) return
    const challenge = randomBytes(32).toString('base64url')
    const { magicLink } = target.settings
    const maxAge = isSocial ? challengeLifeSeconds : linkLifeSeconds(magicLink.expiresInMinutes)
    const cookie = ctx.context.createAuthCookie('session_challange', { maxAge })
    ctx.setCookie(cookie.name, challenge, cookie.attributes)
    const state = currentState()
    if (state) state.challenge = hashOf(challenge)
    if (isSocial) await addOAuthServerContext({ challenge: hashOf(challenge) })
  })
}

/** At the end of a sign-in: with a verifier where somebody waits for one, and with a session only for the browser that began it. */
function sendBack(instance: AuthInstance): Handler {
  return createAuthMiddleware(async (ctx) => {
    const session = ctx.context.newSession
    const responseHeaders = ctx.context.responseHeaders
    const location = responseHeaders?.get('location')
    if (!session || !responseHeaders || !location) return
    const wanted = await wantedChallenge(ctx)
    // A mail is opened by whom it was sent to, on whatever device. What comes from a provider may have been begun by anybody.
    if (isProviderEnd(ctx.path) && !isShown(ctx.headers, wanted)) withholdSession(responseHeaders)
    if (wanted === undefined || !leavesUs(instance.target.baseUrl, location)) throw ctx.redirect(location)
    const verifier = randomBytes(32).toString('base64url')
    await ctx.context.internalAdapter.createVerificationValue({
      identifier: verifierIdentifier(verifier),
      value: JSON.stringify({ challenge: wanted, token: session.session.token }),
      expiresAt: new Date(Date.now() + verifierLifeSeconds * 1000),
    })
    const url = new URL(location)
    url.searchParams.set(verifierParameter, verifier)
    throw ctx.redirect(url.href)

    async function wantedChallenge({ path, query, context }: typeof ctx): Promise<string | undefined> {
      if (isProviderEnd(path)) {
        const kept = (await getOAuthState())?.serverContext?.['challenge']
        return typeof kept === 'string' ? kept : undefined
      }
      const token: unknown = (query as { token?: unknown } | undefined)?.token
      if (typeof token !== 'string') return undefined
      const row = await context.internalAdapter.consumeVerificationValue(challengeIdentifier(token))
      return row?.value
    }
  })
}

/** The session that waits for this browser becomes that of this request. */
function redeemVerifier(): Handler {
  return createAuthMiddleware(async (ctx) => {
    const verifier: unknown = (ctx.query as Record<string, unknown> | undefined)?.[verifierParameter]
    if (typeof verifier !== 'string' || verifier.length > 128 || !ctx.headers) return
    if (shownChallenges(ctx.headers).length === 0) return
    // Gone with the first who shows it, whoever that is; and nothing comes of one whose time is over.
    const row = await ctx.context.internalAdapter.consumeVerificationValue(verifierIdentifier(verifier))
    if (!row) return
    const { challenge, token } = JSON.parse(row.value) as { challenge: string; token: string }
    if (!isShown(ctx.headers, challenge)) return
    const state = currentState()
    if (state) state.isHandedOver = true
    const headers = new Headers(ctx.headers)
    headers.set(
      'cookie',
      withCookie(headers.get('cookie') ?? '', cookieNames.session, signed(ctx.context.secret, token)),
    )
    return { context: { headers } }
  })
}

function handOver(): Handler {
  return createAuthMiddleware(async (ctx) => {
    const { session } = ctx.context
    if (currentState()?.isHandedOver !== true || !session) return
    await setSessionCookie(ctx, session)
    const cookie = ctx.context.createAuthCookie('session_challange', { maxAge: 0 })
    ctx.setCookie(cookie.name, '', cookie.attributes)
  })
}

function withholdSession(headers: Headers): void {
  const others = headers.getSetCookie().filter((cookie) => !cookie.startsWith(`${cookieNames.session}=`))
  headers.delete('set-cookie')
  for (const cookie of others) headers.append('set-cookie', cookie)
  headers.delete('set-auth-token')
}

const shownChallenges = (headers: Headers): string[] =>
  [cookieNames.challenge, cookieNames.laterChallenge].flatMap((name) => readCookie(headers, name) ?? [])

function isShown(headers: Headers | undefined, hash: string | undefined): boolean {
  if (!headers || hash === undefined) return false
  return shownChallenges(headers).some((shown) => isSame(hashOf(shown), hash))
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url')

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const verifierIdentifier = (verifier: string): string => `session-verifier:${verifier}`
/** Hashed by us: it is written without the library, which would do it. */
const challengeIdentifier = (token: string): string => `session-challenge:${hashOf(token)}`

function leavesUs(baseUrl: string, url: string): boolean {
  const parsed = URL.parse(url)
  return parsed !== null && parsed.origin !== new URL(baseUrl).origin
}

/** As the library signs its cookies. */
function signed(secret: string, token: string): string {
  return encodeURIComponent(`${token}.${createHmac('sha256', secret).update(token).digest('base64')}`)
}

function withCookie(cookies: string, name: string, value: string): string {
  const others = cookies.split(';').filter((part) => part.trim() !== '' && part.split('=', 1)[0]?.trim() !== name)
  return [...others, `${name}=${value}`].map((part) => part.trim()).join('; ')
}
