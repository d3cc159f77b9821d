// Which pages may call this surface with the cookies of whoever looks at them.

import type { AuthTarget } from '../../model/auth-target.ts'
import { isTrustedOrigin } from '../redirects.ts'

const allowedHeaders = 'content-type, authorization, x-neon-client-info'
const exposedHeaders = 'set-auth-jwt, set-auth-token, retry-after'
const preflightLifeSeconds = 600

export function corsHeaders(target: AuthTarget, request: Request): Record<string, string> {
  const origin = request.headers.get('origin')
  // Said in any case: a cache must not give one origin's answer to another.
  if (origin === null || !isTrustedOrigin(target, origin)) return { vary: 'origin' }
  return {
    vary: 'origin',
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': exposedHeaders,
  }
}

export function preflight(target: AuthTarget, request: Request): Response {
  const headers = corsHeaders(target, request)
  if (headers['access-control-allow-origin'] === undefined) return new Response(null, { status: 204, headers })
  return new Response(null, {
    status: 204,
    headers: {
      ...headers,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': allowedHeaders,
      'access-control-max-age': String(preflightLifeSeconds),
    },
  })
}
