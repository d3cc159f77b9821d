import type { AuthIntegrationId, BranchId, DataApiId, ProjectId } from './ids.ts'

/** A place where the public keys of a project's tokens are published. */
export type Jwks = {
  id: string
  projectId: ProjectId
  /** Undefined: all branches. */
  branchId: BranchId | undefined
  url: string
  /** Whether the URL may lead into a private network. */
  privateAllowed: boolean
  providerName: string
  audience: string | undefined
  /** As they were given; undefined: the default roles. */
  roleNames: string[] | undefined
  /** The branch's own sign-in publishes it: its keys are rows here, and nothing is fetched. */
  authIntegrationId: AuthIntegrationId | undefined
  /** It was given when a Data API was enabled, and goes with that. */
  dataApiId: DataApiId | undefined
  createdAt: Date
  updatedAt: Date
}

/** Neon's. */
export const defaultTokenRoles: readonly string[] = ['authenticator', 'authenticated', 'anonymous']

/** An empty list says as little as none. */
export function tokenRolesOf({ roleNames }: Jwks): readonly string[] {
  return roleNames && roleNames.length > 0 ? roleNames : defaultTokenRoles
}
