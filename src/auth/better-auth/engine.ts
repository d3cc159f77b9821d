// Better Auth for one integration: the library, set up as the integration is set. It and its plugins are imported below this folder only,
// on the first request that needs them; what the surface answers without them is in `handler.ts`.

import { betterAuth, type BetterAuthOptions } from 'better-auth'
import type { AuthInstance } from '../instance.ts'
import { isTrustedOrigin } from '../redirects.ts'
import { clientAddressHeader } from './headers.ts'
import { removeConnections } from '../store/oauth-accounts.ts'
import { databaseHooks, pathHooks } from './hooks.ts'
import { resetLifeSeconds, sessionLifeSeconds, verificationLifeSeconds } from './lifetimes.ts'
import { sendChangeConfirmation, sendPasswordReset, sendVerificationLink } from './messages.ts'
import { passwordOptions } from './password-options.ts'
import { plugins } from './plugins.ts'
import { noting } from './request-state.ts'
import { accountOptions } from './social-providers.ts'

export type Engine = {
  /** Rejects with what was thrown, where that is no refusal of the library's own. */
  handle(request: Request): Promise<Response>
}

const cookiePrefix = 'neon-auth'

export function createEngine(instance: AuthInstance): Engine {
  const auth = betterAuth(options(instance))
  return { handle: (request) => auth.handler(request) }
}

/** For the test that compares its tables with ours. */
export function options(instance: AuthInstance): BetterAuthOptions {
  const { target } = instance
  const { emailAndPassword: email } = target.settings
  const base = new URL(target.baseUrl)
  return {
    appName: target.appName,
    baseURL: base.origin,
    basePath: base.pathname,
    secret: target.secret,
    database: poolOf(instance),
    telemetry: { enabled: false },
    // It writes addresses, e-mails and URLs into its lines. What goes wrong is thrown, and noted where it is thrown.
    logger: { disabled: true },
    onAPIError: { throw: true },
    trustedOrigins: (request) => trustedOriginOf(instance, request),
    // Ours count for both surfaces: `limits.ts`.
    rateLimit: { enabled: false },
    emailAndPassword: {
      enabled: email.enabled,
      disableSignUp: email.disableSignUp,
      requireEmailVerification: email.requireVerification,
      ...passwordOptions(instance),
      resetPasswordTokenExpiresIn: resetLifeSeconds,
      revokeSessionsOnPasswordReset: true,
      // As where a link or a code signs in: who shows that the mailbox is his shares it with nobody who only said so.
      onPasswordReset: async ({ user }) => {
        if (!user.emailVerified) await removeConnections(instance.database, user.id)
      },
      sendResetPassword: (data) => sendPasswordReset(instance, data),
    },
    emailVerification: {
      sendOnSignUp: email.sendVerificationOnSignUp || email.requireVerification,
      sendOnSignIn: email.sendVerificationOnSignIn,
      autoSignInAfterVerification: email.autoSignInAfterVerification,
      expiresIn: verificationLifeSeconds,
      // Where codes are sent instead, a plugin takes this place.
      ...(email.verificationMethod === 'link' && {
        sendVerificationEmail: (data) => sendVerificationLink(instance, data),
      }),
    },
    user: {
      changeEmail: {
        enabled: true,
        sendChangeEmailConfirmation: (data) => sendChangeConfirmation(instance, data),
      },
      deleteUser: { enabled: true },
    },
    session: { expiresIn: sessionLifeSeconds },
    account: {
      ...accountOptions,
      // A browser comes back without the cookies that it had on the app's site; what binds the two is in `session-verifier.ts`.
      skipStateCookieCheck: true,
    },
    // Links and codes open accounts: whoever reads the table reads no token. (Of every kind: plugins need not do it again.)
    verification: { storeIdentifier: 'hashed' },
    advanced: {
      cookiePrefix,
      useSecureCookies: true,
      defaultCookieAttributes: { httpOnly: true, secure: true, sameSite: 'none', partitioned: true },
      database: { generateId: 'uuid', validateSchema: false },
      ipAddress: { ipAddressHeaders: [clientAddressHeader] },
      trustedProxyHeaders: false,
      // Both follow from the environment where they are not said.
      disableCSRFCheck: false,
      disableOriginCheck: false,
    },
    databaseHooks: databaseHooks(instance),
    hooks: pathHooks(instance),
    plugins: plugins(instance),
  }
}

function trustedOriginOf({ target }: AuthInstance, request: Request | undefined): string[] {
  const said = request?.headers.get('origin') ?? originOf(request?.headers.get('referer'))
  return said !== undefined && isTrustedOrigin(target, said) ? [said] : []
}

const originOf = (url: string | null | undefined): string | undefined =>
  url ? (URL.parse(url)?.origin ?? undefined) : undefined

function poolOf({ database }: AuthInstance) {
  return {
    connect: async () => {
      const client = await noting(() => database.pool.connect())
      return {
        query: (text: string, values?: readonly unknown[]) => noting(() => client.query(text, values ?? [])),
        release: () => client.release(),
      }
    },
    end: async () => {},
  }
}
