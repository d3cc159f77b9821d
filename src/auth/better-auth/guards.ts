// How often what may be tried here: by address, by account, by recipient (`limits.ts`), before the library hears of it.

import type { AuthInstance } from '../instance.ts'
import type { RequestKind } from '../limits.ts'
import type { Call } from './requests.ts'

/** Something may be guessed. */
const guessing = new Set([
  '/sign-in/email',
  '/sign-in/email-otp',
  '/sign-in/phone-number',
  '/sign-up/email',
  '/change-password',
  '/delete-user',
  '/email-otp/check-verification-otp',
  '/email-otp/reset-password',
  '/email-otp/verify-email',
  '/magic-link/verify',
  '/phone-number/reset-password',
  '/phone-number/verify',
  '/reset-password',
  '/verify-email',
])
/** Something goes out. */
const sending = new Set([
  '/change-email',
  '/email-otp/request-email-change',
  '/email-otp/request-password-reset',
  '/email-otp/send-verification-otp',
  '/forget-password/email-otp',
  '/phone-number/request-password-reset',
  '/phone-number/send-otp',
  '/request-password-reset',
  '/send-verification-email',
  '/sign-in/magic-link',
])
/** As those, by somebody who is signed in and has a team to invite. */
const inviting = new Set(['/organization/invite-member'])
/** A secret that belongs to the account named beside it. */
const opening = new Set([
  '/sign-in/email',
  '/sign-in/email-otp',
  '/sign-in/phone-number',
  '/email-otp/check-verification-otp',
  '/email-otp/reset-password',
  '/email-otp/verify-email',
  '/phone-number/reset-password',
  '/phone-number/verify',
])
/** Whether the secret was right was not asked, or it was, and something else forbids. */
const otherwiseRefused = new Set([
  'BANNED_USER',
  'CROSS_SITE_NAVIGATION_LOGIN_BLOCKED',
  'EMAIL_NOT_VERIFIED',
  'INVALID_CALLBACK_URL',
  'INVALID_ORIGIN',
  'MISSING_OR_NULL_ORIGIN',
  'PHONE_NUMBER_NOT_VERIFIED',
  'VALIDATION_ERROR',
])

export async function guarded(instance: AuthInstance, call: Call, work: () => Promise<Response>): Promise<Response> {
  const { limits, target } = instance
  const path = call.url.pathname
  limits.take(target.integrationId, kindOf(call.method, path), call.clientAddress)
  const about = accountOf(call.body)
  if (about !== undefined && (sending.has(path) || inviting.has(path)))
    limits.takeRecipient(target.integrationId, about)
  if (about === undefined || call.method !== 'POST' || !opening.has(path)) return await work()
  const attempt = await limits.attemptTo(
    target.integrationId,
    about,
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
  if (guessing.has(path)) return 'sign_in'
  if (sending.has(path)) return 'send'
  return method === 'GET' || method === 'HEAD' ? 'read' : 'write'
}

/** Whom a body is about. */
function accountOf(body: string | undefined): string | undefined {
  if (body === undefined) return undefined
  const fields = fieldsOf(body)
  const about = fields['newEmail'] ?? fields['email'] ?? fields['phoneNumber']
  return typeof about === 'string' && about !== '' ? about : undefined
}

function fieldsOf(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    // A form: the library takes one for a sign-in.
    return Object.fromEntries(new URLSearchParams(body))
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
