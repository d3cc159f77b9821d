import type {
  NeonAuthEmailAndPasswordConfig,
  NeonAuthMagicLinkConfig,
  NeonAuthOrganizationConfig,
  NeonAuthPhoneNumberConfig,
  NeonAuthWebhookConfig,
} from '@neondatabase/api-client'
import type { AuthSettings } from '../model/auth.ts'
import type { Wire } from './contract/wire.ts'

export function emailAndPasswordView({ emailAndPassword }: AuthSettings): Wire<NeonAuthEmailAndPasswordConfig> {
  return {
    enabled: emailAndPassword.enabled,
    email_verification_method: emailAndPassword.verificationMethod,
    require_email_verification: emailAndPassword.requireVerification,
    auto_sign_in_after_verification: emailAndPassword.autoSignInAfterVerification,
    send_verification_email_on_sign_up: emailAndPassword.sendVerificationOnSignUp,
    send_verification_email_on_sign_in: emailAndPassword.sendVerificationOnSignIn,
    disable_sign_up: emailAndPassword.disableSignUp,
  }
}

export function organizationView({ organization }: AuthSettings): Wire<NeonAuthOrganizationConfig> {
  return {
    enabled: organization.enabled,
    organization_limit: organization.organizationLimit,
    membership_limit: organization.membershipLimit,
    creator_role: organization.creatorRole,
    send_invitation_email: organization.sendInvitationEmail,
  }
}

export function magicLinkView({ magicLink }: AuthSettings): Wire<NeonAuthMagicLinkConfig> {
  return {
    enabled: magicLink.enabled,
    expires_in: magicLink.expiresInMinutes,
    disable_sign_up: magicLink.disableSignUp,
  }
}

export function phoneNumberView({ phoneNumber }: AuthSettings): Wire<NeonAuthPhoneNumberConfig> {
  return { enabled: phoneNumber.enabled, otp_expires_in: phoneNumber.otpExpiresInSeconds }
}

export function webhookView(webhook: AuthSettings['webhooks']): Wire<NeonAuthWebhookConfig> {
  return {
    enabled: webhook.enabled,
    webhook_url: webhook.url,
    enabled_events: webhook.events,
    timeout_seconds: webhook.timeoutSeconds,
  }
}
