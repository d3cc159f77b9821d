// Writes a mutation's rows and its chain in one transaction, when the project is free for it.
//
// While a chain is unfinished another one is not accepted: the second call waits up to a second, then it is told so in Neon's words.

import { AppError } from '../../model/errors.ts'
import { failpoint } from '../../lib/failpoint.ts'
import { newChainId, newOperationId, type BranchId, type EndpointId, type ProjectId } from '../../model/ids.ts'
import type { Operation, OperationAction } from '../../model/operation.ts'
import type { Project } from '../../model/project.ts'
import type { Caller } from '../../model/caller.ts'
import type { Sql } from '../../store/database.ts'
import { hasUnfinishedChain, insertChain } from '../../store/operations.ts'
import { lockProject } from '../../store/projects.ts'
import { lockVisibleProject, projectNotFound } from '../access.ts'
import { reservingPlaces } from '../active-computes.ts'
import type { Requirement } from '../authorization.ts'
import type { ControlContext } from '../context.ts'
import { organizationLimits } from '../limits.ts'

const patienceMs = 1000

export type ChainPlan = {
  kind: string
  input?: Record<string, unknown>
  operations: { action: OperationAction; branchId?: BranchId | undefined; endpointId?: EndpointId | undefined }[]
  /** Waits for a chain at work although it may have no operations itself: what that chain starts, this would miss. */
  exclusive?: boolean
}

export const projectLocked = (): AppError =>
  new AppError('locked', 'project already has running operations, scheduling of new ones is prohibited', {
    retryAfterSeconds: 1,
  })

/** Inside a transaction that holds the project's row, or makes it. Without operations there is no chain, and nothing to wait for. */
export async function writeChain(
  control: ControlContext,
  sql: Sql,
  projectId: ProjectId,
  plan: ChainPlan,
): Promise<Operation[]> {
  if (plan.operations.length === 0) return []
  return await insertChain(sql, control.cell, {
    id: newChainId(),
    projectId,
    kind: plan.kind,
    input: plan.input ?? {},
    operations: plan.operations.map(({ action, branchId, endpointId }) => ({
      id: newOperationId(),
      action,
      branchId,
      endpointId,
    })),
  })
}

export type Scheduled<T> = { plan: ChainPlan | undefined; result: T }

class Busy extends Error {}

/**
 * Runs `decide` with the project's row held. What it writes and the chain it plans are committed together; if it plans operations
 * while the project has unfinished ones, nothing is written and it is asked again when they are done. A plan without operations still asks
 * for a project at rest: what there is to do was judged by what ran, and that is about to change. No plan at all asks for nothing.
 */
export async function schedule<T>(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  decide: (sql: Sql, project: Project) => Promise<Scheduled<T>>,
  requirement: Requirement = 'project:write',
): Promise<{ result: T; operations: Operation[] }> {
  return await scheduleLocked(
    control,
    projectId,
    (sql) => lockVisibleProject(sql, caller, projectId, requirement),
    decide,
    patienceMs,
  )
}

/** Gives the endpoint's compute a place among its organization's. Throws `quota_exceeded` where there is none. */
export type ClaimPlace = (endpointId: EndpointId, branch: { isDefault: boolean }) => Promise<void>

/** As `schedule`, for operations that start computes. Ids of new endpoints are made outside of `decide`, which may be asked again. */
export async function scheduleStarts<T>(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  decide: (sql: Sql, project: Project, claim: ClaimPlace) => Promise<Scheduled<T>>,
): Promise<{ result: T; operations: Operation[] }> {
  return await reservingPlaces(control, projectId, (reserve) =>
    schedule(control, caller, projectId, (sql, project) =>
      decide(sql, project, async (endpointId, { isDefault }) => {
        const limits = await organizationLimits(sql, project.orgId)
        await reserve(endpointId, { orgId: project.orgId, isDefault, limits })
      }),
    ),
  )
}

/** As `schedule`, for what nobody called for. Throws `locked` at once where the project has operations at work. */
export async function scheduleByItself<T>(
  control: ControlContext,
  projectId: ProjectId,
  decide: (sql: Sql, project: Project) => Promise<Scheduled<T>>,
): Promise<{ result: T; operations: Operation[] }> {
  const lock = async (sql: Sql): Promise<Project> => {
    const project = await lockProject(sql, projectId)
    if (!project || project.deletedAt) throw projectNotFound()
    return project
  }
  return await scheduleLocked(control, projectId, lock, decide, 0)
}

async function scheduleLocked<T>(
  control: ControlContext,
  projectId: string,
  lock: (sql: Sql) => Promise<Project>,
  decide: (sql: Sql, project: Project) => Promise<Scheduled<T>>,
  waitMs: number,
): Promise<{ result: T; operations: Operation[] }> {
  const deadline = Date.now() + waitMs
  for (;;) {
    try {
      const outcome = await control.store.transaction(async (sql) => {
        const project = await lock(sql)
        const busy = await hasUnfinishedChain(sql, project.id)
        const { plan, result } = await decide(sql, project)
        if (busy && plan && (plan.exclusive === true || plan.operations.length > 0)) throw new Busy()
        if (!plan || plan.operations.length === 0) return { result, operations: [], project, kind: '' }
        return { result, operations: await writeChain(control, sql, project.id, plan), project, kind: plan.kind }
      })
      if (outcome.operations.length > 0) {
        await failpoint(`${outcome.kind}.committed`)
        control.runner.nudge(outcome.project.id)
      }
      return { result: outcome.result, operations: outcome.operations }
    } catch (error) {
      if (!(error instanceof Busy)) throw error
      if (!(await control.runner.whenQuiet(projectId as ProjectId, deadline - Date.now()))) throw projectLocked()
    }
  }
}
