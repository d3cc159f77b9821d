// Which key a token is signed with, of all those that a Data API trusts: its branch's sign-in, its own key set elsewhere, those of its project.
//
// What a key set is for is looked at once the key is found, on a token that is not verified yet: it can only be refused for that.

import { createLocalJWKSet, errors, type FlattenedJWSInput, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'
import { followJsPath, type JsPath } from '../../lib/js-path.ts'
import type { KeySets } from '../../lib/key-sets.ts'
import type { DataApiTarget, TokenIssuer } from '../../model/data-api-target.ts'
import { isAppError } from '../../model/errors.ts'
import type { KeySource } from '../authentication/identity.ts'
import { DataApiError } from '../errors.ts'

type Key = Awaited<ReturnType<ReturnType<typeof createLocalJWKSet>>>
type FindKey = (renewed: boolean, header: JWSHeaderParameters, token: FlattenedJWSInput) => Promise<Key>

export function keySourceOf(
  { issuers }: Pick<DataApiTarget, 'issuers'>,
  keySets: Pick<KeySets, 'get'>,
  rolePath: JsPath,
): Exclude<KeySource, undefined> {
  const trusted = issuers.map((issuer) => ({ issuer, find: finderOf(issuer, keySets) }))
  return async (header, token) => {
    let unreadable: unknown
    // A key that no known set has may be newer than they are.
    for (const renewed of [false, true]) {
      for (const { issuer, find } of trusted) {
        try {
          const key = await find(renewed, header, token)
          if (issuer.kind === 'key-set') assertMeant(issuer, token, rolePath)
          return key
        } catch (error) {
          if (isAppError(error)) unreadable = error
          else if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
        }
      }
    }
    if (isAppError(unreadable)) throw refused(unreadable.message)
    throw refused(
      issuers.length === 0
        ? 'nobody signs tokens for this Data API: enable Neon Auth on its branch, or give the project a key set'
        : undefined,
    )
  }
}

function finderOf(issuer: TokenIssuer, keySets: Pick<KeySets, 'get'>): FindKey {
  if (issuer.kind === 'key-set')
    return async (renewed, header, token) => await (await keySets.get(issuer, { renewed }))(header, token)
  const keys = createLocalJWKSet({ keys: issuer.keys as unknown as JSONWebKeySet['keys'] })
  return (_renewed, header, token) => keys(header, token)
}

/** Throws PGRST303. */
function assertMeant(
  { audience, roles }: Extract<TokenIssuer, { kind: 'key-set' }>,
  token: FlattenedJWSInput,
  rolePath: JsPath,
): void {
  const claims = claimsOf(token)
  const said = claims['aud']
  const audiences = Array.isArray(said) ? (said as unknown[]) : [said]
  if (audience !== undefined && !audiences.includes(audience)) throw badClaim('JWT not in audience')
  const role = followJsPath(rolePath, claims)
  if (roles && typeof role === 'string' && !roles.includes(role))
    throw badClaim('JWT names a role that its key set is not for')
}

function claimsOf({ payload }: FlattenedJWSInput): Record<string, unknown> {
  try {
    const text = typeof payload === 'string' ? Buffer.from(payload, 'base64url') : Buffer.from(payload)
    const claims: unknown = JSON.parse(text.toString('utf8'))
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

const refused = (details: string | undefined): DataApiError =>
  new DataApiError({
    code: 'PGRST301',
    message: 'No suitable key or wrong key type',
    details,
    headers: [['WWW-Authenticate', challenge('No suitable key or wrong key type')]],
  })

const badClaim = (message: string): DataApiError =>
  new DataApiError({ code: 'PGRST303', message, headers: [['WWW-Authenticate', challenge(message)]] })

const challenge = (message: string): string => `Bearer error="invalid_token", error_description="${message}"`
