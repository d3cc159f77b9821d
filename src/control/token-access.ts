// A role's keys in exchange for a token: who has one of a key set of the project may come in as a role that the set is for.
//
// What a client gets to read says what is wrong with its token, never what is in a key set or whether a password is right.

import { createLocalJWKSet, decodeProtectedHeader, errors, jwtVerify, type JWK, type JWTPayload } from 'jose'
import { AppError } from '../model/errors.ts'
import { tokenRolesOf, type Jwks } from '../model/jwks.ts'
import { isReservedRoleName } from '../model/role.ts'
import { deriveKeys, opens, type ScramKeys } from '../pgwire/scram-keys.ts'
import { readVerifier } from '../pgwire/scram-verifier.ts'
import { listSigningKeys } from '../store/auth/signing-keys.ts'
import { listJwks } from '../store/jwks.ts'
import { getRoleAccess, type RoleAccessRow } from '../store/role-access.ts'
import type { ControlContext } from './context.ts'
import type { KeySet, KeySets } from '../lib/key-sets.ts'
import { currentVerifier } from './role-access.ts'
import { revealRolePassword } from './role-secrets.ts'

export type TokenAccess = {
  /** Base64. */
  clientKey: string
  serverKey: string
  /** JSON text. */
  claims: string
}

/** None that a public key could be mistaken for the secret of. */
const algorithms = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
/** Between our clock and the signer's. */
const leewaySeconds = 30
const mostKeptKeys = 1_000

const unauthorized = (message: string, cause?: unknown): AppError => new AppError('unauthorized', message, { cause })

export class TokenExchange {
  readonly #context: () => ControlContext
  readonly #keySets: KeySets
  /** By verifier, so that a changed password is never opened by what is kept here. */
  readonly #derived = new Map<string, ScramKeys>()

  constructor(context: () => ControlContext, keySets: KeySets) {
    this.#context = context
    this.#keySets = keySets
  }

  /** Throws `unauthorized`, `endpoint_not_found`, `control_database_unavailable`. */
  async authorize(endpointId: string, role: string, token: string): Promise<TokenAccess> {
    const control = this.#context()
    const row = await getRoleAccess(control.store, endpointId, role)
    if (!row) throw new AppError('endpoint_not_found', `endpoint ${endpointId} not found`)
    const sets = (await listJwks(control.store, row.projectId)).filter((set) => mayOpen(set, row, role))
    if (sets.length === 0) throw unauthorized(`no key set of this project may sign tokens for role ${quoted(role)}`)
    assertChecked(token)
    const payload = await this.#verified(token, sets, role)
    const { clientKey, serverKey } = await this.#keysOf(row, role)
    return {
      clientKey: clientKey.toString('base64'),
      serverKey: serverKey.toString('base64'),
      claims: JSON.stringify(payload),
    }
  }

  /** The first set that has the token's key decides. */
  async #verified(token: string, sets: readonly Jwks[], role: string): Promise<JWTPayload> {
    let refusal: AppError | undefined
    for (const set of sets) {
      try {
        const payload = await this.#verifiedBy(token, set)
        assertNamesRole(set, payload, role)
        return payload
      } catch (error) {
        refusal = toRefusal(error)
        if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired) throw refusal
      }
    }
    throw refusal ?? unauthorized('the token cannot be checked')
  }

  async #verifiedBy(token: string, set: Jwks): Promise<JWTPayload> {
    const options = {
      algorithms,
      requiredClaims: ['exp'],
      clockTolerance: leewaySeconds,
      ...(set.audience === undefined ? {} : { audience: set.audience }),
    }
    try {
      return (await jwtVerify(token, await this.#keySet(set), options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      return (await jwtVerify(token, await this.#keySet(set, { renewed: true }), options)).payload
    }
  }

  /** Those of the project's own sign-in are here; nothing is asked of its surfaces. */
  async #keySet(set: Jwks, options?: { renewed: boolean }): Promise<KeySet> {
    if (set.authIntegrationId === undefined) return await this.#keySets.get(set, options)
    const keys = await listSigningKeys(this.#context().store, set.authIntegrationId)
    return createLocalJWKSet({ keys: keys.map(({ publicJwk }) => publicJwk as JWK) })
  }

  async #keysOf(row: RoleAccessRow, role: string): Promise<ScramKeys> {
    const control = this.#context()
    const verifier = await currentVerifier(control, row, role)
    const parsed = verifier === undefined ? undefined : readVerifier(verifier)
    if (verifier === undefined || !parsed) throw unauthorized(`role ${quoted(role)} does not exist or cannot log in`)
    const kept = this.#derived.get(verifier)
    if (kept) return kept
    const { branchId } = row
    const password = revealRolePassword(control.cipher, {
      branchId,
      name: role,
      encryptedPassword: row.role?.encryptedPassword,
    })
    const keys = password === undefined ? undefined : await deriveKeys(password, parsed.salt, parsed.iterations)
    if (!keys || !opens(keys, parsed)) {
      throw unauthorized(
        `the password of role ${quoted(role)} is not stored, so that no token can open it; reset it through the API`,
      )
    }
    this.#keep(verifier, keys)
    return keys
  }

  #keep(verifier: string, keys: ScramKeys): void {
    this.#derived.set(verifier, keys)
    for (const oldest of this.#derived.keys()) {
      if (this.#derived.size <= mostKeptKeys) break
      this.#derived.delete(oldest)
    }
  }
}

function mayOpen(set: Jwks, { branchId }: RoleAccessRow, role: string): boolean {
  if (isReservedRoleName(role)) return false
  return (set.branchId === undefined || set.branchId === branchId) && tokenRolesOf(set).includes(role)
}

/** Our own sign-in says in each token whom it is for: what it hands to everybody, as the anonymous token, opens no more than that. */
function assertNamesRole({ authIntegrationId }: Jwks, payload: JWTPayload, role: string): void {
  if (authIntegrationId === undefined || payload['role'] === role) return
  throw new errors.JWTClaimValidationFailed('another role', payload, 'role', 'check_failed')
}

/** Before any key is fetched for it. */
function assertChecked(token: string): void {
  let algorithm: unknown
  try {
    algorithm = decodeProtectedHeader(token).alg
  } catch (cause) {
    throw unauthorized('the token is no JSON Web Token', cause)
  }
  if (typeof algorithm !== 'string' || !algorithms.includes(algorithm)) {
    throw unauthorized(`tokens must be signed with one of ${algorithms.join(', ')}`)
  }
}

function toRefusal(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof errors.JWTExpired) return unauthorized('the token has expired', error)
  if (error instanceof errors.JWTClaimValidationFailed) {
    const problem = error.reason === 'missing' ? 'is missing' : 'is not accepted'
    return unauthorized(`the token's claim ${quoted(error.claim)} ${problem}`, error)
  }
  if (error instanceof errors.JWKSNoMatchingKey)
    return unauthorized('the token is signed with a key that no key set of this project has', error)
  if (error instanceof errors.JWKSMultipleMatchingKeys)
    return unauthorized('the token does not say which of several keys it is signed with ("kid")', error)
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return unauthorized('the signature of the token is wrong', error)
  return unauthorized('the token is no valid JSON Web Token', error)
}

const quoted = (name: string): string => JSON.stringify(name)
