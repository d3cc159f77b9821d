// What this surface tells people by mail, or has the tenant's webhook tell them in its place.

import { APIError } from 'better-auth/api'
import type { AuthInstance } from '../instance.ts'
import { authMail, type MailInput } from '../mail/templates.ts'
import { isTrustedOrigin } from '../redirects.ts'
import { invitationLifeSeconds, otpLifeSeconds, resetLifeSeconds, verificationLifeSeconds } from './lifetimes.ts'
import { noting } from './request-state.ts'
import { rememberChallenge } from './session-verifier.ts'

type Person = { id?: string; email: string; name?: string | null | undefined }
type Link = { user: Person; url: string; token: string }
export type OtpType = 'sign-in' | 'email-verification' | 'forget-password' | 'change-email'

export async function sendVerificationLink(instance: AuthInstance, { user, url, token }: Link): Promise<void> {
  await rememberChallenge(instance, token)
  await mail(instance, {
    kind: 'verification',
    to: user.email,
    url,
    expiresInMinutes: minutes(verificationLifeSeconds),
  })
}

export async function sendPasswordReset(instance: AuthInstance, { user, url }: Link): Promise<void> {
  await mail(instance, { kind: 'password_reset', to: user.email, url, expiresInMinutes: minutes(resetLifeSeconds) })
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

export async function sendOtp(
  instance: AuthInstance,
  { email, otp, type }: { email: string; otp: string; type: OtpType },
): Promise<void> {
  await mail(instance, { kind: otpMails[type], to: email, code: otp, expiresInMinutes: minutes(otpLifeSeconds) })
}

export async function sendMagicLink(
  instance: AuthInstance,
  { email, url, token }: { email: string; url: string; token: string },
): Promise<void> {
  await rememberChallenge(instance, token)
  const { expiresInMinutes } = instance.target.settings.magicLink
  await mail(instance, { kind: 'sign_in', to: email, url, expiresInMinutes })
}

export async function sendPhoneOtp(
  _instance: AuthInstance,
  _data: { phoneNumber: string; code: string },
): Promise<void> {
  throw new APIError('NOT_IMPLEMENTED', {
    code: 'PHONE_DELIVERY_NOT_CONFIGURED',
    message: 'codes are sent to phones by a webhook that takes send.otp, and there is none',
  })
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

type Mail = MailInput extends infer M ? (M extends unknown ? Omit<M, 'appName'> : never) : never

async function mail({ controlPlane, target }: AuthInstance, input: Mail): Promise<void> {
  await noting(async () => {
    await controlPlane.sendMail(target.integrationId, authMail({ ...input, appName: target.appName }))
  })
}

const minutes = (seconds: number): number => Math.ceil(seconds / 60)
