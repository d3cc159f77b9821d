// What receives an organization's events, as a platform would: checks signatures by the secret it was given, and keeps what was genuine.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export type ReceivedEvent = {
  id: number
  type: string
  org_id: string
  project_id?: string
  branch_id?: string
  message: string
  data: Record<string, unknown>
}

export type WebhookReceiver = AsyncDisposable & {
  url: string
  secret: string
  /** In the order in which they came; one that came twice is there twice. */
  received: { deliveryId: string; event: ReceivedEvent; headers: IncomingHttpHeaders }[]
  /** Without a right signature. */
  refused: number
  /** The status of the next answers; 200 once there are no more. */
  answers: number[]
  answersAfterMs: number
  /** How many requests there were. */
  requests: number
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const answered = new Set<Promise<unknown>>()
  const server = createServer((request, response) => {
    const ended = once(response, 'close')
      .catch(() => {})
      .finally(() => answered.delete(ended))
    answered.add(ended)
    void text(request).then((body) => {
      receiver.requests++
      const { headers } = request
      if (!isGenuine(receiver.secret, headers, body)) {
        receiver.refused++
        response.writeHead(401).end()
        return
      }
      const status = receiver.answers.shift() ?? 200
      if (status < 300) {
        const deliveryId = String(headers['webhook-id'])
        receiver.received.push({ deliveryId, event: JSON.parse(body) as ReceivedEvent, headers })
      }
      setTimeout(() => {
        response.writeHead(status, status === 302 ? { location: `${receiver.url}/elsewhere` } : {}).end('noted')
      }, receiver.answersAfterMs)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    secret: '',
    received: [],
    refused: 0,
    answers: [],
    answersAfterMs: 0,
    requests: 0,
    async [Symbol.asyncDispose]() {
      // What has no answer yet would be sent again, to the next receiver.
      await Promise.all(answered)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}

/** Written from the documentation, not with the code that signs. */
function isGenuine(secret: string, headers: IncomingHttpHeaders, body: string): boolean {
  const [, key = ''] = secret.split('_')
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`
  const expected = createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest()
  const [version, given = ''] = String(headers['webhook-signature']).split(',')
  const signature = Buffer.from(given, 'base64')
  const age = Date.now() / 1000 - Number(headers['webhook-timestamp'])
  return version === 'v1' && signature.length === expected.length && timingSafeEqual(signature, expected) && age < 300
}
