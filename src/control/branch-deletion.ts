// Deleting a branch: whether it may go, what is written, and what is forgotten after that.

import type { Branch } from '../model/branch.ts'
import { AppError } from '../model/errors.ts'
import { countChildren, setBranchDeleted } from '../store/branches.ts'
import type { Sql } from '../store/database.ts'
import { listBranchEndpoints } from '../store/endpoints.ts'
import type { ControlContext } from './context.ts'
import type { Scheduled } from './operations/schedule.ts'

async function assertDeletable(sql: Sql, branch: Branch): Promise<void> {
  if (branch.isDefault)
    throw new AppError('unprocessable', 'the default branch cannot be deleted; set another branch as default first')
  if (branch.protected)
    throw new AppError('unprocessable', 'a protected branch cannot be deleted; set "protected" to false first')
  const children = await countChildren(sql, branch.id)
  if (children > 0) {
    throw new AppError(
      'unprocessable',
      `branch has children: delete its ${children} child ${children === 1 ? 'branch' : 'branches'} first`,
    )
  }
}

/** For a transaction that holds the project. */
export async function deleteBranch(
  control: ControlContext,
  sql: Sql,
  branch: Branch,
  options: { purging: boolean; method: 'user' | 'ttl' },
): Promise<Scheduled<Branch>> {
  await assertDeletable(sql, branch)
  const active = (await listBranchEndpoints(sql, branch.id)).filter(
    ({ id }) => control.computes.servingEndpoint(id) !== undefined,
  )
  return {
    result: await setBranchDeleted(sql, branch.id, options),
    plan: {
      kind: 'delete_branch',
      operations: [
        ...active.map(({ id }) => ({ action: 'suspend_compute' as const, branchId: branch.id, endpointId: id })),
        { action: 'delete_timeline' as const, branchId: branch.id },
      ],
    },
  }
}

export async function forgetEndpoints(control: ControlContext, branch: Branch): Promise<void> {
  for (const endpoint of await listBranchEndpoints(control.store, branch.id)) {
    await control.assignments.remove(endpoint.id)
    await control.computes.changed(endpoint.id)
  }
}
