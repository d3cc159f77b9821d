// What this surface tells people by mail, or has the tenant's webhook tell them in its place.

import type { GenericEndpointContext } from 'better-auth'
import { APIError } from 'better-auth/api'
import type { AuthMail } from '../../model/auth-target.ts'
import type { AuthInstance } from '../instance.ts'
import { isTrustedOrigin } from '../redirects.ts'
import { noting } from './request-state.ts'
import { rememberChallenge } from './session-verifier.ts'

type Person = { email: string; name?: string | null | undefined; id?: string }
type Link = { user: Person; url: string; token: string }
type OtpType = 'sign-in' | 'email-verification' | 'forget-password' | 'change-email'

export async function sendVerificationLink(
  instance: AuthInstance,
  { user, url, token }: Link,
  _request?: Request,
): Promise<void> {
  await rememberChallenge(instance, token)
  await send(instance, {
    kind: 'verification_link',
    to: user.email,
    subject: `Verify your e-mail address for ${instance.target.appName}`,
    text: `Open this link to verify your e-mail address:\n\n${url}\n`,
    html: '',
  })
}

export async function sendPasswordReset(
  instance: AuthInstance,
  { user, url }: Link,
  _request?: Request,
): Promise<void> {
  await send(instance, {
    kind: 'password_reset',
    to: user.email,
    subject: `Reset your password for ${instance.target.appName}`,
    text: `Open this link to choose a new password:\n\n${url}\n`,
    html: '',
  })
}

/** To the address that the account still has: whoever has taken over a session is not to take the account along. */
export async function sendChangeConfirmation(
  instance: AuthInstance,
  { user, newEmail, url }: Link & { newEmail: string },
  _request?: Request,
): Promise<void> {
  await send(instance, {
    kind: 'email_change',
    to: user.email,
    subject: `Confirm your new e-mail address for ${instance.target.appName}`,
    text: `Open this link to change your address to ${newEmail}:\n\n${url}\n`,
    html: '',
  })
}

export async function sendOtp(
  instance: AuthInstance,
  { email, otp, type }: { email: string; otp: string; type: OtpType },
): Promise<void> {
  await send(instance, {
    kind: type === 'sign-in' ? 'sign_in_code' : type === 'forget-password' ? 'password_reset' : 'verification_code',
    to: email,
    subject: `Your code for ${instance.target.appName}`,
    text: `Your code is ${otp}\n`,
    html: '',
  })
}

export async function sendMagicLink(
  instance: AuthInstance,
  { email, url, token }: { email: string; url: string; token: string },
): Promise<void> {
  await rememberChallenge(instance, token)
  await send(instance, {
    kind: 'magic_link',
    to: email,
    subject: `Sign in to ${instance.target.appName}`,
    text: `Open this link to sign in:\n\n${url}\n`,
    html: '',
  })
}

export async function sendPhoneOtp(
  _instance: AuthInstance,
  _data: { phoneNumber: string; code: string },
): Promise<void> {
  throw new APIError('NOT_IMPLEMENTED', {
    code: 'PHONE_DELIVERY_NOT_CONFIGURED',
    message: 'codes can be sent to phones only by a webhook that takes send.otp',
  })
}

export async function sendInvitation(
  instance: AuthInstance,
  data: { id: string; email: string; role: string; organization: { name: string }; inviter: { user: Person } },
  request?: Request,
): Promise<void> {
  const page = invitationPage(instance, request)
  await send(instance, {
    kind: 'invitation',
    to: data.email,
    subject: `You are invited to ${data.organization.name}`,
    text: `${data.inviter.user.name} invites you to ${data.organization.name}.\n\n${page}?invitationId=${data.id}\n`,
    html: '',
  })
}

/** The app that the invitation came from; the page is where Neon's own components have it. */
function invitationPage({ target }: AuthInstance, request: Request | undefined): string {
  const origin = request?.headers.get('origin') ?? ''
  const isApp = isTrustedOrigin(target, origin) && origin !== new URL(target.baseUrl).origin
  const [domain] = target.trustedDomains.filter((one) => !one.includes('*'))
  return `${isApp ? origin : (domain ?? new URL(target.baseUrl).origin).replace(/\/$/, '')}/auth/accept-invitation`
}

async function send({ controlPlane, target }: AuthInstance, mail: AuthMail): Promise<void> {
  await noting(() => controlPlane.sendMail(target.integrationId, mail))
}

export type { GenericEndpointContext }
