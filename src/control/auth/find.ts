// Which integration a call is about, and changing it: one transaction with its row held, after which the auth process hears of it.

import type { AuthIntegration } from '../../model/auth.ts'
import type { Caller } from '../../model/caller.ts'
import { AppError } from '../../model/errors.ts'
import type { Project } from '../../model/project.ts'
import {
  getIntegrationOfBranch,
  listIntegrations,
  lockIntegration,
  raiseVersion,
} from '../../store/auth/integrations.ts'
import type { Sql } from '../../store/database.ts'
import { liveBranch, lockVisibleProject, visibleProject } from '../access.ts'
import type { ControlContext } from '../context.ts'
import type { AuthPlace } from './auth-control.ts'
import { authChanged } from './auth-plane.ts'

async function findIntegration(sql: Sql, { projectId, branchId, provider }: AuthPlace): Promise<AuthIntegration> {
  if (branchId === undefined) {
    const all = await listIntegrations(sql, projectId)
    const found = all.find((each) => provider === undefined || each.provider === provider)
    if (found) return found
    const what = provider === undefined ? 'Neon Auth' : `Neon Auth with ${provider}`
    throw new AppError('not_found', `${what} is not enabled in this project`)
  }
  const branch = await liveBranch(sql, projectId, branchId)
  const found = await getIntegrationOfBranch(sql, branch.id)
  if (!found) throw new AppError('not_found', 'Neon Auth is not enabled on this branch')
  if (provider !== undefined && found.provider !== provider) {
    throw new AppError('not_found', `Neon Auth with ${provider} is not enabled on this branch: it is ${found.provider}`)
  }
  return found
}

/** Throws `not_found`. */
export async function visibleIntegration(
  { store }: ControlContext,
  caller: Caller,
  place: AuthPlace,
  requirement: 'project:read' | 'project:write' = 'project:read',
): Promise<AuthIntegration> {
  await visibleProject(store, caller, place.projectId, requirement)
  return await findIntegration(store, place)
}

/** All that `change` writes is one transaction; the integration as it was is given to it. */
export async function changeIntegration<T>(
  control: ControlContext,
  caller: Caller,
  place: AuthPlace,
  change: (sql: Sql, integration: AuthIntegration, project: Project) => Promise<T>,
): Promise<T> {
  const { id, result } = await control.store.transaction(async (sql) => {
    const project = await lockVisibleProject(sql, caller, place.projectId)
    const integration = await lockIntegration(sql, (await findIntegration(sql, place)).id)
    if (!integration) throw new AppError('not_found', 'Neon Auth is not enabled on this branch')
    const result = await change(sql, integration, project)
    await raiseVersion(sql, integration.id)
    return { id: integration.id, result }
  })
  await authChanged(control, id)
  return result
}
