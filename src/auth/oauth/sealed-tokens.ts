// Tokens of providers as they lie in the tenant's database: sealed, so that who reads rows (or a copy, or a backup) cannot act as the
// users elsewhere. The key hangs on the integration's secret, so a branch's copy cannot read them and asks its users to sign in anew.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { SealedTokens } from '../store/oauth-accounts.ts'
import type { ProviderTokens } from './flow.ts'

const prefix = 'sealed.'
const ivBytes = 12
const tagBytes = 16

export function sealToken(secret: string, token: string): string {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), iv)
  const sealed = Buffer.concat([iv, cipher.update(token, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return prefix + sealed.toString('base64url')
}

/** Undefined where it is not one of ours. */
export function openToken(secret: string, sealed: string | null | undefined): string | undefined {
  if (!sealed?.startsWith(prefix)) return undefined
  const bytes = Buffer.from(sealed.slice(prefix.length), 'base64url')
  if (bytes.length < ivBytes + tagBytes) return undefined
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyOf(secret), bytes.subarray(0, ivBytes))
    decipher.setAuthTag(bytes.subarray(-tagBytes))
    return decipher.update(bytes.subarray(ivBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    return undefined
  }
}

function keyOf(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'tokens of oauth providers', 32))
}

/** As they are stored; none where they are the operator's. */
export function sealTokens(secret: string, keeps: boolean, tokens: ProviderTokens): SealedTokens {
  const sealed = (token: string | undefined): string | null =>
    keeps && token !== undefined ? sealToken(secret, token) : null
  return {
    accessToken: sealed(tokens.accessToken),
    refreshToken: sealed(tokens.refreshToken),
    expiresAt: tokens.expiresAt ?? null,
    scopes: tokens.scopes,
  }
}
