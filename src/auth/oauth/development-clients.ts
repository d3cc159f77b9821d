// Credentials of our own sign-in towards the development identity provider. Both are in one process, so nothing is kept: a client's id
// says where it takes people back to, and its secret is what only this process can say to that id.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const secret = randomBytes(32)

export type DevelopmentClient = { integrationId: string; callbackUrl: string }

export function credentialsOf(client: DevelopmentClient): { clientId: string; clientSecret: string } {
  const body = Buffer.from(JSON.stringify([client.integrationId, client.callbackUrl])).toString('base64url')
  const clientId = `${body}.${mac('id', body)}`
  return { clientId, clientSecret: mac('secret', clientId) }
}

/** Undefined where we have not made it, or another process has. */
export function clientById(clientId: string): DevelopmentClient | undefined {
  const [body = '', signature = ''] = clientId.split('.')
  if (!isSame(signature, mac('id', body))) return undefined
  const [integrationId, callbackUrl] = JSON.parse(Buffer.from(body, 'base64url').toString()) as [string, string]
  return { integrationId, callbackUrl }
}

export function isSecretOf(clientId: string, clientSecret: string): boolean {
  return isSame(clientSecret, mac('secret', clientId))
}

/** For what the provider hands out and takes back: it alone can have made it. */
export function mac(purpose: 'id' | 'secret' | 'form', text: string): string {
  return createHmac('sha256', secret).update(`${purpose} ${text}`).digest('base64url')
}

export function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
