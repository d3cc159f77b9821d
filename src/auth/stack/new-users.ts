// How a user comes to be on this surface: the app's own server is asked first where it wants to be, and hears of it afterwards.

import type { Queries } from '../database.ts'
import { errorChain } from '../../model/errors.ts'
import { drainUserEvents } from '../store/user-events.ts'
import { insertUser, type UserChanges } from '../store/users.ts'
import { askBeforeCreate } from '../webhooks.ts'
import { sqlState, type Call } from './call.ts'
import { known } from './errors.ts'
import { originOf } from './mails.ts'

/**
 * `work` is done in the user's own transaction. Throws where the app's server wants no such user, or the address is somebody's. `provider`:
 * how the user comes in, in the words of that server.
 */
export async function createUser<T>(
  call: Call,
  user: UserChanges,
  provider: 'credential' | 'magic_link',
  work: (queries: Queries, userId: string) => Promise<T>,
): Promise<T> {
  const { database, target } = call.instance
  const about = { email: user.email, name: user.name, email_verified: user.emailVerified === true }
  await askBeforeCreate(target, about, provider, originOf(call))
  let result: T
  try {
    result = await database.transaction(async (queries) => work(queries, await insertUser(queries, user)))
  } catch (error) {
    if (isEmailTaken(error) && user.email != null) throw emailTaken(user.email)
    throw error
  }
  await tellOfNewUsers(call)
  return result
}

export const isEmailTaken = (error: unknown): boolean =>
  sqlState(error) === '23505' && (error as { constraint?: unknown }).constraint === 'user_email_key'

export const emailTaken = (email: string): Error =>
  known('USER_EMAIL_ALREADY_EXISTS', 'a user with this e-mail address exists already', {
    email,
    would_work_if_email_was_verified: false,
  })

/** What cannot be told now is told with the next user. */
async function tellOfNewUsers({ instance, logger }: Call): Promise<void> {
  try {
    await drainUserEvents(instance.database, instance.controlPlane, instance.target.integrationId)
  } catch (error) {
    logger.warn({ integration: instance.target.integrationId, cause: errorChain(error) }, 'new users not told of yet')
  }
}
