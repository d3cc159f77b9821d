import type { Role as RoleWire } from '@neondatabase/api-client'
import type { Role } from '../model/role.ts'
import type { Wire } from './contract/wire.ts'
import { seconds } from './timestamps.ts'

/** A password is passed only where it was just made: creation of a project or role, and reset. */
export function roleView(role: Role, password?: string): Wire<RoleWire> {
  return {
    branch_id: role.branchId,
    name: role.name,
    password,
    protected: role.protected,
    authentication_method: role.authenticationMethod,
    created_at: seconds(role.createdAt),
    updated_at: seconds(role.updatedAt),
  }
}
