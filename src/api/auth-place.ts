// Which integration a route is about: most name its branch, the older ones its project and sometimes its provider.

import type { AuthPlace } from '../control/auth/auth-control.ts'
import type { PathParams } from './handler.ts'

export const ofBranch = ({ project_id, branch_id }: PathParams): { projectId: string; branchId: string } => ({
  projectId: project_id,
  branchId: branch_id,
})

export const ofProject = ({ project_id }: PathParams): AuthPlace => ({ projectId: project_id })

/** Where the body names both. */
export const ofBody = (body: { project_id: string; auth_provider: AuthPlace['provider'] }): AuthPlace => ({
  projectId: body.project_id,
  provider: body.auth_provider,
})
