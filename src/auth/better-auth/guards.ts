// How often what may be tried here: by address, by account, by recipient (`limits.ts`), before the library hears of it.

import type { AuthInstance } from '../instance.ts'
import type { RequestKind } from '../limits.ts'
import type { Call } from './requests.ts'

/** The field of a body that says whom it is about. The library ignores all others, and so do we: who may add one could have his guesses counted elsewhere. */
type Field = 'email' | 'newEmail' | 'phoneNumber'

/** A secret that belongs to the account named beside it. */
const opening: ReadonlyMap<string, Field> = new Map([
  ['/sign-in/email', 'email'],
  ['/sign-in/email-otp', 'email'],
  ['/sign-in/phone-number', 'phoneNumber'],
  ['/email-otp/check-verification-otp', 'email'],
  ['/email-otp/reset-password', 'email'],
  ['/email-otp/verify-email', 'email'],
  ['/phone-number/reset-password', 'phoneNumber'],
  ['/phone-number/verify', 'phoneNumber'],
])
/** Something else that may be guessed. */
const guessing = new Set([
  '/sign-up/email',
  '/change-password',
  '/delete-user',
  '/email-otp/change-email',
  '/magic-link/verify',
  '/reset-password',
  '/verify-email',
  '/verify-password',
])
/** Dear to answer, and the same each time. */
const dear = new Set(['/open-api/generate-schema'])
/** Something goes out. */
const sending: ReadonlyMap<string, Field> = new Map([
  ['/change-email', 'newEmail'],
  ['/email-otp/request-email-change', 'newEmail'],
  ['/email-otp/request-password-reset', 'email'],
  ['/email-otp/send-verification-otp', 'email'],
  ['/forget-password/email-otp', 'email'],
  ['/phone-number/request-password-reset', 'phoneNumber'],
  ['/phone-number/send-otp', 'phoneNumber'],
  ['/request-password-reset', 'email'],
  ['/send-verification-email', 'email'],
  ['/sign-in/magic-link', 'email'],
])
/** As those, by somebody who is signed in and has a team to invite. */
const inviting: ReadonlyMap<string, Field> = new Map([['/organization/invite-member', 'email']])
/** Whether the secret was right was not asked, or it was, and something else forbids. */
const otherwiseRefused = new Set([
  'BANNED_USER',
  'CROSS_SITE_NAVIGATION_LOGIN_BLOCKED',
  'EMAIL_NOT_VERIFIED',
  'INVALID_CALLBACK_URL',
  'INVALID_ORIGIN',
  'MISSING_OR_NULL_ORIGIN',
  'VALIDATION_ERROR',
])

export async function guarded(instance: AuthInstance, call: Call, work: () => Promise<Response>): Promise<Response> {
  const { limits, target } = instance
  const path = call.url.pathname
  limits.take(target.integrationId, kindOf(call.method, path), call.clientAddress)
  const recipient = fieldOf(call, sending.get(path) ?? inviting.get(path))
  if (recipient !== undefined) limits.takeRecipient(target.integrationId, recipient)
  const account = fieldOf(call, opening.get(path))
  if (account === undefined || call.method !== 'POST') return await work()
  const attempt = await limits.attemptTo(
    target.integrationId,
    account,
    call.clientAddress,
    async () => {
      const response = await work()
      return { response, outcome: await outcomeOf(response) }
    },
    ({ outcome }) => outcome,
  )
  return attempt.response
}

export function kindOf(method: string, path: string): RequestKind {
  if (guessing.has(path) || opening.has(path) || dear.has(path)) return 'sign_in'
  if (sending.has(path)) return 'send'
  return method === 'GET' || method === 'HEAD' ? 'read' : 'write'
}

function fieldOf(call: Call, field: Field | undefined): string | undefined {
  const value = field === undefined || call.body === undefined ? undefined : fieldsOf(call.body, call.isForm)[field]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** As the library reads it: by what it is said to be. Much that is JSON can be read as a form too, and says something else then. */
function fieldsOf(body: string, isForm: boolean): Readonly<Record<string, unknown>> {
  if (isForm) return Object.fromEntries(new URLSearchParams(body))
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

async function outcomeOf(response: Response): Promise<'right' | 'wrong' | 'neither'> {
  if (response.status < 400) return 'right'
  if (response.status !== 400 && response.status !== 401 && response.status !== 403) return 'neither'
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  const code = (body as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && otherwiseRefused.has(code) ? 'neither' : 'wrong'
}
