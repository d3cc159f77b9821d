import type { Branch } from '../model/branch.ts'
import type { Sql } from '../store/database.ts'
import { listBranchEndpoints } from '../store/endpoints.ts'
import type { ControlContext } from './context.ts'
import { assertMayUseCompute } from './start-gate.ts'
import type { ChainPlan } from './operations/schedule.ts'

/** apply_config, and suspend_compute after it where the compute was asleep. Throws `quota_exceeded`. */
export async function planChange(
  control: ControlContext,
  sql: Sql,
  branch: Branch,
  kind: string,
  input: Record<string, unknown>,
): Promise<ChainPlan> {
  await assertMayUseCompute(sql, branch.projectId, branch.id)
  const endpoint = (await listBranchEndpoints(sql, branch.id)).find(
    ({ type, disabled }) => type === 'read_write' && !disabled,
  )
  const target = { branchId: branch.id, endpointId: endpoint?.id }
  const asleep = endpoint !== undefined && control.computes.servingEndpoint(endpoint.id) === undefined
  return {
    kind,
    input,
    operations: [
      { action: 'apply_config', ...target },
      ...(asleep ? [{ action: 'suspend_compute' as const, ...target }] : []),
    ],
  }
}
