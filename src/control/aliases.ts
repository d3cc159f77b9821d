// Some paths of the API can be had without their project. Ids are unique in the whole installation, so it is found from them; an id of
// somebody else's is answered like one that nothing has.

import type { Caller } from '../model/caller.ts'
import { AppError, isAppError } from '../model/errors.ts'
import type { ProjectId } from '../model/ids.ts'
import type { Sql } from '../store/database.ts'
import { branchNotFound, visibleProject } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const snapshotNotFound = (): AppError => new AppError('not_found', 'snapshot not found')

export async function findProjectOfBranch(sql: Sql, caller: Caller, branchId: string): Promise<ProjectId> {
  const [row] = await sql.query<{ project_id: string }>('select project_id from branches where id = $1', [branchId])
  return await visibleOr(branchNotFound(), sql, caller, row?.project_id)
}

export async function findProjectOfSnapshot(sql: Sql, caller: Caller, snapshotId: string): Promise<ProjectId> {
  const [row] = await sql.query<{ project_id: string }>('select project_id from snapshots where id = $1', [snapshotId])
  return await visibleOr(snapshotNotFound(), sql, caller, row?.project_id)
}

/** "project not found" would tell a stranger that the id is somebody's. */
async function visibleOr(
  refusal: AppError,
  sql: Sql,
  caller: Caller,
  projectId: string | undefined,
): Promise<ProjectId> {
  if (projectId === undefined) throw refusal
  try {
    return (await visibleProject(sql, caller, projectId)).id
  } catch (error) {
    throw isAppError(error, 'not_found') ? refusal : error
  }
}

export function aliasControl({ store }: ControlContext): Control['aliases'] {
  return {
    projectOfBranch: (caller, branchId) => findProjectOfBranch(store, caller, branchId),
    projectOfSnapshot: (caller, snapshotId) => findProjectOfSnapshot(store, caller, snapshotId),
  }
}
