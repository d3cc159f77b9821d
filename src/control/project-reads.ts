// Projects as they are listed and shown: whose they are, what they used, when somebody was last at work in them.

import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { getUser } from '../store/accounts.ts'
import { listEndpoints } from '../store/endpoints.ts'
import { listProjects, listSharedProjects } from '../store/projects.ts'
import { assertOrganizationNamed, organizationFor, visibleProject } from './access.ts'
import { projectConsumption } from './consumption.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { organizationPlan } from './limits.ts'
import type { ProjectPage } from './params.ts'

export async function listPage(
  control: ControlContext,
  caller: Caller,
  query: Parameters<Control['projects']['list']>[1],
): ReturnType<Control['projects']['list']> {
  assertOrganizationNamed(control, caller, query.orgId)
  const named = query.orgId ?? (caller.kind === 'user' ? undefined : caller.orgId)
  const organization =
    named === undefined ? undefined : await organizationFor(control.store, caller, named, 'projects:list')
  const projects = await listProjects(control.store, {
    within: organization ? { orgId: organization.id } : { userId: caller.userId },
    after: query.cursor,
    limit: query.limit,
    search: query.search,
    recoverable: query.recoverable,
  })
  return await pageOf(control, projects)
}

/** An organization's key is nobody whom something could be shared with. */
export async function listSharedPage(
  control: ControlContext,
  caller: Caller,
  query: Parameters<Control['projects']['listShared']>[1],
): ReturnType<Control['projects']['listShared']> {
  if (caller.kind !== 'user') return { projects: [], usage: new Map(), cursor: undefined }
  const projects = await listSharedProjects(control.store, {
    userId: caller.userId,
    after: query.cursor,
    limit: query.limit,
    search: query.search,
  })
  return await pageOf(control, projects)
}

async function pageOf(control: ControlContext, projects: ProjectPage['projects']): Promise<ProjectPage> {
  const usage = await control.metering.usageOf(projects.map(({ project }) => project.id))
  return { projects, usage, cursor: projects.at(-1)?.project.id }
}

export async function getDetails(
  control: ControlContext,
  caller: Caller,
  projectId: string,
): ReturnType<Control['projects']['get']> {
  const project = await visibleProject(control.store, caller, projectId)
  const [owner, endpoints, { plan, limits }, consumption] = await Promise.all([
    getUser(control.store, caller.userId),
    listEndpoints(control.store, project.id),
    organizationPlan(control.store, project.orgId),
    projectConsumption(control, project.id),
  ])
  if (!owner) throw new AppError('internal', 'the caller has lost its user')
  const times = endpoints.map(
    (endpoint) =>
      control.computes.servingEndpoint(endpoint.id)?.serving.lastActivityAt ?? endpoint.lastActiveAt?.getTime() ?? 0,
  )
  const last = Math.max(0, ...times)
  const lastActiveAt = last > 0 ? new Date(last) : undefined
  return { project, owner, lastActiveAt, plan, branchesLimit: limits.branchesPerProject, consumption }
}
