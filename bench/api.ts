// What rows do through the API, as any client does it.

import { setTimeout as delay } from 'node:timers/promises'
import { request, waitForOperations } from '../test/support/server.ts'
import type { BenchServer } from './server.ts'

export type BenchProject = { id: string; branchId: string; endpointId: string; host: string; uri: string }
export type BenchBranch = { id: string; host: string; uri: string }

export type Operation = { id: string; project_id: string }

export async function call(
  server: BenchServer,
  method: string,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  // Somebody else's operation on the same project is answered with 423 after a second of waiting.
  for (let tries = 1; ; tries++) {
    const answer = await request(server, method, path, body)
    if (answer.status === 423 && tries < 30) continue
    if (answer.status >= 300)
      throw new Error(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
}

type Created = {
  project: { id: string }
  branch: { id: string }
  endpoints: { id: string; host: string }[]
  connection_uris: { connection_uri: string }[]
  operations: Operation[]
}

export type CreatedProject = BenchProject & { operations: Operation[] }

export async function createProject(
  server: BenchServer,
  settings: Record<string, unknown> = {},
): Promise<CreatedProject> {
  const made = (await call(server, 'POST', '/projects', {
    project: { default_endpoint_settings: settings },
  })) as Created
  return {
    id: made.project.id,
    branchId: made.branch.id,
    endpointId: made.endpoints[0]?.id ?? '',
    host: made.endpoints[0]?.host ?? '',
    uri: made.connection_uris[0]?.connection_uri ?? '',
    operations: made.operations,
  }
}

export async function finish(server: BenchServer, operations: readonly Operation[]): Promise<void> {
  await waitForOperations(server, operations)
}

const pauseMs = 2

/** As `finish`, for whoever measures it: the pauses are short. */
export async function finishPromptly(server: BenchServer, operations: readonly Operation[]): Promise<void> {
  for (const { id, project_id: projectId } of operations) {
    for (;;) {
      const { operation } = await call(server, 'GET', `/projects/${projectId}/operations/${id}`)
      const { status } = operation as { status: string }
      if (status === 'finished') break
      if (status !== 'scheduling' && status !== 'running') throw new Error(`operation ${id} ended as ${status}`)
      await delay(pauseMs)
    }
  }
}

export async function createReadyProject(
  server: BenchServer,
  settings: Record<string, unknown> = {},
): Promise<BenchProject> {
  const project = await createProject(server, settings)
  await finish(server, project.operations)
  return project
}

export async function deleteProject(server: BenchServer, project: Pick<BenchProject, 'id'>): Promise<void> {
  await call(server, 'DELETE', `/projects/${project.id}`)
  // Its answer carries no operations, so the list of them says when its compute is down.
  await whenSettled(server, project)
}

/** Until what was last asked of a project is done. */
export async function whenSettled(server: BenchServer, project: Pick<BenchProject, 'id'>): Promise<void> {
  const { operations } = await call(server, 'GET', `/projects/${project.id}/operations`)
  await finish(server, operations as Operation[])
}

export async function suspend(server: BenchServer, project: BenchProject): Promise<void> {
  const { operations } = await call(server, 'POST', `/projects/${project.id}/endpoints/${project.endpointId}/suspend`)
  await finish(server, operations as Operation[])
}

/** `branch`: what it is made from, where that is not the head of the project's default branch. */
export async function createBranch(
  server: BenchServer,
  project: BenchProject,
  branch: Record<string, unknown> = {},
): Promise<BenchBranch> {
  const made = await call(server, 'POST', `/projects/${project.id}/branches`, {
    branch,
    endpoints: [{ type: 'read_write' }],
  })
  const { branch: child, endpoints, connection_uris: uris } = made as unknown as Created
  return { id: child.id, host: endpoints[0]?.host ?? '', uri: uris[0]?.connection_uri ?? '' }
}

export async function createBranchWithoutCompute(
  server: BenchServer,
  project: BenchProject,
  parentId: string,
): Promise<{ id: string; operations: Operation[] }> {
  const path = `/projects/${project.id}/branches`
  const made = (await call(server, 'POST', path, { branch: { parent_id: parentId } })) as Created
  return { id: made.branch.id, operations: made.operations }
}

export async function createSnapshot(
  server: BenchServer,
  project: BenchProject,
): Promise<{ id: string; operations: Operation[] }> {
  const made = await call(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/snapshot`)
  return { id: (made['snapshot'] as { id: string }).id, operations: made['operations'] as Operation[] }
}

export async function deleteSnapshot(server: BenchServer, project: BenchProject, snapshotId: string): Promise<void> {
  const { operations } = await call(server, 'DELETE', `/projects/${project.id}/snapshots/${snapshotId}`)
  await finish(server, operations as Operation[])
}

/** `over`: the branch whose place it takes at once; without it a preview with an endpoint of its own. */
export async function restoreSnapshot(
  server: BenchServer,
  project: BenchProject,
  snapshotId: string,
  over?: string,
): Promise<{ id: string; host: string; uri: string; operations: Operation[] }> {
  const made = (await call(server, 'POST', `/projects/${project.id}/snapshots/${snapshotId}/restore`, {
    finalize_restore: over !== undefined,
    ...(over === undefined ? {} : { target_branch_id: over }),
  })) as Created
  const { id: endpointId = '', host = '' } = made.endpoints[0] ?? {}
  // Roles and their passwords are the snapshot's.
  const uri = project.uri.replaceAll(project.endpointId, endpointId)
  return { id: made.branch.id, host, uri, operations: made.operations }
}

export async function deleteBranch(
  server: BenchServer,
  project: BenchProject,
  branch: Pick<BenchBranch, 'id'>,
): Promise<void> {
  const { operations } = await call(server, 'DELETE', `/projects/${project.id}/branches/${branch.id}`)
  await finish(server, (operations ?? []) as Operation[])
}

export async function get(server: BenchServer, path: string): Promise<void> {
  await call(server, 'GET', path)
}

const poolTimeoutMs = 300_000

/** Until the warm pool holds what it is to hold by default. Only while few computes run: each is asked why it is awake. */
export async function whenPoolIsFull(server: BenchServer): Promise<void> {
  const deadline = Date.now() + poolTimeoutMs
  for (;;) {
    const { started, unstarted } = await server.pool()
    if (started >= 3 && unstarted >= 8) return
    if (Date.now() > deadline)
      throw new Error(`the warm pool has ${started} started and ${unstarted} unstarted slots and does not fill up`)
    await delay(50)
  }
}
