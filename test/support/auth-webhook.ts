// An app's server as the webhook of its sign-in: believes what is signed by a key that the app's key set publishes, and answers as a test
// wants it to. Written from what is documented, not with the code that signs.

import { createPublicKey, verify, type JsonWebKey } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export type HookEvent = {
  event_id: string
  event_type: string
  timestamp: string
  context: { endpoint_id: string; project_name: string }
  user: Record<string, unknown>
  event_data: Record<string, unknown>
}

export type HookCall = { event: HookEvent; headers: IncomingHttpHeaders; isGenuine: boolean; path: string }

export type AuthWebhook = AsyncDisposable & {
  url: string
  /** In the order in which they came. */
  calls: HookCall[]
  ofType(type: string): HookCall[]
  /** Takes the request from there. By default it is taken, and users are allowed. */
  answer: (call: HookCall, response: ServerResponse) => void
}

const allow = (_: HookCall, response: ServerResponse): void => json(response, 200, { allowed: true })

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** `jwksUrl`: asked anew for each call. */
export async function startAuthWebhook(jwksUrl: () => string): Promise<AuthWebhook> {
  const calls: HookCall[] = []
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(request)
    const { keys } = (await (await fetch(jwksUrl())).json()) as { keys: (JsonWebKey & { kid: string })[] }
    const call: HookCall = {
      event: JSON.parse(body) as HookEvent,
      headers: request.headers,
      isGenuine: isGenuine(keys, request.headers, body),
      path: request.url ?? '',
    }
    calls.push(call)
    hook.answer(call, response)
  }
  const server = createServer((request, response) => {
    take(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const hook: AuthWebhook = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    calls,
    ofType: (type) => calls.filter(({ event }) => event.event_type === type),
    answer: allow,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return hook
}

function isGenuine(
  keys: readonly (JsonWebKey & { kid: string })[],
  headers: IncomingHttpHeaders,
  body: string,
): boolean {
  const kid = String(headers['x-neon-signature-kid'])
  const timestamp = String(headers['x-neon-timestamp'])
  const [header = '', nothing, signature = ''] = String(headers['x-neon-signature']).split('.')
  const said = JSON.parse(Buffer.from(header, 'base64url').toString()) as { alg?: string; kid?: string }
  const jwk = keys.find((key) => key.kid === kid)
  if (!jwk || nothing !== '' || said.alg !== 'EdDSA' || said.kid !== kid) return false
  if (Math.abs(Date.now() - Number(timestamp)) > 300_000) return false
  const payload = Buffer.from(`${timestamp}.${Buffer.from(body).toString('base64url')}`).toString('base64url')
  return verify(
    null,
    Buffer.from(`${header}.${payload}`),
    createPublicKey({ key: jwk, format: 'jwk' }),
    Buffer.from(signature, 'base64url'),
  )
}
