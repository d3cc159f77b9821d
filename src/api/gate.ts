// Before the body of a request is read: may this caller do this there? Which operation asks for what is `control/authorization.ts`'s.

import { operationRequirements, scopeOf, type Requirement } from '../control/authorization.ts'
import type { Control } from '../control/control.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId } from '../model/ids.ts'
import { assertCleanText } from './clean-text.ts'
import type { OwnOperationName } from './contract/own-operations.ts'
import type { Match } from './contract/path-matcher.ts'
import type { OperationName } from './contract/wire.ts'

/** Every operation has its row: the compiler asks for those that the contract adds. */
const table: Readonly<Record<OperationName | OwnOperationName, Requirement>> = operationRequirements

export function requirementOf(operationId: string): Requirement {
  const requirement = (table as Readonly<Record<string, Requirement | undefined>>)[operationId]
  if (requirement === undefined)
    throw new AppError('internal', `nothing says who may call ${operationId}; add it to operationRequirements`)
  return requirement
}

/** `orgId`: whose affair the request is, where the caller is known there. `refusal` is for the caller to be told. */
export type Passage = { requirement: Requirement; orgId: OrganizationId | undefined; refusal: AppError | undefined }

/** Throws `bad_request` where the path cannot be meant. */
export async function askGate(control: Control, caller: Caller, { operation, params }: Match): Promise<Passage> {
  for (const [name, value] of Object.entries(params)) assertCleanText(value, `path: ${name}`)
  for (const name of ['project_id', 'org_id', 'source_org_id']) assertId(name, params[name])
  const requirement = requirementOf(operation.id)
  const orgId = params['org_id'] ?? params['source_org_id']
  // Some older operations name their project in the body: they are asked once that has been read.
  if (scopeOf(requirement) === 'project' && params['project_id'] === undefined)
    return { requirement, orgId: undefined, refusal: undefined }
  const asked = await control.authorize(caller, requirement, { projectId: params['project_id'], orgId })
  if (requirement !== 'operator' || asked.refusal) return { requirement, ...asked }
  // What an operator does to an organization is its affair, though he is nobody in it.
  return { requirement, orgId: orgId as OrganizationId | undefined, refusal: undefined }
}

/** As the contract has every id, in the words of the check that follows. */
function assertId(name: string, value: string | undefined): void {
  if (value === undefined || /^[a-z0-9-]{1,60}$/.test(value)) return
  throw new AppError(
    'bad_request',
    `invalid request: decode params: path: invalid: ${name} (must match pattern "^[a-z0-9-]{1,60}$")`,
  )
}

/** For operations that name their project in the body; of others nothing is asked again. */
export async function assertBodysProject(
  control: Control,
  caller: Caller,
  { operation, params }: Match,
  body: unknown,
): Promise<void> {
  const requirement = requirementOf(operation.id)
  if (scopeOf(requirement) !== 'project' || params['project_id'] !== undefined) return
  const projectId = (body as { project_id?: unknown } | undefined)?.project_id
  const { refusal } = await control.authorize(caller, requirement, { projectId: String(projectId) })
  if (refusal) throw refusal
}
