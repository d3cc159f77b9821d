// What a tenant's own server is asked while somebody waits: whether there may be such a user, and to send a code or a link in our place. Where
// it does not answer as it should, there is no user, and nothing is sent: it was put there to be asked.

import { callWebhook, isTaken, type WebhookAnswer } from '../control/auth/webhook-signature.ts'
import type { AuthEventType } from '../model/auth.ts'
import type { AuthTarget } from '../model/auth-target.ts'
import { AppError } from '../model/errors.ts'

export type WebhookUser = {
  id?: string | undefined
  email?: string | null | undefined
  name?: string | null | undefined
  email_verified?: boolean | undefined
  created_at?: string | undefined
  phone_number?: string | undefined
}

/** Where a request came from, for whoever is asked about it. */
export type WebhookOrigin = { ipAddress?: string | undefined; userAgent?: string | undefined }

export type OtpMessage = {
  code: string
  type: 'sign-in' | 'email-verification' | 'forget-password' | 'phone-number' | 'change-email'
  /** How it is to be sent. */
  delivery: 'email' | 'sms'
  expiresAt: Date
}

export type LinkMessage = {
  type: 'sign-in' | 'email-verification' | 'forget-password'
  url: string
  token: string
  expiresAt: Date
}

/** Each one waits for a stranger's server: one that hangs must not have all of ours wait. */
const mostOfOne = 16
const mostOfAll = 128
const longestMessage = 500
const longestCode = 100
const longestUserAgent = 512

const under = new Map<string, number>()
let underAll = 0

/** Whether the tenant's server is told of it, or asked. A `mock` asks nobody. */
export function hasWebhook({ provider, settings }: AuthTarget, type: AuthEventType): boolean {
  const { enabled, url, events } = settings.webhooks
  return provider !== 'mock' && enabled && url !== undefined && events.includes(type)
}

/**
 * Before there is a user, however he comes to be. `authProvider`: `credential`, `google` … Throws `forbidden` with what the tenant's server
 * says of it (its `error_code` is `details.errorCode`), `unavailable` where that says nothing.
 */
export async function askBeforeCreate(
  target: AuthTarget,
  user: WebhookUser,
  authProvider: string,
  origin: WebhookOrigin = {},
): Promise<void> {
  const type = 'user.before_create'
  if (!hasWebhook(target, type)) return
  const answer = await ask(target, type, user, { auth_provider: authProvider, ...originData(origin) })
  const verdict = verdictOf(answer)
  if (!verdict) {
    throw new AppError('unavailable', 'sign-up cannot be completed right now: the app has not confirmed it', {
      apiCode: 'WEBHOOK_FAILED',
    })
  }
  if (verdict.allowed) return
  throw new AppError('forbidden', verdict.message, {
    apiCode: 'SIGN_UP_REJECTED',
    ...(verdict.code !== undefined && { details: { errorCode: verdict.code } }),
  })
}

/** True where the tenant's server has taken it over; false where it is ours to send. Throws `unavailable` where it has not taken it. */
export async function sendOtpByWebhook(
  target: AuthTarget,
  user: WebhookUser,
  { code, type, delivery, expiresAt }: OtpMessage,
  origin: WebhookOrigin = {},
): Promise<boolean> {
  return await sendByWebhook(target, 'send.otp', user, {
    otp_code: code,
    otp_type: type,
    delivery_preference: delivery,
    expires_at: expiresAt.toISOString(),
    ...originData(origin),
  })
}

/** As `sendOtpByWebhook`. */
export async function sendLinkByWebhook(
  target: AuthTarget,
  user: WebhookUser,
  { type, url, token, expiresAt }: LinkMessage,
  origin: WebhookOrigin = {},
): Promise<boolean> {
  return await sendByWebhook(target, 'send.magic_link', user, {
    link_type: type,
    link_url: url,
    token,
    expires_at: expiresAt.toISOString(),
    ...originData(origin),
  })
}

async function sendByWebhook(
  target: AuthTarget,
  type: AuthEventType,
  user: WebhookUser,
  data: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  if (!hasWebhook(target, type)) return false
  const answer = await ask(target, type, user, data)
  if (answer && isTaken(answer)) return true
  throw new AppError('unavailable', 'the message could not be sent; try again later', { apiCode: 'WEBHOOK_FAILED' })
}

async function ask(
  target: AuthTarget,
  type: AuthEventType,
  user: WebhookUser,
  data: Readonly<Record<string, unknown>>,
): Promise<WebhookAnswer | undefined> {
  const { integrationId, endpointId, projectName, signingKeys, settings } = target
  const { url = '', privateAllowed, timeoutSeconds } = settings.webhooks
  const [key] = signingKeys
  if (!key) throw new AppError('internal', 'an integration has no key to sign with')
  const release = take(integrationId)
  try {
    const { answer } = await callWebhook(
      { url, privateAllowed, timeoutSeconds, context: { endpointId, projectName }, key },
      { id: crypto.randomUUID(), type, at: Date.now(), body: { user, event_data: data } },
    )
    return answer
  } finally {
    release()
  }
}

function take(integrationId: string): () => void {
  const own = under.get(integrationId) ?? 0
  if (own >= mostOfOne || underAll >= mostOfAll) {
    throw new AppError('rate_limited', 'too many requests wait for the app to answer; try again later', {
      retryAfterSeconds: 5,
    })
  }
  under.set(integrationId, own + 1)
  underAll += 1
  return () => {
    underAll -= 1
    const left = (under.get(integrationId) ?? 1) - 1
    if (left === 0) under.delete(integrationId)
    else under.set(integrationId, left)
  }
}

const originData = ({ ipAddress, userAgent }: WebhookOrigin): Record<string, unknown> => ({
  ...(ipAddress !== undefined && { ip_address: ipAddress }),
  ...(userAgent !== undefined && { user_agent: userAgent.slice(0, longestUserAgent) }),
})

type Verdict = { allowed: true } | { allowed: false; message: string; code: string | undefined }

/** Undefined for whatever is no verdict. */
function verdictOf(answer: WebhookAnswer | undefined): Verdict | undefined {
  if (!answer || !isTaken(answer)) return undefined
  let verdict: unknown
  try {
    verdict = JSON.parse(answer.body)
  } catch {
    return undefined
  }
  if (typeof verdict !== 'object' || verdict === null) return undefined
  const { allowed, error_message: message, error_code: code } = verdict as Record<string, unknown>
  if (allowed === true) return { allowed }
  if (allowed !== false) return undefined
  return {
    allowed,
    message: typeof message === 'string' && message !== '' ? message.slice(0, longestMessage) : 'sign-up was refused',
    code: typeof code === 'string' && code !== '' ? code.slice(0, longestCode) : undefined,
  }
}
