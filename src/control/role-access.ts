// Who may come in as what: asked by the proxy before anything is woken.
//
// While a compute runs, Postgres knows best: roles and passwords that were made by SQL a moment ago are no rows yet. While it sleeps the
// rows do, into which its roles were read when it fell asleep; while a chain works on the branch they say what will be. And while the
// control database is away there is the assignment file.

import { within } from '../lib/within.ts'
import { AppError, errorChain, isAppError } from '../model/errors.ts'
import { computeSize } from '../model/compute.ts'
import type { TimelineId } from '../model/ids.ts'
import { isReservedRoleName } from '../model/role.ts'
import { readVerifier } from '../pgwire/scram-verifier.ts'
import { verifierQuery } from '../compute/roles.ts'
import { getRoleAccess, type RoleAccessRow } from '../store/role-access.ts'
import { readBack } from './catalog.ts'
import { addressRules, type AddressRules } from './address-rules.ts'
import type { ControlContext } from './context.ts'

export type RoleAccess = AddressRules & {
  projectId: string
  verifier: string | undefined
  pgMajor: number
  poolSize: number
}

/** Neon's: nine tenths of what Postgres has, for each role and database. */
const poolShare = 0.9
/** A client waits for it. */
const lookMs = 2_000
/** For the rows, where there is a file to go by as well. */
const rowsPatienceMs = 2_000

/** Undefined for an endpoint that does not exist. Throws `control_database_unavailable` where nothing is known without it. */
export async function lookupRole(
  control: ControlContext,
  endpointId: string,
  role: string,
): Promise<RoleAccess | undefined> {
  const asking = getRoleAccess(control.store, endpointId, role)
  let row: RoleAccessRow | undefined
  try {
    row = await within(asking, rowsPatienceMs, () => new AppError('control_database_unavailable', 'no answer yet'))
  } catch (error) {
    if (!isAppError(error, 'control_database_unavailable')) throw error
    const assigned = await lookupAssigned(control, endpointId, role)
    if (assigned) return assigned
    row = await asking
  }
  return row && { ...gateOf(row), verifier: await currentVerifier(control, row, role) }
}

/** What opens the role now. Of reserved names nothing is ever said: the service role is one of them. */
export async function currentVerifier(
  control: ControlContext,
  row: RoleAccessRow,
  role: string,
): Promise<string | undefined> {
  if (isReservedRoleName(role)) return undefined
  const stored = row.role?.login ? usable(row.role.verifier) : undefined
  if (row.busy || row.timelineId === undefined) return stored
  return await observedVerifier(control, row.endpointId, row.timelineId, role, stored)
}

async function lookupAssigned(
  control: ControlContext,
  endpointId: string,
  role: string,
): Promise<RoleAccess | undefined> {
  const assignment = await control.assignments.read(endpointId)
  if (!assignment?.access) return undefined
  const { projectId, spec, access } = assignment
  const { allowedIps, publicBlocked, verifiers } = access
  const reserved = isReservedRoleName(role)
  const stored = !reserved && Object.hasOwn(verifiers, role) ? usable(verifiers[role]) : undefined
  return {
    projectId,
    allowedIps,
    publicBlocked,
    pgMajor: spec.pgMajor,
    poolSize: poolSizeOf(spec.minCu),
    verifier: reserved ? undefined : await observedVerifier(control, endpointId, spec.timelineId, role, stored),
  }
}

/** All but the role itself. */
function gateOf(row: RoleAccessRow): Omit<RoleAccess, 'verifier'> {
  return {
    projectId: row.projectId,
    ...addressRules(row.projectSettings, row.branchProtected),
    pgMajor: row.pgMajor,
    poolSize: poolSizeOf(row.minCu),
  }
}

function poolSizeOf(cu: number): number {
  return Math.floor(poolShare * computeSize(cu).maxConnections)
}

/** As Postgres has it where it runs for this endpoint, else as it is stored. */
async function observedVerifier(
  control: ControlContext,
  endpointId: string,
  timelineId: TimelineId,
  role: string,
  stored: string | undefined,
): Promise<string | undefined> {
  if (control.computes.serving().get(timelineId)?.endpointId !== endpointId) return stored
  if (control.supervisor.state(timelineId).kind !== 'running') return stored
  try {
    const statement = { name: 'role_verifier', text: verifierQuery, values: [role] }
    const [found] = await control.sessions.query<{ verifier: string | null }>(timelineId, statement, lookMs)
    const observed = usable(found?.verifier ?? undefined)
    // Whoever has logged in once is known from then on, however the compute ends.
    if (observed !== stored) void readBack(control, timelineId)
    return observed
  } catch (error) {
    control.logger.debug({ endpoint: endpointId, cause: errorChain(error) }, 'postgres could not be asked for a role')
    return stored
  }
}

/** An md5 hash is none that we can check. */
function usable(verifier: string | undefined): string | undefined {
  return verifier !== undefined && readVerifier(verifier) ? verifier : undefined
}
