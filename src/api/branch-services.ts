// Services of a branch that can be asked for and that no branch here has: what cannot be turned on is off. Clients ask before they act, and
// take 404 for "off" and anything else for a failure.

import { AppError } from '../model/errors.ts'
import type { ApiRequest, Handlers } from './handler.ts'

export const branchServices = {
  async getProjectBranchDataAPI({ control, caller, params }: ApiRequest) {
    await control.branches.get(caller, params.project_id, params.branch_id)
    throw new AppError('not_found', 'the Data API is not enabled on this branch')
  },
} satisfies Handlers
