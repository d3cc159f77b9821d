import type { JWKS as JwksWire } from '@neondatabase/api-client'
import type { Jwks } from '../model/jwks.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

export function jwksView(jwks: Jwks): Wire<JwksWire> {
  return {
    id: jwks.id,
    project_id: jwks.projectId,
    branch_id: jwks.branchId,
    jwks_url: jwks.url,
    provider_name: jwks.providerName,
    created_at: seconds(jwks.createdAt),
    updated_at: seconds(jwks.updatedAt),
    jwt_audience: jwks.audience,
    role_names: jwks.roleNames,
  }
}
