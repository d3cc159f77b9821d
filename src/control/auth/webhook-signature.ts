// What an integration's webhook is sent, and how it knows that it is ours: a detached JWS (RFC 7515, appendix F) by the newest of the keys
// that the integration publishes. The auth process asks webhooks with it, control tells them with it.

import { createPrivateKey, sign } from 'node:crypto'
import { requestOutbound } from '../../lib/outbound-requests.ts'
import { isAppError } from '../../model/errors.ts'

export type WebhookEvent = {
  /** The same in each attempt. */
  id: string
  type: string
  /** Milliseconds since 1970. */
  at: number
  body: { user?: unknown; event_data?: unknown }
}

export type WebhookContext = { endpointId: string; projectName: string }

export type WebhookKey = { kid: string; privateJwk: Readonly<Record<string, unknown>> }

export type WebhookTarget = {
  url: string
  privateAllowed: boolean
  timeoutSeconds: number
  context: WebhookContext
  key: WebhookKey
}

const mostTries = 3
const allTriesMs = 15_000
const mostAnswerBytes = 10 * 1024

/** Nothing else of what is stored becomes a part of it. */
export function webhookBody({ id, type, at, body }: WebhookEvent, { endpointId, projectName }: WebhookContext): string {
  return JSON.stringify({
    event_id: id,
    event_type: type,
    timestamp: new Date(at).toISOString(),
    context: { endpoint_id: endpointId, project_name: projectName },
    user: body.user ?? {},
    event_data: body.event_data ?? {},
  })
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url')

/** `timestamp`: milliseconds since 1970. What is signed is `<header>.<base64url(<timestamp>.<base64url(body)>)>`. */
export function signatureOf({ kid, privateJwk }: WebhookKey, timestamp: number, body: string): string {
  const header = base64url(JSON.stringify({ alg: 'EdDSA', kid }))
  const payload = base64url(`${timestamp}.${base64url(body)}`)
  const key = createPrivateKey({ key: privateJwk, format: 'jwk' })
  return `${header}..${sign(null, Buffer.from(`${header}.${payload}`), key).toString('base64url')}`
}

export type WebhookAnswer = { status: number; body: string }

/**
 * A few tries at once: where the receiver is away, or says that it is its own fault, it may be better a moment later. Undefined: nothing came
 * back that is an answer; `error` says what did, for a log. `triesBefore`: of the same event.
 */
export async function callWebhook(
  target: WebhookTarget,
  event: WebhookEvent,
  { triesBefore = 0 }: { triesBefore?: number } = {},
): Promise<{ answer: WebhookAnswer | undefined; tries: number; error: string }> {
  const body = webhookBody(event, target.context)
  const overAt = performance.now() + allTriesMs
  let answer: WebhookAnswer | undefined
  let error = ''
  let tries = 0
  while (tries < mostTries) {
    const timeoutMs = Math.min(target.timeoutSeconds * 1000, Math.floor(overAt - performance.now()))
    if (timeoutMs <= 0) break
    tries += 1
    const timestamp = Date.now()
    try {
      answer = await requestOutbound(target.url, {
        privateAllowed: target.privateAllowed,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-neon-signature': signatureOf(target.key, timestamp, body),
          'x-neon-signature-kid': target.key.kid,
          'x-neon-timestamp': String(timestamp),
          'x-neon-event-type': event.type,
          'x-neon-event-id': event.id,
          'x-neon-delivery-attempt': String(triesBefore + tries),
        },
        body,
        timeoutMs,
        mostBytes: mostAnswerBytes,
      })
      error = `answered with status ${answer.status}`
      if (!isPassing(answer.status)) break
    } catch (cause) {
      answer = undefined
      error = isAppError(cause) ? cause.message : 'could not be sent'
      // The address may not be used: it will not be a moment later either.
      if (isAppError(cause, 'bad_request')) break
    }
  }
  return { answer, tries, error }
}

/** Whether the same may be taken the next time. */
export const isPassing = (status: number): boolean => status >= 500 || status === 429 || status === 408

export const isTaken = ({ status }: WebhookAnswer): boolean => status >= 200 && status < 300
