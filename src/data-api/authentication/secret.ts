// `jwt-secret`: a text, or a JSON Web Key, or a set of them.

import { createLocalJWKSet, importJWK, type JSONWebKeySet, type JWK } from 'jose'
import type { KeySource } from './identity.ts'

/** `isBase64`: the text stands for bytes. Undefined for none. */
export function keysOfSecret(secret: string | undefined, isBase64: boolean): KeySource {
  if (secret === undefined || secret === '') return undefined
  const parsed = jsonOf(secret)
  if (parsed === undefined) {
    const key = isBase64 ? Buffer.from(secret, 'base64') : Buffer.from(secret, 'utf8')
    return () => key
  }
  const set = 'keys' in parsed ? (parsed as unknown as JSONWebKeySet) : { keys: [parsed as JWK] }
  const symmetric = set.keys.filter(({ kty }) => kty === 'oct')
  const local = createLocalJWKSet(set)
  return async (header, token) => {
    // Local sets hold public keys only.
    const shared = symmetric.find(({ kid }) => header.kid === undefined || kid === header.kid)
    return header.alg?.startsWith('HS') && shared ? await importJWK(shared, header.alg) : await local(header, token)
  }
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
