// One id a request, in both headers that Neon's clients look at, in error bodies and in the log.

import type { IncomingMessage } from 'node:http'

const acceptable = /^[A-Za-z0-9._:-]{1,128}$/

/** The caller's own, if it is fit to be written into a log. */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && acceptable.test(given) ? given : crypto.randomUUID()
}

export function requestIdHeaders(id: string): Record<string, string> {
  return { 'x-request-id': id, 'x-neon-ret-request-id': id }
}
