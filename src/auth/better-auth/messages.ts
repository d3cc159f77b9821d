// What this surface tells people by mail, or has the tenant's webhook tell them in its place.
//
// What goes to those only who are known goes by itself: whoever waited for it, or heard that it failed, would learn that somebody is.

import { APIError } from 'better-auth/api'
import type { AuthInstance } from '../instance.ts'
import { authMail, type MailInput } from '../mail/templates.ts'
import { errorChain } from '../../model/errors.ts'
import { isTrustedOrigin } from '../redirects.ts'
import { invitationLifeSeconds, otpLifeSeconds, resetLifeSeconds, verificationLifeSeconds } from './lifetimes.ts'
import { sendLinkByWebhook, sendOtpByWebhook, type LinkMessage } from '../webhooks.ts'
import { apart, currentState, noting } from './request-state.ts'
import { rememberChallenge } from './session-verifier.ts'

type Person = { id?: string; email: string; name?: string | null | undefined }
type Link = { user: Person; url: string; token: string }
export type OtpType = 'sign-in' | 'email-verification' | 'forget-password' | 'change-email'

export async function sendVerificationLink(instance: AuthInstance, { user, url, token }: Link): Promise<void> {
  await rememberChallenge(instance, token)
  const lifeSeconds = verificationLifeSeconds
  const link = { type: 'email-verification', user, url, token, lifeSeconds } as const
  byItself(instance, () => sendLink(instance, 'verification', link))
}

export async function sendPasswordReset(instance: AuthInstance, { user, url, token }: Link): Promise<void> {
  const lifeSeconds = resetLifeSeconds
  const link = { type: 'forget-password', user, url, token, lifeSeconds } as const
  byItself(instance, () => sendLink(instance, 'password_reset', link))
}

export async function sendMagicLink(
  instance: AuthInstance,
  { email, url, token }: { email: string; url: string; token: string },
): Promise<void> {
  await rememberChallenge(instance, token)
  const lifeSeconds = instance.target.settings.magicLink.expiresInMinutes * 60
  await sendLink(instance, 'sign_in', { type: 'sign-in', user: { email }, url, token, lifeSeconds })
}

/** To the address that the account still has: whoever has taken over a session is not to take the account along. */
export async function sendChangeConfirmation(
  instance: AuthInstance,
  { user, newEmail, url }: Link & { newEmail: string },
): Promise<void> {
  const expiresInMinutes = minutes(verificationLifeSeconds)
  await mail(instance, { kind: 'email_change', to: user.email, newEmail, url, expiresInMinutes })
}

const otpMails = {
  'sign-in': 'sign_in',
  'email-verification': 'verification',
  'forget-password': 'password_reset',
  'change-email': 'verification',
} as const satisfies Record<OtpType, MailInput['kind']>

type Otp = { email: string; otp: string; type: OtpType }

export async function sendOtp(instance: AuthInstance, message: Otp): Promise<void> {
  const isForEverybody = message.type === 'sign-in' && !instance.target.settings.emailAndPassword.disableSignUp
  if (isForEverybody) await sendOtpNow(instance, message)
  else byItself(instance, () => sendOtpNow(instance, message))
}

async function sendOtpNow(instance: AuthInstance, { email, otp, type }: Otp): Promise<void> {
  const expiresAt = inSeconds(otpLifeSeconds)
  const message = { code: otp, type, delivery: 'email', expiresAt } as const
  const isTaken = await noting(() => sendOtpByWebhook(instance.target, { email }, message, currentState()?.origin))
  if (isTaken) return
  await mail(instance, { kind: otpMails[type], to: email, code: otp, expiresInMinutes: minutes(otpLifeSeconds) })
}

/** Nobody but the tenant has a way to phones. */
export async function sendPhoneOtp(
  { target }: AuthInstance,
  { phoneNumber, code }: { phoneNumber: string; code: string },
): Promise<void> {
  const expiresAt = inSeconds(target.settings.phoneNumber.otpExpiresInSeconds)
  const message = { code, type: 'phone-number', delivery: 'sms', expiresAt } as const
  const user = { phone_number: phoneNumber }
  if (await noting(() => sendOtpByWebhook(target, user, message, currentState()?.origin))) return
  throw new APIError('NOT_IMPLEMENTED', {
    code: 'PHONE_DELIVERY_NOT_CONFIGURED',
    message: 'codes are sent to phones by a webhook that takes send.otp, and there is none',
  })
}

export async function sendPhoneReset(
  instance: AuthInstance,
  message: { phoneNumber: string; code: string },
): Promise<void> {
  byItself(instance, () => sendPhoneOtp(instance, message))
}

export async function sendInvitation(
  instance: AuthInstance,
  data: { id: string; email: string; organization: { name: string }; inviter: { user: Person } },
  request?: Request,
): Promise<void> {
  await mail(instance, {
    kind: 'invitation',
    to: data.email,
    url: `${invitationPage(instance, request)}?invitationId=${encodeURIComponent(data.id)}`,
    organizationName: data.organization.name,
    inviterName: data.inviter.user.name ?? undefined,
    expiresInMinutes: minutes(invitationLifeSeconds),
  })
}

/** Of the app that the invitation came from; where Neon's own components have that page. */
function invitationPage({ target }: AuthInstance, request: Request | undefined): string {
  const ours = new URL(target.baseUrl).origin
  const from = request?.headers.get('origin') ?? ''
  const isApp = from !== ours && isTrustedOrigin(target, from)
  const domain = target.trustedDomains.find((one) => !one.includes('*'))
  return `${(isApp ? from : (domain ?? ours)).replace(/\/$/, '')}/auth/accept-invitation`
}

function byItself({ logger, target }: AuthInstance, work: () => Promise<void>): void {
  apart(work, (error) =>
    logger.warn({ integration: target.integrationId, cause: errorChain(error) }, 'a message was not sent'),
  )
}

type LinkInput = { type: LinkMessage['type']; user: Person; url: string; token: string; lifeSeconds: number }

async function sendLink(
  instance: AuthInstance,
  kind: 'verification' | 'password_reset' | 'sign_in',
  { type, user, url, token, lifeSeconds }: LinkInput,
): Promise<void> {
  const about = { id: user.id, email: user.email, name: user.name }
  const message = { type, url, token, expiresAt: inSeconds(lifeSeconds) }
  const isTaken = await noting(() => sendLinkByWebhook(instance.target, about, message, currentState()?.origin))
  if (isTaken) return
  await mail(instance, { kind, to: user.email, url, expiresInMinutes: minutes(lifeSeconds) })
}

type Mail = MailInput extends infer M ? (M extends unknown ? Omit<M, 'appName'> : never) : never

async function mail({ controlPlane, target }: AuthInstance, input: Mail): Promise<void> {
  await noting(async () => {
    await controlPlane.sendMail(target.integrationId, authMail({ ...input, appName: target.appName }))
  })
}

const minutes = (seconds: number): number => Math.ceil(seconds / 60)
const inSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1000)
