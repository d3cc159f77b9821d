// What we add to the library's own steps: bounds of what users may be called, the tenant's say in who becomes one, and sessions that end
// with the password that opened them.

import type { BetterAuthOptions, GenericEndpointContext } from 'better-auth'
import { APIError, createAuthMiddleware, getSessionFromCtx } from 'better-auth/api'
import { isAppError } from '../../model/errors.ts'
import type { AuthInstance } from '../instance.ts'
import { askBeforeCreate } from '../webhooks.ts'
import { hashForNobody, prepareHash } from './password-options.ts'
import { refusalCode } from './refusals.ts'
import { currentState, noting } from './request-state.ts'

export const longestName = 255
export const longestUrl = 2048
const longestUserAgent = 512

type DatabaseHooks = NonNullable<BetterAuthOptions['databaseHooks']>

export function databaseHooks(instance: AuthInstance): DatabaseHooks {
  return {
    user: {
      create: {
        before: async (user, context) => {
          assertBounds(user)
          if (context?.path !== '/phone-number/verify') assertSomebodys(user)
          await askTenant(instance, user, context)
        },
        after: async () => {
          const state = currentState()
          if (state) state.hasNewUser = true
        },
      },
      update: {
        before: async (user) => {
          assertBounds(user)
          assertSomebodys(user)
        },
      },
    },
    session: {
      create: {
        before: async (session) => {
          const { userAgent } = session
          if (typeof userAgent !== 'string' || userAgent.length <= longestUserAgent) return
          return { data: { ...session, userAgent: userAgent.slice(0, longestUserAgent) } }
        },
      },
    },
  }
}

/** Whether there may be such a user, where the tenant wants to be asked. */
async function askTenant(
  { target }: AuthInstance,
  user: { email: string; name?: string; emailVerified?: boolean },
  context: GenericEndpointContext | null,
): Promise<void> {
  const about = { email: user.email, name: user.name, email_verified: user.emailVerified === true }
  const ask = (): Promise<void> => askBeforeCreate(target, about, waysIn(context), currentState()?.origin)
  if (context?.method !== 'GET') return await noting(ask)
  try {
    await ask()
  } catch (error) {
    // A browser is on its way back to the app, which reads in the address why nobody comes in.
    if (!isAppError(error)) throw error
    throw new APIError('FORBIDDEN', { code: refusalCode(error), message: error.message })
  }
}

function waysIn(context: GenericEndpointContext | null): string {
  const path = context?.path ?? ''
  if (path.startsWith('/callback/')) return String((context?.params as { id?: string } | undefined)?.id)
  if (path.startsWith('/magic-link/')) return 'magic_link'
  if (path.startsWith('/phone-number/')) return 'phone_number'
  return path === '/sign-in/email-otp' ? 'email_otp' : 'credential'
}

const confirming = new Set(['/change-password', '/delete-user', '/verify-password'])

export function pathHooks(instance: AuthInstance): NonNullable<BetterAuthOptions['hooks']> {
  const { enabled, disableSignUp } = instance.target.settings.emailAndPassword
  return {
    before: createAuthMiddleware(async (ctx) => {
      const body = (ctx.body ?? {}) as Record<string, unknown>
      const state = currentState()
      if (state && confirming.has(ctx.path)) state.confirms = (await getSessionFromCtx(ctx))?.user.email
      if (ctx.path === '/sign-up/email' && enabled && !disableSignUp) await prepareHash(instance, body['password'])
      // Whoever changes a password wants others out, whether or not his app thought of it.
      if (ctx.path === '/change-password') return { context: { body: { ...body, revokeOtherSessions: true } } }
    }),
    after: createAuthMiddleware(async (ctx) => {
      const { userId, password } = (ctx.body ?? {}) as Record<string, unknown>
      const isRefused = ctx.context.returned instanceof APIError
      if (ctx.path === '/sign-in/phone-number' && isRefused) await hashForNobody(instance, password)
      if (ctx.path !== '/admin/set-user-password' || isRefused) return
      if (typeof userId === 'string') await ctx.context.internalAdapter.deleteUserSessions(userId)
    }),
  }
}

export function assertBounds(of: { name?: unknown; image?: unknown; email?: unknown }): void {
  assertLength('name', of.name, longestName)
  assertLength('image', of.image, longestUrl)
  assertLength('email', of.email, 254)
}

/** In the tables, such an address stands for none: of whoever has a number only, or was made without any. */
function assertSomebodys({ email }: { email?: unknown }): void {
  if (typeof email === 'string' && email.endsWith('.invalid'))
    throw new APIError('BAD_REQUEST', { code: 'INVALID_EMAIL', message: 'Invalid email' })
}

export function assertLength(what: string, value: unknown, longest: number): void {
  if (typeof value === 'string' && value.length > longest)
    throw new APIError('BAD_REQUEST', { code: 'TOO_LONG', message: `${what} may have at most ${longest} characters` })
}
