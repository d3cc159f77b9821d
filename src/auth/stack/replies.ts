// Answers as the clients of this surface read them. They ask for every refusal to come as a 200 with the true status in a header
// (consoles of browsers are full of red otherwise); plain callers get the status itself.

import type { StackError } from './errors.ts'

const prefixes = ['x-stack-', 'x-hexclave-'] as const

/** Requests name themselves by either prefix; the newer clients use the second one. */
const requestHeaders = [
  'project-id',
  'branch-id',
  'access-type',
  'publishable-client-key',
  'access-token',
  'refresh-token',
  'override-error-status',
  'allow-anonymous-user',
  'allow-restricted-user',
  'client-version',
  'random-nonce',
]

/** The secret key is not among them: a browser is not to send it. */
const allowedHeaders = [
  'authorization',
  'content-type',
  'ngrok-skip-browser-warning',
  ...prefixes.flatMap((prefix) => requestHeaders.map((name) => prefix + name)),
].join(', ')

const exposedHeaders = [
  'retry-after',
  ...prefixes.flatMap((prefix) => ['actual-status', 'known-error', 'request-id'].map((name) => prefix + name)),
].join(', ')

/** Nothing here is told by a cookie, so any page may ask: what counts are the keys and tokens in its headers. */
const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': exposedHeaders,
}

export function preflightReply(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      ...corsHeaders,
      'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': allowedHeaders,
      'access-control-max-age': '7200',
    },
  })
}

export function jsonReply(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...corsHeaders,
      ...headers,
    },
  })
}

/** `overrides`: as the request's header of that name asked for. */
export function errorReply(error: StackError, overrides: boolean): Response {
  const body = {
    code: error.code ?? plainCode(error.status),
    error: error.message,
    message: error.message,
    ...(error.details && { details: error.details }),
  }
  const hides = overrides && error.status >= 400 && error.status < 500
  return jsonReply(hides ? 200 : error.status, body, {
    ...(hides && { 'x-stack-actual-status': String(error.status) }),
    ...(error.code !== undefined && { 'x-stack-known-error': error.code }),
    ...(error.retryAfterSeconds !== undefined && {
      'retry-after': String(Math.max(1, Math.ceil(error.retryAfterSeconds))),
    }),
  })
}

const plainCodes: Record<number, string> = {
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  413: 'TOO_LARGE',
  429: 'TOO_MANY_REQUESTS',
}

function plainCode(status: number): string {
  return plainCodes[status] ?? (status >= 500 ? 'UNAVAILABLE' : 'BAD_REQUEST')
}
