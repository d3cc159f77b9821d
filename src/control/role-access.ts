// Who may come in as what: asked by the proxy before anything is woken.

import { readVerifier } from '../pgwire/scram-verifier.ts'
import { computeSize } from '../model/compute.ts'
import type { ProjectSettings } from '../model/project.ts'
import { isReservedRoleName } from '../model/role.ts'
import { getRoleAccess, type RoleAccessRow } from '../store/role-access.ts'
import type { ControlContext } from './context.ts'

export type RoleAccess = {
  projectId: string
  verifier: string | undefined
  allowedIps: readonly string[] | undefined
  publicBlocked: boolean
  pgMajor: number
  poolSize: number
}

/** Neon's: nine tenths of what Postgres has, for each role and database. */
const poolShare = 0.9

/** Undefined for an endpoint that does not exist. Throws `control_database_unavailable`. */
export async function lookupRole(
  control: ControlContext,
  endpointId: string,
  role: string,
): Promise<RoleAccess | undefined> {
  const row = await getRoleAccess(control.store, endpointId, role)
  return row && { ...gateOf(row), verifier: isReservedRoleName(role) ? undefined : storedVerifier(row) }
}

/** All but the role itself. */
function gateOf(row: RoleAccessRow): Omit<RoleAccess, 'verifier'> {
  return {
    projectId: row.projectId,
    ...addressRules(row.projectSettings, row.branchProtected),
    pgMajor: row.pgMajor,
    poolSize: Math.floor(poolShare * computeSize(row.minCu).maxConnections),
  }
}

function storedVerifier({ role }: RoleAccessRow): string | undefined {
  return role?.login ? usable(role.verifier) : undefined
}

/** An md5 hash is none that we can check, and Postgres here would not take it either. */
function usable(verifier: string | undefined): string | undefined {
  return verifier !== undefined && readVerifier(verifier) ? verifier : undefined
}

/** Pure. */
export function addressRules(
  settings: ProjectSettings,
  branchProtected: boolean,
): Pick<RoleAccess, 'allowedIps' | 'publicBlocked'> {
  const { ips = [], protected_branches_only: protectedOnly = false } = (settings['allowed_ips'] ?? {}) as {
    ips?: string[]
    protected_branches_only?: boolean
  }
  const applies = ips.length > 0 && (!protectedOnly || branchProtected)
  return { allowedIps: applies ? ips : undefined, publicBlocked: settings['block_public_connections'] === true }
}
