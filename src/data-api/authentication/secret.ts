// `jwt-secret`: a text, or a JSON Web Key, or a set of them.

import { createLocalJWKSet, importJWK, type JSONWebKeySet, type JWK } from 'jose'
import type { KeySource } from './identity.ts'

/** A shorter one can be guessed from one token. */
const fewestBytes = 32

/** Throws a text that names the option. */
export function assertSecret(secret: string | undefined, isBase64: boolean): void {
  if (secret === undefined || secret === '') return
  if (secret.startsWith('@'))
    throw new Error('jwt-secret is read from a file where the file of options, or a variable, says so; nowhere else')
  const { bytes, json } = readSecret(secret, isBase64)
  if (json === undefined && bytes.length < fewestBytes)
    throw new Error('jwt-secret must have 32 characters at least, or be a JSON Web Key or a set of them')
}

/** `isBase64`: the text stands for bytes. Undefined for none. */
export function keysOfSecret(secret: string | undefined, isBase64: boolean): KeySource {
  if (secret === undefined || secret === '') return undefined
  const { bytes, json: parsed } = readSecret(secret, isBase64)
  if (parsed === undefined) return () => bytes
  const set = 'keys' in parsed ? (parsed as unknown as JSONWebKeySet) : { keys: [parsed as JWK] }
  const symmetric = set.keys.filter(({ kty }) => kty === 'oct')
  const local = createLocalJWKSet(set)
  return async (header, token) => {
    // Local sets hold public keys only.
    const shared = symmetric.find(({ kid }) => header.kid === undefined || kid === header.kid)
    return header.alg?.startsWith('HS') && shared ? await importJWK(shared, header.alg) : await local(header, token)
  }
}

/** A key may be wrapped in Base64 too. As bytes it would be a secret that everybody knows, where it is a public one. */
function readSecret(secret: string, isBase64: boolean): { bytes: Buffer; json: Record<string, unknown> | undefined } {
  const bytes = Buffer.from(secret, isBase64 ? 'base64' : 'utf8')
  return { bytes, json: jsonOf(secret) ?? jsonOf(bytes.toString('utf8')) }
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
