// The files from which clients are let in and computes are woken while the control database is down; only endpoints that have run have one.

import type { Assignment } from '../compute/assignments.ts'
import { errorChain } from '../model/errors.ts'
import type { BranchId, ProjectId } from '../model/ids.ts'
import { getEndpointTarget, listBranchEndpoints, listEndpoints } from '../store/endpoints.ts'
import { getBranchAccess } from '../store/role-access.ts'
import { addressRules } from './address-rules.ts'
import { toComputeSpec } from './compute-spec.ts'
import type { ControlContext } from './context.ts'

export async function refreshAssignments(control: ControlContext, projectId: ProjectId): Promise<void> {
  for (const { id } of await listEndpoints(control.store, projectId)) await refreshAssignment(control, id)
}

/** After something changed of who may come in on a branch: what is remembered of it, here and in the proxy, is renewed. */
export async function branchAccessChanged(control: ControlContext, branchId: BranchId): Promise<void> {
  for (const { id } of await listBranchEndpoints(control.store, branchId)) {
    await control.computes.changed(id)
    await refreshAssignment(control, id)
  }
}

export async function refreshAssignment(control: ControlContext, endpointId: string): Promise<void> {
  if (!(await control.assignments.read(endpointId))) return
  const target = await getEndpointTarget(control.store, endpointId)
  if (!target?.timelineId) return await control.assignments.remove(endpointId)
  await control.assignments.write({
    endpointId,
    projectId: target.projectId,
    branchId: target.branchId,
    disabled: target.disabled,
    suspendTimeoutSeconds: target.suspendTimeoutSeconds,
    spec: toComputeSpec({ ...target, timelineId: target.timelineId }, control),
    maxCu: target.maxCu,
    access: await accessOf(control, endpointId),
    usageStandings: target.usageStandings,
    sizeStanding: target.sizeStanding,
  })
}

/** With who may come in, as far as the rows can be asked; nobody waits for it. */
export async function noteAssignment(control: ControlContext, assignment: Assignment): Promise<void> {
  try {
    const { endpointId, access } = assignment
    if (access) return await control.assignments.write(assignment)
    await control.assignments.write({ ...assignment, access: await accessOf(control, endpointId) })
    // Deleted meanwhile, it took away its file before there was this one.
    if (!(await getEndpointTarget(control.store, endpointId))) await control.assignments.remove(endpointId)
  } catch (error) {
    control.logger.warn({ endpoint: assignment.endpointId, cause: errorChain(error) }, 'could not write the assignment')
  }
}

async function accessOf(control: ControlContext, endpointId: string): Promise<Assignment['access']> {
  const row = await getBranchAccess(control.store, endpointId)
  return row && { ...addressRules(row.projectSettings, row.branchProtected), verifiers: row.verifiers }
}
