// A test's view of the API through the official client: what it creates, waits for, and is refused.

import assert from 'node:assert/strict'
import {
  EndpointType,
  type Api,
  type Branch,
  type BranchCreateRequest,
  type Operation,
  type ProjectCreateRequest,
} from '@neondatabase/api-client'
import { apiClient, waitForOperations, type TestServer } from './server.ts'

export type NeonApi = Api<unknown>

export type TestProject = {
  id: string
  branchId: string
  endpointId: string
  role: string
  database: string
  password: string
  /** Opens the default branch as the project's first role. */
  uri: string
}

/** A project whose operations have finished. */
export async function makeProject(
  server: TestServer,
  project: ProjectCreateRequest['project'] = {},
): Promise<TestProject> {
  const { data } = await apiClient(server).createProject({ project })
  await waitForOperations(server, data.operations)
  const [details, endpoint] = [data.connection_uris[0], data.endpoints[0]]
  assert.ok(details && endpoint)
  return {
    id: data.project.id,
    branchId: data.branch.id,
    endpointId: endpoint.id,
    role: details.connection_parameters.role,
    database: details.connection_parameters.database,
    password: details.connection_parameters.password,
    uri: details.connection_uri,
  }
}

export const readWrite = { type: EndpointType.ReadWrite }

export type TestBranch = { branch: Branch; endpointId: string; uri: string }

/** A child with an endpoint, ready. `uri` is empty where the parent has more than one role or database. */
export async function makeChild(
  server: TestServer,
  project: TestProject,
  branch: BranchCreateRequest['branch'] = {},
): Promise<TestBranch> {
  const api = apiClient(server)
  const made = await settled(server, api.createProjectBranch(project.id, { branch, endpoints: [readWrite] }))
  const { data } = await api.getProjectBranch(project.id, made.branch.id)
  return {
    branch: data.branch,
    endpointId: made.endpoints[0]?.id ?? '',
    uri: made.connection_uris?.[0]?.connection_uri ?? '',
  }
}

/** Waits for the operations of an answer, and gives what it said. */
export async function settled<Data extends { operations: Operation[] }>(
  server: TestServer,
  call: Promise<{ data: Data }>,
): Promise<Data> {
  const { data } = await call
  await waitForOperations(server, data.operations)
  return data
}

export const actionsOf = ({ operations }: { operations: Operation[] }): string[] =>
  operations.map(({ action }) => action)

export type Refused = { status: number; code: string; message: string; retryAfter: string | undefined }

type HttpError = {
  response?: { status: number; headers: Record<string, string>; data: { code: string; message: string } }
}

/** The answer to a call that must not succeed, in Neon's error form. */
export async function refusal(call: Promise<{ status: number; data: unknown }>): Promise<Refused> {
  const { response } = await call.then(
    ({ status, data }) => assert.fail(`the call succeeded with ${status}: ${JSON.stringify(data)}`),
    (error: HttpError) => {
      if (!error.response) throw error
      return error as Required<HttpError>
    },
  )
  const { status, headers, data } = response
  assert.equal(typeof data.code, 'string')
  assert.equal(typeof data.message, 'string')
  assert.notEqual(data.message, '')
  return { status, code: data.code, message: data.message, retryAfter: headers['retry-after'] }
}

/** The call is refused with this status and a message like this. */
export async function assertRefused(
  call: Promise<{ status: number; data: unknown }>,
  status: number,
  message: RegExp,
): Promise<void> {
  const refused = await refusal(call)
  assert.equal(refused.status, status, refused.message)
  assert.match(refused.message, message)
}
