// Signing in by mail: a link, or the first six letters of what is in it, typed.

import { createCode, checkCode, takeCode, type CodeOutcome } from '../store/verifications.ts'
import type { Queries } from '../database.ts'
import { removePassword } from '../store/accounts.ts'
import { removeConnections } from '../store/oauth-accounts.ts'
import { deleteSessions } from '../store/sessions.ts'
import { findUserToSignIn, lockUser, updateUser, type StoredUser } from '../store/users.ts'
import { reply, type Call, type Reply, type Route } from './call.ts'
import { assertValid } from './codes.ts'
import { plain } from './errors.ts'
import { email, text } from './fields.ts'
import { callbackUrl, linkWithCode, sendLater, sendLink } from './mails.ts'
import { createUser } from './new-users.ts'
import { assertNotBanned, signUpNotEnabled } from './passwords.ts'
import { issueTokens, tokensView, type IssuedTokens } from './tokens.ts'

export const otpRoutes: Route[] = [
  { method: 'POST', path: '/auth/otp/send-sign-in-code', access: 'client', kind: 'send', handle: send },
  { method: 'POST', path: '/auth/otp/sign-in/check-code', access: 'client', kind: 'sign_in', handle: check },
  { method: 'POST', path: '/auth/otp/sign-in', access: 'client', kind: 'sign_in', handle: signIn },
]

type SignInData = { email: string }

async function send(call: Call): Promise<Reply> {
  const { target, database, limits } = call.instance
  assertEnabled(call)
  const address = email(call.body)
  const callback = callbackUrl(call, text(call.body, 'callback_url', 4096))
  limits.takeRecipient(target.integrationId, address)
  const user = await findUserToSignIn(database, address)
  const minutes = target.settings.magicLink.expiresInMinutes
  const { code, short, nonce } = await createCode(database, 'sign-in', { email: address }, minutes * 60)
  const isWelcome = user ? user.emailSignsIn && !user.banned : !target.settings.magicLink.disableSignUp
  const mail = {
    kind: 'sign_in',
    to: address,
    url: linkWithCode(callback, code),
    code: short,
    expiresInMinutes: minutes,
  } as const
  // Where everybody gets one, everybody may hear that it did not go out.
  if (isWelcome && target.settings.magicLink.disableSignUp) sendLater(call, mail)
  else if (isWelcome) await sendLink(call, mail)
  return reply({ nonce })
}

async function check(call: Call): Promise<Reply> {
  assertEnabled(call)
  const code = text(call.body, 'code', 64)
  assertValid(await call.instance.database.transaction((queries) => checkCode<SignInData>(queries, 'sign-in', code)))
  return reply({ is_code_valid: true })
}

type Outcome =
  | CodeOutcome<SignInData>
  | { kind: 'signed_in'; tokens: IssuedTokens }
  | { kind: 'banned'; user: StoredUser }

async function signIn(call: Call): Promise<Reply> {
  const { target, database } = call.instance
  assertEnabled(call)
  const code = text(call.body, 'code', 64)
  const outcome = await database.transaction(async (queries): Promise<Outcome> => {
    const taken = await takeCode<SignInData>(queries, 'sign-in', code)
    if (taken.kind !== 'valid') return taken
    const user = await findUserToSignIn(queries, taken.data.email)
    if (!user || !(await lockUser(queries, user.id))) return taken
    if (user.banned || !user.emailSignsIn) return { kind: 'banned', user: { ...user, banned: true } }
    await prove(queries, user, taken.data.email)
    return { kind: 'signed_in', tokens: await begin(call, queries, user.id) }
  })
  if (outcome.kind === 'signed_in') return reply({ ...tokensView(outcome.tokens), is_new_user: false })
  if (outcome.kind === 'banned') {
    assertNotBanned(outcome.user)
    throw signUpNotEnabled()
  }
  const { email: address } = assertValid(outcome)
  if (target.settings.magicLink.disableSignUp) throw signUpNotEnabled()
  const tokens = await createUser(
    call,
    { email: address, emailVerified: true, codeSignsIn: true },
    'magic_link',
    async (queries, userId) => begin(call, queries, userId),
  )
  return reply({ ...tokensView(tokens), is_new_user: true })
}

/**
 * The mailbox is the caller's. Where nobody has shown that before, somebody else may have signed up with the address and be waiting for its
 * owner: his password, his accounts elsewhere and his sessions end here.
 */
async function prove(queries: Queries, user: StoredUser, address: string): Promise<void> {
  if (user.email === address && !user.emailVerified) {
    await removePassword(queries, user.id)
    await removeConnections(queries, user.id)
    await deleteSessions(queries, user.id)
    await updateUser(queries, user.id, { emailVerified: true })
  }
  if (!user.codeSignsIn) await updateUser(queries, user.id, { codeSignsIn: true })
}

const begin = (call: Call, queries: Queries, userId: string): Promise<IssuedTokens> =>
  issueTokens(call.instance.target, queries, { userId, clientAddress: call.clientAddress, userAgent: call.userAgent })

function assertEnabled(call: Call): void {
  if (!call.instance.target.settings.magicLink.enabled)
    throw plain(403, 'signing in by mail is not enabled for this project')
}
