// Where an integration answers, as its replies say it.

import type { AuthIntegration } from '../../model/auth.ts'
import { listBranchEndpoints } from '../../store/endpoints.ts'
import type { Sql } from '../../store/database.ts'
import type { ControlContext } from '../context.ts'

export type AuthUrls = {
  /** Root of the surface that its own SDK is pointed at; undefined while the branch has no read-write endpoint. */
  baseUrl: string | undefined
  /** Empty while it is published nowhere. */
  jwksUrl: string
}

/** Of the branch's read-write endpoint, disabled or not: an address does not change with that. */
export async function authUrls(
  { addresses }: ControlContext,
  sql: Sql,
  { id, provider, branchId, databaseName }: Pick<AuthIntegration, 'id' | 'provider' | 'branchId' | 'databaseName'>,
): Promise<AuthUrls> {
  if (provider !== 'better_auth') {
    const root = addresses.stackUrl()
    // What its SDK is given as `baseUrl` has no version in it.
    return { baseUrl: root.replace(/\/api\/v1$/, ''), jwksUrl: `${root}/projects/${id}/.well-known/jwks.json` }
  }
  const endpoint = (await listBranchEndpoints(sql, branchId)).find(({ type }) => type === 'read_write')
  if (!endpoint) return { baseUrl: undefined, jwksUrl: '' }
  const baseUrl = addresses.serviceUrl('auth', endpoint.id, databaseName)
  return { baseUrl, jwksUrl: `${baseUrl}/.well-known/jwks.json` }
}
