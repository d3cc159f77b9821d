import type { Caller } from './caller.ts'
import type { OrganizationId, UserId } from './ids.ts'

/** `operator`: somebody at the machine itself, with the `pgrove` command. */
export type AuditActor = Caller | { kind: 'operator' }

/** One thing that was done, or that somebody was refused. No bodies and no secrets: names of what it was done to, and how it ended. */
export type AuditRecord = {
  at: Date
  actor: AuditActor
  /** Whose log it belongs to. Undefined: the caller's own affair, or a stranger's try. */
  orgId: OrganizationId | undefined
  /**
   * For calls that name their organization in the body, or none: whose log it is, if the caller is a member there. `default`: the one
   * that his projects are created in.
   */
  claimedOrgId?: string | undefined
  operationId: string
  /** By the names that the API's paths have for them: `project_id`, `branch_id`, `role_name` … */
  resources: Readonly<Record<string, string>>
  /** HTTP status of the answer. */
  status: number
  requestId: string
  /** Address that the request came from; empty where there is none. */
  peer: string
}

/** As it is read back. */
export type AuditEntry = {
  id: number
  at: Date
  actorKind: AuditActor['kind']
  userId: UserId | undefined
  userEmail: string | undefined
  keyId: number | undefined
  keyName: string | undefined
  operationId: string
  resources: Readonly<Record<string, string>>
  status: number
  requestId: string
  peer: string
}
