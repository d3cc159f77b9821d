// What we add to the library's own steps: bounds of what users may be called, the tenant's say in who becomes one, and sessions that end
// with the password that opened them.

import type { BetterAuthOptions } from 'better-auth'
import { APIError, createAuthMiddleware } from 'better-auth/api'
import type { AuthInstance } from '../instance.ts'
import { prepareHash } from './password-options.ts'
import { currentState } from './request-state.ts'

export const longestName = 255
export const longestUrl = 2048
const longestUserAgent = 512

type DatabaseHooks = NonNullable<BetterAuthOptions['databaseHooks']>

export function databaseHooks(_instance: AuthInstance): DatabaseHooks {
  return {
    user: {
      create: {
        before: async (user) => {
          assertBounds(user)
        },
        after: async () => {
          const state = currentState()
          if (state) state.hasNewUser = true
        },
      },
      update: {
        before: async (user) => {
          assertBounds(user)
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

export function pathHooks(instance: AuthInstance): NonNullable<BetterAuthOptions['hooks']> {
  const { enabled, disableSignUp } = instance.target.settings.emailAndPassword
  return {
    before: createAuthMiddleware(async (ctx) => {
      const body = (ctx.body ?? {}) as Record<string, unknown>
      if (ctx.path === '/sign-up/email' && enabled && !disableSignUp) await prepareHash(instance, body['password'])
      // Whoever changes a password wants others out, whether or not his app thought of it.
      if (ctx.path === '/change-password') return { context: { body: { ...body, revokeOtherSessions: true } } }
    }),
    after: createAuthMiddleware(async (ctx) => {
      if (ctx.path !== '/admin/set-user-password' || ctx.context.returned instanceof APIError) return
      const { userId } = (ctx.body ?? {}) as { userId?: unknown }
      if (typeof userId === 'string') await ctx.context.internalAdapter.deleteUserSessions(userId)
    }),
  }
}

export function assertBounds(of: { name?: unknown; image?: unknown; email?: unknown }): void {
  assertLength('name', of.name, longestName)
  assertLength('image', of.image, longestUrl)
  assertLength('email', of.email, 254)
}

export function assertLength(what: string, value: unknown, longest: number): void {
  if (typeof value === 'string' && value.length > longest)
    throw new APIError('BAD_REQUEST', { code: 'TOO_LONG', message: `${what} may have at most ${longest} characters` })
}
