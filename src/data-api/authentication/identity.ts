// Who a request is from: the role and the claims that its token proves, or the anonymous role.
//
// https://docs.postgrest.org/en/v14/references/auth.html

import { createHash } from 'node:crypto'
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import type { DataApiConfig } from '../config.ts'
import { DataApiError, isDataApiError, type DataApiErrorCode } from '../errors.ts'
import type { Identity } from '../execution/context.ts'
import { followJsPath } from '../../lib/js-path.ts'

/** Finds the key that a token says it is signed with. Undefined: tokens cannot be verified here. */
export type KeySource = JWTVerifyGetKey | undefined

type Config = Pick<
  DataApiConfig,
  'dbAnonRole' | 'jwtRoleClaimKey' | 'jwtAud' | 'jwtCacheMaxEntries' | 'jwtCacheMaxLifetimeSeconds'
>

/** How often a token was looked up among those that are known, was there, and had to go for another. They only grow. */
export type TokenCounts = { lookups: number; hits: number; evictions: number }

export const noTokens = (): TokenCounts => ({ lookups: 0, hits: 0, evictions: 0 })

const leewaySeconds = 30
const algorithms = [
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

export class Authentication {
  readonly #config: Config
  readonly #keys: KeySource
  /** Verified signatures by a hash of the token; the oldest goes first. */
  readonly #verified = new Map<string, { claims: JWTPayload; until: number }>()
  readonly #counts: TokenCounts

  constructor(config: Config, keys: KeySource, counts = noTokens()) {
    this.#config = config
    this.#keys = keys
    this.#counts = counts
  }

  /** `authorization`: the header. Throws PGRST300 to PGRST303. */
  async identify(authorization: string | undefined): Promise<Identity> {
    const token = /^bearer(?:\s+(.*))?$/is.exec(authorization ?? '')
    if (token === null) return this.#as(this.#config.dbAnonRole, {})
    const claims = await this.#claimsOf((token[1] ?? '').trim())
    const role = followJsPath(this.#config.jwtRoleClaimKey, claims)
    return this.#as(typeof role === 'string' ? role : this.#config.dbAnonRole, claims)
  }

  #as(role: string | undefined, claims: Record<string, unknown>): Identity {
    if (role === undefined) throw refused('PGRST302', 'Anonymous access is disabled', 'Bearer')
    return { role, claims: JSON.stringify({ ...claims, role }) }
  }

  async #claimsOf(token: string): Promise<JWTPayload> {
    if (token === '') throw invalid('Empty JWT is sent in Authorization header')
    const parts = token.split('.').length
    if (parts !== 3) throw invalid(`Expected 3 parts in JWT; got ${parts}`)
    if (!this.#keys) throw new DataApiError({ code: 'PGRST300', message: 'Server lacks JWT secret' })
    const hash = createHash('sha256').update(token).digest('base64')
    const known = this.#verified.get(hash)
    const isKnown = known !== undefined && known.until > performance.now()
    this.#counts.lookups++
    if (isKnown) this.#counts.hits++
    const claims = isKnown ? known.claims : await this.#verify(token, this.#keys)
    if (!isKnown) this.#remember(hash, claims)
    assertInTime(claims)
    assertAudience(claims, this.#config.jwtAud)
    return claims
  }

  async #verify(token: string, keys: JWTVerifyGetKey): Promise<JWTPayload> {
    try {
      // Times are looked at on each use, in words of our own.
      const { payload } = await jwtVerify(token, keys, {
        algorithms,
        currentDate: new Date(0),
        clockTolerance: Number.MAX_SAFE_INTEGER,
      })
      return payload
    } catch (error) {
      if (isDataApiError(error)) throw error
      if (error instanceof errors.JWTClaimValidationFailed)
        throw badClaim(`The JWT '${error.claim}' claim must be a number`)
      if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
        throw invalid('Wrong or unsupported encoding algorithm')
      if (error instanceof errors.JWSSignatureVerificationFailed) throw invalid('JWT cryptographic operation failed')
      throw invalid('No suitable key or wrong key type')
    }
  }

  #remember(hash: string, claims: JWTPayload): void {
    const { jwtCacheMaxEntries: most, jwtCacheMaxLifetimeSeconds: lifetime = Infinity } = this.#config
    if (most <= 0) return
    this.#verified.delete(hash)
    this.#verified.set(hash, { claims, until: performance.now() + lifetime * 1000 })
    const [oldest] = this.#verified.keys()
    if (this.#verified.size <= most || oldest === undefined) return
    this.#verified.delete(oldest)
    this.#counts.evictions++
  }
}

function assertInTime(claims: JWTPayload): void {
  const now = Date.now() / 1000
  const time = (name: 'exp' | 'nbf' | 'iat'): number | undefined => {
    const value: unknown = claims[name]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number') throw badClaim(`The JWT '${name}' claim must be a number`)
    return value
  }
  const [exp, nbf, iat] = [time('exp'), time('nbf'), time('iat')]
  if (exp !== undefined && now > exp + leewaySeconds) throw badClaim('JWT expired')
  if (nbf !== undefined && now < nbf - leewaySeconds) throw badClaim('JWT not yet valid')
  if (iat !== undefined && now < iat - leewaySeconds) throw badClaim('JWT issued at future')
}

function assertAudience({ aud }: JWTPayload, wanted: string | undefined): void {
  const said: unknown = aud
  if (said === undefined || said === null) return
  const all = Array.isArray(said) ? (said as unknown[]) : [said]
  if (!all.every((each) => typeof each === 'string'))
    throw badClaim("The JWT 'aud' claim must be a string or an array of strings")
  if (wanted !== undefined && all.length > 0 && !all.includes(wanted)) throw badClaim('JWT not in audience')
}

const invalid = (message: string): DataApiError => refused('PGRST301', message, challenge(message))
const badClaim = (message: string): DataApiError => refused('PGRST303', message, challenge(message))
const challenge = (message: string): string => `Bearer error="invalid_token", error_description="${message}"`

function refused(code: DataApiErrorCode, message: string, authenticate: string): DataApiError {
  return new DataApiError({ code, message, headers: [['WWW-Authenticate', authenticate]] })
}
