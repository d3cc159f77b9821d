// What of a request goes into the audit log: who, what, where and how it ended. Never a body: ids and names from the path, and the
// ids of what was made.

import type { Control } from '../control/control.ts'
import type { Caller } from '../model/caller.ts'
import type { OrganizationId } from '../model/ids.ts'
import type { Match } from './contract/path-matcher.ts'
import type { Passage } from './gate.ts'

export type AuditedRequest = {
  id: string
  caller: Caller
  match: Match
  passage: Passage
  body: unknown
  made: Resources | undefined
  status: number
  peer: string
}

export type Resources = Readonly<Record<string, string>>

/** Neither what nobody has written nor what was too much at once: the log is for what was done or was not allowed. */
const unrecordedStatuses = new Set([429, 501])

/** Whatever is named in a request is somebody else's to choose: rows and memory are bounded. */
const longestText = 100

/** Changes, and reads that show a secret. */
function isAudited({ match, passage, status }: AuditedRequest): boolean {
  if (unrecordedStatuses.has(status)) return false
  return match.operation.method !== 'GET' || passage.requirement === 'project:write'
}

function shortened(params: Resources): Resources {
  const short = (text: string): string => text.slice(0, longestText).toWellFormed()
  return Object.fromEntries(Object.entries(params).map(([name, text]) => [name, short(text)]))
}

export function audit(control: Control, request: AuditedRequest): void {
  if (!isAudited(request)) return
  const { caller, match, passage, made } = request
  // Whoever knows the id of a transfer request may take the project.
  const { request_id: _secret, ...params } = match.params
  const orgId = made?.['org_id'] ?? passage.orgId
  control.audit.record({
    at: new Date(),
    actor: caller,
    orgId: orgId as OrganizationId | undefined,
    claimedOrgId: orgId === undefined && caller.kind === 'user' ? claimedOrganization(request) : undefined,
    operationId: match.operation.id,
    resources: { ...shortened(params), ...made },
    status: request.status,
    requestId: request.id,
    peer: request.peer,
  })
}

/** The organization that a body names; only where its caller is a member of it does that count. */
function claimedOrganization({ match, body }: AuditedRequest): string | undefined {
  switch (match.operation.id) {
    case 'createProject':
      return textAt(body, 'project', 'org_id') ?? 'default'
    case 'acceptProjectTransferRequest':
      return textAt(body, 'org_id') ?? 'default'
    default:
      return undefined
  }
}

/** What an answer shows by its id, as paths name it: `{ branch: { id } }` is a `branch_id`. */
const shown = ['project', 'branch', 'endpoint', 'snapshot', 'organization', 'member', 'invitation', 'user'] as const

export function resourcesIn(answer: unknown): Resources {
  const found: Record<string, string> = {}
  for (const name of shown) {
    const id = textAt(answer, name, 'id')
    if (id !== undefined) found[name === 'organization' ? 'org_id' : `${name}_id`] = id
  }
  const orgId = textAt(answer, 'project', 'org_id')
  return orgId === undefined ? found : { org_id: orgId, ...found }
}

function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  let at = value
  for (const name of path) {
    if (typeof at !== 'object' || at === null) return undefined
    at = (at as Readonly<Record<string, unknown>>)[name]
  }
  return typeof at === 'string' && at.length <= longestText ? at : undefined
}
