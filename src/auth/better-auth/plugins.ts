// The library's plugins, as the integration's settings have them, and what Neon's clients expect beyond them.

import type { BetterAuthPlugin } from 'better-auth'
import { admin, bearer, emailOTP, jwt, magicLink, openAPI, organization, phoneNumber } from 'better-auth/plugins'
import { createHmac } from 'node:crypto'
import type { AuthInstance } from '../instance.ts'
import { isTrustedRedirect } from '../redirects.ts'
import { tell } from './events.ts'
import { assertLength, longestName, longestUrl } from './hooks.ts'
import { invitationLifeSeconds, mostOtpTries, otpLifeSeconds, tokenLifeSeconds } from './lifetimes.ts'
import { sendInvitation, sendMagicLink, sendOtp, sendPhoneOtp, sendPhoneReset } from './messages.ts'
import { sessionVerifierHooks } from './session-verifier.ts'
import { socialProviders } from './social-providers.ts'

const longestMetadata = 64 * 1024

export function plugins(instance: AuthInstance): BetterAuthPlugin[] {
  const { settings } = instance.target
  return [
    neonCompat(instance),
    socialProviders(instance),
    jwtPlugin(instance),
    admin(),
    bearer({ requireSignature: true }),
    openAPI({ disableDefaultReference: true }),
    ...(settings.emailAndPassword.enabled ? [emailOtpPlugin(instance)] : []),
    ...(settings.organization.enabled ? [organizationPlugin(instance)] : []),
    ...(settings.magicLink.enabled ? [magicLinkPlugin(instance)] : []),
    ...(settings.phoneNumber.enabled ? [phonePlugin(instance)] : []),
  ]
}

/** Keys are the target's: the library is not to make any, nor to look for them in the tenant's database. */
function jwtPlugin({ database, target }: AuthInstance): BetterAuthPlugin {
  const { origin } = new URL(target.baseUrl)
  const { settings } = target
  return jwt({
    jwks: {
      jwksPath: '/.well-known/jwks.json',
      keyPairConfig: { alg: 'EdDSA', crv: 'Ed25519' },
      disablePrivateKeyEncryption: true,
    },
    adapter: {
      getJwks: async () =>
        target.signingKeys.map(({ kid, publicJwk, privateJwk, createdAt }) => ({
          id: kid,
          publicKey: JSON.stringify(publicJwk),
          privateKey: JSON.stringify(privateJwk),
          createdAt: new Date(createdAt),
          alg: 'EdDSA' as const,
          crv: 'Ed25519' as const,
        })),
      createJwk: async () => {
        throw new Error('signing keys are made by the control plane')
      },
    },
    jwt: {
      issuer: origin,
      audience: origin,
      expirationTime: `${tokenLifeSeconds}s`,
      definePayload: async ({ user, session }) => ({
        ...user,
        ...(await activeOrganization(session)),
        // Of the Data API; what a user may do in the app stands in `user.role` and is the app's affair.
        role: 'authenticated',
      }),
    },
  })

  async function activeOrganization(session: Record<string, unknown>): Promise<{ o?: Record<string, unknown> }> {
    const id = session['activeOrganizationId']
    if (typeof id !== 'string' || !settings.organization.enabled) return {}
    const [row] = await database.query<{ id: string; slug: string; role: string }>(
      `SELECT o."id", o."slug", m."role" FROM "organization" o JOIN "member" m ON m."organizationId" = o."id"
       WHERE o."id"::text = $1 AND m."userId"::text = $2`,
      [id, session['userId']],
    )
    return row ? { o: row } : {}
  }
}

function neonCompat(instance: AuthInstance): BetterAuthPlugin {
  return {
    id: 'neon-compat',
    init: () => ({
      context: {
        // The library's own matching lets a star stand for several labels.
        isTrustedOrigin: (url: string, options?: { allowRelativePaths: boolean }) =>
          isTrustedRedirect(instance.target, url, { relative: options?.allowRelativePaths === true }) !== undefined,
      },
    }),
    hooks: sessionVerifierHooks(instance),
  }
}

function emailOtpPlugin(instance: AuthInstance): BetterAuthPlugin {
  const { emailAndPassword } = instance.target.settings
  return emailOTP({
    expiresIn: otpLifeSeconds,
    allowedAttempts: mostOtpTries,
    disableSignUp: emailAndPassword.disableSignUp,
    overrideDefaultEmailVerification: emailAndPassword.verificationMethod === 'otp',
    // A million values: only a key keeps whoever reads the hash from trying them all.
    storeOTP: {
      hash: async (otp) => createHmac('sha256', instance.target.secret).update(`otp ${otp}`).digest('base64url'),
    },
    sendVerificationOTP: (data) => sendOtp(instance, data),
  })
}

function magicLinkPlugin(instance: AuthInstance): BetterAuthPlugin {
  const { expiresInMinutes, disableSignUp } = instance.target.settings.magicLink
  return magicLink({
    expiresIn: expiresInMinutes * 60,
    disableSignUp,
    sendMagicLink: (data) => sendMagicLink(instance, data),
  })
}

function phonePlugin(instance: AuthInstance): BetterAuthPlugin {
  return phoneNumber({
    expiresIn: instance.target.settings.phoneNumber.otpExpiresInSeconds,
    allowedAttempts: mostOtpTries,
    requireVerification: true,
    phoneNumberValidator: (number) => /^\+[1-9]\d{6,14}$/.test(number),
    signUpOnVerification: {
      // Nobody has an address there: the table wants one.
      getTempEmail: (number) => `${number.replace(/\D/g, '')}@phone.invalid`,
      getTempName: () => '',
    },
    callbackOnVerification: async ({ phoneNumber: number, user }) =>
      await tell(instance, 'phone_number.verified', user, { phone_number: number }),
    sendOTP: (data) => sendPhoneOtp(instance, data),
    sendPasswordResetOTP: (data) => sendPhoneReset(instance, data),
  })
}

function organizationPlugin(instance: AuthInstance): BetterAuthPlugin {
  const { organizationLimit, membershipLimit, creatorRole, sendInvitationEmail } = instance.target.settings.organization
  return organization({
    organizationLimit,
    membershipLimit,
    creatorRole,
    invitationExpiresIn: invitationLifeSeconds,
    cancelPendingInvitationsOnReInvite: true,
    ...(sendInvitationEmail && {
      sendInvitationEmail: (data, request) => sendInvitation(instance, data, request),
    }),
    organizationHooks: {
      beforeCreateOrganization: async ({ organization }) => assertOrganizationBounds(organization),
      beforeUpdateOrganization: async ({ organization }) => assertOrganizationBounds(organization),
      afterCreateInvitation: async ({ invitation, inviter, organization }) =>
        await tell(instance, 'organization.invitation.created', inviter, invitationData(invitation, organization)),
      afterAcceptInvitation: async ({ invitation, user, organization }) =>
        await tell(instance, 'organization.invitation.accepted', user, invitationData(invitation, organization)),
    },
  })
}

const invitationData = (
  { id, email, role }: { id: string; email: string; role: string },
  organization: { id: string; name: string; slug: string },
): Record<string, unknown> => ({
  invitation_id: id,
  email,
  role,
  organization: { id: organization.id, name: organization.name, slug: organization.slug },
})

function assertOrganizationBounds(of: Readonly<Record<string, unknown>>): void {
  assertLength('name', of['name'], longestName)
  assertLength('slug', of['slug'], longestName)
  assertLength('logo', of['logo'], longestUrl)
  const { metadata } = of
  assertLength('metadata', metadata === undefined ? '' : JSON.stringify(metadata), longestMetadata)
}
