// From what a client sent to what the library is given: names that Neon's clients use and it does not know, text that Postgres takes, and
// no header that says who the client is but ours.

import type { AuthTarget } from '../../model/auth-target.ts'
import { AppError } from '../../model/errors.ts'
import { clientAddressHeader } from './headers.ts'

export type Call = {
  method: string
  /** Path and query below the surface's root. */
  url: URL
  body: string | undefined
  /** The library takes one for a sign-in, and JSON for all else. */
  isForm: boolean
  clientAddress: string
}

const otherNames: Readonly<Record<string, string>> = {
  // The client's name for it is `revokeOtherSessions`: whoever calls it stays.
  '/revoke-all-sessions': '/revoke-other-sessions',
  '/email-otp/passcode': '/email-otp/reset-password',
}

export function aliasOf(method: string, url: URL): { method: string; url: URL; body: string | undefined } {
  const path = otherNames[url.pathname]
  if (method === 'POST' && path !== undefined) return { method, url: new URL(path + url.search, url), body: undefined }
  // It renews tokens, which the library does not do for a GET.
  if (method === 'GET' && url.pathname === '/get-access-token') {
    const body = JSON.stringify(Object.fromEntries(url.searchParams))
    return { method: 'POST', url: new URL(url.pathname, url), body }
  }
  return { method, url, body: undefined }
}

/** As the library decides it. */
export function isForm(headers: Headers): boolean {
  const [type = ''] = (headers.get('content-type') ?? '').split(';')
  return type.trim().toLowerCase() === 'application/x-www-form-urlencoded'
}

/** Postgres stores no NUL, however it was written. */
export function hasOnlyText(url: URL, body: string | undefined): void {
  const isBad =
    url.href.includes('%00') ||
    (body !== undefined && (body.includes('\0') || body.includes('%00') || hasEscapedNul(body)))
  if (isBad) throw new AppError('bad_request', 'text must not contain a NUL')
}

const hasEscapedNul = (body: string): boolean => /(?<!\\)(?:\\\\)*\\u0000/.test(body)

/** More than anybody nests; whatever walks through a body does so by calling itself. */
const deepest = 64

export function assertShallow(body: string): void {
  let depth = 0
  let isInText = false
  for (let at = 0; at < body.length; at++) {
    const sign = body[at]
    if (sign === '"') isInText = !isInText
    else if (isInText) at += sign === '\\' ? 1 : 0
    else if (sign === '[' || sign === '{') depth++
    else if (sign === ']' || sign === '}') depth--
    if (depth > deepest) throw new AppError('bad_request', 'the body is nested too deeply')
  }
}

/** Ways in which proxies say whom they speak for. The edge has done that, and whoever else does is a client. */
const foreignHeaders =
  /^(x-forwarded-.*|forwarded|x-real-ip|cf-connecting-ip|true-client-ip|x-client-ip|x-original-.*|x-rewrite-url)$/
const dropped = new Set(['host', 'connection', 'content-length', 'transfer-encoding', clientAddressHeader])

export function toEngineRequest(target: AuthTarget, request: Request, call: Call): Request {
  const headers = new Headers()
  for (const [name, value] of request.headers) {
    if (!foreignHeaders.test(name) && !dropped.has(name)) headers.set(name, value)
  }
  headers.set(clientAddressHeader, call.clientAddress)
  const takesBody = call.method !== 'GET' && call.method !== 'HEAD'
  if (takesBody && !headers.has('content-type')) headers.set('content-type', 'application/json')
  return new Request(target.baseUrl + call.url.pathname + call.url.search, {
    method: call.method,
    headers,
    signal: request.signal,
    ...(takesBody && { body: call.body ?? '' }),
  })
}
