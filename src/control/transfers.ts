// Projects change hands: between two organizations of one caller, or to whoever was given the id of an offer.
//
// Only rows change. Ids, endpoints, connection strings, running computes and open sessions stay as they are; what the old organization
// gave to others (keys, shares, offers) ends with the commit, and from then on the new one's limits hold.

import { createHash, randomUUID } from 'node:crypto'
import { failpoint } from '../lib/failpoint.ts'
import type { Caller } from '../model/caller.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { OrganizationId, ProjectId } from '../model/ids.ts'
import type { Organization } from '../model/organization.ts'
import type { Project } from '../model/project.ts'
import {
  defaultTransferRequestSeconds,
  longestTransferRequestSeconds,
  mostTransferRequests,
  type TransferRequest,
} from '../model/transfer-request.ts'
import { isLiveKey } from '../store/api-keys.ts'
import type { Sql } from '../store/database.ts'
import { recordEvents, type NewEvent } from '../store/events.ts'
import { findBusyProject } from '../store/operations.ts'
import { lockProjectCount } from '../store/organization-limits.ts'
import { lockProject, lockProjects, setProjectsOrganization } from '../store/projects.ts'
import {
  countTransferRequests,
  deleteTransferRequestsOf,
  findTransferRequest,
  insertTransferRequest,
} from '../store/transfer-requests.ts'
import { assertMay, findAccess, lockVisibleProject, organizationFor } from './access.ts'
import { revokeProjectKeys } from './api-keys.ts'
import { refreshAssignments } from './assignments.ts'
import { may } from './authorization.ts'
import type { Control } from './control.ts'
import type { TransferInput } from './params.ts'
import type { ControlContext } from './context.ts'
import { limitsOf } from './limits.ts'
import { projectLocked } from './operations/schedule.ts'
import { dropProjectPermissions } from './project-permissions.ts'

/** As long as any other call waits for a project's operations. */
const patienceMs = 1000

class Busy extends Error {
  readonly projectId: ProjectId

  constructor(projectId: ProjectId) {
    super(`project ${projectId} has operations at work`)
    this.projectId = projectId
  }
}

/** One transaction, begun anew where one of its projects had operations at work, until that is no use any more. */
async function whenAtRest<T>(control: ControlContext, work: (sql: Sql) => Promise<T>): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    try {
      return await control.store.transaction(work)
    } catch (error) {
      if (!(error instanceof Busy)) throw error
      if (!(await control.runner.whenQuiet(error.projectId, deadline - Date.now()))) throw projectLocked()
    }
  }
}

type Beyond = { expected: number; actual: number }

/** How many projects there would be, where those are more than the organization may have. The count is held until the commit. */
async function beyondLimit(
  sql: Sql,
  from: readonly OrganizationId[],
  to: Organization,
  added: number,
): Promise<Beyond | undefined> {
  // In one order, whoever moves projects which way.
  let before = 0
  for (const id of [...new Set([...from, to.id])].toSorted()) {
    const count = await lockProjectCount(sql, id)
    if (id === to.id) before = count
  }
  const { projects: expected } = limitsOf(to)
  return before + added > expected ? { expected, actual: before + added } : undefined
}

/**
 * Their rows are held. However many there are, it is a handful of statements: creations in both organizations wait meanwhile, each with a
 * connection.
 */
async function move(sql: Sql, projects: readonly Project[], to: Organization): Promise<void> {
  const ids = projects.map(({ id }) => id)
  await revokeProjectKeys(sql, ids)
  await dropProjectPermissions(sql, ids)
  await deleteTransferRequestsOf(sql, ids)
  await setProjectsOrganization(sql, ids, to.id)
  const events = projects.flatMap(({ id, orgId }) =>
    [orgId, to.id].map((each): NewEvent => ({
      orgId: each,
      projectId: id,
      kind: 'project.transferred',
      message: `project ${id} was transferred from ${orgId} to ${to.id}`,
      details: { source_org_id: orgId, destination_org_id: to.id },
    })),
  )
  await recordEvents(sql, events)
  await failpoint('transfer.written')
}

/** What of an organization is remembered beside the rows. Losing it is no harm: the next start of a compute goes by the rows. */
async function afterwards(control: ControlContext, projectIds: readonly ProjectId[]): Promise<void> {
  await failpoint('transfer.committed')
  for (const id of projectIds) {
    await refreshAssignments(control, id).catch((error: unknown) => {
      control.logger.warn({ project: id, cause: errorChain(error) }, 'could not renew the assignments of a project')
    })
  }
}

async function betweenOrganizations(
  control: ControlContext,
  caller: Caller,
  sourceOrgId: string,
  { destinationOrgId, projectIds }: TransferInput,
): Promise<void> {
  const twice = projectIds.find((id, index) => projectIds.indexOf(id) !== index)
  if (twice !== undefined) throw new AppError('bad_request', `project_ids names ${twice} more than once`)
  if (sourceOrgId === destinationOrgId)
    throw new AppError('bad_request', 'destination_org_id is the organization that the projects are in already')
  const moved = await whenAtRest(control, async (sql) => {
    await assertMay(sql, caller, 'organization:transfer', { orgId: sourceOrgId })
    const destination = await organizationFor(sql, caller, destinationOrgId, 'projects:create')
    const projects = (await lockProjects(sql, projectIds)).filter(
      ({ orgId, deletedAt }) => orgId === sourceOrgId && deletedAt === undefined,
    )
    const ids = projects.map(({ id }) => id)
    const missing = projectIds.find((id) => !ids.some((found) => found === id))
    if (missing !== undefined) throw new AppError('not_found', `project ${missing} not found in ${sourceOrgId}`)
    const busy = await findBusyProject(sql, ids)
    if (busy !== undefined) throw new Busy(busy)
    const beyond = await beyondLimit(sql, [sourceOrgId as OrganizationId], destination, projects.length)
    if (beyond) throw limitsUnsatisfied(destination, beyond)
    await move(sql, projects, destination)
    return ids
  })
  await afterwards(control, moved)
}

const tooMany = ({ id }: Organization, { expected, actual }: Beyond): string =>
  `projects limit of ${expected} exceeded: organization ${id} would have ${actual}; delete projects there, or ask the operator for a higher limit`

function limitsUnsatisfied(destination: Organization, beyond: Beyond): AppError {
  const { expected, actual } = beyond
  return new AppError('not_acceptable', tooMany(destination, beyond), {
    apiCode: 'PROJECTS_LIMIT_EXCEEDED',
    details: { limits: [{ name: 'projects_count', expected: String(expected), actual: String(actual) }] },
  })
}

const hashOf = (id: string): Buffer => createHash('sha256').update(id).digest()

async function createRequest(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  ttlSeconds = defaultTransferRequestSeconds,
): Promise<TransferRequest> {
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > longestTransferRequestSeconds)
    throw new AppError('bad_request', `ttl_seconds must be between 1 and ${longestTransferRequestSeconds}`)
  const id = randomUUID()
  return await control.store.transaction(async (sql) => {
    const project = await lockVisibleProject(sql, caller, projectId, 'project:share')
    if ((await countTransferRequests(sql, project.id)) >= mostTransferRequests) {
      throw new AppError(
        'unprocessable',
        `transfer requests limit of ${mostTransferRequests} exceeded: withdraw those of the project, or wait until some expire`,
      )
    }
    const times = await insertTransferRequest(sql, {
      projectId: project.id,
      offeredBy: caller,
      idHash: hashOf(id),
      ttlSeconds,
    })
    return { id, projectId: project.id, ...times }
  })
}

const requestNotFound = (): AppError =>
  new AppError('not_found', 'transfer request not found: it does not exist, has expired, or was used or withdrawn')

/** An offer is worth what who made it may do now: one that somebody made who has left the organization, or with a revoked key, is void. */
async function assertStillOffered(sql: Sql, offeredBy: Caller, projectId: ProjectId): Promise<void> {
  const { role } = await findAccess(sql, offeredBy, 'project:share', { projectId })
  const holds = offeredBy.kind === 'user' || (await isLiveKey(sql, offeredBy.keyId))
  if (!holds || !may(role, 'project:share')) throw requestNotFound()
}

async function acceptRequest(
  control: ControlContext,
  caller: Caller,
  projectId: string,
  requestId: string,
  orgId: string | undefined,
): Promise<void> {
  const idHash = hashOf(requestId)
  const moved = await whenAtRest(control, async (sql) => {
    const seen = await findTransferRequest(sql, projectId, idHash)
    const project = seen && (await lockProject(sql, seen.projectId))
    // Whoever had the row may have taken the project meanwhile.
    const request = project && (await findTransferRequest(sql, projectId, idHash))
    if (!request || project.deletedAt) throw requestNotFound()
    await assertStillOffered(sql, request.offeredBy, project.id)
    const destination = await organizationFor(sql, caller, orgId, 'projects:create')
    if (destination.id === project.orgId) {
      throw new AppError(
        'unprocessable',
        'the project is in this organization already; name another one as org_id to take it there',
      )
    }
    const busy = await findBusyProject(sql, [project.id])
    if (busy !== undefined) throw new Busy(busy)
    const beyond = await beyondLimit(sql, [project.orgId], destination, 1)
    if (beyond) throw requirementsUnsatisfied(destination, beyond)
    await move(sql, [project], destination)
    return project.id
  })
  await afterwards(control, [moved])
}

function requirementsUnsatisfied(destination: Organization, beyond: Beyond): AppError {
  const message = tooMany(destination, beyond)
  const apiCode = 'PROJECTS_LIMIT_EXCEEDED'
  return new AppError('not_acceptable', message, { apiCode, details: { reasons: [{ code: apiCode, message }] } })
}

export function transferControl(control: ControlContext): Control['transfers'] {
  return {
    betweenOrganizations: (caller, sourceOrgId, input) => betweenOrganizations(control, caller, sourceOrgId, input),
    async fromDefaultOrganization(caller, input) {
      const { id } = await organizationFor(control.store, caller, undefined)
      await betweenOrganizations(control, caller, id, input)
    },
    createRequest: (caller, projectId, ttlSeconds) => createRequest(control, caller, projectId, ttlSeconds),
    acceptRequest: (caller, projectId, requestId, orgId) => acceptRequest(control, caller, projectId, requestId, orgId),
    withdrawRequests: (caller, projectId) =>
      control.store.transaction(async (sql) => {
        const project = await lockVisibleProject(sql, caller, projectId, 'project:share')
        return await deleteTransferRequestsOf(sql, [project.id])
      }),
  }
}
