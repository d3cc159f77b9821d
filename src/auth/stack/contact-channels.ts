// E-mail addresses of users: the primary one, further ones, and showing that one is one's own.

import type { Queries } from '../database.ts'
import {
  deleteContactChannel,
  findContactChannel,
  findContactChannelByValue,
  insertContactChannel,
  isTakenByAnother,
  listContactChannels,
  updateContactChannel,
  type ContactChannel,
} from '../store/contact-channels.ts'
import { findUser, lockUser, updateUser, type StoredUser } from '../store/users.ts'
import { checkCode, createCode, takeCode, type CodeOutcome } from '../store/verifications.ts'
import {
  found,
  isServer,
  page,
  reply,
  signedIn,
  sqlState,
  userIdOf,
  type Call,
  type Reply,
  type Route,
} from './call.ts'
import { assertValid } from './codes.ts'
import { known, plain, schemaError } from './errors.ts'
import { email, flag, isUuid, text, toEmailAddress } from './fields.ts'
import { callbackUrl, linkWithCode, sendLink, type Mail } from './mails.ts'
import { isEmailTaken } from './new-users.ts'
import { contactChannelView, primaryChannelView } from './views.ts'

const verificationSeconds = 24 * 3600
const mostChannels = 20

const one = '/contact-channels/:user/:channel'

export const contactChannelRoutes: Route[] = [
  { method: 'POST', path: '/contact-channels/verify', access: 'client', kind: 'sign_in', handle: verify },
  { method: 'POST', path: '/contact-channels/verify/check-code', access: 'client', kind: 'sign_in', handle: check },
  {
    method: 'POST',
    path: '/contact-channels/send-verification-code',
    access: 'client',
    kind: 'send',
    handle: sendToPrimary,
  },
  { method: 'GET', path: '/contact-channels', access: 'client', handle: list },
  { method: 'POST', path: '/contact-channels', access: 'client', handle: create },
  { method: 'GET', path: one, access: 'client', handle: get },
  { method: 'PATCH', path: one, access: 'client', handle: update },
  { method: 'DELETE', path: one, access: 'client', handle: remove },
  { method: 'POST', path: `${one}/send-verification-code`, access: 'client', kind: 'send', handle: sendToOne },
]

type VerificationData = { userId: string; email: string }

/** `deliver`: `sendLater` where what was asked for is done whether or not there is a mail. */
export async function sendVerificationMail(
  call: Call,
  userId: string,
  address: string,
  callback: URL,
  deliver: (call: Call, mail: Mail) => Promise<void> | void = sendLink,
): Promise<void> {
  const { database } = call.instance
  const data: VerificationData = { userId, email: address }
  const { code } = await createCode(database, 'email', data, verificationSeconds)
  await deliver(call, {
    kind: 'verification',
    to: address,
    url: linkWithCode(callback, code),
    expiresInMinutes: verificationSeconds / 60,
  })
}

async function verify(call: Call): Promise<undefined> {
  const code = text(call.body, 'code', 64)
  const outcome = await call.instance.database.transaction(async (queries): Promise<CodeOutcome<VerificationData>> => {
    const taken = await takeCode<VerificationData>(queries, 'email', code)
    if (taken.kind !== 'valid') return taken
    const { userId, email: address } = taken.data
    const user = (await lockUser(queries, userId)) ? await findUser(queries, userId) : undefined
    if (user?.email === address) {
      await updateUser(queries, userId, { emailVerified: true })
      return taken
    }
    const channel = user && (await findContactChannelByValue(queries, userId, address))
    if (!channel) return { kind: 'not_found' }
    // Somebody else was faster: it is verified, and signs in no more.
    const usedForAuth = channel.usedForAuth && !(await isTakenByAnother(queries, userId, address))
    await updateContactChannel(queries, channel.id, { ...channel, isVerified: true, usedForAuth })
    return taken
  })
  assertValid(outcome)
  return undefined
}

async function check(call: Call): Promise<Reply> {
  const code = text(call.body, 'code', 64)
  assertValid(
    await call.instance.database.transaction((queries) => checkCode<VerificationData>(queries, 'email', code)),
  )
  return reply({ is_code_valid: true })
}

async function sendToPrimary(call: Call): Promise<undefined> {
  const { user } = signedIn(call)
  const address = email(call.body)
  const callback = callbackUrl(call, text(call.body, 'callback_url', 4096))
  if (user.email !== address)
    throw known('EMAIL_IS_NOT_PRIMARY_EMAIL', 'this is not the user’s primary address', {
      email: address,
      primary_email: user.email,
    })
  await sendTo(call, user.id, address, user.emailVerified, callback)
  return undefined
}

async function sendToOne(call: Call): Promise<undefined> {
  const callback = callbackUrl(call, text(call.body, 'callback_url', 4096))
  const { user, channel } = await look(call)
  if (channel) await sendTo(call, user.id, channel.value, channel.isVerified, callback)
  else await sendTo(call, user.id, user.email ?? '', user.emailVerified, callback)
  return undefined
}

async function sendTo(call: Call, userId: string, address: string, isVerified: boolean, callback: URL): Promise<void> {
  if (isVerified) throw known('EMAIL_ALREADY_VERIFIED', 'the address is verified already')
  call.instance.limits.takeRecipient(call.instance.target.integrationId, address)
  await sendVerificationMail(call, userId, address, callback)
}

async function list(call: Call): Promise<Reply> {
  const { database } = call.instance
  const user = found(await findUser(database, userIdOf(call, call.query.get('user_id'))))
  const channels = await listContactChannels(database, user.id)
  return page([...(user.email === null ? [] : [primaryChannelView(user)]), ...channels.map(contactChannelView)])
}

async function get(call: Call): Promise<Reply> {
  const { user, channel } = await look(call)
  return reply(channel ? contactChannelView(channel) : primaryChannelView(user))
}

async function create(call: Call): Promise<Reply> {
  const { body, instance } = call
  const userId = userIdOf(call, text(body, 'user_id'))
  assertEmailType(call)
  const value = toEmailAddress(text(body, 'value'), 'value')
  const usedForAuth = flag(body, 'used_for_auth') ?? false
  const isPrimary = flag(body, 'is_primary') ?? false
  const isVerified = isServer(call) && (flag(body, 'is_verified') ?? false)
  const id = await changing(value, () =>
    instance.database.transaction(async (queries) => {
      await lockUser(queries, userId)
      const user = found(await findUser(queries, userId))
      if (user.email === value) throw schemaError('this is the primary address already')
      if ((usedForAuth || isPrimary) && (await isTakenByAnother(queries, userId, value))) throw takenByAnother(value)
      if ((await listContactChannels(queries, userId)).length >= mostChannels)
        throw plain(400, `a user may have ${mostChannels} further addresses`)
      const made = await insertContactChannel(queries, { userId, value, isVerified, usedForAuth })
      if (!isPrimary) return made
      await makePrimary(queries, user, { id: made, userId, value, isVerified, usedForAuth })
      return userId
    }),
  )
  return reply(await viewOf(call, userId, id), 201)
}

async function update(call: Call): Promise<Reply> {
  const { body, instance } = call
  if (body['type'] !== undefined) assertEmailType(call)
  const given = body['value'] === undefined ? undefined : toEmailAddress(text(body, 'value'), 'value')
  const verifies = isServer(call) ? flag(body, 'is_verified') : undefined
  const usesForAuth = flag(body, 'used_for_auth')
  const makesPrimary = flag(body, 'is_primary')
  const { user: known } = await look(call)
  const id = await changing(given ?? '', () =>
    instance.database.transaction(async (queries) => {
      await lockUser(queries, known.id)
      const { user, channel } = await lookAgain(queries, call, known.id)
      if (!channel) {
        if (makesPrimary === false) throw schemaError('another address has to be made the primary one instead')
        const isNew = given !== undefined && given !== user.email
        if (isNew && (await isTakenByAnother(queries, user.id, given))) throw takenByAnother(given)
        await updateUser(queries, user.id, {
          ...(isNew && { email: given, emailVerified: false }),
          ...(verifies !== undefined && { emailVerified: verifies }),
          ...(usesForAuth !== undefined && { emailSignsIn: usesForAuth }),
        })
        return user.id
      }
      const value = given ?? channel.value
      const changed: ContactChannel = {
        ...channel,
        value,
        isVerified: verifies ?? (channel.isVerified && value === channel.value),
        usedForAuth: usesForAuth ?? channel.usedForAuth,
      }
      const signsIn = changed.usedForAuth || makesPrimary === true
      if (signsIn && (await isTakenByAnother(queries, user.id, value))) throw takenByAnother(value)
      await updateContactChannel(queries, channel.id, changed)
      if (makesPrimary !== true) return channel.id
      await makePrimary(queries, user, changed)
      return user.id
    }),
  )
  return reply(await viewOf(call, known.id, id))
}

/** The two change places; each keeps whether it is verified. */
async function makePrimary(queries: Queries, user: StoredUser, channel: ContactChannel): Promise<void> {
  await deleteContactChannel(queries, channel.id)
  await updateUser(queries, user.id, { email: channel.value, emailVerified: channel.isVerified })
  if (user.email !== null)
    await insertContactChannel(queries, {
      userId: user.id,
      value: user.email,
      isVerified: user.emailVerified,
      usedForAuth: false,
    })
}

async function remove(call: Call): Promise<undefined> {
  const { channel } = await look(call)
  if (!channel) throw plain(400, 'the primary address cannot be removed: make another one primary first')
  await deleteContactChannel(call.instance.database, channel.id)
  return undefined
}

type Looked = { user: StoredUser; channel: ContactChannel | undefined }

/** Without a channel: the primary address is meant. */
async function look(call: Call): Promise<Looked> {
  return await lookAgain(call.instance.database, call, userIdOf(call, call.params['user']))
}

async function lookAgain(queries: Queries, call: Call, userId: string): Promise<Looked> {
  const id = call.params['channel']?.toLowerCase() ?? ''
  const user = found(await findUser(queries, userId))
  if (id === user.id && user.email !== null) return { user, channel: undefined }
  const channel = isUuid(id) ? await findContactChannel(queries, userId, id) : undefined
  if (!channel) throw plain(404, 'this user has no such contact channel')
  return { user, channel }
}

async function viewOf(call: Call, userId: string, id: string): Promise<Record<string, unknown>> {
  const { database } = call.instance
  const user = found(await findUser(database, userId))
  const channel = id === userId ? undefined : await findContactChannel(database, userId, id)
  return channel ? contactChannelView(channel) : primaryChannelView(user)
}

/** Two who do the same at once: one of them hears from the database what the other had just been asked. */
async function changing<T>(value: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isEmailTaken(error) || sqlState(error) === '23505') throw takenByAnother(value)
    throw error
  }
}

const takenByAnother = (value: string): Error =>
  known('CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE', 'somebody else signs in by this address', {
    type: 'email',
    contact_channel_value: value,
    would_work_if_email_was_verified: false,
  })

function assertEmailType(call: Call): void {
  if (call.body['type'] !== 'email') throw schemaError("type must be 'email'")
}
