// What of an integration is secret: made here, sealed and opened here. A sealed value names the row that it belongs to, so that it is worth
// nothing in another.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { Cipher } from '../../lib/cipher.ts'
import type { EmailServer, OauthProvider, OauthProviderId } from '../../model/auth.ts'
import type { AuthIntegrationId } from '../../model/ids.ts'
import type { JsonWebKey, StoredSigningKey } from '../../store/auth/signing-keys.ts'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** RFC 4648, in lower case and without padding: one word to whoever double-clicks it. */
function base32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(value >> bits) & 31]
    }
  }
  return bits > 0 ? text + alphabet[(value << (5 - bits)) & 31] : text
}

const keyPrefixes = { publishable: 'pck_', secret: 'ssk_' } as const

/** 256 random bits. */
export function newSdkKey(kind: keyof typeof keyPrefixes): { key: string; sha256: Buffer } {
  const key = `${keyPrefixes[kind]}${base32(randomBytes(32))}`
  return { key, sha256: createHash('sha256').update(key).digest() }
}

const signingKeyContext = (kid: string): string => `signing key ${kid}`

/** Ed25519. */
export function newSigningKey(cipher: Cipher): Omit<StoredSigningKey, 'createdAt'> {
  const kid = crypto.randomUUID()
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const common = { kid, alg: 'EdDSA', use: 'sig' }
  return {
    kid,
    publicJwk: { ...publicKey.export({ format: 'jwk' }), ...common },
    privateJwk: cipher.seal(
      JSON.stringify({ ...privateKey.export({ format: 'jwk' }), ...common }),
      signingKeyContext(kid),
    ),
  }
}

export function openSigningKey(cipher: Cipher, { kid, privateJwk }: StoredSigningKey): JsonWebKey {
  return JSON.parse(cipher.open(privateJwk, signingKeyContext(kid))) as JsonWebKey
}

const clientSecretContext = (integrationId: AuthIntegrationId, id: OauthProviderId): string =>
  `client secret of ${id} in ${integrationId}`

export function sealClientSecret(
  cipher: Cipher,
  integrationId: AuthIntegrationId,
  id: OauthProviderId,
  secret: string,
): Buffer {
  return cipher.seal(secret, clientSecretContext(integrationId, id))
}

export function openClientSecret(
  cipher: Cipher,
  integrationId: AuthIntegrationId,
  { id, clientSecret }: OauthProvider,
): string | undefined {
  return clientSecret && cipher.open(clientSecret, clientSecretContext(integrationId, id))
}

const emailServerContext = (integrationId: AuthIntegrationId): string => `email server of ${integrationId}`

export function sealEmailServer(cipher: Cipher, integrationId: AuthIntegrationId, server: EmailServer): Buffer {
  return cipher.seal(JSON.stringify(server), emailServerContext(integrationId))
}

export function openEmailServer(
  cipher: Cipher,
  integrationId: AuthIntegrationId,
  sealed: Uint8Array | undefined,
): EmailServer {
  if (!sealed) return { type: 'shared', senderEmail: undefined, senderName: undefined }
  return JSON.parse(cipher.open(sealed, emailServerContext(integrationId))) as EmailServer
}

/** Of cookies and the like, which nobody but the integration reads. */
export function integrationSecret(cipher: Cipher, integrationId: AuthIntegrationId): string {
  return cipher.derive(`auth integration ${integrationId}`)
}
