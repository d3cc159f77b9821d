// Tokens that an integration gives its users: signed with its newest key, and believed only when one of its own keys has signed them.
// Keys come with the target, so that nothing here asks a database or another integration's keys.

import { importJWK, jwtVerify, SignJWT, type CryptoKey, type JWTPayload } from 'jose'
import type { AuthTarget, SigningKey } from '../model/auth-target.ts'

/** The only one: whoever could choose another would choose `none`, or a public key as the secret of a MAC. */
const algorithm = 'EdDSA'
const leewaySeconds = 5

type Keys = Pick<AuthTarget, 'signingKeys'>

/** `iat` and `exp` are set here. */
export async function signToken(
  target: Keys,
  claims: Readonly<Record<string, unknown>>,
  lifeSeconds: number,
): Promise<string> {
  const key = newestKey(target)
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ ...claims, iat: now, exp: now + lifeSeconds })
    .setProtectedHeader({ alg: algorithm, kid: key.kid })
    .sign(await privateKeyOf(key))
}

/** Undefined for a token that is not this integration's, not for this reader, forged, or expired. */
export async function verifyToken(
  target: Keys,
  token: string,
  expected: { issuer: string; audience: string },
): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await jwtVerify(
      token,
      async (header) => {
        const key = target.signingKeys.find(({ kid }) => kid === header.kid)
        if (!key) throw new Error('no key of this integration has this id')
        return publicKeyOf(key)
      },
      {
        algorithms: [algorithm],
        issuer: expected.issuer,
        audience: expected.audience,
        requiredClaims: ['sub', 'exp', 'iat'],
        clockTolerance: leewaySeconds,
      },
    )
    return payload
  } catch {
    return undefined
  }
}

/** What verifiers elsewhere fetch. */
export function publicKeySet(target: Keys): { keys: Record<string, unknown>[] } {
  return { keys: target.signingKeys.map(toPublicJwk) }
}

export function newestKey(target: Keys): SigningKey {
  const [first, ...others] = target.signingKeys
  if (!first) throw new Error('an integration without a signing key')
  return others.reduce((newest, key) => (key.createdAt > newest.createdAt ? key : newest), first)
}

/** Named member by member: a private part that stood among them would not go out. */
function toPublicJwk({ kid, publicJwk }: SigningKey): Record<string, unknown> {
  const { kty, crv, x } = publicJwk as { kty?: unknown; crv?: unknown; x?: unknown }
  return { kty, crv, x, kid, alg: algorithm, use: 'sig' }
}

const privateKeys = new WeakMap<SigningKey, Promise<CryptoKey>>()
const publicKeys = new WeakMap<SigningKey, Promise<CryptoKey>>()

const privateKeyOf = (key: SigningKey): Promise<CryptoKey> => imported(privateKeys, key, key.privateJwk)
const publicKeyOf = (key: SigningKey): Promise<CryptoKey> => imported(publicKeys, key, key.publicJwk)

function imported(
  kept: WeakMap<SigningKey, Promise<CryptoKey>>,
  key: SigningKey,
  jwk: Readonly<Record<string, unknown>>,
): Promise<CryptoKey> {
  let found = kept.get(key)
  if (!found) {
    found = importJWK({ ...jwk }, algorithm) as Promise<CryptoKey>
    kept.set(key, found)
  }
  return found
}
