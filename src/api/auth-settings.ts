// What sign-in of a branch does.

import type {
  NeonAuthEmailAndPasswordConfigUpdate,
  NeonAuthMagicLinkConfigUpdate,
  NeonAuthOrganizationConfigUpdate,
  NeonAuthPhoneNumberConfigUpdate,
  UpdateNeonAuthAllowLocalhostRequest,
} from '@neondatabase/api-client'
import { emailServerView } from './auth-email.ts'
import { oauthProviderView } from './auth-oauth-providers.ts'
import { ofBranch } from './auth-place.ts'
import { emailAndPasswordView, magicLinkView, organizationView, phoneNumberView } from './auth-settings-view.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

export const authSettings = {
  async getNeonAuthPluginConfigs({ control, caller, params }: ApiRequest) {
    const place = ofBranch(params)
    const settings = await control.auth.settings(caller, place)
    const providers = await control.auth.oauthProviders.list(caller, place)
    return ok({
      organization: organizationView(settings),
      magic_link: magicLinkView(settings),
      phone_number: phoneNumberView(settings),
      email_provider: emailServerView(await control.auth.emailServer.get(caller, place)),
      email_and_password: emailAndPasswordView(settings),
      oauth_providers: providers.map(oauthProviderView),
      allow_localhost: settings.allowLocalhost,
    })
  },

  async getNeonAuthEmailAndPasswordConfig({ control, caller, params }: ApiRequest) {
    return ok(emailAndPasswordView(await control.auth.settings(caller, ofBranch(params))))
  },

  async updateNeonAuthEmailAndPasswordConfig({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, NeonAuthEmailAndPasswordConfigUpdate>) {
    const emailAndPassword = {
      enabled: body.enabled,
      verificationMethod: body.email_verification_method,
      requireVerification: body.require_email_verification,
      autoSignInAfterVerification: body.auto_sign_in_after_verification,
      sendVerificationOnSignUp: body.send_verification_email_on_sign_up,
      sendVerificationOnSignIn: body.send_verification_email_on_sign_in,
      disableSignUp: body.disable_sign_up,
    }
    return ok(emailAndPasswordView(await control.auth.changeSettings(caller, ofBranch(params), { emailAndPassword })))
  },

  async getNeonAuthAllowLocalhost({ control, caller, params }: ApiRequest) {
    return ok({ allow_localhost: (await control.auth.settings(caller, ofBranch(params))).allowLocalhost })
  },

  async updateNeonAuthAllowLocalhost({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, UpdateNeonAuthAllowLocalhostRequest>) {
    const change = { allowLocalhost: body.allow_localhost }
    const { allowLocalhost } = await control.auth.changeSettings(caller, ofBranch(params), change)
    return ok({ allow_localhost: allowLocalhost })
  },

  async updateNeonAuthOrganizationPlugin({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, NeonAuthOrganizationConfigUpdate>) {
    const organization = {
      enabled: body.enabled,
      organizationLimit: body.organization_limit,
      membershipLimit: body.membership_limit,
      creatorRole: body.creator_role,
      sendInvitationEmail: body.send_invitation_email,
    }
    return ok(organizationView(await control.auth.changeSettings(caller, ofBranch(params), { organization })))
  },

  async updateNeonAuthMagicLinkPlugin({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, NeonAuthMagicLinkConfigUpdate>) {
    const magicLink = {
      enabled: body.enabled,
      expiresInMinutes: body.expires_in,
      disableSignUp: body.disable_sign_up,
    }
    return ok(magicLinkView(await control.auth.changeSettings(caller, ofBranch(params), { magicLink })))
  },

  async getNeonAuthPhoneNumberPlugin({ control, caller, params }: ApiRequest) {
    return ok(phoneNumberView(await control.auth.settings(caller, ofBranch(params))))
  },

  async updateNeonAuthPhoneNumberPlugin({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, NeonAuthPhoneNumberConfigUpdate>) {
    const phoneNumber = { enabled: body.enabled, otpExpiresInSeconds: body.otp_expires_in }
    return ok(phoneNumberView(await control.auth.changeSettings(caller, ofBranch(params), { phoneNumber })))
  },
} satisfies Handlers
