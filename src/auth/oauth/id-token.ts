// Whether a provider's statement about somebody is its own, is meant for this client, and answers this very sign-in.

import { createRemoteJWKSet, customFetch, jwtVerify, type JWTVerifyGetKey } from 'jose'
import { AppError } from '../../model/errors.ts'
import type { Claims } from './profile.ts'
import { fetchBounded } from './provider-requests.ts'
import type { OauthProvider } from './providers.ts'

/** Signatures that are checked with a public key: what a client's secret signs is not among them. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
const skewSeconds = 30
const mostKeySets = 100

const keySets = new Map<string, JWTVerifyGetKey>()

/** `nonce`: as it was sent along with the sign-in. */
export async function verifyIdToken(
  provider: OauthProvider,
  token: string,
  nonce: string,
  keys: JWTVerifyGetKey = keySetAt(provider.endpoints.jwksUrl),
): Promise<Claims> {
  const refuse = (cause: unknown): AppError =>
    new AppError('unauthorized', `what ${provider.name} says about the user cannot be trusted`, { cause })
  try {
    const { payload } = await jwtVerify(token, keys, {
      audience: provider.clientId,
      algorithms,
      clockTolerance: skewSeconds,
      requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'nonce'],
    })
    if (!provider.isIssuer(payload.iss ?? '', payload)) throw new Error('another issuer')
    if (payload['nonce'] !== nonce) throw new Error('another nonce')
    const azp = payload['azp']
    if ((azp !== undefined || (Array.isArray(payload.aud) && payload.aud.length > 1)) && azp !== provider.clientId)
      throw new Error('another party')
    return payload
  } catch (error) {
    throw refuse(error)
  }
}

/** Keeps what it has read, and reads anew for a key that it does not know, but not more than twice a minute. */
function keySetAt(url: string | undefined): JWTVerifyGetKey {
  if (url === undefined) throw new AppError('internal', 'this provider has no key set')
  const known = keySets.get(url)
  if (known) return known
  const keys = createRemoteJWKSet(new URL(url), { timeoutDuration: 5000, [customFetch]: fetchBounded })
  keySets.set(url, keys)
  for (const oldest of keySets.keys()) {
    if (keySets.size <= mostKeySets) break
    keySets.delete(oldest)
  }
  return keys
}
