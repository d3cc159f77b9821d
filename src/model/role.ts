import type { BranchId } from './ids.ts'

export type AuthenticationMethod = 'password' | 'no_login'

export type Role = {
  branchId: BranchId
  name: string
  authenticationMethod: AuthenticationMethod
  protected: boolean
  /** `SCRAM-SHA-256$…`, the form Postgres stores; undefined for roles that cannot log in. */
  verifier: string | undefined
  /** AES-256-GCM under the master key; undefined where the project does not store passwords. */
  encryptedPassword: Uint8Array | undefined
  createdAt: Date
  updatedAt: Date
}

/** Postgres' NAMEDATALEN - 1, in bytes. */
export const longestNameBytes = 63

/** Names that belong to Postgres or to pgrove. */
export function isReservedRoleName(name: string): boolean {
  return (
    name.startsWith('pg_') ||
    name.startsWith('pgrove') ||
    [
      'public',
      'none',
      'neon_superuser',
      'cloud_admin',
      'zenith_admin',
      'postgres',
      'current_user',
      'session_user',
      'current_role',
    ].includes(name)
  )
}
