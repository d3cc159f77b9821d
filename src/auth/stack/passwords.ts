// Signing up and in with a password, changing it, and setting a new one by mail.

import { createHash } from 'node:crypto'
import type { Queries } from '../database.ts'
import { findPassword, replacePassword, setPassword } from '../store/accounts.ts'
import { removeConnections } from '../store/oauth-accounts.ts'
import { deleteSessions } from '../store/sessions.ts'
import { findUser, findUserToSignIn, lockUser, updateUser, type StoredUser } from '../store/users.ts'
import { checkCode, createCode, takeCode, type CodeOutcome } from '../store/verifications.ts'
import { isTakenByAnother } from '../store/contact-channels.ts'
import { reply, signedIn, type Call, type Reply, type Route } from './call.ts'
import { assertValid, codeRefusal } from './codes.ts'
import { sendVerificationMail } from './contact-channels.ts'
import { known, plain } from './errors.ts'
import { email, optionalText, text } from './fields.ts'
import { callbackUrl, linkWithCode, sendLater } from './mails.ts'
import { createUser, emailTaken } from './new-users.ts'
import { issueTokens, tokensView } from './tokens.ts'

const shortest = 8
const longest = 70
const resetSeconds = 30 * 60

export const passwordRoutes: Route[] = [
  { method: 'POST', path: '/auth/password/sign-up', access: 'client', kind: 'sign_in', handle: signUp },
  { method: 'POST', path: '/auth/password/sign-in', access: 'client', kind: 'sign_in', handle: signIn },
  { method: 'POST', path: '/auth/password/update', access: 'client', kind: 'sign_in', handle: update },
  { method: 'POST', path: '/auth/password/set', access: 'client', kind: 'sign_in', handle: set },
  { method: 'POST', path: '/auth/password/send-reset-code', access: 'client', kind: 'send', handle: sendResetCode },
  {
    method: 'POST',
    path: '/auth/password/reset/check-code',
    access: 'client',
    kind: 'sign_in',
    handle: checkResetCode,
  },
  { method: 'POST', path: '/auth/password/reset', access: 'client', kind: 'sign_in', handle: reset },
]

async function signUp(call: Call): Promise<Reply> {
  const { target, database, passwords } = call.instance
  assertPasswordsEnabled(call)
  if (target.settings.emailAndPassword.disableSignUp) throw signUpNotEnabled()
  const address = email(call.body)
  const password = newPassword(text(call.body, 'password', 1024))
  const callback = optionalText(call.body, 'verification_callback_url', 4096)
  const verification = callback === undefined ? undefined : callbackUrl(call, callback)
  // Before anything dear is done, and before the app's server is asked.
  if (await isTakenByAnother(database, null, address)) throw emailTaken(address)
  const hash = await passwords.hash(target.integrationId, password)
  const needsProof = target.settings.emailAndPassword.requireVerification
  const made = await createUser(
    call,
    { email: address, emailVerified: false },
    'credential',
    async (queries, userId) => {
      await setPassword(queries, userId, hash)
      return { userId, tokens: needsProof ? undefined : await begin(call, queries, userId) }
    },
  )
  if (verification) await sendVerificationMail(call, made.userId, address, verification, sendLater)
  if (!made.tokens) throw emailNotVerified()
  return reply(tokensView(made.tokens))
}

async function signIn(call: Call): Promise<Reply> {
  const { target, database, passwords, limits } = call.instance
  assertPasswordsEnabled(call)
  const address = email(call.body)
  const password = text(call.body, 'password', 1024)
  const { integrationId } = target
  let user: StoredUser | undefined
  const isRight = await limits.attempt(integrationId, address, call.clientAddress, async () => {
    user = await findUserToSignIn(database, address)
    const stored = user?.emailSignsIn === true ? await findPassword(database, user.id) : undefined
    if (stored === undefined) return await passwords.verifyNothing(integrationId, password)
    if (!(await passwords.verify(integrationId, stored, password))) return false
    if (user && passwords.isImported(stored))
      await replacePassword(database, user.id, stored, await passwords.hash(integrationId, password))
    return true
  })
  if (!isRight || !user) throw known('EMAIL_PASSWORD_MISMATCH', 'wrong e-mail address or password')
  assertNotBanned(user)
  if (target.settings.emailAndPassword.requireVerification && !user.emailVerified) throw emailNotVerified()
  const { id } = user
  return reply(tokensView(await database.transaction((queries) => begin(call, queries, id))))
}

async function update(call: Call): Promise<undefined> {
  const { target, database, passwords, limits } = call.instance
  const { user, session } = signedIn(call)
  const old = text(call.body, 'old_password', 1024)
  const hash = newPassword(text(call.body, 'new_password', 1024))
  const stored = await findPassword(database, user.id)
  if (stored === undefined) throw known('USER_DOES_NOT_HAVE_PASSWORD', 'this user has no password: one can be set')
  const { integrationId } = target
  const isRight = await limits.attempt(integrationId, user.email ?? user.id, call.clientAddress, () =>
    passwords.verify(integrationId, stored, old),
  )
  if (!isRight) throw known('PASSWORD_CONFIRMATION_MISMATCH', 'the old password is wrong')
  const replacement = await passwords.hash(integrationId, hash)
  await database.transaction(async (queries) => {
    if (!(await replacePassword(queries, user.id, stored, replacement)))
      throw known('PASSWORD_CONFIRMATION_MISMATCH', 'the password has been changed meanwhile')
    // Whoever knew the old one is out; whoever changes it stays.
    await deleteSessions(queries, user.id, session.id)
  })
  return undefined
}

async function set(call: Call): Promise<undefined> {
  const { target, database, passwords } = call.instance
  assertPasswordsEnabled(call)
  const { user } = signedIn(call)
  const password = newPassword(text(call.body, 'password', 1024))
  if (user.hasPassword) throw plain(400, 'this user has a password already: it can be changed')
  const hash = await passwords.hash(target.integrationId, password)
  await database.transaction(async (queries) => {
    await lockUser(queries, user.id)
    if ((await findPassword(queries, user.id)) !== undefined)
      throw plain(400, 'this user has a password already: it can be changed')
    await setPassword(queries, user.id, hash)
  })
  return undefined
}

/** Of a code: whose it is, the address that it went to, and which password it may replace. */
type ResetData = { userId: string; email: string; replaces: string }

async function sendResetCode(call: Call): Promise<Reply> {
  const { target, database, limits } = call.instance
  assertPasswordsEnabled(call)
  const address = email(call.body)
  const callback = callbackUrl(call, text(call.body, 'callback_url', 4096))
  limits.takeRecipient(target.integrationId, address)
  const user = await findUserToSignIn(database, address)
  const stored = user && (await findPassword(database, user.id))
  const data: ResetData = { userId: user?.id ?? '', email: address, replaces: fingerprint(stored) }
  // A row either way: nothing that takes time depends on whether there is somebody.
  const { code } = await createCode(database, 'password-reset', data, resetSeconds)
  if (user && user.emailSignsIn && !user.banned)
    sendLater(call, {
      kind: 'password_reset',
      to: address,
      url: linkWithCode(callback, code),
      expiresInMinutes: resetSeconds / 60,
    })
  return reply({ success: true })
}

async function checkResetCode(call: Call): Promise<Reply> {
  await assertResets(call, text(call.body, 'code', 64))
  return reply({ is_code_valid: true })
}

async function reset(call: Call): Promise<undefined> {
  const { target, database, passwords } = call.instance
  assertPasswordsEnabled(call)
  const code = text(call.body, 'code', 64)
  const password = newPassword(text(call.body, 'password', 1024))
  // Hashing is dear: not for whoever has no code.
  await assertResets(call, code)
  const hash = await passwords.hash(target.integrationId, password)
  const outcome = await database.transaction(async (queries): Promise<CodeOutcome<ResetData>> => {
    const taken = await takeCode<ResetData>(queries, 'password-reset', code)
    if (taken.kind !== 'valid') return taken
    const user = (await lockUser(queries, taken.data.userId)) ? await resettable(queries, taken.data) : undefined
    if (!user) return { kind: 'used' }
    await setPassword(queries, user.id, hash)
    await deleteSessions(queries, user.id)
    // The mail has reached whoever holds the code.
    if (user.email === taken.data.email && !user.emailVerified) {
      await removeConnections(queries, user.id)
      await updateUser(queries, user.id, { emailVerified: true })
    }
    return taken
  })
  assertValid(outcome)
  return undefined
}

async function assertResets(call: Call, code: string): Promise<void> {
  const { database } = call.instance
  const outcome = await database.transaction((queries) => checkCode<ResetData>(queries, 'password-reset', code))
  const data = assertValid(outcome)
  if (!(await resettable(database, data))) throw codeRefusal('used')
}

/** Undefined where the address or the password is another one by now: each reset, and each change, ends all codes that are under way. */
async function resettable(queries: Queries, data: ResetData): Promise<StoredUser | undefined> {
  const user = data.userId === '' ? undefined : await findUser(queries, data.userId)
  if (!user || user.banned) return undefined
  const current = await findUserToSignIn(queries, data.email)
  if (current?.id !== user.id) return undefined
  return fingerprint(await findPassword(queries, user.id)) === data.replaces ? user : undefined
}

const fingerprint = (stored: string | undefined): string =>
  createHash('sha256')
    .update(stored ?? '')
    .digest('base64url')

const begin = (call: Call, queries: Queries, userId: string): ReturnType<typeof issueTokens> =>
  issueTokens(call.instance.target, queries, { userId, clientAddress: call.clientAddress, userAgent: call.userAgent })

export function newPassword(password: string): string {
  if (password.length < shortest)
    throw known('PASSWORD_TOO_SHORT', `the password must have at least ${shortest} characters`, {
      min_length: shortest,
    })
  if (password.length > longest)
    throw known('PASSWORD_TOO_LONG', `the password must have at most ${longest} characters`, {
      max_length: longest,
      maxLength: longest,
    })
  return password
}

export function assertNotBanned(user: StoredUser): void {
  if (!user.banned) return
  throw known('RESTRICTED_USER_NOT_ALLOWED', 'this user may not sign in', {
    restricted_reason: { type: 'restricted_by_administrator' },
  })
}

function assertPasswordsEnabled(call: Call): void {
  if (!call.instance.target.settings.emailAndPassword.enabled)
    throw known('PASSWORD_AUTHENTICATION_NOT_ENABLED', 'signing in with a password is not enabled for this project')
}

export const signUpNotEnabled = (): Error => known('SIGN_UP_NOT_ENABLED', 'this project takes no new users')

const emailNotVerified = (): Error => known('EMAIL_NOT_VERIFIED', 'the e-mail address has to be verified first')
