import type { Branch } from '../../model/branch.ts'
import { AppError } from '../../model/errors.ts'
import { getBranch } from '../../store/branches.ts'
import type { StepContext } from './chain.ts'

/** The branch that an operation is about. */
export async function stepBranch({ control, chain, operation }: StepContext): Promise<Branch> {
  const branch = operation.branchId && (await getBranch(control.store, chain.projectId, operation.branchId))
  if (!branch) throw new AppError('internal', `operation ${operation.id} has lost its branch`)
  return branch
}
