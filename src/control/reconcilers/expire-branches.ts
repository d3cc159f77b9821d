// Deletes branches whose time is over, as their users would.

import { errorChain, isAppError } from '../../model/errors.ts'
import { getBranch, listExpiredBranches } from '../../store/branches.ts'
import { deleteBranch, forgetEndpoints } from '../branch-deletion.ts'
import type { ControlContext } from '../context.ts'
import { scheduleByItself } from '../operations/schedule.ts'

export async function expireBranches(control: ControlContext): Promise<void> {
  for (const expired of await listExpiredBranches(control.store, control.cell)) {
    try {
      const { result } = await scheduleByItself(control, expired.projectId, async (sql) => {
        const branch = await getBranch(sql, expired.projectId, expired.id)
        if (!branch || branch.deletedAt || !branch.expiresAt || branch.expiresAt > new Date()) {
          return { result: undefined, plan: undefined }
        }
        return await deleteBranch(control, sql, branch, { purging: false, method: 'ttl' })
      })
      if (result) await forgetEndpoints(control, result)
    } catch (error) {
      if (isAppError(error, 'locked')) continue
      control.logger.warn({ branch: expired.id, cause: errorChain(error) }, 'an expired branch could not be deleted')
    }
  }
}
